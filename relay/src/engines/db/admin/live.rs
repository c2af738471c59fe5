//! Who watches now, at all sites.

use nightjar_shared::{
    ids::{AccountId, CameraId, SessionId, SiteId},
    session::SessionState,
    time::UnixMillis,
};

use crate::engines::db::{DbError, Executor, Page, from_row, newest_first};

#[derive(Debug, Clone)]
pub struct OpenSession {
    pub session_id: SessionId,
    pub site_id: SiteId,
    pub site_name: String,
    pub camera_id: CameraId,
    pub camera_name: String,
    pub account_id: AccountId,
    pub email: String,
    pub state: SessionState,
    pub started_at: UnixMillis,
    pub streaming_at: Option<UnixMillis>,
}

from_row!(OpenSession {
    session_id,
    site_id,
    site_name,
    camera_id,
    camera_name,
    account_id,
    email,
    state,
    started_at,
    streaming_at
});

macro_rules! sessions {
    () => {
        "select l.session_id, c.site_id, s.name as site_name, l.camera_id, c.name as camera_name,
             l.account_id, a.email, l.state, l.started_at, l.streaming_at
         from live_sessions l
         join cameras c on c.camera_id = l.camera_id
         join sites s on s.site_id = c.site_id
         join accounts a on a.account_id = l.account_id"
    };
}

pub async fn list(db: &impl Executor, page: &Page) -> Result<Vec<OpenSession>, DbError> {
    let statement = concat!(
        sessions!(),
        " where l.state in ('requested', 'streaming')",
        newest_first!("l.started_at", "l.session_id")
    );
    page.read(db, ("started_at", "session_id"), statement, []).await
}

/// Finds a session, also one that has ended.
pub async fn by_id(
    db: &impl Executor,
    session_id: SessionId,
) -> Result<Option<OpenSession>, DbError> {
    db.one(concat!(sessions!(), " where l.session_id = $1"), vec![session_id.into()]).await
}
