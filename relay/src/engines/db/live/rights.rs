//! What a live session's right hangs on, and its end with it.

use nightjar_shared::{
    ids::{AccountId, CameraId, SessionId, SiteId},
    role::Role,
    time::UnixMillis,
};

use super::{
    super::{
        DbError, Executor, Roles, Value, columns, from_row,
        members::{members_at_camera, members_now},
        sign_in::SignInId,
    },
    SessionRow,
};

/// How a session ends whose viewer may not watch any more.
macro_rules! end_access {
    ($($which:tt)+) => {
        concat!(
            "update live_sessions
             set state = case when state = 'requested' then 'cancelled' else 'completed' end,
                 reason = 'access_ended', ended_at = $1
             where state in ('requested', 'streaming') and ",
            $($which)+,
            " returning ",
            session_columns!()
        )
    };
}

/// Ends what an account has open: by one sign-in, or by all of them.
pub async fn end_of_account(
    db: &impl Executor,
    account_id: AccountId,
    sign_in: Option<&SignInId>,
    now: UnixMillis,
) -> Result<Vec<SessionRow>, DbError> {
    db.all(
        end_access!(
            "account_id = $2
             and (sign_in is null or cast($3 as text) is null or sign_in = $3)"
        ),
        vec![now.into(), account_id.into(), sign_in.map_or(Value::Null, Value::from)],
    )
    .await
}

/// Ends what is open of those who have none of these roles at the camera's site, or whose sign-in
/// is over.
pub async fn end_without_right(
    db: &impl Executor,
    roles: Roles,
    now: UnixMillis,
) -> Result<Vec<SessionRow>, DbError> {
    let values = [now.into()].into_iter().chain(roles.map(Value::from));
    db.all(
        end_access!(
            "(not exists
                 (select 1 from cameras c join ",
            members_at_camera!("c.site_id", "c.camera_id", "$1"),
            " where c.camera_id = live_sessions.camera_id
                      and m.account_id = live_sessions.account_id
                      and m.role in ($2, $3, $4, $5) and m.lacks_factor = 0)
              or (sign_in is not null
                  and not exists (select 1 from sign_ins s
                      where s.sign_in = live_sessions.sign_in and s.expires_at > $1)))"
        ),
        values.collect(),
    )
    .await
}

/// Finds a session of this camera, whether its sign-in is good now, and its viewer's role at the
/// camera's site, if it has one.
pub async fn of_camera(
    db: &impl Executor,
    session_id: SessionId,
    camera_id: CameraId,
    now: UnixMillis,
) -> Result<Option<(SessionRow, Viewer)>, DbError> {
    let row = db
        .query_one(
            concat!(
                "select ",
                session_columns!("l."),
                ", (select m.role from cameras c join ",
                members_at_camera!("c.site_id", "c.camera_id", "$3"),
                " where c.camera_id = l.camera_id and m.account_id = l.account_id
                        and m.lacks_factor = 0) as role,
                   (select count(*) from sign_ins s
                    where s.sign_in = l.sign_in and s.expires_at > $3)
                   + case when l.sign_in is null then 1 else 0 end as sign_ins
                 from live_sessions l where l.session_id = $1 and l.camera_id = $2"
            ),
            vec![session_id.into(), camera_id.into(), now.into()],
        )
        .await?;
    Ok(row.and_then(|row| Some((db.readable(&row)?, db.readable(&row)?))))
}

/// What a viewer's right to watch hangs on.
#[derive(Debug, Clone, Copy)]
pub struct Viewer {
    pub role: Option<Role>,
    /// How many of its sign-ins are good.
    pub sign_ins: u64,
}

from_row!(Viewer { role, sign_ins });

/// Finds what an account's right to watch at a site hangs on now.
pub async fn viewer(
    db: &impl Executor,
    site_id: SiteId,
    account_id: AccountId,
    now: UnixMillis,
) -> Result<Option<Viewer>, DbError> {
    db.one(
        concat!(
            "select
             (select m.role from sites s join ",
            members_now!("s.site_id", "$3"),
            " where s.site_id = $1 and m.account_id = $2 and m.lacks_factor = 0) as role,
             (select count(*) from sign_ins where account_id = $2 and expires_at > $3) as sign_ins"
        ),
        vec![site_id.into(), account_id.into(), now.into()],
    )
    .await
}
