//! Web Push: which browsers of an account take messages while the app is closed, and how one is sent.
//!
//! A browser belongs to one account, and takes messages for as long as nobody ends what its person was
//! signed in by when it subscribed.

mod deliver;
mod keys;

use nightjar_shared::{audit::Action, ids::SubscriptionId, range::Check, time::UnixMillis};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(super) use self::deliver::{addresses, deliver};
pub use self::keys::{make as make_key, prepare};
use super::{
    access::{self, Caller},
    audit::{Entry, record},
    secrets,
    signed_in::SignedIn,
};
use crate::{
    app::App,
    engines::{
        db::{
            factors::hold_account,
            push::{self, SubscriptionRow},
        },
        web_push::Recipient,
    },
    error::{Error, ProblemCode, Result},
};

/// Browsers of one account: the next one takes the place of the oldest.
const BROWSERS_MAX: u32 = 20;

/// What browsers subscribe by, and those that did.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PushState {
    /// `applicationServerKey`, base64url. A browser that subscribed by another one subscribes anew.
    pub public_key: String,
    /// At most 20, the newest first.
    pub items: Vec<Subscription>,
}

/// A browser that takes messages.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Subscription {
    #[schema(value_type = String)]
    pub subscription_id: SubscriptionId,
    /// Like `Firefox on Windows`.
    pub program: String,
    /// The host of its push service.
    pub service: String,
    pub created_at: UnixMillis,
    /// When the push service took a message last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<UnixMillis>,
    /// Whether it subscribed by the sign-in that asks.
    pub current: bool,
}

/// A `PushSubscription`, as browsers write it as JSON.
#[derive(Clone, Deserialize, ToSchema)]
pub struct NewSubscription {
    pub endpoint: String,
    pub keys: SubscriptionKeys,
    /// By which it subscribed; the newest when absent.
    #[serde(default)]
    pub public_key: Option<String>,
}

#[derive(Clone, Deserialize, ToSchema)]
pub struct SubscriptionKeys {
    pub p256dh: String,
    pub auth: String,
}

impl Check for NewSubscription {}

/// What is kept sealed of a browser.
#[derive(Serialize, Deserialize)]
struct Sealed {
    endpoint: String,
    p256dh: String,
    auth: String,
}

impl Sealed {
    fn seal(&self, app: &App, id: SubscriptionId) -> Result<String> {
        let text = serde_json::to_vec(self).map_err(anyhow::Error::from)?;
        Ok(app.seal.seal(&context(id), &text)?)
    }

    fn open(app: &App, row: &SubscriptionRow) -> Result<Self> {
        let text = app.seal.open(&context(row.subscription_id), &row.sealed)?;
        Ok(serde_json::from_slice(&text).map_err(anyhow::Error::from)?)
    }
}

/// What a browser is sealed for: it opens as no other one.
fn context(id: SubscriptionId) -> String {
    format!("push subscription {id}")
}

fn view(row: SubscriptionRow, signed_in: &SignedIn) -> Subscription {
    Subscription {
        subscription_id: row.subscription_id,
        program: row.program,
        service: row.service,
        created_at: row.created_at,
        sent_at: row.sent_at,
        current: row.sign_in == signed_in.sign_in,
    }
}

/// Lists the caller's browsers, and says what another one subscribes by.
pub async fn state(app: &App, signed_in: &SignedIn) -> Result<PushState> {
    access::in_person(signed_in.caller)?;
    let rows = push::of_account(&app.db, signed_in.caller.account_id, app.now()).await?;
    let public_key = keys::current(app).await?.public_key();
    let items = rows.into_iter().map(|row| view(row, signed_in)).collect();
    Ok(PushState { public_key, items })
}

/// Takes a browser. One that another account had is that one's no more: whoever used the browser before does
/// not get what is told to who uses it now.
pub async fn subscribe(
    app: &App,
    signed_in: &SignedIn,
    program: String,
    new: NewSubscription,
) -> Result<Subscription> {
    access::in_person(signed_in.caller)?;
    let account_id = signed_in.caller.account_id;
    app.limits.push_subscriptions.take(&account_id.to_string(), app.now())?;
    let address = app.outgoing.address(&new.endpoint).map_err(|problem| {
        let title = "The relay sends nothing to this push service.";
        Error::invalid(ProblemCode::InvalidAddress, title).with_detail(problem.to_string())
    })?;
    let SubscriptionKeys { p256dh, auth } = new.keys;
    Recipient::parse(&p256dh, &auth).map_err(|problem| {
        let title = "These are no keys of a browser.";
        Error::invalid(ProblemCode::InvalidSubscription, title).with_detail(problem.to_string())
    })?;
    let push_key = match new.public_key {
        None => keys::current(app).await?.public_key(),
        Some(key) => keys::known(app, &key).await?,
    };
    let now = app.now();
    let subscription_id = SubscriptionId::generate();
    let sealed = Sealed { endpoint: address.as_str().to_owned(), p256dh, auth };
    let row = SubscriptionRow {
        subscription_id,
        account_id,
        sign_in: signed_in.sign_in.clone(),
        endpoint_hash: secrets::hash(&sealed.endpoint),
        sealed: sealed.seal(app, subscription_id)?,
        push_key,
        program,
        service: address.host().to_owned(),
        created_at: now,
        sent_at: None,
        failing_since: None,
    };
    let transaction = app.db.begin().await?;
    hold_account(&transaction, account_id).await?;
    if let Some(before) = push::by_endpoint(&transaction, &row.endpoint_hash).await? {
        may_take(app, &before, &sealed)?;
    }
    if !push::take(&transaction, &row).await? {
        return Err(Error::unauthorized(ProblemCode::Unauthenticated, "This sign-in has ended."));
    }
    push::keep_newest(&transaction, account_id, BROWSERS_MAX).await?;
    let entry = Entry::new(Action::PushSubscribed, signed_in.caller).subject(subscription_id);
    record(&transaction, now, entry.text("program", &row.program)).await?;
    transaction.commit().await?;
    Ok(view(row, signed_in))
}

/// Refuses who knows where a browser is reached and not its secrets: the browser itself has both.
fn may_take(app: &App, before: &SubscriptionRow, new: &Sealed) -> Result<()> {
    let known = Sealed::open(app, before);
    match known {
        Ok(known) if known.auth != new.auth || known.p256dh != new.p256dh => Err(Error::conflict(
            ProblemCode::InvalidSubscription,
            "This browser is known with other keys.",
        )),
        // What cannot be opened any more holds nobody up.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Forgets a browser of the caller's.
pub async fn unsubscribe(app: &App, caller: Caller, subscription_id: SubscriptionId) -> Result<()> {
    access::in_person(caller)?;
    super::even_when_full(app, || end(app, caller, subscription_id)).await
}

async fn end(app: &App, caller: Caller, subscription_id: SubscriptionId) -> Result<()> {
    let transaction = app.db.begin().await?;
    if !push::delete_own(&transaction, caller.account_id, subscription_id).await? {
        return Err(Error::not_found());
    }
    let entry = Entry::new(Action::PushUnsubscribed, caller).subject(subscription_id);
    record(&transaction, app.now(), entry).await?;
    Ok(transaction.commit().await?)
}

/// Forgets browsers whose sign-in somebody has ended.
pub(super) async fn forget_ended(app: &App) -> Result<()> {
    push::delete_ended(&app.db, app.now()).await?;
    Ok(())
}
