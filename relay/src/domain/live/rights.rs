//! What is open ends with the right that opened it: at once where its end is known, else by a sweep.

use std::collections::HashMap;

use nightjar_shared::{
    ids::{AccountId, CameraId, SessionId, SiteId},
    session::{SessionEndReason, SessionState},
    signal::Signal,
};

use super::{ended, finish, send};
use crate::{
    app::App,
    domain::access::{self, Right},
    engines::db::{
        live::{self, SessionRow},
        sign_in::SignInId,
    },
    error::Result,
};

/// Ends what an account watches: by the sign-in that is over, or by all that it has.
pub(in crate::domain) async fn end_of_account(
    app: &App,
    account_id: AccountId,
    sign_in: Option<&SignInId>,
) -> Result<()> {
    let now = app.now();
    let rows = live::end_of_account(&app.db.unsynced(), account_id, sign_in, now).await?;
    end_all(app, rows).await;
    Ok(())
}

/// Ends what is watched by those who may not any more, however they lost the right.
pub(in crate::domain) async fn end_without_right(app: &App) -> Result<()> {
    let roles = access::roles_with(Right::SeePictures);
    let rows = live::end_without_right(&app.db.unsynced(), roles, app.now()).await?;
    end_all(app, rows).await;
    end_ahead_without_right(app).await
}

/// Stops relaying for those who were given a TURN credential before they began a session, and may
/// not watch there any more.
async fn end_ahead_without_right(app: &App) -> Result<()> {
    let mut viewers: HashMap<(SiteId, AccountId), bool> = HashMap::new();
    for holder in app.turn.ahead(app.now()) {
        let (site_id, account_id) = (holder.site_id, holder.account_id);
        let may = if let Some(may) = viewers.get(&(site_id, account_id)) {
            *may
        } else {
            let viewer = live::viewer(&app.db, site_id, account_id, app.now()).await?;
            viewer.is_some_and(access::may_watch_on)
        };
        viewers.insert((site_id, account_id), may);
        if !may {
            app.turn.end(holder.session_id);
        }
    }
    Ok(())
}

/// Ends one session that an administrator of the relay ends.
pub(in crate::domain) async fn end_one(
    app: &App,
    session_id: SessionId,
    camera_id: CameraId,
) -> Result<()> {
    let reason = SessionEndReason::AccessEnded;
    let told = send(app, camera_id, &Signal::bye(session_id, reason)).await;
    finish(app, session_id, camera_id, SessionState::Completed, reason.as_str()).await?;
    told.map(drop)
}

/// Tells the cameras of ended sessions, and everybody else. What fails for one ends the others all
/// the same.
async fn end_all(app: &App, rows: Vec<SessionRow>) {
    for row in rows {
        let (session_id, camera_id) = (row.session_id, row.camera_id);
        let bye = Signal::bye(session_id, SessionEndReason::AccessEnded);
        let told = send(app, camera_id, &bye).await.map(drop);
        for error in [told, ended(app, row).await].into_iter().filter_map(Result::err) {
            tracing::warn!(camera.id = %camera_id, %error, "cannot tell of the end of a session");
        }
    }
}

/// Tells a camera to end what it still sends to a session that is over here, or that was never
/// here. When the camera was lost meanwhile, its viewer may go on for as long as it may watch.
pub(super) async fn end_reported(
    app: &App,
    camera_id: CameraId,
    session_id: SessionId,
) -> Result<()> {
    let lost = SessionEndReason::CameraOffline.as_str();
    let reason = match live::of_camera(&app.db, session_id, camera_id, app.now()).await? {
        // Its answer is on its way to the viewer.
        Some((row, _)) if row.state == SessionState::Requested => return Ok(()),
        Some((row, viewer)) if row.reason.as_deref() == Some(lost) => {
            if access::may_watch_on(viewer) {
                return Ok(());
            }
            app.turn.end(session_id);
            SessionEndReason::AccessEnded
        }
        Some(_) | None => SessionEndReason::ViewerGone,
    };
    send(app, camera_id, &Signal::bye(session_id, reason)).await.map(drop)
}
