//! What cameras were doing, and what they recorded meanwhile.

use nightjar_shared::{
    camera::CameraActivity,
    clip::ClipState,
    event::EventKind,
    ids::{AccountId, CameraId, ClipId, EventId},
    time::UnixMillis,
};

use super::{DbError, Executor, Roles, Value, from_row, members::members_at_camera};

/// A camera did one thing for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    pub began_at: UnixMillis,
    pub until_at: UnixMillis,
    pub state: CameraActivity,
}

from_row!(Stretch { began_at, until_at, state });

macro_rules! put_stretches {
    () => {
        "insert into camera_states (camera_id, began_at, until_at, state) values "
    };
}

macro_rules! or_replace {
    () => {
        " on conflict (camera_id, began_at) do update set
              until_at = excluded.until_at, state = excluded.state"
    };
}

/// Finds the newest stretch of a camera.
pub async fn last(db: &impl Executor, camera_id: CameraId) -> Result<Option<Stretch>, DbError> {
    db.one(
        "select began_at, until_at, state from camera_states
         where camera_id = $1 order by began_at desc limit 1",
        vec![camera_id.into()],
    )
    .await
}

/// Lists the stretches that touch a time, oldest first, at most `limit`.
pub async fn between(
    db: &impl Executor,
    camera_id: CameraId,
    (from, to): (UnixMillis, UnixMillis),
    limit: u32,
) -> Result<Vec<Stretch>, DbError> {
    db.all(
        "select began_at, until_at, state from camera_states
         where camera_id = $1 and began_at < $3 and until_at >= $2
         order by began_at limit $4",
        vec![camera_id.into(), from.into(), to.into(), limit.into()],
    )
    .await
}

/// Writes a stretch, or the end of one and the next.
pub async fn put(
    db: &impl Executor,
    camera_id: CameraId,
    stretches: &[Stretch],
) -> Result<(), DbError> {
    for pair in stretches.chunks(2) {
        let sql = match pair {
            [_] => concat!(put_stretches!(), "($1, $2, $3, $4)", or_replace!()),
            _ => concat!(put_stretches!(), "($1, $2, $3, $4), ($1, $5, $6, $7)", or_replace!()),
        };
        let of_one = |stretch: &Stretch| {
            [stretch.began_at.into(), stretch.until_at.into(), stretch.state.into()]
        };
        let values = std::iter::once(camera_id.into()).chain(pair.iter().flat_map(of_one));
        db.execute(sql, values.collect()).await?;
    }
    Ok(())
}

/// Lets a camera's newest stretch last until `heard_at`.
pub async fn hold(
    db: &impl Executor,
    camera_id: CameraId,
    heard_at: UnixMillis,
) -> Result<(), DbError> {
    db.execute(
        "update camera_states set until_at = $2
         where camera_id = $1 and until_at < $2 and state <> 'offline' and began_at =
             (select max(s.began_at) from camera_states s where s.camera_id = $1)",
        vec![camera_id.into(), heard_at.into()],
    )
    .await
    .map(drop)
}

/// Lets the newest stretch of every camera whose connection stands last until `now`, unless it was
/// written before `after`.
pub async fn hold_all(
    db: &impl Executor,
    after: UnixMillis,
    now: UnixMillis,
) -> Result<(), DbError> {
    db.execute(
        "update camera_states set until_at = $2
         where until_at >= $1 and until_at < $2 and state <> 'offline'
             and camera_id in
                 (select camera_id from cameras where online = 1 and offline_due_at is null)
             and began_at = (select max(s.began_at) from camera_states s
                             where s.camera_id = camera_states.camera_id)",
        vec![after.into(), now.into()],
    )
    .await
    .map(drop)
}

pub async fn delete_before(db: &impl Executor, before: UnixMillis) -> Result<(), DbError> {
    db.execute("delete from camera_states where until_at < $1", vec![before.into()]).await.map(drop)
}

/// Footage of a camera.
#[derive(Debug, Clone)]
pub struct FootageRow {
    pub clip_id: ClipId,
    pub event_id: Option<EventId>,
    pub state: ClipState,
    pub started_at: UnixMillis,
    pub ended_at: Option<UnixMillis>,
    pub duration_ms: Option<u64>,
}

from_row!(FootageRow { clip_id, event_id, state, started_at, ended_at, duration_ms });

/// Lists the clips of a camera that begin in a time, newest first, as far as the account may see
/// them; private ones in one of the roles `private_to`.
pub async fn footage(
    db: &impl Executor,
    camera_id: CameraId,
    account_id: AccountId,
    private_to: Roles,
    (from, to): (UnixMillis, UnixMillis),
    limit: u32,
    now: UnixMillis,
) -> Result<Vec<FootageRow>, DbError> {
    let mut values: Vec<Value> =
        vec![camera_id.into(), account_id.into(), from.into(), to.into(), limit.into()];
    values.extend(private_to.map(Value::from));
    values.push(now.into());
    db.all(
        concat!(
            "select c.clip_id, c.event_id, c.state, c.started_at, c.ended_at, c.duration_ms
             from clips c join ",
            members_at_camera!("c.site_id", "c.camera_id", "$10"),
            " where c.camera_id = $1 and m.account_id = $2 and c.kind = 'clip'
                 and c.started_at >= $3 and c.started_at < $4
                 and (c.visibility <> 'private' or m.role in ($6, $7, $8, $9))
             order by c.started_at desc, c.clip_id desc limit $5"
        ),
        values,
    )
    .await
}

/// A moment that a person or a program told of.
#[derive(Debug, Clone)]
pub struct MarkRow {
    pub event_id: EventId,
    pub kind: EventKind,
    pub at: UnixMillis,
    pub label: Option<String>,
    pub words: Option<String>,
}

from_row!(MarkRow { event_id, kind, at, label, words });

/// Lists the moments at a camera, newest first, as far as the account may see what it shows.
pub async fn marks(
    db: &impl Executor,
    camera_id: CameraId,
    account_id: AccountId,
    (from, to): (UnixMillis, UnixMillis),
    limit: u32,
    now: UnixMillis,
) -> Result<Vec<MarkRow>, DbError> {
    db.all(
        concat!(
            "select e.event_id, e.kind, e.started_at as at, e.label, e.words
             from events e join ",
            members_at_camera!("e.site_id", "e.camera_id", "$6"),
            " where e.camera_id = $1 and m.account_id = $2
                 and e.kind in ('bookmark', 'doorbell', 'sensor', 'outside')
                 and e.started_at >= $3 and e.started_at < $4
             order by e.started_at desc, e.event_id desc limit $5"
        ),
        vec![camera_id.into(), account_id.into(), from.into(), to.into(), limit.into(), now.into()],
    )
    .await
}
