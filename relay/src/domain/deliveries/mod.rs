//! Messages on their way to people, one for each of their addresses: a queue that survives the relay's end.
//! What a message says is written when it leaves, for who may hear it then; the queue only holds of what it
//! speaks.
//!
//! A message leaves at least once. Should the relay end after it has left and before that is written down, it
//! leaves once more, under the same name: by that name a browser shows it in the place of the first, and a
//! mail program or a webhook knows it again.

mod waits;

use std::time::Duration;

use nightjar_shared::{
    ids::{AccountId, CameraId, ClipId, DeliveryId, EventId, NotificationId, SiteId},
    notification::{Channel, DeliveryState, Form, Kind},
    time::UnixMillis,
};
use serde::Serialize;

pub use self::waits::next_attempt;
use crate::{
    app::App,
    engines::db::{
        Executor,
        deliveries::{self, ClaimTimes, DeliveryCount, DeliveryRow, DueDelivery, NewDelivery},
    },
    error::Result,
};

/// Messages that may wait for one address; what is more is in the list of the app alone. Each address has its own,
/// so that one that takes nothing does not silence the others of its person.
const WAITING_MAX: u64 = 50;
/// Longer than an attempt may take: should the relay end in its middle, another is made then.
const CLAIMED_FOR: Duration = Duration::from_mins(2);
/// Messages of one account that are on their way by a channel at a time: whose addresses do not answer leaves places
/// to others.
const ACCOUNT_AT_ONCE: u32 = 4;
/// No time that is written down here lies further ahead, but by a clock that has been set back since.
pub const AHEAD_MAX: Duration = Duration::from_hours(25);
/// How long it can be seen what was sent, which what follows it goes by.
const SENT_KEPT: Duration = Duration::from_hours(24);
const FAILED_KEPT: Duration = Duration::from_hours(30 * 24);
/// Deliveries that one look shows.
const LISTED_MAX: u32 = 200;

/// A message that leaves now, by one channel to one address.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub delivery_id: DeliveryId,
    pub account_id: AccountId,
    pub channel: Channel,
    /// Which of the account's addresses, as its channel named it; empty for its mail.
    pub address: String,
    /// With the one that begins now.
    pub attempts: u32,
    /// Lower is more urgent.
    pub priority: u32,
    pub queued_at: UnixMillis,
    /// After that nobody needs it.
    pub expires_at: UnixMillis,
    pub message: Message,
}

/// What a message says, to who may hear it now.
#[derive(Debug, Clone, Serialize)]
pub struct Message {
    /// What follows a message has its name, and takes its place.
    pub notification_id: NotificationId,
    pub kind: Kind,
    pub form: Form,
    /// One line, such as `Motion at Front door`.
    pub title: String,
    /// A line or two.
    pub body: String,
    /// A page of the app.
    pub url: String,
    pub happened_at: UnixMillis,
    /// How often it happened again since.
    #[serde(skip_serializing_if = "is_zero")]
    pub more: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site_id: Option<SiteId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub camera_id: Option<CameraId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub camera_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<EventId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_id: Option<ClipId>,
    /// An address in the store that is good for minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture_url: Option<String>,
    /// By which who reads it is left alone for a while; works once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mute_token: Option<String>,
    /// For who brings the picture along.
    #[serde(skip)]
    pub picture_key: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Whoever passes it on has taken it, and said so, such as `201`.
    Done { receipt: String },
    /// It may go better later: after the wait that was asked for, or one that grows.
    Retry { after: Option<Duration>, reason: String },
    /// There is no such address any more: what else waits for it is forgotten. The channel forgets the address.
    Gone,
    /// It will not be taken: a person must look.
    Refused { reason: String },
}

/// Writes down that something is to leave. Says whether it will: not, where too much waits for its address.
pub async fn queue(app: &App, db: &impl Executor, new: NewDelivery) -> Result<bool> {
    let waiting = deliveries::count_waiting(db, new.account_id, new.channel, &new.address).await?;
    if waiting >= WAITING_MAX {
        count(app, new.channel, "left_out");
        return Ok(false);
    }
    deliveries::insert(db, new, app.now()).await?;
    Ok(true)
}

/// Claims what may leave by a channel now, so many at most.
pub async fn claim(app: &App, channel: Channel, most: usize) -> Result<Vec<DueDelivery>> {
    let now = app.now();
    let times = ClaimTimes { now, until: now.plus(CLAIMED_FOR), latest: now.plus(AHEAD_MAX) };
    let most = u32::try_from(most).unwrap_or(u32::MAX);
    Ok(deliveries::claim(&app.db, channel, (most, ACCOUNT_AT_ONCE), times).await?)
}

/// Forgets a delivery that nobody may hear any more.
pub async fn withhold(app: &App, due: &DueDelivery) -> Result<()> {
    count(app, due.channel, "withheld");
    Ok(deliveries::delete(&app.db, due.delivery_id).await?)
}

/// Writes down what came of an attempt.
pub async fn conclude(app: &App, due: &DueDelivery, outcome: Outcome) -> Result<()> {
    let (delivery_id, channel, now) = (due.delivery_id, due.channel, app.now());
    match outcome {
        Outcome::Done { receipt } => {
            count(app, channel, "sent");
            let state = DeliveryState::Sent;
            Ok(deliveries::conclude(&app.db, delivery_id, state, &receipt, now).await?)
        }
        Outcome::Gone => {
            count(app, channel, "gone");
            tracing::info!(%channel, "an address is no more; what waits for it is forgotten");
            Ok(deliveries::delete_to(&app.db, due.account_id, channel, &due.address).await?)
        }
        Outcome::Retry { after, reason } => {
            let due_at = next_attempt(channel, due.attempts, after).map(|wait| now.plus(wait));
            match due_at.filter(|due_at| *due_at < due.expires_at) {
                Some(due_at) => {
                    count(app, channel, "postponed");
                    tracing::warn!(%channel, delivery = %delivery_id, reason, "a message waits");
                    Ok(deliveries::postpone(&app.db, delivery_id, &reason, due_at).await?)
                }
                None => give_up(app, due, &reason).await,
            }
        }
        Outcome::Refused { reason } => give_up(app, due, &reason).await,
    }
}

/// Gives a delivery up. It stays for who runs the relay to look at, and to try again.
pub async fn give_up(app: &App, due: &DueDelivery, reason: &str) -> Result<()> {
    let (delivery_id, channel) = (due.delivery_id, due.channel);
    count(app, channel, "failed");
    tracing::error!(%channel, delivery = %delivery_id, reason, "a message is given up");
    let state = DeliveryState::Failed;
    Ok(deliveries::conclude(&app.db, delivery_id, state, reason, app.now()).await?)
}

/// Lists the newest deliveries in a state, for who runs the relay.
pub async fn list(app: &App, state: DeliveryState) -> Result<Vec<DeliveryRow>> {
    Ok(deliveries::list(&app.db, state, LISTED_MAX).await?)
}

/// Counts deliveries by channel and state.
pub async fn counts(app: &App) -> Result<Vec<DeliveryCount>> {
    Ok(deliveries::counts(&app.db).await?)
}

/// Forgets what was sent or given up long ago.
pub async fn forget_old(app: &App) -> Result<()> {
    let now = app.now();
    Ok(deliveries::delete_ended(&app.db, now.minus(SENT_KEPT), now.minus(FAILED_KEPT)).await?)
}

fn count(app: &App, channel: Channel, outcome: &'static str) {
    app.metrics
        .counter(
            "nightjar_deliveries_total",
            "Messages to people, by channel and what came of the attempt.",
            &[("channel", channel.as_str()), ("outcome", outcome)],
        )
        .increment();
}
