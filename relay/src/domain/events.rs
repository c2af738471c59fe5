//! Events that cameras report.

use nightjar_shared::{event::EventMessage, ids::CameraId};

use super::App;
use crate::error::Result;

/// A camera reports that something began or ended.
pub async fn record(_app: &App, _camera_id: CameraId, _event: EventMessage) -> Result<()> {
    Ok(())
}
