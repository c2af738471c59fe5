//! Who may help viewer and camera to reach each other, and how much of it a site may use.

use std::time::Duration;

use nightjar_shared::{
    ids::{AccountId, CameraId},
    signal::IceServer,
    time::UnixMillis,
};

use crate::{
    app::App,
    domain::{
        access::{self, Caller, Right},
        secrets,
    },
    engines::{
        db::{
            cameras::{self, CameraRow},
            live::{self, SessionRow},
        },
        turn::Holder,
    },
    error::Result,
};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// How long media is relayed after its camera was last connected to us. It flows on without the
/// relay, and most cameras are back long before; but nobody tells of the end of those that are not.
const RELAYED_WITHOUT_CAMERA_MAX: Duration = Duration::from_hours(1);

/// Makes the ICE servers of one session, for either side. A site that has used up its day gets no
/// TURN.
pub(super) async fn mint(
    app: &App,
    camera: &CameraRow,
    session: &SessionRow,
) -> Result<Vec<IceServer>> {
    let (site_id, account_id) = (camera.site_id, session.account_id);
    let session_id = session.session_id;
    mint_for(app, Holder { site_id, account_id, session_id, is_ahead: false }).await
}

async fn mint_for(app: &App, holder: Holder) -> Result<Vec<IceServer>> {
    if !app.turn.is_offered() {
        return Ok(Vec::new());
    }
    let now = app.now();
    let used = live::relayed_bytes(&app.db, holder.site_id, day(now)).await?;
    let may_relay = used < app.settings.get().turn_site_bytes_per_day();
    Ok(app.turn.ice_servers(holder, may_relay, now))
}

/// Makes the ICE servers for a viewer who asks before there is a session.
pub async fn advertised(app: &App, caller: Caller, camera_id: CameraId) -> Result<Vec<IceServer>> {
    let camera = access::camera(app, caller, camera_id, Right::SeePictures).await?;
    app.limits.live.take(&caller.account_id.to_string(), app.now())?;
    let (site_id, account_id) = (camera.site_id, caller.account_id);
    let session_id = secrets::session_id()?;
    mint_for(app, Holder { site_id, account_id, session_id, is_ahead: true }).await
}

/// Makes the ICE servers for a camera that tries whether its network lets media through. There is no such
/// session, so what is allocated ends within a minute.
pub async fn for_a_try(app: &App, camera_id: CameraId) -> Result<Vec<IceServer>> {
    let Some(camera) = cameras::by_id(&app.db, camera_id).await? else { return Ok(Vec::new()) };
    // Nobody watches: it counts as an account of the camera's own.
    let account_id = AccountId::from(camera_id.as_uuid());
    let (site_id, session_id) = (camera.site_id, secrets::session_id()?);
    mint_for(app, Holder { site_id, account_id, session_id, is_ahead: false }).await
}

/// Writes down what TURN carried since the last time, and ends what exceeds a site's day.
pub async fn meter(app: &App) -> Result<()> {
    let today = day(app.now());
    let most = app.settings.get().turn_site_bytes_per_day();
    for (site_id, bytes) in app.turn.take_usage(app.now()) {
        let used = live::add_relayed_bytes(&app.db, site_id, today, bytes).await?;
        app.tallies.relayed_bytes.add(bytes);
        if used >= most {
            tracing::warn!(site.id = %site_id, used, "a site has used up its relayed bytes");
            app.turn.end_site(site_id);
        }
    }
    Ok(())
}

/// Ends what TURN carries of sessions that are over without anybody here having heard of it, and
/// what was allocated ahead of a session by accounts that have none.
pub async fn end_unseen(app: &App) -> Result<()> {
    let now = app.now();
    let lost_after = now.minus(RELAYED_WITHOUT_CAMERA_MAX);
    for holder in app.turn.take_unseen(now) {
        let goes_on = if holder.is_ahead {
            live::may_any_be_relayed(&app.db, holder.account_id, lost_after).await?
        } else {
            live::may_be_relayed(&app.db, holder.session_id, lost_after).await?
        };
        if !goes_on {
            app.turn.end(holder.session_id);
        }
    }
    Ok(())
}

/// Days since 1970.
pub(super) fn day(at: UnixMillis) -> i64 {
    at.0.div_euclid(DAY_MS)
}
