//! Who watches now, at all sites.

use nightjar_shared::{
    audit::Action,
    ids::{AccountId, CameraId, SessionId, SiteId},
    session::{SessionEndReason, SessionState},
    time::UnixMillis,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::Desk;
use crate::{
    app::App,
    domain::{List, PageRequest, audit::record, live},
    engines::db::{
        admin::live::{self as known, OpenSession},
        live as rows,
    },
    error::{Error, Result},
};

/// A live session as administrators see it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AdminSession {
    pub session_id: SessionId,
    pub site_id: SiteId,
    pub site_name: String,
    pub camera_id: CameraId,
    pub camera_name: String,
    /// Who watches.
    pub account_id: AccountId,
    pub email: String,
    pub state: SessionState,
    pub started_at: UnixMillis,
    /// Since when pictures flow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub streaming_at: Option<UnixMillis>,
    /// What this relay's TURN has carried for it; absent where it carries nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relayed_bytes: Option<u64>,
}

fn view(row: OpenSession, app: Option<&App>) -> AdminSession {
    AdminSession {
        relayed_bytes: app.and_then(|app| app.turn.carried(row.session_id)),
        session_id: row.session_id,
        site_id: row.site_id,
        site_name: row.site_name,
        camera_id: row.camera_id,
        camera_name: row.camera_name,
        account_id: row.account_id,
        email: row.email,
        state: row.state,
        started_at: row.started_at,
        streaming_at: row.streaming_at,
    }
}

pub async fn list(desk: &Desk<'_>, page: &PageRequest) -> Result<List<AdminSession>> {
    let position = page.position()?;
    let rows = known::list(desk.db, &position.page).await?;
    let key = |row: &OpenSession| (row.started_at, row.session_id);
    Ok(position.list(rows, key, |row| view(row, desk.app)))
}

/// Ends one session: camera and viewer hear of it.
pub async fn end(desk: &Desk<'_>, session_id: SessionId) -> Result<()> {
    let found = known::by_id(desk.db, session_id).await?.ok_or_else(Error::not_found)?;
    let entry = desk.entry(Action::LiveEndedByAdmin).site(found.site_id);
    let entry = entry.camera(found.camera_id).subject(found.account_id);
    record(desk.db, desk.now, entry).await?;
    let Some(app) = desk.app else {
        // Its camera reports on it within seconds, and hears from the relay that it is over.
        let (state, reason) = (SessionState::Completed, SessionEndReason::AccessEnded.as_str());
        let camera_id = found.camera_id;
        rows::finish(desk.db, session_id, camera_id, state, reason, desk.now).await?;
        return Ok(());
    };
    live::end_one(app, session_id, found.camera_id).await
}
