//! What strangers can do as often as they like: written down the first time in an hour, and counted for
//! the rest of it, so that nobody fills the trail.

use std::time::Duration;

use nightjar_shared::time::UnixMillis;

use super::{Entry, record};
use crate::{
    app::App,
    engines::db::audit::tallies::{self, Tally},
    error::Result,
};

const WINDOW: Duration = Duration::from_hours(1);
/// Networks that are told apart, for one deed and what it was done to, in an hour: all others are one.
/// So an hour of guesses at one account makes 102 entries at most, from wherever they come.
const NETWORKS_MAX: u64 = 50;

/// Counts a deed, and writes it down if it is the first of its kind in this hour.
pub(in crate::domain) async fn tally(app: &App, entry: Entry) -> Result<()> {
    let now = app.now();
    let network = entry.address.and_then(|address| app.address_key(address));
    let (db, group) = (app.db.unsynced(), entry.group());
    let mut entry = entry;
    let mut counted = counting(&entry, &group, network.as_deref(), now)?;
    if tallies::count_others(&db, &counted, &group).await? >= NETWORKS_MAX {
        entry = entry.address(None);
        counted = counting(&entry, &group, None, now)?;
    }
    if tallies::add(&db, &counted, &group).await? == 1 {
        record(&db, now, entry).await?;
    }
    Ok(())
}

fn counting(entry: &Entry, group: &str, network: Option<&str>, now: UnixMillis) -> Result<Tally> {
    let window = i64::try_from(WINDOW.as_millis()).unwrap_or(i64::MAX);
    Ok(Tally {
        tally_key: format!("{group} {}", network.unwrap_or("others")),
        window_at: UnixMillis(now.0 - now.0.rem_euclid(window)),
        count: 1,
        last_at: now,
        entry: serde_json::to_string(entry).map_err(anyhow::Error::from)?,
    })
}

/// Writes down how often it was in the hours that are over.
pub(in crate::domain) async fn settle(app: &App) -> Result<()> {
    let now = app.now();
    let before = now.minus(WINDOW);
    loop {
        let transaction = app.db.begin().await?;
        let Some(tally) = tallies::take_one(&transaction, before).await? else { return Ok(()) };
        let entry: Option<Entry> = serde_json::from_str(&tally.entry).ok();
        if let Some(entry) = entry.filter(|_| tally.count > 1) {
            let more = tally.count - 1;
            let entry = entry.fact("count", &more).fact("last_at", &tally.last_at);
            record(&transaction, now, entry).await?;
        }
        transaction.commit().await?;
    }
}
