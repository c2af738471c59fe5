//! A camera's day: what it recorded, and why there is nothing where there is nothing. A missing
//! hour is explained by what the camera declared, or it is unexplained; it is never hidden.

mod stretches;

use std::time::Duration;

use nightjar_shared::{
    camera::{CameraActivity, GapReason},
    clip::{ClipState, Visibility},
    event::{EventKind, Health},
    ids::{CameraId, ClipId, EventId},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use self::stretches::{Known, activity, gaps, heard_again, note, note_heard};
use super::{
    access::{self, Caller, Right, right_to_see, roles_of},
    page::{PAGE_BYTES_MAX, fitting},
};
use crate::{
    app::{
        App,
        heard::{SILENCE_MAX, WRITTEN_EVERY},
    },
    engines::db::{
        Executor,
        timeline::{self, FootageRow, MarkRow, Stretch},
    },
    error::{Error, ProblemCode, Result},
};

/// Stretches older than that are forgotten.
const HISTORY: Duration = Duration::from_hours(90 * 24);
const SPAN_DEFAULT: Duration = Duration::from_hours(24);
const SPAN_MAX: Duration = Duration::from_hours(31 * 24);
/// A clip may reach into the time that is asked for from so far before it.
const CLIP_MAX: Duration = Duration::from_hours(1);
const RECORDINGS_MAX: u32 = 2_000;
const STRETCHES_MAX: u32 = 5_000;
const MARKS_MAX: u32 = 500;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Gap {
    #[schema(value_type = i64)]
    pub from: UnixMillis,
    #[schema(value_type = i64)]
    pub to: UnixMillis,
    /// `offline`, `disarmed`, `schedule`, `privacy`, `no_picture` or `unexplained`.
    #[schema(value_type = String)]
    pub reason: GapReason,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Recording {
    #[schema(value_type = String)]
    pub clip_id: ClipId,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub event_id: Option<EventId>,
    /// As the clip's.
    #[schema(value_type = String)]
    pub state: ClipState,
    #[schema(value_type = i64)]
    pub started_at: UnixMillis,
    /// Absent while it goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub ended_at: Option<UnixMillis>,
}

impl From<FootageRow> for Recording {
    fn from(row: FootageRow) -> Self {
        let length = row.duration_ms.map(Duration::from_millis);
        Self {
            clip_id: row.clip_id,
            event_id: row.event_id,
            state: row.state,
            started_at: row.started_at,
            ended_at: row.ended_at.or_else(|| length.map(|length| row.started_at.plus(length))),
        }
    }
}

/// A moment on the timeline.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Mark {
    #[schema(value_type = String)]
    pub event_id: EventId,
    /// `bookmark`, `doorbell`, `sensor` or `outside`.
    #[schema(value_type = String)]
    pub kind: EventKind,
    #[schema(value_type = i64)]
    pub at: UnixMillis,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl From<MarkRow> for Mark {
    fn from(row: MarkRow) -> Self {
        let MarkRow { event_id, kind, at, label, words } = row;
        Self { event_id, kind, at, label, text: words }
    }
}

/// Oldest first.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Timeline {
    #[schema(value_type = i64)]
    pub from: UnixMillis,
    #[schema(value_type = i64)]
    pub to: UnixMillis,
    pub recordings: Vec<Recording>,
    pub gaps: Vec<Gap>,
    /// Moments that people marked, and that programs told of.
    pub marks: Vec<Mark>,
    /// There is more than is told: ask for a shorter time.
    pub truncated: bool,
}

/// Which time.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Span {
    /// Unix milliseconds; by default a day before `to`.
    #[param(value_type = Option<i64>)]
    pub from: Option<UnixMillis>,
    /// Unix milliseconds; by default now. At most 31 days after `from`.
    #[param(value_type = Option<i64>)]
    pub to: Option<UnixMillis>,
}

impl Span {
    fn bounds(&self, now: UnixMillis) -> Result<(UnixMillis, UnixMillis)> {
        let to = self.to.unwrap_or(now);
        let from = self.from.unwrap_or(to.minus(SPAN_DEFAULT));
        if from >= to || to.since(from) > SPAN_MAX {
            return Err(Error::bad_request(
                ProblemCode::InvalidQuery,
                "from is before to, by 31 days at most.",
            ));
        }
        Ok((from, to))
    }
}

pub async fn get(app: &App, caller: Caller, camera_id: CameraId, span: &Span) -> Result<Timeline> {
    let camera = access::camera(app, caller, camera_id, Right::SeePictures).await?;
    let now = app.now();
    let (from, to) = span.bounds(now)?;
    let mut stretches = timeline::between(&app.db, camera_id, (from, to), STRETCHES_MAX).await?;
    if let (Some(newest), Some(heard_at)) = (stretches.last_mut(), app.heard.at(camera_id)) {
        *newest = heard_again(newest.clone(), Some(heard_at));
    }
    let rows = timeline::footage(
        &app.db,
        camera_id,
        caller.account_id,
        roles_of(caller, right_to_see(Visibility::Private)),
        (from.minus(CLIP_MAX), to),
        RECORDINGS_MAX,
        now,
    )
    .await?;
    let full = |count: usize, most: u32| u32::try_from(count).is_ok_and(|count| count >= most);
    let account_id = caller.account_id;
    let span = (from, to);
    let found_marks = timeline::marks(&app.db, camera_id, account_id, span, MARKS_MAX, now).await?;
    let full = full(stretches.len(), STRETCHES_MAX)
        || full(rows.len(), RECORDINGS_MAX)
        || full(found_marks.len(), MARKS_MAX);
    let mut recordings: Vec<Recording> = rows.into_iter().map(Recording::from).collect();
    recordings.retain(|recording| recording.ended_at.is_none_or(|ended_at| ended_at > from));
    let known = Known { stretches: &stretches, paired_at: camera.paired_at, now };
    let gaps = gaps(&known, from, to);
    let found = (recordings.len(), gaps.len(), found_marks.len());
    // Newest first, as what is left out is the oldest.
    let mut recordings = fitting(recordings, PAGE_BYTES_MAX / 2);
    let mut gaps = fitting(gaps.into_iter().rev(), PAGE_BYTES_MAX / 4);
    let mut marks = fitting(found_marks.into_iter().map(Mark::from), PAGE_BYTES_MAX / 4);
    let truncated = full || found != (recordings.len(), gaps.len(), marks.len());
    recordings.reverse();
    gaps.reverse();
    marks.reverse();
    Ok(Timeline { from, to, recordings, gaps, marks, truncated })
}

/// Adds what a camera says of itself to its timeline. Known is its newest stretch, and when it said the
/// same again since.
pub(super) async fn heard(
    db: &impl Executor,
    camera_id: CameraId,
    (last, heard_at): (Option<Stretch>, Option<UnixMillis>),
    health: &Health,
    now: UnixMillis,
) -> Result<()> {
    let news = note_heard(last, heard_at, activity(health), now);
    Ok(timeline::put(db, camera_id, &news).await?)
}

/// Notes that a camera was silent for too long, as was decided at `now`.
pub(super) async fn lost(app: &App, camera_id: CameraId, now: UnixMillis) -> Result<()> {
    let last = timeline::last(&app.db, camera_id).await?;
    let news = note(last, CameraActivity::Offline, now);
    Ok(timeline::put(&app.db, camera_id, &news).await?)
}

/// Writes down that a camera did the same until it was heard last.
pub(super) async fn held_until(app: &App, camera_id: CameraId, heard_at: UnixMillis) -> Result<()> {
    Ok(timeline::hold(&app.db.unsynced(), camera_id, heard_at).await?)
}

/// Writes down that connected cameras do the same until now, in one statement.
pub(super) async fn all_held(app: &App) -> Result<()> {
    let now = app.now();
    let after = now.minus(WRITTEN_EVERY.saturating_add(SILENCE_MAX));
    Ok(timeline::hold_all(&app.db, after, now).await?)
}

pub(super) async fn forget_old(app: &App) -> Result<()> {
    timeline::delete_before(&app.db, app.now().minus(HISTORY)).await?;
    Ok(())
}
