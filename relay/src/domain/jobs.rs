//! What happens by itself: things expire, cameras fall silent, objects are deleted.

use std::{sync::Arc, time::Duration};

use super::{App, abandoned, cameras, clips, commands, live, timeline};
use crate::{
    engines::db::{accounts, devices, pairings, shares},
    error::Result,
};

const QUICK: Duration = Duration::from_secs(1);
const SLOW: Duration = Duration::from_mins(1);
/// A pairing is shown for a while after its end.
const PAIRING_HISTORY: Duration = Duration::from_hours(168);

/// Runs until the relay stops. A sweep that fails is tried again with the next one.
pub async fn run(app: Arc<App>) {
    let mut quick = tokio::time::interval(QUICK);
    let mut slow = tokio::time::interval(SLOW);
    quick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    slow.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let (sweep, swept) = tokio::select! {
            () = app.cancel.cancelled() => return,
            _ = quick.tick() => ("quick", sweep_quick(&app).await),
            _ = slow.tick() => ("slow", sweep_slow(&app).await),
        };
        if let Err(error) = swept {
            tracing::warn!(sweep, %error, "a sweep failed; the next one tries again");
        }
    }
}

async fn sweep_quick(app: &App) -> Result<()> {
    cameras::sweep(app).await?;
    commands::sweep(app).await?;
    live::meter(app).await?;
    live::end_unseen(app).await?;
    live::sweep(app).await?;
    abandoned::sweep(app).await
}

async fn sweep_slow(app: &App) -> Result<()> {
    let now = app.now();
    accounts::delete_expired(&app.db, now).await?;
    devices::delete_expired(&app.db, now).await?;
    pairings::delete_expired(&app.db, now.minus(PAIRING_HISTORY)).await?;
    shares::delete_expired(&app.db, now).await?;
    commands::forget_old(app).await?;
    live::forget_old(app).await?;
    timeline::forget_old(app).await?;
    clips::sweep(app).await
}
