//! Views of a site that administrators ask owners for.

use nightjar_shared::{
    admin::ViewState,
    ids::{AccountId, SiteId, ViewId},
    role::Role,
    time::UnixMillis,
};

use crate::engines::db::{DbError, Executor, from_row};

#[derive(Debug, Clone)]
pub struct ViewRow {
    pub view_id: ViewId,
    pub site_id: SiteId,
    pub site_name: String,
    pub account_id: AccountId,
    pub account_name: String,
    pub reason: String,
    pub minutes: u32,
    pub state: ViewState,
    pub asked_at: UnixMillis,
    pub expires_at: UnixMillis,
    pub answered_by: Option<AccountId>,
    pub answered_at: Option<UnixMillis>,
    pub ends_at: Option<UnixMillis>,
    pub ended_at: Option<UnixMillis>,
}

from_row!(ViewRow {
    view_id,
    site_id,
    site_name,
    account_id,
    account_name,
    reason,
    minutes,
    state,
    asked_at,
    expires_at,
    answered_by,
    answered_at,
    ends_at,
    ended_at
});

macro_rules! views {
    () => {
        "select v.view_id, v.site_id, s.name as site_name, v.account_id, a.name as account_name,
             v.reason, v.minutes, v.state, v.asked_at, v.expires_at, v.answered_by,
             v.answered_at, v.ends_at, v.ended_at
         from views v join sites s on s.site_id = v.site_id
         join accounts a on a.account_id = v.account_id where "
    };
}

pub async fn insert(db: &impl Executor, view: &ViewRow) -> Result<(), DbError> {
    db.execute(
        "insert into views (view_id, site_id, account_id, reason, minutes, state, asked_at,
             expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        vec![
            view.view_id.into(),
            view.site_id.into(),
            view.account_id.into(),
            view.reason.as_str().into(),
            view.minutes.into(),
            view.state.into(),
            view.asked_at.into(),
            view.expires_at.into(),
        ],
    )
    .await
    .map(drop)
}

pub async fn by_id(db: &impl Executor, view_id: ViewId) -> Result<Option<ViewRow>, DbError> {
    db.one(concat!(views!(), "v.view_id = $1"), vec![view_id.into()]).await
}

/// Lists the newest views of a site.
pub async fn of_site(
    db: &impl Executor,
    site_id: SiteId,
    count: u32,
) -> Result<Vec<ViewRow>, DbError> {
    db.all(
        concat!(views!(), "v.site_id = $1 order by v.asked_at desc, v.view_id desc limit $2"),
        vec![site_id.into(), count.into()],
    )
    .await
}

/// Lists the newest views of all sites.
pub async fn newest(db: &impl Executor, count: u32) -> Result<Vec<ViewRow>, DbError> {
    db.all(
        concat!(views!(), "1 = 1 order by v.asked_at desc, v.view_id desc limit $1"),
        vec![count.into()],
    )
    .await
}

/// Returns whether an account waits for a view of a site, or has one.
pub async fn is_open(
    db: &impl Executor,
    site_id: SiteId,
    account_id: AccountId,
    now: UnixMillis,
) -> Result<bool, DbError> {
    let row = db
        .query_one(
            "select 1 as found from views where site_id = $1 and account_id = $2
                 and ((state = 'asked' and expires_at > $3) or (state = 'granted' and ends_at > $3))
             limit 1",
            vec![site_id.into(), account_id.into(), now.into()],
        )
        .await?;
    Ok(row.is_some())
}

/// Answers a view that waits: of two who answer at once, one does. Says whether it was this one.
pub async fn answer(
    db: &impl Executor,
    view_id: ViewId,
    state: ViewState,
    by: AccountId,
    ends_at: Option<UnixMillis>,
    now: UnixMillis,
) -> Result<bool, DbError> {
    let answered = db
        .execute(
            "update views set state = $2, answered_by = $3, answered_at = $4, ends_at = $5
             where view_id = $1 and state = 'asked' and expires_at > $4",
            vec![view_id.into(), state.into(), by.into(), now.into(), ends_at.into()],
        )
        .await?;
    Ok(answered == 1)
}

/// Makes the administrator of a granted view a guest of the site, who watches and changes nothing. Says
/// whether they are one by that: whoever belongs to the site already does not become one.
pub async fn let_in(
    db: &impl Executor,
    view: &ViewRow,
    ends_at: UnixMillis,
    by: AccountId,
    now: UnixMillis,
) -> Result<bool, DbError> {
    let inserted = db
        .execute(
            "insert into members
                 (site_id, account_id, role, created_at, limited, ends_at, invited_by, view_id)
             values ($1, $2, $3, $4, 0, $5, $6, $7)
             on conflict (site_id, account_id) do nothing",
            vec![
                view.site_id.into(),
                view.account_id.into(),
                Role::Viewer.into(),
                now.into(),
                ends_at.into(),
                by.into(),
                view.view_id.into(),
            ],
        )
        .await?;
    Ok(inserted == 1)
}

/// Ends a view that is asked for or granted, and the membership by it. Says whether it was open.
pub async fn end(db: &impl Executor, view_id: ViewId, now: UnixMillis) -> Result<bool, DbError> {
    db.execute("delete from members where view_id = $1", vec![view_id.into()]).await?;
    let ended = db
        .execute(
            "update views set state = 'ended', ended_at = $2
             where view_id = $1 and state in ('asked', 'granted')",
            vec![view_id.into(), now.into()],
        )
        .await?;
    Ok(ended == 1)
}

/// Lists granted views that are over: by the time, or because who had them administers nothing any more.
pub async fn over(db: &impl Executor, now: UnixMillis) -> Result<Vec<ViewRow>, DbError> {
    db.all(
        concat!(
            views!(),
            "v.state = 'granted' and (v.ends_at <= $1 or a.role <> 'admin'
                 or a.disabled_at is not null)"
        ),
        vec![now.into()],
    )
    .await
}

/// Notes that nobody answered in time, or that who asked may not ask any more.
pub async fn expire(db: &impl Executor, now: UnixMillis) -> Result<(), DbError> {
    db.execute(
        "update views set state = 'expired', ended_at = $1
         where state = 'asked' and (expires_at <= $1 or exists
             (select 1 from accounts a where a.account_id = views.account_id
              and (a.role <> 'admin' or a.disabled_at is not null)))",
        vec![now.into()],
    )
    .await
    .map(drop)
}

/// Forgets views that were over long ago.
pub async fn forget_old(db: &impl Executor, before: UnixMillis) -> Result<(), DbError> {
    db.execute(
        "delete from views where state in ('refused', 'expired', 'ended') and asked_at < $1",
        vec![before.into()],
    )
    .await
    .map(drop)
}
