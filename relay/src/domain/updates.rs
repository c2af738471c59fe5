//! What open sockets are told. Each module says what its own news are; here is who hears them.

use std::sync::Arc;

use nightjar_shared::ids::SiteId;
use serde::{Serialize, Serializer, ser::SerializeMap as _};

use super::access::{self, Right};
use crate::{app::App, error::Result};

/// One text frame: `{"type": kind, field: value}`.
pub(super) struct Update<'a, T> {
    pub(super) kind: &'static str,
    pub(super) field: &'static str,
    pub(super) value: &'a T,
}

impl<T: Serialize> Serialize for Update<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut frame = serializer.serialize_map(Some(2))?;
        frame.serialize_entry("type", self.kind)?;
        frame.serialize_entry(self.field, self.value)?;
        frame.end()
    }
}

/// Tells everyone who has the right at that site now. What was done stays done when this fails: a
/// client that missed something asks again.
pub(super) async fn tell<T: Serialize + Sync>(
    app: &App,
    site_id: SiteId,
    right: Right,
    update: &Update<'_, T>,
) {
    if let Err(error) = try_to_tell(app, site_id, right, update).await {
        tracing::warn!(site.id = %site_id, %error, "cannot tell open sockets of a change");
    }
}

async fn try_to_tell<T: Serialize + Sync>(
    app: &App,
    site_id: SiteId,
    right: Right,
    update: &Update<'_, T>,
) -> Result<()> {
    let recipients = access::recipients(app, site_id, right).await?;
    if recipients.iter().any(|account_id| app.realtime.has_sockets(*account_id)) {
        let message: Arc<str> = serde_json::to_string(update).map_err(anyhow::Error::from)?.into();
        app.realtime.send(&recipients, &message);
    }
    Ok(())
}
