//! Cameras change sites: within what one person owns at once, between two owners when one has offered and
//! the other accepted.
//!
//! What a camera saw stays with the site at which it saw it, also what arrives later; at the new site its
//! history begins with the move. Whoever was let in at the old site watches it no more.

use std::time::Duration;

use nightjar_shared::{
    audit::Action,
    ids::{CameraId, SiteId},
    range::Check,
    time::{ClockState, UnixMillis},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    access::{self, Caller, Right},
    audit::{Entry, record},
    cameras::{self as camera_domain, Camera},
    live, secrets,
};
use crate::{
    app::App,
    engines::db::{
        camera_moves::{self, OfferRow},
        cameras::CameraRow,
        members, sites,
    },
    error::{Error, ProblemCode, Result},
};

const OFFER_LIFETIME: Duration = Duration::from_hours(7 * 24);

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
pub struct Move {
    /// Where to.
    #[schema(value_type = String)]
    pub site_id: SiteId,
}

impl Check for Move {}

/// An offer that was just made: the only time its token is shown.
#[derive(Clone, Serialize, ToSchema)]
pub struct CreatedOffer {
    pub token: String,
    #[schema(value_type = i64)]
    pub expires_at: UnixMillis,
}

#[derive(Deserialize, ToSchema)]
pub struct OfferToken {
    pub token: String,
}

impl Check for OfferToken {}

#[derive(Deserialize, ToSchema)]
pub struct OfferAcceptance {
    pub token: String,
    /// Where to: a site of the caller's.
    #[schema(value_type = String)]
    pub site_id: SiteId,
}

impl Check for OfferAcceptance {}

/// What an offer says to whoever has its token.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct OpenedOffer {
    pub camera_name: String,
    pub model: String,
    pub site_name: String,
    #[schema(value_type = i64)]
    pub expires_at: UnixMillis,
}

/// Moves a camera between two sites of the caller's.
pub async fn relocate(
    app: &App,
    caller: Caller,
    camera_id: CameraId,
    to: SiteId,
) -> Result<Camera> {
    access::in_person(caller)?;
    let camera = access::camera(app, caller, camera_id, Right::Own).await?;
    access::site(app, caller, to, Right::Own).await?;
    carry_out(app, caller, &camera, None, to).await
}

/// Offers a camera, in the place of an offer before.
pub async fn offer(app: &App, caller: Caller, camera_id: CameraId) -> Result<CreatedOffer> {
    access::in_person(caller)?;
    let camera = access::camera(app, caller, camera_id, Right::Own).await?;
    let now = app.now();
    app.limits.invitations.take(&caller.account_id.to_string(), now)?;
    let (token, expires_at) = (secrets::short_token()?, now.plus(OFFER_LIFETIME));
    let row =
        OfferRow { camera_id, site_id: camera.site_id, offered_by: caller.account_id, expires_at };
    let transaction = app.db.begin().await?;
    camera_moves::put_offer(&transaction, row, secrets::hash(&token)).await?;
    let entry = Entry::new(Action::CameraOffered, caller).site(camera.site_id).camera(camera_id);
    record(&transaction, now, entry).await?;
    transaction.commit().await?;
    Ok(CreatedOffer { token, expires_at })
}

/// Takes an offer back.
pub async fn withdraw(app: &App, caller: Caller, camera_id: CameraId) -> Result<()> {
    access::in_person(caller)?;
    access::camera(app, caller, camera_id, Right::Own).await?;
    if camera_moves::delete_offer(&app.db, camera_id).await? {
        Ok(())
    } else {
        Err(Error::not_found())
    }
}

/// Says what is offered. One that ended, was taken or never was: the answer is the same.
pub async fn open(app: &App, caller: Caller, token: &str) -> Result<OpenedOffer> {
    let (offer, camera) = find(app, caller, token).await?;
    let site = sites::facts(&app.db, offer.site_id).await?.ok_or_else(Error::not_found)?;
    Ok(OpenedOffer {
        camera_name: camera.name,
        model: camera.model,
        site_name: site.name,
        expires_at: offer.expires_at,
    })
}

/// Moves a camera that is offered to a site of the caller's.
pub async fn accept(app: &App, caller: Caller, acceptance: OfferAcceptance) -> Result<Camera> {
    access::in_person(caller)?;
    access::site(app, caller, acceptance.site_id, Right::Own).await?;
    let (offer, camera) = find(app, caller, &acceptance.token).await?;
    carry_out(app, caller, &camera, Some(offer), acceptance.site_id).await
}

async fn find(app: &App, caller: Caller, token: &str) -> Result<(OfferRow, CameraRow)> {
    let now = app.now();
    app.limits.invitation_opening.take(&caller.account_id.to_string(), now)?;
    let found = camera_moves::offer(&app.db, &secrets::hash(token), now).await?;
    let offer = found.ok_or_else(Error::not_found)?;
    let camera = access::offered_camera(app, offer.camera_id, offer.offered_by).await?;
    if camera.site_id == offer.site_id { Ok((offer, camera)) } else { Err(Error::not_found()) }
}

/// Moves a camera once both rights are sure: nobody who loses one meanwhile is in between.
async fn carry_out(
    app: &App,
    caller: Caller,
    camera: &CameraRow,
    offer: Option<OfferRow>,
    to: SiteId,
) -> Result<Camera> {
    let (camera_id, from) = (camera.camera_id, camera.site_id);
    if from == to {
        return Err(Error::conflict(
            ProblemCode::AlreadyPaired,
            "The camera is at this site already.",
        ));
    }
    let now = app.now();
    let transaction = app.db.begin().await?;
    // In one order, whoever moves what where to.
    for site_id in [from.min(to), from.max(to)] {
        members::hold(&transaction, site_id).await?;
    }
    let giver = offer.map_or(caller, |offer| Caller::person(offer.offered_by));
    access::site_in(&transaction, now, giver, from, Right::Own).await?;
    access::site_in(&transaction, now, caller, to, Right::Own).await?;
    // Of two who accept at once, one finds the offer gone.
    if offer.is_some() && !camera_moves::delete_offer(&transaction, camera_id).await? {
        return Err(Error::not_found());
    }
    if !camera_moves::relocate(&transaction, camera_id, (from, to), now).await? {
        return Err(Error::not_found());
    }
    for site_id in [from, to] {
        let entry = Entry::new(Action::CameraMoved, caller).site(site_id).camera(camera_id);
        record(&transaction, now, entry.fact("from", &from).fact("to", &to)).await?;
    }
    transaction.commit().await?;
    live::end_without_right(app).await?;
    camera_moves::delete_ended_sessions(&app.db, camera_id).await?;
    camera_domain::tell(app, camera_id).await;
    camera_domain::get(app, caller, camera_id).await
}

/// Returns to which site it belongs what a camera saw at a time; refused, where that site is gone. A clock
/// that was never set tells nothing: then it is where the camera is.
pub(super) async fn site_of(
    app: &App,
    camera: &CameraRow,
    (at, clock): (UnixMillis, ClockState),
) -> Result<SiteId> {
    if clock != ClockState::Synced {
        return Ok(camera.site_id);
    }
    let Some(site_id) = camera_moves::site_at(&app.db, camera.camera_id, at).await? else {
        return Ok(camera.site_id);
    };
    match sites::facts(&app.db, site_id).await? {
        Some(_) => Ok(site_id),
        None => Err(Error::refused(410, ProblemCode::Deleted, "The site of this is gone.")),
    }
}

pub(super) async fn forget_old(app: &App) -> Result<()> {
    camera_moves::delete_expired(&app.db, app.now()).await?;
    Ok(())
}
