//! Commands: queued -> sent -> acked, rejected, failed or expired.

use nightjar_shared::{command::CommandAck, ids::CameraId};

use super::App;
use crate::error::Result;

/// A camera says what became of a command.
pub async fn acknowledge(_app: &App, _camera_id: CameraId, _ack: CommandAck) -> Result<()> {
    Ok(())
}
