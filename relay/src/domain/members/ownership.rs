//! A site changes hands: an owner offers it to a member, who accepts. What is stored at a site counts
//! against its owner's quota, so nobody becomes one without having said so.

use std::time::Duration;

use nightjar_shared::{
    audit::Action,
    ids::{AccountId, SiteId},
    range::Check,
    role::{Right, Role},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{begin, of, settle};
use crate::{
    app::App,
    domain::{
        access::{Caller, allows},
        audit::{Entry, record},
    },
    engines::db::members::{self, OfferRow},
    error::{Error, ProblemCode, Result},
};

const OFFER_LIFETIME: Duration = Duration::from_hours(7 * 24);

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
pub struct NewOffer {
    /// A member of the site.
    #[schema(value_type = String)]
    pub account_id: AccountId,
    /// Whether who offers stays an owner, too; otherwise they become a manager.
    #[serde(default)]
    pub stays: bool,
}

impl Check for NewOffer {}

/// A site that is offered to a member.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct Offer {
    #[schema(value_type = String)]
    pub account_id: AccountId,
    pub stays: bool,
    #[schema(value_type = i64)]
    pub expires_at: UnixMillis,
}

impl From<OfferRow> for Offer {
    fn from(row: OfferRow) -> Self {
        Self { account_id: row.account_id, stays: row.stays, expires_at: row.expires_at }
    }
}

/// Offers a site, in the place of an offer before.
pub async fn offer(app: &App, caller: Caller, site_id: SiteId, new: NewOffer) -> Result<Offer> {
    let (transaction, _) = begin(app, caller, site_id, Right::Own).await?;
    let now = app.now();
    let member = of(&transaction, site_id, new.account_id, now).await?;
    if member.role == Role::Owner {
        let title = "Nobody can be that at this site.";
        return Err(Error::invalid(ProblemCode::InvalidMembership, title)
            .with_detail("this member is an owner already"));
    }
    let row = OfferRow {
        offered_by: caller.account_id,
        account_id: new.account_id,
        stays: new.stays,
        expires_at: now.plus(OFFER_LIFETIME),
    };
    members::put_offer(&transaction, site_id, row).await?;
    let entry = Entry::new(Action::OwnershipOffered, caller).site(site_id);
    record(&transaction, now, entry.subject(new.account_id)).await?;
    transaction.commit().await?;
    settle(app, site_id, new.account_id, Some(member.role)).await;
    Ok(row.into())
}

/// Takes an offer back, or turns it down.
pub async fn withdraw(app: &App, caller: Caller, site_id: SiteId) -> Result<()> {
    let (transaction, role) = begin(app, caller, site_id, Right::SeeCameras).await?;
    let now = app.now();
    let offer = members::offer(&transaction, site_id, now).await?.ok_or_else(Error::not_found)?;
    if !allows(role, Right::Own) && offer.account_id != caller.account_id {
        return Err(Error::not_found());
    }
    members::delete_offer(&transaction, site_id).await?;
    let entry = Entry::new(Action::OwnershipWithdrawn, caller).site(site_id);
    record(&transaction, now, entry.subject(offer.account_id)).await?;
    Ok(transaction.commit().await?)
}

/// Makes the caller an owner of a site that one of its owners has offered, and is an owner still.
pub async fn accept(app: &App, caller: Caller, site_id: SiteId) -> Result<()> {
    let (transaction, _) = begin(app, caller, site_id, Right::SeeCameras).await?;
    let now = app.now();
    let offer = members::offer(&transaction, site_id, now).await?;
    let offer = offer.filter(|offer| offer.account_id == caller.account_id);
    let offer = offer.ok_or_else(Error::not_found)?;
    let giver = of(&transaction, site_id, offer.offered_by, now).await?;
    if !allows(giver.role, Right::Own) {
        return Err(Error::not_found());
    }
    let own = (site_id, caller.account_id);
    members::change(&transaction, own, Role::Owner, false, None).await?;
    members::set_cameras(&transaction, own, &[]).await?;
    if !offer.stays {
        let other = (site_id, offer.offered_by);
        members::change(&transaction, other, Role::Manager, false, None).await?;
    }
    members::delete_offer(&transaction, site_id).await?;
    let entry = Entry::new(Action::OwnershipAccepted, caller).site(site_id);
    record(&transaction, now, entry.subject(offer.offered_by)).await?;
    transaction.commit().await?;
    let left = if offer.stays { Role::Owner } else { Role::Manager };
    settle(app, site_id, offer.offered_by, Some(left)).await;
    settle(app, site_id, caller.account_id, Some(Role::Owner)).await;
    Ok(())
}
