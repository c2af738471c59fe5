//! How often and how long clips are watched: sums, and not by whom. That stands in the trail of who did
//! what.

use std::time::Duration;

use nightjar_shared::{
    ids::{CameraId, ClipId},
    range::Check,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::access::{self, Caller, Right};
use crate::{
    app::App,
    engines::db::{
        marks, usage,
        views::{self, ViewRow, WatchedDay},
    },
    error::{Error, ProblemCode, Result},
};

/// A player may report this much later than it was there: its first report comes after some seconds.
const FIRST_REPORT: Duration = Duration::from_mins(1);
/// A player is known for so long; what it reports later is another view.
const KNOWN: Duration = Duration::from_hours(24);
const DAY_MS: i64 = 86_400_000;
const DAYS_KEPT: i64 = 400;
const DAYS_SHOWN_DEFAULT: i64 = 30;

/// What a player says, again and again: each time all that it has played so far.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub struct ViewReport {
    /// Made by the player, one for each time that a clip is opened.
    #[schema(format = "uuid")]
    pub view_id: String,
    /// How long pictures moved, milliseconds: what is more than has passed is left out.
    pub watched_ms: u64,
}

impl Check for ViewReport {}

/// How much a clip was watched.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ClipStatistics {
    #[schema(value_type = String)]
    pub clip_id: ClipId,
    pub views: u64,
    pub watched_ms: u64,
    /// What it takes in the store.
    pub length: u64,
}

/// How much the clips of a camera were watched, and what they are.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CameraStatistics {
    #[schema(value_type = String)]
    pub camera_id: CameraId,
    pub clips: u64,
    pub events: u64,
    pub bytes: u64,
    /// Of the days that are shown.
    pub views: u64,
    pub watched_ms: u64,
    /// On which something was watched, oldest first; deleted clips count, too.
    pub days: Vec<DayStatistics>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DayStatistics {
    /// When the day begins, by UTC.
    #[schema(value_type = i64)]
    pub at: UnixMillis,
    pub views: u64,
    pub watched_ms: u64,
}

impl From<WatchedDay> for DayStatistics {
    fn from(row: WatchedDay) -> Self {
        let WatchedDay { day, views, watched_ms } = row;
        Self { at: UnixMillis(day.saturating_mul(DAY_MS)), views, watched_ms }
    }
}

/// Which days.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Days {
    /// How many, up to today: 1 to 400, by default 30.
    #[param(minimum = 1, maximum = 400)]
    pub days: Option<u32>,
}

/// Takes what a player says that it has played of a clip, which its person has seen then.
pub async fn report(app: &App, caller: Caller, clip_id: ClipId, report: ViewReport) -> Result<()> {
    access::in_person(caller)?;
    let clip = access::clip(app, caller, clip_id, Right::SeePictures).await?;
    let view_id: Uuid = report
        .view_id
        .parse()
        .map_err(|_| Error::invalid(ProblemCode::InvalidArguments, "view_id is a UUID."))?;
    // Of two people whose players chose the same, neither hears of the other.
    let view_id = format!("{}/{view_id}", caller.account_id);
    let now = app.now();
    let transaction = app.db.begin().await?;
    let began_at = now.minus(FIRST_REPORT.min(Duration::from_millis(report.watched_ms)));
    let new = ViewRow { account_id: caller.account_id, clip_id, began_at, watched_ms: 0 };
    let is_new = views::insert(&transaction, &view_id, new).await?;
    if is_new {
        app.limits.plays.take(&caller.account_id.to_string(), now)?;
    }
    let view = views::by_id(&transaction, &view_id).await?.ok_or_else(Error::not_found)?;
    if (view.account_id, view.clip_id) != (caller.account_id, clip_id) {
        return Err(Error::not_found());
    }
    let passed = u64::try_from(now.since(view.began_at).as_millis()).unwrap_or(u64::MAX);
    let watched_ms = report.watched_ms.min(passed).max(view.watched_ms);
    let more = watched_ms - view.watched_ms;
    // Of two reports at once, one adds.
    if views::set_watched(&transaction, &view_id, (view.watched_ms, watched_ms)).await?
        && (is_new || more > 0)
    {
        let place = (clip_id, clip.camera_id);
        let day = now.0.div_euclid(DAY_MS);
        views::add(&transaction, place, day, (u64::from(is_new), more)).await?;
    }
    marks::see_clip(&transaction, caller.account_id, clip_id, now).await?;
    Ok(transaction.commit().await?)
}

pub async fn of_clip(app: &App, caller: Caller, clip_id: ClipId) -> Result<ClipStatistics> {
    let clip = access::clip(app, caller, clip_id, Right::SeePictures).await?;
    let watched = views::of_clip(&app.db, clip_id).await?.ok_or_else(Error::not_found)?;
    let length = clip.length.unwrap_or(0);
    Ok(ClipStatistics { clip_id, views: watched.views, watched_ms: watched.watched_ms, length })
}

pub async fn of_camera(
    app: &App,
    caller: Caller,
    camera_id: CameraId,
    asked: Days,
) -> Result<CameraStatistics> {
    access::camera(app, caller, camera_id, Right::SeePictures).await?;
    let days = asked.days.map_or(DAYS_SHOWN_DEFAULT, i64::from);
    if !(1..=DAYS_KEPT).contains(&days) {
        return Err(Error::bad_request(ProblemCode::InvalidQuery, "days is 1 to 400."));
    }
    let used = usage::of_camera(&app.db, camera_id).await?;
    let today = app.now().0.div_euclid(DAY_MS);
    let rows = views::of_camera(&app.db, camera_id, (today - days + 1, today)).await?;
    let (views, watched_ms) = rows.iter().fold((0_u64, 0_u64), |(views, watched_ms), row| {
        (views.saturating_add(row.views), watched_ms.saturating_add(row.watched_ms))
    });
    let days = rows.into_iter().map(DayStatistics::from).collect();
    let (clips, events, bytes) = (used.clips, used.events, used.bytes);
    Ok(CameraStatistics { camera_id, clips, events, bytes, views, watched_ms, days })
}

pub(super) async fn forget_old(app: &App) -> Result<()> {
    let now = app.now();
    views::forget_before(&app.db, now.minus(KNOWN)).await?;
    views::forget_days_before(&app.db, now.0.div_euclid(DAY_MS) - DAYS_KEPT).await?;
    Ok(())
}
