//! The secret by which a webhook's requests are signed, and how it is replaced.

use std::time::Duration;

use nightjar_shared::{audit::Action, ids::WebhookId, time::UnixMillis};
use serde::Serialize;
use utoipa::ToSchema;

use super::deed;
use crate::{
    app::App,
    domain::{
        access::{self, Caller},
        audit::record,
        secrets,
    },
    engines::{
        db::webhooks,
        webhook_signature::{SECRET_BYTES, Secret},
    },
    error::Result,
};

/// For how long the secret before signs as well: until then its receiver has the new one.
const OVERLAP: Duration = Duration::from_hours(24);

/// A secret that was made just now.
#[derive(Clone, Serialize, ToSchema)]
pub struct NewSecret {
    /// Shown once.
    pub secret: String,
    /// Until then requests are signed by the one before, too.
    #[schema(value_type = i64)]
    pub old_secret_until: UnixMillis,
}

pub(super) fn make() -> Result<Secret> {
    Ok(Secret::of(secrets::bytes::<SECRET_BYTES>()?))
}

fn context(webhook_id: WebhookId) -> String {
    format!("webhook secret {webhook_id}")
}

pub(super) fn seal(app: &App, webhook_id: WebhookId, secret: &Secret) -> Result<String> {
    Ok(app.seal.seal(&context(webhook_id), secret.bytes())?)
}

pub(super) fn open(app: &App, webhook_id: WebhookId, sealed: &str) -> Result<Secret> {
    Ok(Secret::from_bytes(app.seal.open(&context(webhook_id), sealed)?))
}

/// Makes another secret. Replaced twice within a day, the first one ends at once.
pub async fn replace_secret(app: &App, caller: Caller, webhook_id: WebhookId) -> Result<NewSecret> {
    let row = access::webhook(app, caller, webhook_id).await?;
    let now = app.now();
    app.limits.webhooks.take(&caller.account_id.to_string(), now)?;
    let secret = make()?;
    let until = now.plus(OVERLAP);
    let transaction = app.db.begin().await?;
    let sealed = seal(app, webhook_id, &secret)?;
    webhooks::replace_secret(&transaction, webhook_id, &sealed, until).await?;
    record(&transaction, now, deed(Action::WebhookSecretReplaced, caller, &row)).await?;
    transaction.commit().await?;
    Ok(NewSecret { secret: secret.text(), old_secret_until: until })
}
