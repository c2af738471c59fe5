//! What open sockets are told.

use std::sync::Arc;

use nightjar_shared::ids::SiteId;
use serde::Serialize;

use super::{
    App,
    access::{self, Right},
    cameras::Camera,
    clips::Clip,
    commands::Command,
    events::Event,
    live::Session,
};
use crate::error::Result;

/// One text frame.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Update {
    Camera { camera: Camera },
    Clip { clip: Clip },
    Command { command: Command },
    Event { event: Event },
    Live { session: Session },
}

/// Tells whoever has the right at that site now. What was done stays done when this fails: a
/// client that missed something asks again.
pub(super) async fn tell(app: &App, site_id: SiteId, right: Right, update: &Update) {
    if let Err(error) = try_to_tell(app, site_id, right, update).await {
        tracing::warn!(site.id = %site_id, %error, "cannot tell open sockets of a change");
    }
}

async fn try_to_tell(app: &App, site_id: SiteId, right: Right, update: &Update) -> Result<()> {
    let recipients = access::recipients(app, site_id, right).await?;
    if recipients.iter().any(|account_id| app.realtime.has_sockets(*account_id)) {
        let message: Arc<str> = serde_json::to_string(update).map_err(anyhow::Error::from)?.into();
        app.realtime.send(&recipients, &message);
    }
    Ok(())
}
