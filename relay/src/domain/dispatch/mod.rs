//! How messages leave: each channel by a task of its own, so that a mail server that hangs holds no push up, and
//! a few at a time, one for each address.

mod mail;

use std::{sync::Arc, time::Duration};

use nightjar_shared::notification::{Channel, Kind};
use tokio::{
    sync::Semaphore,
    time::{MissedTickBehavior, timeout},
};

use super::{
    deliveries::{self, Delivery, Outcome},
    notifications::{self, Happening, details},
    push, webhooks,
};
use crate::{app::App, engines::db::deliveries::DueDelivery, error::Result};

/// Attempts of one channel at a time.
const AT_ONCE: usize = 16;
/// What is new leaves at once; this is for what waits for another attempt.
const TICK: Duration = Duration::from_secs(1);
/// Whatever a channel does within its own limits, this ends it. Shorter than a claim lasts.
const ATTEMPT_MAX: Duration = Duration::from_secs(90);

/// Sends what is due by a channel until the relay stops. What is cut off by the end is sent after the next
/// start.
///
/// Each attempt is a task: were they all polled here, one that waits for the database while this waits for it,
/// too, would never have its turn.
pub(super) async fn send_by(app: Arc<App>, channel: Channel) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut advances = app.clock.advances();
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        match claim(&app, channel, &places).await {
            Ok(true) if !app.cancel.is_cancelled() => continue,
            Ok(_) => {}
            Err(error) => tracing::warn!(%channel, %error, "cannot look what is to be sent"),
        }
        tokio::select! {
            () = app.cancel.cancelled() => return,
            _ = ticks.tick() => {}
            () = app.due.of(channel).notified() => {}
            () = advances.next() => {}
        }
    }
}

/// Begins with what is due, as far as there are places. Says whether there may be more.
async fn claim(app: &Arc<App>, channel: Channel, places: &Arc<Semaphore>) -> Result<bool> {
    let free = places.available_permits();
    if free == 0 {
        return Ok(false);
    }
    let claimed = deliveries::claim(app, channel, free).await?;
    let is_any = !claimed.is_empty();
    for due in claimed {
        let place = places.clone().try_acquire_owned();
        let task = app.clone();
        app.tracker.spawn(async move {
            let _ = task.cancel.run_until_cancelled(attempt(&task, due)).await;
            // There is a place again, and the next for this address has its turn.
            drop(place);
            task.due.of(channel).notify_one();
        });
    }
    Ok(is_any)
}

async fn attempt(app: &App, due: DueDelivery) {
    let delivery_id = due.delivery_id;
    if let Err(error) = attempt_once(app, &due).await {
        tracing::warn!(delivery = %delivery_id, %error, "an attempt with a message failed");
        let again = Outcome::Retry { after: None, reason: error.code().to_string() };
        // Should this fail, too, its claim ends by itself.
        if let Err(error) = deliveries::conclude(app, &due, again).await {
            tracing::warn!(delivery = %delivery_id, %error, "its claim goes on for a while");
        }
    }
}

async fn attempt_once(app: &App, due: &DueDelivery) -> Result<()> {
    if due.expires_at <= app.now() {
        return deliveries::give_up(app, due, "it could not leave while it was of use").await;
    }
    let Some(delivery) = notifications::write(app, due.clone()).await? else {
        return deliveries::withhold(app, due).await;
    };
    let outcome = timeout(ATTEMPT_MAX, deliver(app, &delivery))
        .await
        .unwrap_or_else(|_| Outcome::Retry { after: None, reason: "no answer in time".to_owned() });
    deliveries::conclude(app, due, outcome).await
}

/// Hands a message to a webhook. Where that is turned off because of it, its person is told in the same moment.
async fn to_webhook(app: &App, delivery: &Delivery) -> Result<Outcome> {
    let delivered = webhooks::deliver(app, delivery).await?;
    if let Some(webhook) = delivered.given_up {
        let transaction = app.db.begin().await?;
        if webhooks::give_up(&transaction, &webhook, app.now()).await? {
            let off = Happening::to_account(Kind::WebhookOff, delivery.account_id)
                .subject(&delivery.address)
                .detail(details::WEBHOOK, webhook.name);
            notifications::happened(app, &transaction, off).await?;
        }
        transaction.commit().await?;
        app.due.happenings.notify_one();
    }
    Ok(delivered.outcome)
}

/// Hands one message to its channel. What fails within the relay itself is tried again.
async fn deliver(app: &App, delivery: &Delivery) -> Outcome {
    let outcome = match delivery.channel {
        Channel::Mail => return mail::deliver(app, delivery).await,
        Channel::WebPush => push::deliver(app, delivery).await,
        Channel::Webhook => to_webhook(app, delivery).await,
        // Nothing is queued for it.
        Channel::App => Ok(Outcome::Gone),
    };
    outcome.unwrap_or_else(|error| {
        tracing::warn!(channel = %delivery.channel, %error, "a message cannot be written");
        Outcome::Retry { after: None, reason: error.code().to_string() }
    })
}
