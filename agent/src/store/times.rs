//! Corrects times once the wall clock has been set.

use nightjar_shared::{event::BootTime, ids::BootId, time::UnixMillis};
use rusqlite::{OptionalExtension, Transaction, params};

use super::{Result, Store};

/// Wall clocks drift and are nudged: times that are wrong by less stay as they are.
const UNNOTICED_STEP_MS: i64 = 2_000;
/// Boots whose times are remembered for the relay, the newest. A camera that boots more often before
/// it reaches its relay leaves what it told in the boots before without a time.
const REMEMBERED_BOOTS: usize = 8;
const BOOTS: &str = "boots";

impl Store {
    /// Corrects the times of a boot's clips, and of what the relay must still learn of it, by a wall
    /// clock that has been set since: `boot_at` is when it says that the boot began. What the relay
    /// has learnt already is corrected there by [`Store::boots`]. Returns how many clips were wrong.
    pub async fn correct_times(&self, boot_id: BootId, boot_at: UnixMillis) -> Result<usize> {
        let (corrected, news) = self
            .write(move |transaction| {
                let corrected = correct_clips(transaction, boot_id, boot_at)?;
                correct_messages(transaction, boot_id, boot_at)?;
                let boot = BootTime { boot_id, began_at: boot_at };
                Ok((corrected, remember(transaction, boot)?))
            })
            .await?;
        if news {
            self.inner.clock_set.notify_one();
            // What waits may have been announced with another time.
            self.inner.uploads_wake.notify_one();
        }
        Ok(corrected)
    }

    /// Lists the boots whose times are known, the newest last.
    pub async fn boots(&self) -> Result<Vec<BootTime>> {
        Ok(self.setting(BOOTS).await?.unwrap_or_default())
    }
}

fn correct_clips(
    transaction: &Transaction<'_>,
    boot_id: BootId,
    boot_at: UnixMillis,
) -> Result<usize> {
    Ok(transaction.execute(
        "update clips
         set started_at = started_uptime_ms + ?2, clock = 'synced',
             ended_at = iif(ended_at is null, null, started_uptime_ms + ?2 + duration_ms)
         where boot_id = ?1
           and (clock = 'unsynced' or abs(started_at - started_uptime_ms - ?2) > ?3)",
        params![boot_id.to_string(), boot_at.0, UNNOTICED_STEP_MS],
    )?)
}

fn correct_messages(
    transaction: &Transaction<'_>,
    boot_id: BootId,
    boot_at: UnixMillis,
) -> Result<()> {
    transaction.execute(
        "update outbox set payload = json_set(payload, '$.clock', 'synced',
                                              '$.at', json_extract(payload, '$.uptime_ms') + ?2)
         where event_id is not null and json_extract(payload, '$.boot_id') = ?1
           and (json_extract(payload, '$.clock') = 'unsynced' or
                abs(json_extract(payload, '$.at') - json_extract(payload, '$.uptime_ms') - ?2) > ?3)",
        params![boot_id.to_string(), boot_at.0, UNNOTICED_STEP_MS],
    )?;
    Ok(())
}

/// Notes when a boot began. Returns false when that was known.
fn remember(transaction: &Transaction<'_>, boot: BootTime) -> Result<bool> {
    let known: Option<String> = transaction
        .query_row("select value from settings where key = ?1", [BOOTS], |row| row.get(0))
        .optional()?;
    let mut boots: Vec<BootTime> =
        known.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let is_known = |other: &BootTime| {
        let step_ms = (other.began_at.0 - boot.began_at.0).abs();
        other.boot_id == boot.boot_id && step_ms <= UNNOTICED_STEP_MS
    };
    if boots.iter().any(is_known) {
        return Ok(false);
    }
    boots.retain(|other| other.boot_id != boot.boot_id);
    boots.push(boot);
    let forgotten = boots.len().saturating_sub(REMEMBERED_BOOTS);
    boots.drain(..forgotten);
    transaction.execute(
        "insert into settings (key, value) values (?1, ?2)
         on conflict (key) do update set value = excluded.value",
        params![BOOTS, serde_json::to_string(&boots)?],
    )?;
    Ok(true)
}
