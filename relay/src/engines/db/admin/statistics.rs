//! Counts over time.

use nightjar_shared::{
    admin::{Period, Series},
    time::UnixMillis,
};

use crate::engines::db::{DbError, Executor, from_row};

#[derive(Debug, Clone)]
pub struct Point {
    pub series: Series,
    pub at: UnixMillis,
    pub value: u64,
}

from_row!(Point { series, at, value });

/// Lists values, oldest first.
pub async fn list(
    db: &impl Executor,
    period: Period,
    series: Option<Series>,
    (from, to): (UnixMillis, UnixMillis),
    count: u32,
) -> Result<Vec<Point>, DbError> {
    db.all(
        "select series, at, value from statistics
         where period = $1 and (cast($2 as text) is null or series = $2) and at >= $3 and at < $4
         order by at, series limit $5",
        vec![period.into(), series.into(), from.into(), to.into(), count.into()],
    )
    .await
}

/// Returns the last span before a time of which this is known: a clock that was ahead may have left some
/// after it.
pub async fn last(
    db: &impl Executor,
    period: Period,
    series: Series,
    before: UnixMillis,
) -> Result<Option<UnixMillis>, DbError> {
    let row = db
        .query_one(
            "select max(at) as at from statistics where period = $1 and series = $2 and at < $3",
            vec![period.into(), series.into(), before.into()],
        )
        .await?;
    row.map_or(Ok(None), |row| row.get("at"))
}

/// Keeps a value in the place of the one that was known.
pub async fn set(db: &impl Executor, period: Period, point: &Point) -> Result<(), DbError> {
    db.execute(
        "insert into statistics (period, series, at, value) values ($1, $2, $3, $4)
         on conflict (period, series, at) do update set value = $4",
        vec![period.into(), point.series.into(), point.at.into(), point.value.into()],
    )
    .await
    .map(drop)
}

/// Adds to a value.
pub async fn add(db: &impl Executor, period: Period, point: &Point) -> Result<(), DbError> {
    db.execute(
        "insert into statistics (period, series, at, value) values ($1, $2, $3, $4)
         on conflict (period, series, at) do update set value = statistics.value + $4",
        vec![period.into(), point.series.into(), point.at.into(), point.value.into()],
    )
    .await
    .map(drop)
}

pub async fn forget(db: &impl Executor, period: Period, before: UnixMillis) -> Result<(), DbError> {
    db.execute(
        "delete from statistics where period = $1 and at < $2",
        vec![period.into(), before.into()],
    )
    .await
    .map(drop)
}

/// How much there is now.
#[derive(Debug, Clone, Copy)]
pub struct Levels {
    pub accounts: u64,
    pub cameras: u64,
    pub cameras_online: u64,
    pub bytes_stored: u64,
}

from_row!(Levels { accounts, cameras, cameras_online, bytes_stored });

pub async fn levels(db: &impl Executor) -> Result<Option<Levels>, DbError> {
    db.one(
        "select (select count(*) from accounts) as accounts,
             (select count(*) from cameras) as cameras,
             (select count(*) from cameras where online = 1) as cameras_online,
             (select cast(coalesce(sum(bytes), 0) as bigint) from clips) as bytes_stored",
        vec![],
    )
    .await
}

/// How much came in a span.
#[derive(Debug, Clone, Copy)]
pub struct Flow {
    pub events: u64,
    pub clips: u64,
    /// Milliseconds that people watched in it.
    pub live_ms: u64,
}

from_row!(Flow { events, clips, live_ms });

/// Counts what came from one time until another: events and clips by when they began.
pub async fn flow(
    db: &impl Executor,
    from: UnixMillis,
    to: UnixMillis,
) -> Result<Option<Flow>, DbError> {
    db.one(
        "select (select count(*) from events where started_at >= $1 and started_at < $2) as events,
             (select count(*) from clips where started_at >= $1 and started_at < $2) as clips,
             (select cast(coalesce(sum(
                  case when ended_at is null or ended_at > $2 then $2 else ended_at end
                  - case when streaming_at < $1 then $1 else streaming_at end), 0) as bigint)
              from live_sessions
              where streaming_at is not null and streaming_at < $2
                  and (ended_at is null or ended_at > $1)) as live_ms",
        vec![from.into(), to.into()],
    )
    .await
}

/// What the hours of a day come to.
#[derive(Debug, Clone, Copy)]
pub struct DaySum {
    pub series: Series,
    pub highest: u64,
    pub total: u64,
}

from_row!(DaySum { series, highest, total });

pub async fn of_day(
    db: &impl Executor,
    from: UnixMillis,
    to: UnixMillis,
) -> Result<Vec<DaySum>, DbError> {
    db.all(
        "select series, max(value) as highest, cast(sum(value) as bigint) as total
         from statistics where period = 'hour' and at >= $1 and at < $2 group by series",
        vec![from.into(), to.into()],
    )
    .await
}
