//! Objects of which the database knows nothing, and rows whose objects are gone: what a lost database, a
//! backup that was restored or a store's own rules leave behind.
//!
//! An upload is written down before it is permitted, so an object without a row is none that is under
//! way; it is left alone for a week nonetheless, because a backup may come back that knows it.

use std::time::Duration;

use nightjar_shared::time::UnixMillis;

use super::arrived;
use crate::{
    app::App,
    engines::db::{
        clips,
        parts::{self, StoredPart},
    },
    engines::objects::{ContentType, ObjectKey},
    error::Result,
};

/// For how long an object is kept that nothing refers to.
const OBJECT_GRACE: Duration = Duration::from_hours(7 * 24);
/// For how long a part may be missing before it is given up.
const ROW_GRACE: Duration = Duration::from_hours(24);
const PARTS_AT_ONCE: u32 = 200;
/// Parts of the store that are looked at in one go.
const PAGES_AT_ONCE: usize = 4;

/// How far the looks have come. A relay that starts anew begins anew.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    listed: Option<String>,
    /// The last part that was looked at.
    part: (String, u32),
}

/// Looks at some more of the store and of the database.
pub(super) async fn look_further(app: &App, rounds: &mut Rounds) -> Result<()> {
    if app.config.store.sweeps() {
        for _ in 0..PAGES_AT_ONCE {
            rounds.listed = look_at_objects(app, rounds.listed.take()).await?;
            if rounds.listed.is_none() {
                parts::forget_wanted(&app.db).await?;
                break;
            }
        }
    }
    let from = std::mem::take(&mut rounds.part);
    rounds.part = look_at_rows(app, from).await?.unwrap_or_default();
    Ok(())
}

/// Looks at all of it once.
pub async fn sweep_all(app: &App) -> Result<()> {
    let mut listed = look_at_objects(app, None).await?;
    while listed.is_some() {
        listed = look_at_objects(app, listed).await?;
    }
    let mut part = look_at_rows(app, Default::default()).await?;
    while let Some(from) = part {
        part = look_at_rows(app, from).await?;
    }
    Ok(())
}

/// Lets those of a part of the store be deleted that nothing refers to. Gives where the next part begins.
async fn look_at_objects(app: &App, after: Option<String>) -> Result<Option<String>> {
    let before = app.now().minus(OBJECT_GRACE);
    let page = app.objects.list(after.as_deref()).await?;
    let mut found = 0;
    for object in page.objects {
        if object.stored_at < before
            && is_of_a_clip(&object.key)
            && parts::abandon(&app.db, &object.key, app.now()).await?
        {
            found += 1;
        }
    }
    if found > 0 {
        tracing::warn!(found, "objects that nothing refers to are deleted from the store");
        count(app, "object", found);
        app.deletions_due.notify_one();
    }
    Ok(page.next)
}

/// Returns whether an object has a name as those of clips have: in a bucket that others use, too, theirs
/// are left alone.
fn is_of_a_clip(key: &str) -> bool {
    let parsed: std::result::Result<ObjectKey, _> = key.parse();
    let is_footage = parsed.is_ok_and(|key| {
        matches!(key.content_type(), ContentType::Mp4 | ContentType::Jpeg | ContentType::Playlist)
    });
    let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let segments: Vec<&str> = key.split('/').collect();
    let name = |name: &str| name.split_once('.').map(|(name, _)| name.to_owned());
    is_footage
        && match segments[..] {
            [directory, file] => {
                directory.len() == 2
                    && is_hex(directory)
                    && name(file).is_some_and(|name| name.len() == 46 && is_hex(&name))
            }
            // As they were made once.
            [camera, clip, _] => [camera, clip].iter().all(|id| uuid::Uuid::parse_str(id).is_ok()),
            _ => false,
        }
}

/// Looks whether the objects of some parts are there. Gives the last part, unless there are no more.
async fn look_at_rows(app: &App, (clip_id, index): (String, u32)) -> Result<Option<(String, u32)>> {
    let stored = parts::stored_after(&app.db, (&clip_id, index), PARTS_AT_ONCE).await?;
    let is_full = stored.len() >= PARTS_AT_ONCE as usize;
    let last = stored.last().map(|it| (it.clip_id.to_string(), it.part.index));
    for part in stored {
        look_at_row(app, part, app.now()).await?;
    }
    Ok(last.filter(|_| is_full))
}

async fn look_at_row(app: &App, stored: StoredPart, now: UnixMillis) -> Result<()> {
    let StoredPart { clip_id, part, missing_at } = stored;
    let is_there = arrived::is_in_store(app, &part).await?;
    match (is_there, missing_at) {
        (true, None) => {}
        (true, Some(_)) => parts::set_missing(&app.db, clip_id, &part, None).await?,
        (false, None) => parts::set_missing(&app.db, clip_id, &part, Some(now)).await?,
        (false, Some(since)) if now.since(since) < ROW_GRACE => {}
        (false, Some(_)) => {
            let transaction = app.db.begin().await?;
            let due = super::objects::deletion_due(now);
            parts::delete(&transaction, clip_id, &part, due).await?;
            parts::count_bytes(&transaction, clip_id).await?;
            let is_lost = clips::mark_lost(&transaction, clip_id).await?;
            transaction.commit().await?;
            count(app, "row", 1);
            tracing::warn!(clip.id = %clip_id, is_lost, "a part of a clip is gone from the store");
        }
    }
    Ok(())
}

fn count(app: &App, what: &'static str, found: u64) {
    app.metrics
        .counter(
            "nightjar_orphans_total",
            "Objects of the store that nothing referred to, and rows whose objects were gone.",
            &[("what", what)],
        )
        .add(found);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_others_are_left_alone() {
        let name = "0123456789abcdef0123456789abcdef0123456789abcd";
        let id = "0190a3b2-7c11-7def-8000-0123456789ab";
        assert!(is_of_a_clip(&format!("ab/{name}.mp4")));
        assert!(is_of_a_clip(&format!("{id}/{id}/0-0123.jpg")));
        for other in [
            format!("ab/{name}.deb"),
            format!("xy/{name}.mp4"),
            format!("ab/{name}0.mp4"),
            format!("abc/{name}.mp4"),
            format!("ab/cd/{name}.mp4"),
            "holiday.mp4".to_owned(),
            "photos/holiday.jpg".to_owned(),
            format!("nightjar-probe/{id}.jpg"),
        ] {
            assert!(!is_of_a_clip(&other), "{other}");
        }
    }
}
