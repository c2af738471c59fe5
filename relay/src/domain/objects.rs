//! The objects of clips: the addresses by which they are read, and their deletion.

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use nightjar_shared::time::UnixMillis;

use crate::{
    app::App,
    clock,
    engines::{
        db::parts::{self, Due},
        objects::{ObjectKey, PLAYBACK_EXPIRY_MAX, ReadWindow},
    },
    error::Result,
};

/// Permissions to upload last 15 minutes, and an upload takes a while.
const UPLOADS_OVER: Duration = Duration::from_mins(45);
const DELETIONS_PER_BATCH: u32 = 100;
/// A store that is far away answers each after tens of milliseconds.
const DELETIONS_AT_ONCE: usize = 8;
const DELETION_RETRY: Duration = Duration::from_mins(10);
/// Longer than any wait above: what is due later was put off by a clock that was ahead.
const PUT_OFF_MAX: Duration = Duration::from_hours(1);

/// Signs an address by which the object is read.
pub(super) fn signed_url(app: &App, key: &str) -> Option<String> {
    let key: ObjectKey = key.parse().ok()?;
    // The store goes by the machine's clock.
    let window = ReadWindow::new(clock::now(), PLAYBACK_EXPIRY_MAX);
    Some(app.objects.presign_get(&key, window))
}

/// Returns when objects that are given up now are deleted.
pub(super) fn deletion_due(now: UnixMillis) -> Due {
    Due { first_at: now, last_at: now.plus(UPLOADS_OVER) }
}

/// How far a batch of deletions got.
pub(super) enum Deleted {
    /// Nothing more is due now.
    All,
    /// There may be more.
    Some,
}

/// Deletes from the store some of what nothing refers to any more, oldest first.
pub(super) async fn delete_due_objects(app: &App) -> Result<Deleted> {
    let now = app.now();
    let due =
        parts::due_deletions(&app.db, now, now.plus(PUT_OFF_MAX), DELETIONS_PER_BATCH).await?;
    let is_full = due.len() >= DELETIONS_PER_BATCH as usize;
    delete_objects(app, due.into_iter(), now).await?;
    Ok(if is_full { Deleted::Some } else { Deleted::All })
}

/// Deletes no more than a batch of these objects; what is left has its turn later.
pub(super) async fn delete_batch(
    app: &App,
    keys: impl Iterator<Item = (String, UnixMillis)>,
    now: UnixMillis,
) -> Result<()> {
    delete_objects(app, keys.take(DELETIONS_PER_BATCH as usize), now).await
}

async fn delete_objects(
    app: &App,
    keys: impl Iterator<Item = (String, UnixMillis)>,
    now: UnixMillis,
) -> Result<()> {
    stream::iter(keys)
        .map(Ok)
        .try_for_each_concurrent(DELETIONS_AT_ONCE, async |(key, last_due_at)| {
            delete_object(app, &key, last_due_at, now).await
        })
        .await
}

/// Deletes an object. The outcome is written without waiting for the disk: after a power cut the
/// object is deleted again, which changes nothing.
async fn delete_object(
    app: &App,
    text: &str,
    last_due_at: UnixMillis,
    now: UnixMillis,
) -> Result<()> {
    let db = app.db.unsynced();
    let Ok(key) = text.parse::<ObjectKey>() else {
        tracing::error!(key = text, "an object that cannot exist was to be deleted");
        return Ok(parts::forget_deletion(&db, text).await?);
    };
    match app.objects.delete(&key).await {
        Ok(()) if now < last_due_at && last_due_at <= now.plus(PUT_OFF_MAX) => {
            parts::postpone_deletion(&db, text, last_due_at).await?;
        }
        Ok(()) => parts::forget_deletion(&db, text).await?,
        Err(error) => {
            tracing::warn!(%error, "cannot delete an object; trying again later");
            parts::postpone_deletion(&db, text, now.plus(DELETION_RETRY)).await?;
        }
    }
    Ok(())
}
