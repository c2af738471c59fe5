//! How a message goes to a webhook, what its answer means, and when a webhook is given up.

use std::time::{Duration, Instant};

use http::StatusCode;
use nightjar_shared::{
    audit::Action,
    ids::{NotificationId, WebhookId},
    notification::{Form, Kind},
    time::UnixMillis,
};
use uuid::Uuid;

use super::{
    Destination,
    request::{self, Facts},
    secrets_of,
};
use crate::{
    app::App,
    domain::{
        audit::{Actor, Entry, record},
        deliveries::{Delivery, Message, Outcome},
    },
    engines::{
        db::{
            Transaction,
            webhooks::{self, AttemptRow, WebhookRow},
        },
        outgoing::{Answer, OutgoingError, Request, retry_after},
    },
    error::Result,
};

/// A webhook that took nothing for so long is turned off.
const GIVEN_UP_AFTER: Duration = Duration::from_hours(5 * 24);
/// Attempts that are kept of one webhook.
const ATTEMPTS_KEPT: u32 = 50;

/// What became of one attempt.
pub(super) struct Tried {
    pub(super) outcome: Outcome,
    pub(super) status: Option<StatusCode>,
    pub(super) reason: Option<String>,
    pub(super) took: Duration,
}

/// What came of a message to a webhook.
pub(in crate::domain) struct Delivered {
    pub(in crate::domain) outcome: Outcome,
    /// The webhook, when it is to be turned off because of it by [`give_up`], and its person told.
    pub(in crate::domain) given_up: Option<WebhookRow>,
}

impl From<Outcome> for Delivered {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, given_up: None }
    }
}

/// Sends a message to a webhook that acts for its account, if it still does.
pub(in crate::domain) async fn deliver(app: &App, delivery: &Delivery) -> Result<Delivered> {
    let gone = || Ok(Outcome::Gone.into());
    let Ok(webhook_id) = delivery.address.parse::<WebhookId>() else { return gone() };
    let found = webhooks::by_id(&app.db, webhook_id).await?;
    let Some(row) = found.filter(|row| row.enabled && row.account_id == delivery.account_id) else {
        return gone();
    };
    // Of its own site alone, whatever its person may hear of others.
    if delivery.message.site_id.is_some_and(|site_id| site_id != row.site_id) {
        return gone();
    }
    let id = format!("msg_{}", delivery.delivery_id.as_uuid().simple());
    let tried = attempt(app, &row, &id, &delivery.message).await?;
    let is_given_up = match &tried.outcome {
        Outcome::Done { .. } => {
            webhooks::note_taken(&app.db.unsynced(), webhook_id).await?;
            false
        }
        Outcome::Gone => true,
        Outcome::Retry { .. } | Outcome::Refused { .. } => note_failure(app, &row).await?,
    };
    Ok(Delivered { outcome: tried.outcome, given_up: is_given_up.then_some(row) })
}

/// Makes one attempt, and writes down what came of it.
pub(super) async fn attempt(
    app: &App,
    row: &WebhookRow,
    id: &str,
    message: &Message,
) -> Result<Tried> {
    let (attempted_at, began) = (app.now(), Instant::now());
    let answer = send(app, row, id, message).await?;
    let tried = judge(answer, began.elapsed(), attempted_at);
    let attempt = AttemptRow {
        attempt_id: Uuid::now_v7().to_string(),
        webhook_id: row.webhook_id,
        message_id: id.to_owned(),
        kind: message.kind,
        attempted_at,
        duration_ms: u64::try_from(tried.took.as_millis()).unwrap_or(u64::MAX),
        status: tried.status.map(|status| u32::from(status.as_u16())),
        reason: tried.reason.clone(),
    };
    webhooks::insert_attempt(&app.db.unsynced(), attempt, ATTEMPTS_KEPT).await?;
    Ok(tried)
}

async fn send(
    app: &App,
    row: &WebhookRow,
    id: &str,
    message: &Message,
) -> Result<std::result::Result<Answer, OutgoingError>> {
    let Destination { url, token } = Destination::open(app, row)?;
    // The rules may have changed since it was written down.
    let Ok(to) = app.outgoing.address(&url) else { return Ok(Err(OutgoingError::Near)) };
    let facts = Facts {
        id,
        now: app.now(),
        message,
        public_url: &app.config.public_url,
        token: token.as_deref(),
        secrets: &secrets_of(app, row)?,
    };
    let parts = request::write(row.format, &facts)?;
    let request =
        Request { method: parts.method, to: &to, headers: parts.headers, body: parts.body.into() };
    Ok(app.outgoing.send(request).await)
}

fn judge(
    answer: std::result::Result<Answer, OutgoingError>,
    took: Duration,
    now: UnixMillis,
) -> Tried {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            let reason = error.to_string();
            let outcome = if error == OutgoingError::Near {
                Outcome::Refused { reason: reason.clone() }
            } else {
                Outcome::Retry { after: None, reason: reason.clone() }
            };
            return Tried { outcome, status: None, reason: Some(reason), took };
        }
    };
    let status = answer.status;
    if status.is_success() {
        let outcome = Outcome::Done { receipt: status.as_u16().to_string() };
        return Tried { outcome, status: Some(status), reason: None, took };
    }
    let reason = if status.is_redirection() {
        format!("it answers {}: redirects are not followed", status.as_u16())
    } else {
        format!("it answers {}", status.as_u16())
    };
    let outcome = if status == StatusCode::GONE {
        Outcome::Gone
    } else {
        // What is wrong with an address may be mended meanwhile.
        let after = retry_after(&answer.headers, now);
        Outcome::Retry { after, reason: reason.clone() }
    };
    Tried { outcome, status: Some(status), reason: Some(reason), took }
}

/// Notes that a webhook fails. Says whether it is to be turned off because of that.
async fn note_failure(app: &App, row: &WebhookRow) -> Result<bool> {
    let now = app.now();
    if let Some(since) = row.failing_since {
        return Ok(now.since(since) >= GIVEN_UP_AFTER);
    }
    webhooks::note_failed(&app.db, row.webhook_id, now).await?;
    Ok(false)
}

/// Turns a webhook off. Says whether it was on.
pub(in crate::domain) async fn give_up(
    transaction: &Transaction,
    row: &WebhookRow,
    now: UnixMillis,
) -> Result<bool> {
    let is_new = webhooks::give_up(transaction, row.webhook_id, now).await?;
    if is_new {
        let entry = Entry::new(Action::WebhookGivenUp, Actor::Relay).site(row.site_id);
        let entry = entry.subject(row.webhook_id).text("name", &row.name);
        record(transaction, now, entry).await?;
        tracing::warn!(webhook = %row.webhook_id, "a webhook is turned off: it takes nothing");
    }
    Ok(is_new)
}

/// Makes the message by which a webhook is tried.
pub(super) fn trial_message(app: &App, row: &WebhookRow) -> Message {
    Message {
        notification_id: NotificationId::generate(),
        kind: Kind::Test,
        form: Form::News,
        title: "Nightjar reaches you here".to_owned(),
        body: format!("This is how you are told by \"{}\".", row.name),
        url: app.config.public_url.clone(),
        happened_at: app.now(),
        more: 0,
        site_id: Some(row.site_id),
        camera_id: None,
        camera_name: None,
        event_id: None,
        clip_id: None,
        picture_url: None,
        mute_token: None,
        picture_key: None,
    }
}
