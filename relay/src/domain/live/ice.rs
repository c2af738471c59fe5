//! Who may help viewer and camera to reach each other, and how much of it a site may use.

use nightjar_shared::{
    ids::{CameraId, SessionId, SiteId},
    signal::IceServer,
    time::UnixMillis,
};

use super::App;
use crate::{
    domain::{
        access::{self, Caller, Right},
        secrets,
    },
    engines::db::live,
    error::Result,
};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// The ICE servers of one session, for either side. A site that has used up its day gets no TURN.
pub(super) async fn mint(
    app: &App,
    site_id: SiteId,
    session_id: SessionId,
) -> Result<Vec<IceServer>> {
    if !app.turn.is_offered() {
        return Ok(Vec::new());
    }
    let now = app.now();
    let used = live::relayed_bytes(&app.db, site_id, day(now)).await?;
    let may_relay = used < app.config.turn.site_bytes_per_day();
    Ok(app.turn.ice_servers(site_id, session_id, may_relay, now))
}

/// The ICE servers for somebody who asks before there is a session.
pub async fn advertised(app: &App, caller: Caller, camera_id: CameraId) -> Result<Vec<IceServer>> {
    let camera = access::camera(app, caller, camera_id, Right::SeePictures).await?;
    app.limits.live.take(&caller.account_id.to_string(), app.now())?;
    mint(app, camera.site_id, secrets::session_id()?).await
}

/// Writes down what TURN carried since the last time, and ends what exceeds a site's day.
pub async fn meter(app: &App) -> Result<()> {
    let today = day(app.now());
    for (site_id, bytes) in app.turn.take_usage() {
        let used = live::add_relayed_bytes(&app.db, site_id, today, bytes).await?;
        if used >= app.config.turn.site_bytes_per_day() {
            tracing::warn!(site.id = %site_id, used, "a site has used up its relayed bytes");
            app.turn.end_site(site_id);
        }
    }
    Ok(())
}

/// Days since 1970.
pub(super) fn day(at: UnixMillis) -> i64 {
    at.0.div_euclid(DAY_MS)
}
