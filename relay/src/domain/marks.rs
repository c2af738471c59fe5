//! What people say of clips: title, note, tags, that one is to be kept, and what each has seen.
//!
//! The clip is what is owned, and not the event: it has the bytes, it is shared and deleted, and some
//! have no event. An event shows what is said of its clip.

use nightjar_shared::{
    audit::Action,
    ids::{ClipId, EventId},
    range::Check,
    text as letters,
    time::UnixMillis,
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    access::{self, Caller, Right},
    audit::record,
    clips::{self as clip_domain, Clip, deed},
};
use crate::{
    app::App,
    engines::db::{
        clips::{self, ClipRow},
        marks::{self, Marks},
    },
    error::{Error, ProblemCode, Result},
};

const TITLE_CHARS_MAX: usize = 120;
const NOTE_CHARS_MAX: usize = 4_000;
const TAGS_MAX: usize = 20;
const TAG_CHARS_MAX: usize = 40;
/// Two who change different things at once need not be told of each other.
const TRIES: usize = 5;

/// What is absent stays; an empty title or note is taken away.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
pub struct ClipChange {
    /// `private` or `site`.
    #[serde(default)]
    pub visibility: Option<String>,
    /// 120 characters at most.
    #[serde(default)]
    pub title: Option<String>,
    /// 4,000 characters at most.
    #[serde(default)]
    pub note: Option<String>,
    /// All of them: 20 at most, of 40 characters.
    #[serde(default)]
    pub tags: Option<Vec<String>>,
    /// Keeps the clip from being deleted. An owner, or who has protected it, takes that away.
    #[serde(default)]
    pub protected: Option<bool>,
    /// Of the clip as it was read: refused with `changed_meanwhile` where somebody has changed it since.
    #[serde(default)]
    pub revision: Option<u64>,
}

impl Check for ClipChange {}

/// Changes what is said of a clip.
pub async fn change(
    app: &App,
    caller: Caller,
    clip_id: ClipId,
    change: ClipChange,
) -> Result<Clip> {
    for _ in 0..TRIES {
        let row = access::clip(app, caller, clip_id, Right::Manage).await?;
        if change.revision.is_some_and(|revision| revision != row.revision) {
            break;
        }
        let marks = changed(app.now(), caller, &row, &change)?;
        if row.protected_at.is_some() && marks.protected.is_none() {
            may_unprotect(app, caller, &row).await?;
        }
        if let Some(row) = write(app, caller, &row, marks).await? {
            clip_domain::tell(app, ClipRow { seen: None, ..row.clone() }).await;
            return Ok(Clip::new(app, row));
        }
    }
    Err(Error::conflict(
        ProblemCode::ChangedMeanwhile,
        "Somebody has changed this clip meanwhile: look at it again.",
    ))
}

/// Lets owners take off any protection, and others their own.
async fn may_unprotect(app: &App, caller: Caller, row: &ClipRow) -> Result<()> {
    if row.protected_by == Some(caller.account_id) {
        return Ok(());
    }
    access::clip(app, caller, row.clip_id, Right::Own).await.map(drop)
}

fn changed(now: UnixMillis, caller: Caller, row: &ClipRow, change: &ClipChange) -> Result<Marks> {
    let visibility = match &change.visibility {
        None => row.visibility,
        Some(visibility) => visibility.parse().map_err(|_| {
            Error::invalid(ProblemCode::InvalidVisibility, "visibility is `private` or `site`.")
        })?,
    };
    let title = replaced(row.title.as_ref(), change.title.as_deref(), |text| {
        letters::name(text, TITLE_CHARS_MAX)
    })?;
    let note = replaced(row.note.as_ref(), change.note.as_deref(), |text| {
        letters::paragraphs(text, NOTE_CHARS_MAX)
    })?;
    let tags = change.tags.as_deref().map_or_else(|| Ok(row.tags.clone()), read_tags)?;
    let was_protected = row.protected_at.map(|at| (at, row.protected_by));
    let protected = match change.protected {
        None => was_protected,
        Some(false) => None,
        Some(true) => was_protected.or(Some((now, Some(caller.account_id)))),
    };
    let compared_tags: Vec<String> = tags.iter().map(|tag| letters::folded(tag)).collect();
    let words = [title.as_deref(), note.as_deref()].into_iter().flatten();
    let search_text: Vec<&str> = words.chain(tags.iter().map(String::as_str)).collect();
    let search_text = letters::folded(&search_text.join("\n"));
    Ok(Marks { visibility, title, note, tags, protected, search_text, compared_tags })
}

fn replaced(
    before: Option<&String>,
    given: Option<&str>,
    read: impl Fn(&str) -> Option<String>,
) -> Result<Option<String>> {
    match given {
        None => Ok(before.cloned()),
        Some(text) if text.trim().is_empty() => Ok(None),
        Some(text) => read(text).map(Some).ok_or_else(|| {
            let title = "A title has 120 characters at most on one line, a note 4,000, and none that cannot \
                 be seen.";
            Error::invalid(ProblemCode::InvalidText, title)
        }),
    }
}

/// Reads tags; one that is there in another spelling of its letters is the same.
fn read_tags(given: &[String]) -> Result<Vec<String>> {
    let invalid = || {
        let title = "A clip has 20 tags at most, of 1 to 40 characters that can be seen.";
        Error::invalid(ProblemCode::InvalidTag, title)
    };
    if given.len() > TAGS_MAX {
        return Err(invalid());
    }
    let mut tags: Vec<String> = Vec::new();
    for tag in given {
        let tag = letters::name(tag, TAG_CHARS_MAX).ok_or_else(invalid)?;
        if !tags.iter().any(|known| letters::folded(known) == letters::folded(&tag)) {
            tags.push(tag);
        }
    }
    Ok(tags)
}

/// Writes what is said of a clip now, and who said so; nothing when somebody was faster.
async fn write(
    app: &App,
    caller: Caller,
    before: &ClipRow,
    marks: Marks,
) -> Result<Option<ClipRow>> {
    use nightjar_shared::clip::Visibility;

    let now = app.now();
    let mut after = ClipRow { visibility: marks.visibility, ..before.clone() };
    (after.title, after.note) = (marks.title.clone(), marks.note.clone());
    after.tags.clone_from(&marks.tags);
    (after.protected_at, after.protected_by) =
        marks.protected.map_or((None, None), |(at, by)| (Some(at), by));
    after.revision += 1;
    let fields = [
        ("title", before.title != after.title),
        ("note", before.note != after.note),
        ("tags", before.tags != after.tags),
    ];
    let fields: Vec<&str> =
        fields.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect();
    let deeds = [
        (before.visibility != after.visibility).then_some(match after.visibility {
            Visibility::Private => Action::ClipHidden,
            Visibility::Site => Action::ClipShown,
        }),
        (before.protected_at != after.protected_at).then_some(match after.protected_at {
            Some(_) => Action::ClipProtected,
            None => Action::ClipUnprotected,
        }),
        (!fields.is_empty()).then_some(Action::ClipChanged),
    ];
    if deeds.iter().all(Option::is_none) {
        return Ok(Some(before.clone()));
    }
    let transaction = app.db.begin().await?;
    if !marks::set(&transaction, before.clip_id, before.revision, marks).await? {
        return Ok(None);
    }
    for action in deeds.into_iter().flatten() {
        let entry = deed(action, caller, &after);
        let entry = match action {
            // What it is called may speak of people: that is not for a trail that is kept.
            Action::ClipChanged => entry.text("fields", &fields.join(", ")),
            _ => entry,
        };
        record(&transaction, now, entry).await?;
    }
    transaction.commit().await?;
    clips::for_member(&app.db, before.clip_id, caller.account_id, now)
        .await?
        .map(|(row, _)| Some(row))
        .ok_or_else(Error::not_found)
}

/// Notes that the caller has seen a clip, or has not.
pub async fn see_clip(app: &App, caller: Caller, clip_id: ClipId, seen: bool) -> Result<()> {
    access::in_person(caller)?;
    access::clip(app, caller, clip_id, Right::SeePictures).await?;
    let (db, account_id) = (app.db.unsynced(), caller.account_id);
    if seen {
        return Ok(marks::see_clip(&db, account_id, clip_id, app.now()).await?);
    }
    Ok(marks::unsee_clip(&db, account_id, clip_id).await?)
}

/// Notes that the caller has seen an event, or neither it nor its clip.
pub async fn see_event(app: &App, caller: Caller, event_id: EventId, seen: bool) -> Result<()> {
    access::in_person(caller)?;
    access::event(app, caller, event_id).await?;
    let (db, account_id) = (app.db.unsynced(), caller.account_id);
    if seen {
        return Ok(marks::see_event(&db, account_id, event_id, app.now()).await?);
    }
    Ok(marks::unsee_event(&db, account_id, event_id).await?)
}
