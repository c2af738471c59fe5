//! Cameras' answers to commands, and what is known by them.

use nightjar_shared::{command::CommandAck, ids::CameraId};

use super::{commands, events, opened_events};
use crate::{app::App, error::Result};

/// Takes a camera's answer. One to a command that began a recording tells who began it.
pub async fn acknowledge(app: &App, camera_id: CameraId, ack: CommandAck) -> Result<()> {
    let Some(row) = commands::acknowledge(app, camera_id, ack).await? else { return Ok(()) };
    opened_events::recorded(app, row.command_id, row.state, events::clip_begun(&row)).await?;
    events::started_by_command(app, &row).await
}
