//! Whether a webhook works: a message to try it, and what came of the last ones.

use nightjar_shared::{audit::Action, ids::WebhookId, notification::Kind, time::UnixMillis};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    deed,
    deliver::{Tried, attempt, trial_message},
};
use crate::{
    app::App,
    domain::{
        List,
        access::{self, Caller},
        audit::record,
    },
    engines::db::webhooks::{self, AttemptRow},
    error::Result,
};

/// What came of one attempt.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Attempt {
    /// What the receiver knows the message by (`webhook-id`); the same in each attempt with it.
    pub message_id: String,
    #[schema(value_type = String)]
    pub kind: Kind,
    #[schema(value_type = i64)]
    pub attempted_at: UnixMillis,
    pub duration_ms: u64,
    /// Of the answer, where there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u32>,
    /// What is wrong: nothing where the message was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl From<AttemptRow> for Attempt {
    fn from(row: AttemptRow) -> Self {
        Self {
            message_id: row.message_id,
            kind: row.kind,
            attempted_at: row.attempted_at,
            duration_ms: row.duration_ms,
            status: row.status,
            reason: row.reason,
        }
    }
}

/// Lists the last attempts with a webhook, newest first: at most 50.
pub async fn attempts(app: &App, caller: Caller, webhook_id: WebhookId) -> Result<List<Attempt>> {
    let row = access::webhook(app, caller, webhook_id).await?;
    let rows = webhooks::attempts(&app.db, row.webhook_id).await?;
    Ok(List { items: rows.into_iter().map(Attempt::from).collect(), next_cursor: None })
}

/// Sends a message to a webhook, on or off, at once and once, and says what came of it.
pub async fn try_out(app: &App, caller: Caller, webhook_id: WebhookId) -> Result<Attempt> {
    let row = access::webhook(app, caller, webhook_id).await?;
    let now = app.now();
    app.limits.webhook_trials.take(&caller.account_id.to_string(), now)?;
    record(&app.db, now, deed(Action::WebhookTried, caller, &row)).await?;
    let id = format!("msg_{}", Uuid::now_v7().simple());
    let message = trial_message(app, &row);
    let Tried { status, reason, took, .. } = attempt(app, &row, &id, &message).await?;
    if reason.is_none() {
        webhooks::note_taken(&app.db.unsynced(), webhook_id).await?;
    }
    Ok(Attempt {
        message_id: id,
        kind: message.kind,
        attempted_at: now,
        duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        status: status.map(|status| u32::from(status.as_u16())),
        reason,
    })
}
