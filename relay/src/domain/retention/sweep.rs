//! The job that keeps to the rules, in bounded steps.

use std::time::Duration;

use nightjar_shared::{clip::FootageClass, ids::SiteId, time::UnixMillis};

use super::{
    are_effective,
    deletion::{Gone, Reason, delete, first_of},
    quota_of,
    room::tell_of_size,
    rules::{RetentionRules, cutoff},
    rules_of,
};
use crate::{
    app::App,
    engines::db::{
        Source,
        retention::{self, Doomed, RetentionRow},
        usage,
    },
    error::Result,
};

const SITES_AT_ONCE: u32 = 100;
const LOOK_EVERY: Duration = Duration::from_mins(10);
const PUT_OFF_MAX: Duration = Duration::from_hours(1);
/// Clips that go in one transaction.
const CLIPS_PER_STEP: u32 = 50;
/// Steps of one site until others have their turn.
const STEPS_AT_ONCE: usize = 20;
const EVENTS_PER_STEP: u32 = 1_000;
/// Owners are told so long before footage goes because of its age.
pub(super) const NOTICE: Duration = Duration::from_hours(7 * 24);

/// Looks after the sites whose turn it is.
pub(in crate::domain) async fn sweep(app: &App) -> Result<()> {
    let now = app.now();
    if app.settings.get().limits.days_max().is_some() {
        retention::add_all(&app.db, now).await?;
    }
    for row in retention::due(&app.db, (now, now.plus(PUT_OFF_MAX)), SITES_AT_ONCE).await? {
        // One site that fails does not keep the others from theirs.
        let swept = sweep_site(app, &row, now).await;
        let is_done = swept.unwrap_or_else(|error| {
            tracing::warn!(site.id = %row.site_id, %error, "cannot look after a site's footage");
            true
        });
        let next = if is_done { now.plus(LOOK_EVERY) } else { now };
        retention::look_again(&app.db, row.site_id, next).await?;
    }
    Ok(())
}

/// Deletes what is to go of one site. Says whether there is no more.
async fn sweep_site(app: &App, row: &RetentionRow, now: UnixMillis) -> Result<bool> {
    let rules = rules_of(row)?;
    tell_of_age(app, row, &rules, now).await?;
    let used = usage::of_site(&app.db, row.site_id).await?.bytes;
    tell_of_size(app, row.site_id, &rules, used).await?;
    if !are_effective(row, now) {
        return Ok(true);
    }
    let mut steps = 0;
    while steps < STEPS_AT_ONCE {
        let doomed = too_old(app, row.site_id, &rules, now, CLIPS_PER_STEP).await?;
        let gone = delete(app, row.site_id, &doomed, Reason::Age).await?;
        if gone.clips == 0 {
            break;
        }
        steps += 1;
    }
    while steps < STEPS_AT_ONCE {
        let gone = shrink(app, row.site_id, &rules).await?;
        if gone.clips == 0 {
            break;
        }
        steps += 1;
    }
    if let Some(days) = rules.longest_days(app.settings.get().limits.days_max()) {
        let source = Source::Site(row.site_id);
        retention::delete_events(&app.db, source, cutoff(now, days), EVENTS_PER_STEP).await?;
    }
    Ok(steps < STEPS_AT_ONCE)
}

/// Finds clips of a site that are older than they are kept: so many at most.
pub(super) async fn too_old(
    app: &App,
    site_id: SiteId,
    rules: &RetentionRules,
    now: UnixMillis,
    limit: u32,
) -> Result<Vec<Doomed>> {
    let days_max = app.settings.get().limits.days_max();
    let labels = rules.by_label(days_max);
    let names: Vec<&str> = labels.iter().map(|(label, _)| *label).collect();
    for class in FootageClass::ALL {
        let Some(days) = rules.days_of(*class, days_max) else { continue };
        let what = (*class, cutoff(now, days));
        let found = retention::of_class(&app.db, site_id, what, &names, limit).await?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    for (place, (label, days)) in labels.iter().enumerate() {
        let what = (*label, cutoff(now, *days));
        // What has another label, too, that is kept for longer.
        let longer = &names[..place];
        let found = retention::of_label(&app.db, site_id, what, longer, limit).await?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(Vec::new())
}

/// Deletes some of the oldest where a site has more than its owner lets it.
async fn shrink(app: &App, site_id: SiteId, rules: &RetentionRules) -> Result<Gone> {
    let Some(most) = rules.bytes_max(quota_of(app, site_id).await?) else {
        return Ok(Gone::default());
    };
    let used = usage::of_site(&app.db, site_id).await?.bytes;
    let excess = used.saturating_sub(most);
    if excess == 0 {
        return Ok(Gone::default());
    }
    let oldest = retention::oldest(&app.db, Source::Site(site_id), CLIPS_PER_STEP).await?;
    delete(app, site_id, &first_of(&oldest, excess), Reason::Size).await
}

/// Tells owners, once for their rules, that footage goes within a week because of its age.
async fn tell_of_age(
    app: &App,
    row: &RetentionRow,
    rules: &RetentionRules,
    now: UnixMillis,
) -> Result<()> {
    if row.told_age_at.is_some() {
        return Ok(());
    }
    let soon = too_old(app, row.site_id, rules, now.plus(NOTICE), 1).await?;
    if soon.is_empty() {
        return Ok(());
    }
    let transaction = app.db.begin().await?;
    if retention::note_told_of_age(&transaction, row.site_id, now).await? {
        super::told::of_age(app, &transaction, row.site_id).await?;
    }
    Ok(transaction.commit().await?)
}
