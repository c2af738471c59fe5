//! Room for what is new: where an owner has said so, the oldest goes for it.

use nightjar_shared::ids::SiteId;

use super::{
    are_effective,
    deletion::{Reason, delete, first_of},
    quota_of,
    rules::RetentionRules,
    rules_of, told,
};
use crate::{
    app::App,
    config::Amount,
    engines::db::{Source, retention},
    error::Result,
};

/// Of one refusal; what is not enough then is by the next.
const CLIPS_AT_ONCE: u32 = 50;
const EVENTS_AT_ONCE: u32 = 200;
/// Owners are told when so much of their room is used.
const NEAR_PERCENT: u64 = 90;
/// They are told again once it was less than this.
const FAR_PERCENT: u64 = 80;

/// Deletes the oldest of a site or a camera so that `missing` more has room, if the owner of the site
/// wants that. Says whether anything went.
pub(in crate::domain) async fn make_room(
    app: &App,
    site_id: SiteId,
    source: Source,
    missing: Amount,
) -> Result<bool> {
    let Some(row) = retention::of_site(&app.db, site_id).await? else { return Ok(false) };
    let now = app.now();
    if rules_of(&row)?.bytes.is_none() || !are_effective(&row, now) {
        return Ok(false);
    }
    let mut went = false;
    if missing.bytes > 0 || missing.clips > 0 {
        let oldest = retention::oldest(&app.db, source, CLIPS_AT_ONCE).await?;
        let by_bytes = first_of(&oldest, missing.bytes).len();
        let by_number = usize::try_from(missing.clips).unwrap_or(usize::MAX);
        let count = by_bytes.max(by_number).min(oldest.len());
        let gone = delete(app, site_id, &oldest[..count], Reason::Size).await?;
        went = gone.clips > 0;
    }
    if missing.events > 0 {
        let deleted = retention::delete_events(&app.db, source, now, EVENTS_AT_ONCE).await?;
        went |= deleted > 0;
    }
    Ok(went)
}

/// Tells owners, once, that the room for a site's footage is nearly used up.
pub(in crate::domain) async fn near_full(app: &App, site_id: SiteId, used: u64) -> Result<()> {
    let rules = retention::of_site(&app.db, site_id).await?;
    let rules = rules.as_ref().map(rules_of).transpose()?.unwrap_or_default();
    tell_of_size(app, site_id, &rules, used).await
}

pub(super) async fn tell_of_size(
    app: &App,
    site_id: SiteId,
    rules: &RetentionRules,
    used: u64,
) -> Result<()> {
    let quota = quota_of(app, site_id).await?;
    let most = rules.bytes_max(quota).unwrap_or(quota);
    let is_beyond = |percent: u64| u128::from(used) * 100 >= u128::from(most) * u128::from(percent);
    if is_beyond(NEAR_PERCENT) {
        let transaction = app.db.begin().await?;
        if retention::note_told_of_size(&transaction, site_id, app.now()).await? {
            told::of_size(app, &transaction, site_id).await?;
        }
        transaction.commit().await?;
    } else if !is_beyond(FAR_PERCENT) {
        retention::forget_told_of_size(&app.db, site_id).await?;
    }
    Ok(())
}
