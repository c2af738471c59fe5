//! What happens by itself: things expire, cameras fall silent, objects are deleted.

use std::{sync::Arc, time::Duration};

use nightjar_shared::{admin::Job, notification::Channel};
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::{
    abandoned, accounts as account_domain, admin, audit, backups, camera_moves, cameras, commands,
    deliveries, dispatch, factors, forgetting, imports, invitations, live, mails, members,
    notifications,
    objects::{self, Deleted},
    orphans, push, retention, site_views, timeline, views, webhooks,
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
    app.spawn_essential("jobs that are asked for", do_what_is_asked(app.clone()));
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
    for job in [Job::Sockets, Job::Guests, Job::Views, Job::RightsToWatch, Job::RemovedCameras] {
        attempt(app, job).await;
    }
    note_of(app, "settings", admin::settings::look_again(app).await);
}

/// Does once what is done every second.
pub async fn sweep_quick(app: &App) {
    for job in [
        Job::Cameras,
        Job::Trail,
        Job::Commands,
        Job::RelayedBytes,
        Job::UnseenViewers,
        Job::LiveSessions,
        Job::OpenClips,
        Job::Certificate,
    ] {
        attempt(app, job).await;
    }
}

/// Does once what is done every minute.
pub async fn sweep_slow(app: &App) {
    match forgetting::may_forget(app).await {
        Ok(true) => forget_old(app).await,
        Ok(false) => {}
        Err(error) => note_of(app, "clock", Err(error)),
    }
    for job in [
        Job::TemporaryCameras,
        Job::TrailCounts,
        Job::Statistics,
        Job::SignedOutBrowsers,
        Job::OldWebhookSecrets,
    ] {
        attempt(app, job).await;
    }
    app.db.restore_ballast().await;
    note_of(app, "jobs", admin::job_list::write_down(app).await);
}

/// Deletes what is deleted by its age.
async fn forget_old(app: &App) {
    for job in [
        Job::OldCredentials,
        Job::OldCommands,
        Job::OldSessions,
        Job::OldInvitations,
        Job::OldOffers,
        Job::OldTimelines,
        Job::Imports,
        Job::Retention,
        Job::DeletedClips,
        Job::OldPlays,
        Job::OldTrail,
        Job::OldMails,
        Job::OldNotifications,
        Job::OldDeliveries,
        Job::OldStatistics,
        Job::OldViews,
        Job::Accounts,
    ] {
        attempt(app, job).await;
    }
}

/// Does a job once, and notes how it went. What failed is tried again the next time.
async fn attempt(app: &App, job: Job) {
    let (started_at, since) = (app.now(), Instant::now());
    let ran = Box::pin(run(app, job)).await;
    count(app, job.as_str(), ran.is_ok());
    let failure = ran.err().map(|error| {
        tracing::warn!(job = job.as_str(), %error, "a job failed; the next run tries again");
        error.to_string()
    });
    app.jobs.note(job, started_at, since.elapsed(), failure);
}

async fn run(app: &App, job: Job) -> Result<()> {
    match job {
        Job::Sockets => account_domain::close_sockets_without_right(app).await,
        Job::Guests => members::end_guests(app).await,
        Job::Views => site_views::end_over(app).await,
        Job::RightsToWatch => live::end_without_right(app).await,
        Job::RemovedCameras => cameras::end_removed(app).await,
        Job::Cameras => cameras::sweep(app).await,
        Job::Trail => audit::extend(&app.db).await.map(drop),
        Job::Commands => commands::sweep(app).await,
        Job::RelayedBytes => live::meter(app).await,
        Job::UnseenViewers => live::end_unseen(app).await,
        Job::LiveSessions => live::sweep(app).await,
        Job::OpenClips => abandoned::sweep(app).await,
        Job::Certificate => renew_certificate(app).await,
        Job::OldCredentials => forget_expired(app).await,
        Job::OldCommands => commands::forget_old(app).await,
        Job::OldSessions => live::forget_old(app).await,
        Job::OldInvitations => invitations::forget_old(app).await,
        Job::OldOffers => camera_moves::forget_old(app).await,
        Job::OldTimelines => timeline::forget_old(app).await,
        Job::TrailCounts => audit::settle(app).await,
        Job::OldTrail => audit::forget_old(app).await,
        Job::OldMails => mails::forget_old(app).await,
        Job::SignedOutBrowsers => push::forget_ended(app).await,
        Job::Statistics => admin::statistics::count(app).await,
        Job::OldStatistics => admin::statistics::forget_old(app).await,
        Job::OldViews => site_views::forget_old(app).await,
        Job::TemporaryCameras => cameras::end_temporary(app).await,
        Job::OldWebhookSecrets => webhooks::forget_old(app).await,
        Job::Imports => imports::forget_unfinished(app).await,
        Job::Retention => retention::sweep(app).await,
        Job::DeletedClips => forget_deleted_clips(app).await,
        Job::OldPlays => views::forget_old(app).await,
        Job::OldNotifications => notifications::forget_old(app).await,
        Job::OldDeliveries => deliveries::forget_old(app).await,
        Job::Accounts => admin::accounts::delete_due(app).await,
        Job::Objects => delete_objects_that_are_due(app).await,
        Job::Mails => mails::deliver(app).await,
        Job::Sites => account_domain::delete_given_up_sites(app).await,
    }
}

/// Does what administrators want done, as they ask, and what they ask at the command line.
async fn do_what_is_asked(app: Arc<App>) {
    let mut beat = Beat::every(RIGHTS, &app);
    loop {
        tokio::select! {
            comes = beat.comes(&app) => if !comes { return },
            () = app.jobs_due.notified() => {}
        }
        match admin::job_list::take_asked(&app).await {
            Ok(asked) => {
                for job in asked {
                    if app.cancel.run_until_cancelled(attempt(&app, job)).await.is_none() {
                        return;
                    }
                }
            }
            Err(error) => note_of(&app, "jobs that are asked for", Err(error)),
        }
    }
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
        attempt(&app, Job::Objects).await;
    }
}

async fn delete_objects_that_are_due(app: &App) -> Result<()> {
    while !app.cancel.is_cancelled() {
        if matches!(objects::delete_due_objects(app).await?, Deleted::All) {
            break;
        }
    }
    Ok(())
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
                note_of(&app, "clock", Err(error));
                continue;
            }
        }
        let look = orphans::look_further(&app, &mut rounds);
        let Some(looked) = app.cancel.run_until_cancelled(look).await else { return };
        note_of(&app, "orphans", looked);
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
        note_of(&app, "notifications", told);
    }
}

/// Sends mails as they come, and those that wait for their next attempt.
async fn deliver_mails(app: Arc<App>) {
    if !app.mailer.is_there() {
        return app.cancel.cancelled().await;
    }
    let mut beat = Beat::every(MAILS, &app);
    loop {
        tokio::select! {
            comes = beat.comes(&app) => if !comes { return },
            () = app.mails_due.notified() => {}
        }
        // What is cut off by the end is sent after the next start.
        let delivery = attempt(&app, Job::Mails);
        if app.cancel.run_until_cancelled(delivery).await.is_none() {
            return;
        }
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
        let deletion = attempt(&app, Job::Sites);
        if app.cancel.run_until_cancelled(deletion).await.is_none() {
            return;
        }
    }
}

/// Counts how a task went, and when it went well last.
fn count(app: &App, task: &'static str, is_well: bool) {
    let outcome = if is_well { "ok" } else { "failed" };
    let labels = [("task", task), ("outcome", outcome)];
    app.metrics
        .counter("nightjar_task_runs_total", "Runs of what the relay does by itself.", &labels)
        .increment();
    if is_well {
        app.metrics
            .gauge(
                "nightjar_task_last_success_timestamp_seconds",
                "When a task went well last.",
                &[("task", task)],
            )
            .set(app.now().0 / 1000);
    }
}

/// Counts and logs a failure. The next sweep tries again, and what comes after it goes on.
fn note_of(app: &App, sweep: &'static str, swept: Result<()>) {
    count(app, sweep, swept.is_ok());
    if let Err(error) = swept {
        tracing::warn!(sweep, %error, "a sweep failed; the next one tries again");
    }
}
