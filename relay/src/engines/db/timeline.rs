//! What cameras were doing, and what they recorded meanwhile.

use nightjar_shared::{
    ids::{AccountId, CameraId, ClipId, EventId},
    time::UnixMillis,
};

use super::{DbError, Executor, Row, Value};

/// A camera did one thing for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    pub began_at: UnixMillis,
    pub until_at: UnixMillis,
    pub state: String,
}

impl Stretch {
    fn read(row: &Row) -> Result<Self, DbError> {
        Ok(Self { began_at: row.time(0)?, until_at: row.time(1)?, state: row.text(2)?.to_owned() })
    }
}

/// The newest stretch of a camera.
pub async fn last(db: &impl Executor, camera_id: CameraId) -> Result<Option<Stretch>, DbError> {
    let row = db
        .query_one(
            "select began_at, until_at, state from camera_states
             where camera_id = $1 order by began_at desc limit 1",
            vec![camera_id.into()],
        )
        .await?;
    row.as_ref().map(Stretch::read).transpose()
}

/// The stretches that touch a time, oldest first, at most `limit`.
pub async fn between(
    db: &impl Executor,
    camera_id: CameraId,
    (from, to): (UnixMillis, UnixMillis),
    limit: u32,
) -> Result<Vec<Stretch>, DbError> {
    let rows = db
        .query(
            "select began_at, until_at, state from camera_states
             where camera_id = $1 and began_at < $3 and until_at >= $2
             order by began_at limit $4",
            vec![camera_id.into(), from.into(), to.into(), limit.into()],
        )
        .await?;
    rows.iter().map(Stretch::read).collect()
}

pub async fn put(
    db: &impl Executor,
    camera_id: CameraId,
    stretch: &Stretch,
) -> Result<(), DbError> {
    db.execute(
        "insert into camera_states (camera_id, began_at, until_at, state)
         values ($1, $2, $3, $4)
         on conflict (camera_id, began_at) do update set
             until_at = excluded.until_at, state = excluded.state",
        vec![
            camera_id.into(),
            stretch.began_at.into(),
            stretch.until_at.into(),
            stretch.state.as_str().into(),
        ],
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
    pub state: String,
    pub started_at: UnixMillis,
    pub ended_at: Option<UnixMillis>,
    pub duration_ms: Option<u64>,
}

/// The clips of a camera that begin in a time, newest first, as far as the account may see them;
/// private ones in one of the roles `private_to`.
pub async fn footage(
    db: &impl Executor,
    camera_id: CameraId,
    account_id: AccountId,
    private_to: [&'static str; 4],
    (from, to): (UnixMillis, UnixMillis),
    limit: u32,
) -> Result<Vec<FootageRow>, DbError> {
    let mut values: Vec<Value> =
        vec![camera_id.into(), account_id.into(), from.into(), to.into(), limit.into()];
    values.extend(private_to.map(Value::from));
    let rows = db
        .query(
            "select c.clip_id, c.event_id, c.state, c.started_at, c.ended_at, c.duration_ms
             from clips c join members m on m.site_id = c.site_id
             where c.camera_id = $1 and m.account_id = $2 and c.kind = 'clip'
                 and c.started_at >= $3 and c.started_at < $4
                 and (c.visibility <> 'private' or m.role in ($6, $7, $8, $9))
             order by c.started_at desc, c.clip_id desc limit $5",
            values,
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(FootageRow {
                clip_id: row.parse(0)?,
                event_id: row.parse_or_null(1)?,
                state: row.text(2)?.to_owned(),
                started_at: row.time(3)?,
                ended_at: row.time_or_null(4)?,
                duration_ms: row.unsigned_or_null(5)?,
            })
        })
        .collect()
}
