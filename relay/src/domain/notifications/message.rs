//! What a message says, written when it leaves: for who may hear it then, of what they may see then.

use nightjar_shared::{
    ids::{CameraId, ClipId},
    notification::{Form, Kind},
    role::Right,
};

use super::{details, mutes, policy, texts};
use crate::{
    app::App,
    domain::{
        access,
        deliveries::{Delivery, Message},
        objects,
    },
    engines::db::{
        deliveries::DueDelivery,
        notification_rules as rules,
        notifications::{self, ListedRow, NotificationRow},
    },
    error::Result,
};

/// Writes a message that is due. Nothing, where its recipient may not hear it any more: who has left the site
/// or lost the camera, whose guest time is over, who wants to be left alone by now; and of what moves, while
/// the camera's people want privacy.
pub async fn write(app: &App, due: DueDelivery) -> Result<Option<Delivery>> {
    let Some(ListedRow { notification: row, event }) =
        notifications::listed(&app.db, due.notification_id).await?
    else {
        return Ok(None);
    };
    if !may_hear(app, &row).await? {
        return Ok(None);
    }
    let text = texts::write(&row, event.as_ref(), due.form, due.more);
    let event = event.as_ref();
    let picture_key = event.and_then(|event| event.picture_key.clone());
    if due.form == Form::Picture && picture_key.is_none() {
        return Ok(None);
    }
    let clip_id = event.and_then(|event| event.clip_id).filter(|_| picture_key.is_some());
    let message = Message {
        notification_id: row.notification_id,
        kind: row.kind,
        form: due.form,
        title: text.title,
        body: text.body,
        url: page(&app.config.public_url, row.kind, row.camera_id, clip_id),
        happened_at: row.happened_at,
        more: due.more,
        site_id: row.site_id,
        camera_id: row.camera_id,
        camera_name: details::text(&row.details, details::CAMERA).map(str::to_owned),
        event_id: row.event_id,
        clip_id,
        picture_url: picture_key.as_deref().and_then(|key| objects::signed_url(app, key)),
        mute_token: mutes::token(app, &row, due.queued_at)?,
        picture_key,
    };
    Ok(Some(Delivery {
        delivery_id: due.delivery_id,
        account_id: due.account_id,
        channel: due.channel,
        address: due.address,
        attempts: due.attempts,
        priority: policy::priority(row.kind),
        queued_at: due.queued_at,
        expires_at: due.expires_at,
        message,
    }))
}

/// Decides whether the recipient may hear of something now.
async fn may_hear(app: &App, row: &NotificationRow) -> Result<bool> {
    let Some(site_id) = row.site_id else { return Ok(true) };
    let now = app.now();
    let standing =
        notifications::standing(&app.db, row.account_id, site_id, row.camera_id, now).await?;
    let Some(standing) = standing else { return Ok(false) };
    if standing.lacks_factor || !standing.sees_place || !access::allows(standing.role, row.needs) {
        return Ok(false);
    }
    let Some(camera_id) = row.camera_id else { return Ok(true) };
    if standing.privacy && row.needs == Right::SeePictures {
        return Ok(false);
    }
    let times = (now, now.plus(crate::domain::deliveries::AHEAD_MAX));
    Ok(!rules::is_muted(&app.db, row.account_id, (camera_id, row.kind), times).await?)
}

/// Returns the page of the app where there is more to see.
pub(super) fn page(
    public_url: &str,
    kind: Kind,
    camera_id: Option<CameraId>,
    clip_id: Option<ClipId>,
) -> String {
    match (kind, camera_id, clip_id) {
        (_, _, Some(clip_id)) => format!("{public_url}/clips/{clip_id}"),
        (Kind::NewSignIn, ..) => format!("{public_url}/account"),
        (_, Some(camera_id), None) => format!("{public_url}/cameras/{camera_id}"),
        (_, None, None) => format!("{public_url}/"),
    }
}
