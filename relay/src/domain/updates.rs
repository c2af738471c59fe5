//! What open sockets are told. Each module says what its own news are; here is who hears them.

use std::sync::Arc;

use nightjar_shared::ids::{AccountId, CameraId, SiteId};
use serde::{Serialize, Serializer, ser::SerializeMap as _};

use super::access::{self, Right};
use crate::{app::App, engines::realtime::Subject, error::Result};

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

/// Tells everyone at that site who has the right at that camera now. What was done stays done when this
/// fails: a client that missed something asks again.
pub(super) async fn tell<T: Serialize + Sync>(
    app: &App,
    (site_id, camera_id): (SiteId, CameraId),
    right: Right,
    update: &Update<'_, T>,
) {
    if !app.realtime.is_heard() {
        return;
    }
    let told = async {
        let recipients = access::recipients(app, site_id, camera_id, right).await?;
        send(app, &recipients, Some(Subject { site_id, right }), update)
    };
    if let Err(error) = told.await {
        tracing::warn!(site.id = %site_id, %error, "cannot tell open sockets of a change");
    }
}

/// Tells one account, wherever it listens.
pub(super) fn tell_account<T: Serialize>(app: &App, account_id: AccountId, update: &Update<'_, T>) {
    if let Err(error) = send(app, &[account_id], None, update) {
        tracing::warn!(%error, "cannot tell open sockets of a change");
    }
}

fn send<T: Serialize>(
    app: &App,
    recipients: &[AccountId],
    subject: Option<Subject>,
    update: &Update<'_, T>,
) -> Result<()> {
    if recipients.iter().any(|account_id| app.realtime.has_sockets(*account_id)) {
        let message: Arc<str> = serde_json::to_string(update).map_err(anyhow::Error::from)?.into();
        app.realtime.send(recipients, subject, &message);
    }
    Ok(())
}
