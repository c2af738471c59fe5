//! Live sessions: one viewer watching one camera.

use nightjar_shared::{ids::CameraId, signal::Signal};

use super::App;
use crate::error::Result;

/// A camera answers, adds a candidate or says bye.
pub async fn signal_from_camera(_app: &App, _camera_id: CameraId, _signal: Signal) -> Result<()> {
    Ok(())
}
