//! Shares: links by which a clip is watched without an account, until they end or are revoked.
//!
//! A link says nothing of the site, the account or the camera. It opens the parts of one clip, as
//! [`super::playback`] gives them to members.

use std::{net::IpAddr, time::Duration};

use nightjar_shared::{
    audit::Action,
    ids::{ClipId, ShareId},
    range::Check,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    List,
    access::{self, Caller, Right},
    audit::{Actor, record, seen},
    clips::deed,
    playback::{self, Playback},
    secrets,
};
use crate::{
    app::App,
    engines::{
        db::shares::{self, ShareRow},
        objects::ReadWindow,
    },
    error::{Error, ProblemCode, Result},
};

const LIFETIME_MIN: Duration = Duration::from_mins(1);
const LIFETIME_DEFAULT: Duration = Duration::from_hours(7 * 24);
const LIFETIME_MAX: Duration = Duration::from_hours(30 * 24);
const OPEN_PER_CLIP_MAX: usize = 16;

#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
pub struct ShareRequest {
    /// From a minute to 30 days; 7 days unless said otherwise.
    pub expires_in_s: Option<u64>,
}

impl Check for ShareRequest {}

/// A link that was just made: the only time its token is shown.
#[derive(Clone, Serialize, ToSchema)]
pub struct CreatedShare {
    #[schema(value_type = String)]
    pub share_id: ShareId,
    pub token: String,
    /// The page that plays it, at the relay's origin. The token stands in the fragment, which
    /// browsers keep to themselves.
    pub url: String,
    #[schema(value_type = i64)]
    pub expires_at: UnixMillis,
}

/// A link that is open.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Share {
    #[schema(value_type = String)]
    pub share_id: ShareId,
    #[schema(value_type = i64)]
    pub created_at: UnixMillis,
    #[schema(value_type = i64)]
    pub expires_at: UnixMillis,
}

#[derive(Deserialize, ToSchema)]
pub struct ShareOpening {
    pub token: String,
    /// Only parts with a larger index: what a clip that grows has got since.
    pub after: Option<u32>,
}

impl Check for ShareOpening {}

/// Makes a link. It lets the clip out of the site, which is more than to change who in it may see
/// the clip: so it takes the right to do that.
pub async fn create(
    app: &App,
    caller: Caller,
    clip_id: ClipId,
    request: ShareRequest,
) -> Result<CreatedShare> {
    let clip = access::clip(app, caller, clip_id, Right::Manage).await?;
    let lifetime = request.expires_in_s.map_or(LIFETIME_DEFAULT, Duration::from_secs);
    if !(LIFETIME_MIN..=LIFETIME_MAX).contains(&lifetime) {
        let title = "A link lasts for 60 to 2592000 seconds.";
        return Err(Error::invalid(ProblemCode::InvalidLifetime, title));
    }
    let now = app.now();
    app.limits.shares.take(&caller.account_id.to_string(), now)?;
    let share = ShareRow {
        share_id: ShareId::generate(),
        clip_id,
        created_by: caller.account_id,
        created_at: now,
        expires_at: now.plus(lifetime),
    };
    let token = secrets::short_token()?;
    let transaction = app.db.begin().await?;
    if shares::of_clip(&transaction, clip_id, now).await?.len() >= OPEN_PER_CLIP_MAX {
        let title = "This clip has 16 open links; revoke one first.";
        return Err(Error::conflict(ProblemCode::TooManyShares, title));
    }
    shares::insert(&transaction, &share, secrets::hash(&token)).await?;
    let entry = deed(Action::ClipShared, caller, &clip);
    let entry = entry.fact("share_id", &share.share_id).fact("until", &share.expires_at);
    record(&transaction, now, entry).await?;
    transaction.commit().await?;
    let url = format!("/s#{token}");
    Ok(CreatedShare { share_id: share.share_id, token, url, expires_at: share.expires_at })
}

/// Lists the open links of a clip, newest first: there are at most 16.
pub async fn list(app: &App, caller: Caller, clip_id: ClipId) -> Result<List<Share>> {
    access::clip(app, caller, clip_id, Right::Manage).await?;
    let rows = shares::of_clip(&app.db, clip_id, app.now()).await?;
    let share = |row: ShareRow| Share {
        share_id: row.share_id,
        created_at: row.created_at,
        expires_at: row.expires_at,
    };
    Ok(List { items: rows.into_iter().map(share).collect(), next_cursor: None })
}

/// Ends a link at once; the addresses that it gave out run out by themselves.
pub async fn revoke(app: &App, caller: Caller, share_id: ShareId) -> Result<()> {
    let (_, clip) = access::share(app, caller, share_id).await?;
    let transaction = app.db.begin().await?;
    shares::delete(&transaction, share_id).await?;
    let entry = deed(Action::ShareRevoked, caller, &clip).fact("share_id", &share_id);
    record(&transaction, app.now(), entry).await?;
    Ok(transaction.commit().await?)
}

/// Finds how the clip of a link is played. A link that ended, was revoked or never was: the answer
/// is the same.
pub async fn open(app: &App, opening: ShareOpening, address: IpAddr) -> Result<Playback> {
    let now = app.now();
    app.limits.share_opening.take_at(app.address_key(address).as_deref(), now)?;
    let found = shares::by_token(&app.db, &secrets::hash(&opening.token), now).await?;
    let share = found.ok_or_else(Error::not_found)?;
    let clip = access::shared_clip(app, &share).await?;
    let until = Some(share.expires_at);
    let playback = playback::of_clip(app, &clip, opening.after, until, ReadWindow::new).await?;
    // A player asks again and again; who has not seen it before is the one who counts.
    let address = app.known_address(address);
    let entry = deed(Action::ShareOpened, Actor::Link(share.share_id), &clip).address(address);
    seen(app, entry).await?;
    Ok(playback.page())
}
