//! How much there is, and how much comes, over time: an hour of it for a month, a day of it for three
//! years.

use std::time::Duration;

use nightjar_shared::{
    admin::{Period, Series},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Desk;
use crate::{
    app::App,
    engines::db::admin::statistics::{self as rows, Flow, Point},
    error::{Error, ProblemCode, Result},
};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const HOURS_KEPT: Duration = Duration::from_hours(24 * 32);
const DAYS_KEPT: Duration = Duration::from_hours(24 * 366 * 3);
/// Hours that are counted after a time in which the relay did not run: those before are left out.
const HOURS_CAUGHT_UP: u32 = 48;
/// What one answer holds: a month of hours of all series, and more.
const POINTS_MAX: u32 = 10_000;

/// Which values are shown.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct StatisticsSelection {
    /// By default `hour`.
    pub period: Option<Period>,
    /// Absent means all.
    pub series: Option<Series>,
    /// Then or later, Unix milliseconds; by default two days ago, or two months where it is days.
    pub from: Option<UnixMillis>,
    /// Before, Unix milliseconds.
    pub to: Option<UnixMillis>,
}

/// One value. `accounts`, `cameras`, `cameras_online` and `bytes_stored` are how much there was (of a day:
/// at most), the others how much came.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct StatisticsPoint {
    pub series: Series,
    /// When the span began.
    pub at: UnixMillis,
    pub value: u64,
}

/// Values, oldest first: 10,000 at most.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Statistics {
    pub period: Period,
    pub items: Vec<StatisticsPoint>,
}

pub async fn list(desk: &Desk<'_>, selection: &StatisticsSelection) -> Result<Statistics> {
    let period = selection.period.unwrap_or(Period::Hour);
    let shown = match period {
        Period::Hour => HOUR * 48,
        Period::Day => DAY * 62,
    };
    let to = selection.to.unwrap_or_else(|| desk.now.plus(HOUR));
    let from = selection.from.unwrap_or_else(|| desk.now.minus(shown));
    if from > to {
        let title = "from is not after to.";
        return Err(Error::bad_request(ProblemCode::InvalidQuery, title));
    }
    let points = rows::list(desk.db, period, selection.series, (from, to), POINTS_MAX).await?;
    let view =
        |point: Point| StatisticsPoint { series: point.series, at: point.at, value: point.value };
    Ok(Statistics { period, items: points.into_iter().map(view).collect() })
}

/// Counts what has come in the hours that are over, and how much there is in this one.
pub(in crate::domain) async fn count(app: &App) -> Result<()> {
    let now = app.now();
    let this_hour = start(now, HOUR);
    add_tallies(app, this_hour).await?;
    note_levels(app, this_hour).await?;
    let last = rows::last(&app.db, Period::Hour, Series::Events, this_hour).await?;
    let oldest = this_hour.minus(HOUR * HOURS_CAUGHT_UP);
    let mut hour = last.map_or(oldest, |last| last.plus(HOUR)).max(oldest);
    while hour < this_hour {
        note_flow(app, hour).await?;
        hour = hour.plus(HOUR);
    }
    // The day that is over gets its last hours, and then is what it is.
    let today = start(now, DAY);
    for day in [today.minus(DAY), today] {
        sum_up(app, day).await?;
    }
    Ok(())
}

/// Forgets hours and days that are shown to nobody any more.
pub(in crate::domain) async fn forget_old(app: &App) -> Result<()> {
    let now = app.now();
    rows::forget(&app.db, Period::Hour, now.minus(HOURS_KEPT)).await?;
    Ok(rows::forget(&app.db, Period::Day, now.minus(DAYS_KEPT)).await?)
}

fn start(at: UnixMillis, span: Duration) -> UnixMillis {
    let span = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    UnixMillis(at.0 - at.0.rem_euclid(span))
}

async fn add_tallies(app: &App, hour: UnixMillis) -> Result<()> {
    for (series, tally) in [
        (Series::SignInsRefused, &app.tallies.refused_sign_ins),
        (Series::RelayedBytes, &app.tallies.relayed_bytes),
    ] {
        let point = Point { series, at: hour, value: tally.take() };
        rows::add(&app.db.unsynced(), Period::Hour, &point).await?;
    }
    Ok(())
}

async fn note_levels(app: &App, hour: UnixMillis) -> Result<()> {
    let Some(levels) = rows::levels(&app.db).await? else { return Ok(()) };
    for (series, value) in [
        (Series::Accounts, levels.accounts),
        (Series::Cameras, levels.cameras),
        (Series::CamerasOnline, levels.cameras_online),
        (Series::BytesStored, levels.bytes_stored),
    ] {
        let point = Point { series, at: hour, value };
        rows::set(&app.db.unsynced(), Period::Hour, &point).await?;
    }
    Ok(())
}

async fn note_flow(app: &App, hour: UnixMillis) -> Result<()> {
    let found = rows::flow(&app.db, hour, hour.plus(HOUR)).await?;
    let Some(Flow { events, clips, live_ms }) = found else { return Ok(()) };
    let minutes = live_ms.div_ceil(60_000);
    for (series, value) in [
        (Series::Clips, clips),
        (Series::LiveMinutes, minutes),
        // By this one it is known how far the counting is.
        (Series::Events, events),
    ] {
        let point = Point { series, at: hour, value };
        rows::set(&app.db.unsynced(), Period::Hour, &point).await?;
    }
    Ok(())
}

async fn sum_up(app: &App, day: UnixMillis) -> Result<()> {
    for sum in rows::of_day(&app.db, day, day.plus(DAY)).await? {
        let value = if sum.series.is_level() { sum.highest } else { sum.total };
        let point = Point { series: sum.series, at: day, value };
        rows::set(&app.db.unsynced(), Period::Day, &point).await?;
    }
    Ok(())
}
