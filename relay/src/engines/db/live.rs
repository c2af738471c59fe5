//! Live sessions.

use nightjar_shared::{
    ids::{AccountId, CameraId, SessionId, SiteId},
    session::{SessionEndReason, SessionState},
    time::UnixMillis,
};

use super::{
    DbError, Executor, Page, columns, from_row,
    members::members_at_camera,
    newest_first,
    sign_in::SignInId,
    sites::{Membership, membership},
};

#[derive(Debug, Clone)]
pub struct SessionRow {
    pub session_id: SessionId,
    pub camera_id: CameraId,
    pub account_id: AccountId,
    /// Absent when the account is gone.
    pub account_name: Option<String>,
    pub state: SessionState,
    /// Begins with a [`SessionEndReason`] or a problem's code; a newer camera may have another word.
    pub reason: Option<String>,
    pub started_at: UnixMillis,
    /// When the camera answered.
    pub streaming_at: Option<UnixMillis>,
    pub ended_at: Option<UnixMillis>,
    /// Names the ICE session.
    pub etag: Option<String>,
    /// JSON, as the camera reported it last.
    pub statistics: Option<String>,
}

macro_rules! session_columns {
    () => {
        session_columns!("", "live_sessions.")
    };
    ($table:literal) => {
        session_columns!($table, $table)
    };
    ($table:literal, $in_query:literal) => {
        concat!(
            columns!(
                $table:
                session_id, camera_id, account_id, state, reason, started_at, streaming_at, ended_at,
                etag, statistics
            ),
            ", (select name from accounts where accounts.account_id = ",
            $in_query,
            "account_id) as account_name"
        )
    };
}

mod rights;

pub use self::rights::{Viewer, end_of_account, end_without_right, of_camera, viewer};

from_row!(SessionRow {
    session_id,
    camera_id,
    account_id,
    account_name,
    state,
    reason,
    started_at,
    streaming_at,
    ended_at,
    etag,
    statistics
});

/// Inserts a session that was asked for by this sign-in.
pub async fn insert(
    db: &impl Executor,
    session: &SessionRow,
    sign_in: &SignInId,
) -> Result<(), DbError> {
    db.execute(
        "insert into live_sessions
             (session_id, camera_id, account_id, state, started_at, etag, sign_in)
         values ($1, $2, $3, $4, $5, $6, $7)",
        vec![
            session.session_id.into(),
            session.camera_id.into(),
            session.account_id.into(),
            session.state.into(),
            session.started_at.into(),
            session.etag.clone().into(),
            sign_in.into(),
        ],
    )
    .await
    .map(drop)
}

/// How many sessions did not end.
#[derive(Debug, Clone, Copy, Default)]
pub struct Open {
    pub of_camera: u64,
    pub of_account: u64,
    /// Those of this account at this camera of which the camera has reported nothing yet.
    pub unconnected: u64,
}

from_row!(Open { of_camera, of_account, unconnected });

/// Counts the sessions that camera and account have open now.
pub async fn count_open(
    db: &impl Executor,
    camera_id: CameraId,
    account_id: AccountId,
) -> Result<Open, DbError> {
    let open = db
        .one(
            "select
                 (select count(*) from live_sessions
                  where camera_id = $1 and state in ('requested', 'streaming')) as of_camera,
                 (select count(*) from live_sessions
                  where account_id = $2 and state in ('requested', 'streaming')) as of_account,
                 (select count(*) from live_sessions
                  where camera_id = $1 and account_id = $2
                  and state in ('requested', 'streaming') and reported_at is null) as unconnected",
            vec![camera_id.into(), account_id.into()],
        )
        .await?;
    Ok(open.unwrap_or_default())
}

/// Returns whether this session of this camera streams.
pub async fn is_streaming(
    db: &impl Executor,
    session_id: SessionId,
    camera_id: CameraId,
) -> Result<bool, DbError> {
    let row = db
        .query_one(
            "select 1 from live_sessions
             where session_id = $1 and camera_id = $2 and state = 'streaming'",
            vec![session_id.into(), camera_id.into()],
        )
        .await?;
    Ok(row.is_some())
}

/// Returns whether a session goes on: it has not ended, or its camera was lost after `lost_after`.
pub async fn may_be_relayed(
    db: &impl Executor,
    session_id: SessionId,
    lost_after: UnixMillis,
) -> Result<bool, DbError> {
    let row = db
        .query_one(
            "select 1 from live_sessions
             where session_id = $1
             and (state in ('requested', 'streaming')
                  or (state = 'failed' and reason = 'camera_offline' and ended_at > $2))",
            vec![session_id.into(), lost_after.into()],
        )
        .await?;
    Ok(row.is_some())
}

/// Returns whether any session of an account goes on, in the same sense.
pub async fn may_any_be_relayed(
    db: &impl Executor,
    account_id: AccountId,
    lost_after: UnixMillis,
) -> Result<bool, DbError> {
    let row = db
        .query_one(
            "select 1 from live_sessions
             where account_id = $1
             and (state in ('requested', 'streaming')
                  or (state = 'failed' and reason = 'camera_offline' and ended_at > $2))
             limit 1",
            vec![account_id.into(), lost_after.into()],
        )
        .await?;
    Ok(row.is_some())
}

/// Finds the session and the account's role at the camera's site, if it has one.
pub async fn for_member(
    db: &impl Executor,
    session_id: SessionId,
    account_id: AccountId,
    now: UnixMillis,
) -> Result<Option<(SessionRow, Membership)>, DbError> {
    db.one(
        concat!(
            "select ",
            session_columns!("l."),
            ", ",
            membership!(),
            "
                 from live_sessions l
                 join cameras c on c.camera_id = l.camera_id
                 join ",
            members_at_camera!("c.site_id", "c.camera_id", "$3"),
            " where l.session_id = $1 and m.account_id = $2"
        ),
        vec![session_id.into(), account_id.into(), now.into()],
    )
    .await
}

/// Lists the sessions of a camera.
pub async fn list(
    db: &impl Executor,
    page: &Page,
    camera_id: CameraId,
) -> Result<Vec<SessionRow>, DbError> {
    page.read(
        db,
        ("started_at", "session_id"),
        concat!(
            "select ",
            session_columns!(),
            " from live_sessions where camera_id = $4",
            newest_first!("started_at", "session_id")
        ),
        [camera_id.into()],
    )
    .await
}

/// Gives the session as it is now, if it was only requested until now.
pub async fn mark_streaming(
    db: &impl Executor,
    session_id: SessionId,
    camera_id: CameraId,
    now: UnixMillis,
) -> Result<Option<SessionRow>, DbError> {
    db.one(
        concat!(
            "update live_sessions set state = 'streaming', streaming_at = $3
                 where session_id = $1 and camera_id = $2 and state = 'requested'
                 returning ",
            session_columns!()
        ),
        vec![session_id.into(), camera_id.into(), now.into()],
    )
    .await
}

/// Ends a session of this camera. Gives it as it is now, if it had not ended before.
pub async fn finish(
    db: &impl Executor,
    session_id: SessionId,
    camera_id: CameraId,
    state: SessionState,
    reason: &str,
    now: UnixMillis,
) -> Result<Option<SessionRow>, DbError> {
    db.one(
        concat!(
            "update live_sessions set state = $3, reason = $4, ended_at = $5
                 where session_id = $1 and camera_id = $2 and state in ('requested', 'streaming')
                 returning ",
            session_columns!()
        ),
        vec![session_id.into(), camera_id.into(), state.into(), reason.into(), now.into()],
    )
    .await
}

/// Ends what an offline camera had open.
pub async fn fail_of_camera(
    db: &impl Executor,
    camera_id: CameraId,
    reason: SessionEndReason,
    now: UnixMillis,
) -> Result<Vec<SessionRow>, DbError> {
    db.all(
        concat!(
            "update live_sessions set state = 'failed', reason = $2, ended_at = $3
                 where camera_id = $1 and state in ('requested', 'streaming')
                 returning ",
            session_columns!()
        ),
        vec![camera_id.into(), reason.into(), now.into()],
    )
    .await
}

/// Ends what cameras have open that are offline: sessions that began until `before`, since one that
/// is asked for while its camera goes has an end of its own.
pub async fn fail_of_offline_cameras(
    db: &impl Executor,
    before: UnixMillis,
    now: UnixMillis,
) -> Result<Vec<SessionRow>, DbError> {
    db.all(
        concat!(
            "update live_sessions set state = 'failed', reason = 'camera_offline', ended_at = $2
                 where state in ('requested', 'streaming') and started_at <= $1
                 and camera_id in (select camera_id from cameras where online = 0)
                 returning ",
            session_columns!()
        ),
        vec![before.into(), now.into()],
    )
    .await
}

/// Ends streaming sessions that began before `before`.
pub async fn complete_forgotten(
    db: &impl Executor,
    camera_id: CameraId,
    before: UnixMillis,
    now: UnixMillis,
) -> Result<Vec<SessionRow>, DbError> {
    db.all(
        concat!(
            "update live_sessions set state = 'completed', reason = 'viewer_gone', ended_at = $3
                 where camera_id = $1 and state = 'streaming' and started_at < $2
                 returning ",
            session_columns!()
        ),
        vec![camera_id.into(), before.into(), now.into()],
    )
    .await
}

/// Ends requests whose relay went away before the camera answered. Those of cameras that are gone end as theirs.
pub async fn expire_unanswered(
    db: &impl Executor,
    requested_before: UnixMillis,
    now: UnixMillis,
) -> Result<Vec<SessionRow>, DbError> {
    db.all(
        concat!(
            "update live_sessions set state = 'expired', reason = 'no_answer', ended_at = $2
                 where state = 'requested' and started_at <= $1
                 and camera_id not in (select camera_id from cameras where offline_due_at <= $2)
                 returning ",
            session_columns!()
        ),
        vec![requested_before.into(), now.into()],
    )
    .await
}

/// Ends streaming sessions of cameras that are there, but have not reported on them since `before`.
pub async fn fail_unreported(
    db: &impl Executor,
    before: UnixMillis,
    now: UnixMillis,
) -> Result<Vec<SessionRow>, DbError> {
    db.all(
        concat!(
            "update live_sessions set state = 'failed', reason = 'unreported', ended_at = $2
                 where state = 'streaming' and coalesce(reported_at, started_at) < $1
                 and camera_id in (select camera_id from cameras where online = 1)
                 returning ",
            session_columns!()
        ),
        vec![before.into(), now.into()],
    )
    .await
}

/// Forgets sessions that ended before `before`.
pub async fn delete_ended(db: &impl Executor, before: UnixMillis) -> Result<u64, DbError> {
    db.execute("delete from live_sessions where ended_at <= $1", vec![before.into()]).await
}

/// Names the ICE session anew, if it still had the name `before`.
pub async fn set_etag(
    db: &impl Executor,
    session_id: SessionId,
    before: Option<&str>,
    etag: &str,
) -> Result<bool, DbError> {
    let changed = db
        .execute(
            "update live_sessions set etag = $3 where session_id = $1 and etag = $2",
            vec![session_id.into(), before.unwrap_or_default().into(), etag.into()],
        )
        .await?;
    Ok(changed == 1)
}

/// Keeps what the camera measured. Gives the session as it is now, if it has not ended.
pub async fn set_statistics(
    db: &impl Executor,
    session_id: SessionId,
    camera_id: CameraId,
    statistics: &str,
    now: UnixMillis,
) -> Result<Option<SessionRow>, DbError> {
    db.one(
        concat!(
            "update live_sessions set statistics = $3, reported_at = $4
                 where session_id = $1 and camera_id = $2 and state = 'streaming'
                 returning ",
            session_columns!()
        ),
        vec![session_id.into(), camera_id.into(), statistics.into(), now.into()],
    )
    .await
}

/// Adds to what TURN carried for a site on a day; gives the day's sum.
pub async fn add_relayed_bytes(
    db: &impl Executor,
    site_id: SiteId,
    day: i64,
    bytes: u64,
) -> Result<u64, DbError> {
    let row = db
        .query_one(
            "insert into relayed_bytes (site_id, day, bytes) values ($1, $2, $3)
             on conflict (site_id, day) do update set bytes = relayed_bytes.bytes + $3
             returning bytes",
            vec![site_id.into(), day.into(), bytes.into()],
        )
        .await?;
    row.map_or(Ok(0), |row| row.get("bytes"))
}

/// Returns what TURN carried for a site on a day.
pub async fn relayed_bytes(db: &impl Executor, site_id: SiteId, day: i64) -> Result<u64, DbError> {
    let row = db
        .query_one(
            "select bytes from relayed_bytes where site_id = $1 and day = $2",
            vec![site_id.into(), day.into()],
        )
        .await?;
    row.map_or(Ok(0), |row| row.get("bytes"))
}

/// Forgets days before `day`.
pub async fn delete_relayed_bytes(db: &impl Executor, day: i64) -> Result<u64, DbError> {
    db.execute("delete from relayed_bytes where day < $1", vec![day.into()]).await
}
