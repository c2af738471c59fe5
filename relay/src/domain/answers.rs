//! Cameras' answers to commands, and what is known by them.

use nightjar_shared::{command::CommandAck, ids::CameraId};

use super::{commands, events};
use crate::{app::App, error::Result};

/// Takes a camera's answer. One to a command that began a recording tells who began it.
pub async fn acknowledge(app: &App, camera_id: CameraId, ack: CommandAck) -> Result<()> {
    match commands::acknowledge(app, camera_id, ack).await? {
        Some(row) => events::started_by_command(app, &row).await,
        None => Ok(()),
    }
}
