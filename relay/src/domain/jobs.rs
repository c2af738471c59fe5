//! What happens by itself: things expire, cameras fall silent, objects are deleted.

use std::{sync::Arc, time::Duration};

use nightjar_shared::notification::Channel;
use tokio::time::{Interval, MissedTickBehavior};

use super::{
    abandoned, accounts as account_domain, audit, camera_moves, cameras, commands, deliveries,
    dispatch, factors, forgetting, invitations, live, mails, members, notifications,
    abandoned, accounts as account_domain, audit, backups, camera_moves, cameras, commands,
    factors, forgetting, invitations, live, mails, members,
    objects::{self, Deleted},
    push, timeline, webhooks,
    abandoned, accounts as account_domain, audit, camera_moves, cameras, commands, factors,
    forgetting, imports, invitations, live, mails, members,
    objects::{self, Deleted},
    orphans, push, retention, timeline, views,
};
use crate::{
    app::App,
    clock::Advances,
    engines::db::{announcements, api_keys, clips, credentials, devices, pairings, shares},
    error::Result,
};

const QUICK: Duration = Duration::from_secs(1);
/// What is open ends within five seconds of the right to it.
const RIGHTS: Duration = Duration::from_secs(3);
const SLOW: Duration = Duration::from_mins(1);
const ANCHOR: Duration = Duration::from_hours(1);
/// What is new leaves at once; this is for what waits for another attempt.
const MAILS: Duration = Duration::from_secs(5);
const DELETED_CLIPS_HISTORY: Duration = Duration::from_hours(400 * 24);
/// A pairing is shown for a while after its end.
const PAIRING_HISTORY: Duration = Duration::from_hours(168);

/// Starts what goes on until the relay stops. Each goes its own way: what takes long in one holds
/// nothing up in another.
pub fn start(app: &Arc<App>) {
    app.spawn_essential("quick jobs", quickly(app.clone()));
    app.spawn_essential("rights", watch_rights(app.clone()));
    app.spawn_essential("slow jobs", slowly(app.clone()));
    app.spawn_essential("deletions", delete_objects(app.clone()));
    app.spawn_essential("anchors", tell_anchors(app.clone()));
    app.spawn_essential("mails", deliver_mails(app.clone()));
    app.spawn_essential("notifications", tell(app.clone()));
    app.spawn_essential("messages by mail", dispatch::send_by(app.clone(), Channel::Mail));
    app.spawn_essential("messages to browsers", dispatch::send_by(app.clone(), Channel::WebPush));
    app.spawn_essential("messages to programs", dispatch::send_by(app.clone(), Channel::Webhook));
    app.spawn_essential("backups", backups::keep_making(app.clone()));
    app.spawn_essential("orphans", look_for_orphans(app.clone()));
    app.spawn_essential("departures", delete_given_up_sites(app.clone()));
}

/// Writes the trail's end into the log, where who changes the database does not reach it.
async fn tell_anchors(app: Arc<App>) {
    let mut ticks = tokio::time::interval(ANCHOR);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = None;
    while app.cancel.run_until_cancelled(ticks.tick()).await.is_some() {
        match audit::anchor(&app.db).await {
            Ok(anchor) if told.as_ref() != Some(&anchor) => {
                tracing::info!(%anchor, "the trail of who did what ends here");
                told = Some(anchor);
            }
            Ok(_) => {}
            Err(error) => note_of(&app, "anchor", Err(error)),
        }
    }
}

async fn slowly(app: Arc<App>) {
    let mut ticks = tokio::time::interval(SLOW);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while app.cancel.run_until_cancelled(ticks.tick()).await.is_some() {
        sweep_slow(&app).await;
    }
}

async fn quickly(app: Arc<App>) {
    let mut beat = Beat::every(QUICK, &app);
    while beat.comes(&app).await {
        sweep_quick(&app).await;
    }
}

async fn watch_rights(app: Arc<App>) {
    let mut beat = Beat::every(RIGHTS, &app);
    while beat.comes(&app).await {
        sweep_rights(&app).await;
    }
}

/// Comes every so often, and at once, too, when a test has moved the clock.
struct Beat {
    ticks: Interval,
    advances: Advances,
}

impl Beat {
    fn every(period: Duration, app: &App) -> Self {
        let mut ticks = tokio::time::interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { ticks, advances: app.clock.advances() }
    }

    /// Waits for the next one; false when the relay stops.
    async fn comes(&mut self, app: &App) -> bool {
        tokio::select! {
            () = app.cancel.cancelled() => false,
            _ = self.ticks.tick() => true,
            () = self.advances.next() => true,
        }
    }
}

/// Ends once what is open without a right.
pub async fn sweep_rights(app: &App) {
    let note = |sweep, swept| note_of(app, sweep, swept);
    note("sockets", account_domain::close_sockets_without_right(app).await);
    note("guests", members::end_guests(app).await);
    note("rights to watch", live::end_without_right(app).await);
    note("removed cameras", cameras::end_removed(app).await);
}

/// Does once what is done every second.
pub async fn sweep_quick(app: &App) {
    let note = |sweep, swept| note_of(app, sweep, swept);
    note("cameras", cameras::sweep(app).await);
    note("trail", audit::extend(&app.db).await.map(drop));
    note("commands", commands::sweep(app).await);
    note("relayed bytes", live::meter(app).await);
    note("unseen viewers", live::end_unseen(app).await);
    note("live sessions", live::sweep(app).await);
    note("open clips", abandoned::sweep(app).await);
    note("certificate", renew_certificate(app).await);
}

async fn renew_certificate(app: &App) -> Result<()> {
    let now = app.now();
    if !app.certificates.is_due(now) {
        return Ok(());
    }
    let certificates = app.certificates.clone();
    let renewal = tokio::task::spawn_blocking(move || certificates.renew(now));
    renewal.await.map_err(anyhow::Error::from)??;
    tracing::info!("the relay's certificate is renewed");
    Ok(())
}

/// Does once what is done every minute.
pub async fn sweep_slow(app: &App) {
    let note = |sweep, swept| note_of(app, sweep, swept);
    match forgetting::may_forget(app).await {
        Ok(true) => forget_old(app).await,
        Ok(false) => {}
        Err(error) => note("clock", Err(error)),
    }
    note("temporary cameras", cameras::end_temporary(app).await);
    note("counts of the trail", audit::settle(app).await);
    note("signed-out browsers", push::forget_ended(app).await);
    note("old secrets of webhooks", webhooks::forget_old(app).await);
    app.db.restore_ballast().await;
}

/// Deletes what is deleted by its age.
async fn forget_old(app: &App) {
    let note = |sweep, swept| note_of(app, sweep, swept);
    note("old credentials", forget_expired(app).await);
    note("old commands", commands::forget_old(app).await);
    note("old sessions", live::forget_old(app).await);
    note("old invitations", invitations::forget_old(app).await);
    note("old offers of cameras", camera_moves::forget_old(app).await);
    note("old timelines", timeline::forget_old(app).await);
    note("imports", imports::forget_unfinished(app).await);
    note("retention", retention::sweep(app).await);
    note("deleted clips", forget_deleted_clips(app).await);
    note("old views", views::forget_old(app).await);
    note("old trail", audit::forget_old(app).await);
    note("old mails", mails::forget_old(app).await);
    note("old notifications", notifications::forget_old(app).await);
    note("old deliveries", deliveries::forget_old(app).await);
}

/// Forgets which clips were deleted: a camera that was away offers its clips again for as long as its disk
/// keeps them, and none keeps them for so long.
async fn forget_deleted_clips(app: &App) -> Result<()> {
    clips::forget_deleted(&app.db, app.now().minus(DELETED_CLIPS_HISTORY)).await?;
    Ok(())
}

async fn forget_expired(app: &App) -> Result<()> {
    let now = app.now();
    credentials::delete_expired(&app.db, now).await?;
    api_keys::delete_expired(&app.db, now).await?;
    factors::delete_expired(app).await?;
    devices::delete_expired(&app.db, now).await?;
    pairings::delete_expired(&app.db, now.minus(PAIRING_HISTORY)).await?;
    announcements::delete_expired(&app.db, now).await?;
    shares::delete_expired(&app.db, now).await?;
    Ok(())
}

/// Deletes what is due in batches: a removed camera leaves tens of thousands of objects.
async fn delete_objects(app: Arc<App>) {
    let mut ticks = tokio::time::interval(SLOW);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = app.cancel.cancelled() => return,
            _ = ticks.tick() => {}
            () = app.deletions_due.notified() => {}
        }
        while !app.cancel.is_cancelled() {
            match objects::delete_due_objects(&app).await {
                Ok(Deleted::All) => {
                    note_of(&app, "deletions", Ok(()));
                    break;
                }
                Ok(Deleted::Some) => {}
                Err(error) => {
                    note_of(&app, "deletions", Err(error));
                    break;
                }
            }
        }
    }
}

/// Compares the store with the database, some of it each minute.
async fn look_for_orphans(app: Arc<App>) {
    let mut ticks = tokio::time::interval(SLOW);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut rounds = orphans::Rounds::default();
    while app.cancel.run_until_cancelled(ticks.tick()).await.is_some() {
        // What nothing refers to goes by its age, too.
        match forgetting::may_forget(&app).await {
            Ok(true) => {}
            Ok(false) => continue,
            Err(error) => {
                note("clock", Err(error));
                continue;
            }
        }
        let look = orphans::look_further(&app, &mut rounds);
        let Some(looked) = app.cancel.run_until_cancelled(look).await else { return };
        note("orphans", looked);
    }
}

/// Sends mails as they come, and those that wait for their next attempt.
async fn deliver_mails(app: Arc<App>) {
    if !mails::is_there(&app) {
        return app.cancel.cancelled().await;
    }
    let mut beat = Beat::every(MAILS, &app);
    loop {
        tokio::select! {
            comes = beat.comes(&app) => if !comes { return },
            () = app.mails_due.notified() => {}
        }
        // What is cut off by the end is sent after the next start.
        let delivery = mails::deliver(&app);
        let Some(delivered) = app.cancel.run_until_cancelled(delivery).await else { return };
        note_of(&app, "mails", delivered);
    }
}

/// Tells people of what happens, as it comes.
async fn tell(app: Arc<App>) {
    let mut beat = Beat::every(QUICK, &app);
    loop {
        tokio::select! {
            comes = beat.comes(&app) => if !comes { return },
            () = app.due.happenings.notified() => {}
        }
        // What is cut off by the end is told after the next start.
        let told = app.cancel.run_until_cancelled(notifications::fan_out(&app)).await;
        let Some(told) = told else { return };
        note("notifications", told);
    }
}

/// Deletes sites that nobody owns any more, as they are given up and after a start.
async fn delete_given_up_sites(app: Arc<App>) {
    let mut ticks = tokio::time::interval(SLOW);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = app.cancel.cancelled() => return,
            _ = ticks.tick() => {}
            () = app.departures_due.notified() => {}
        }
        // What is cut off goes on after the next start.
        let deletion = account_domain::delete_given_up_sites(&app);
        let Some(deleted) = app.cancel.run_until_cancelled(deletion).await else { return };
        note_of(&app, "sites without an owner", deleted);
    }
}

/// Counts how a job went, when it went well last, and logs a failure.
fn note_of(app: &App, sweep: &'static str, swept: Result<()>) {
    let outcome = if swept.is_ok() { "ok" } else { "failed" };
    let labels = [("task", sweep), ("outcome", outcome)];
    app.metrics
        .counter("nightjar_task_runs_total", "Runs of what the relay does by itself.", &labels)
        .increment();
    if swept.is_ok() {
        app.metrics
            .gauge(
                "nightjar_task_last_success_timestamp_seconds",
                "When a task went well last.",
                &[("task", sweep)],
            )
            .set(app.now().0 / 1000);
    }
    note(sweep, swept);
}

/// Logs a failure. The next sweep tries again, and what comes after it goes on.
fn note(sweep: &'static str, swept: Result<()>) {
    if let Err(error) = swept {
        tracing::warn!(sweep, %error, "a sweep failed; the next one tries again");
    }
}
