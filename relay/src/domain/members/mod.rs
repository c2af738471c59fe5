//! Who belongs to a site, as what, until when and for which cameras.
//!
//! Whoever changes that holds the site: two owners who put each other out come one after the other,
//! and the second is no owner any more. What a change took away ends at once.

pub mod ownership;
mod terms;

use nightjar_shared::{
    audit::Action,
    ids::{AccountId, CameraId, SiteId},
    range::Check,
    role::{Right, Role},
    time::UnixMillis,
};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

pub(super) use self::terms::{MEMBERS_MAX, Terms};
use super::{
    List,
    access::{self, Caller},
    audit::{Actor, Entry, record},
    even_when_full, live,
    updates::{self, Update},
};
use crate::{
    app::App,
    engines::db::{
        Transaction, invitations,
        members::{self, MemberRow},
    },
    error::{Error, ProblemCode, Result},
};

/// Somebody who belongs to a site.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Member {
    #[schema(value_type = String)]
    pub account_id: AccountId,
    pub name: String,
    pub email: String,
    /// `owner`, `manager`, `viewer` or `installer`.
    #[schema(value_type = String)]
    pub role: Role,
    /// Sees these cameras alone, be they none any more; all of the site where it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub cameras: Option<Vec<CameraId>>,
    /// Belongs to the site until then; absent for good.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub ends_at: Option<UnixMillis>,
    #[schema(value_type = i64)]
    pub joined_at: UnixMillis,
    /// The name of who let them in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invited_by: Option<String>,
    /// Whether who asks may change and remove them.
    pub may_change: bool,
}

/// What becomes of a member. What is absent stays; `null` for `cameras` is all of them, and for `ends_at`
/// never.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
pub struct MemberChange {
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub role: Option<Role>,
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    pub cameras: Patch<Vec<CameraId>>,
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    pub ends_at: Patch<UnixMillis>,
}

impl Check for MemberChange {}

/// What becomes of something that may be null.
#[derive(Debug, Clone, Default)]
pub enum Patch<T> {
    /// The field is absent.
    #[default]
    Stays,
    Becomes(Option<T>),
}

impl<T: Clone> Patch<T> {
    /// Returns what it becomes, where that is something.
    fn given(&self) -> Option<T> {
        match self {
            Self::Stays => None,
            Self::Becomes(value) => value.clone(),
        }
    }

    pub(in crate::domain) fn unwrap_or_else(self, before: impl FnOnce() -> Option<T>) -> Option<T> {
        match self {
            Self::Stays => before(),
            Self::Becomes(value) => value,
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        Option::<T>::deserialize(deserializer).map(Self::Becomes)
    }
}

/// What somebody is to a site now, for their own open sockets.
#[derive(Debug, Clone, Copy, Serialize)]
struct Belonging {
    site_id: SiteId,
    /// Absent for who belongs to it no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<Role>,
}

/// Lists who belongs to a site, longest first: there are at most 100.
pub async fn list(app: &App, caller: Caller, site_id: SiteId) -> Result<List<Member>> {
    let site = access::site(app, caller, site_id, Right::Invite).await?;
    let rows = members::of_site(&app.db, site_id, app.now()).await?;
    let limits = members::limits_of_site(&app.db, site_id).await?;
    let member = |row: MemberRow| {
        let own = limits.iter().filter(|limit| limit.account_id == row.account_id);
        let cameras = own.map(|limit| limit.camera_id).collect();
        view(site.role, row, cameras)
    };
    Ok(List { items: rows.into_iter().map(member).collect(), next_cursor: None })
}

fn view(asker: Role, row: MemberRow, cameras: Vec<CameraId>) -> Member {
    Member {
        may_change: access::may_give(asker, row.role),
        cameras: row.limited.then_some(cameras),
        account_id: row.account_id,
        name: row.name,
        email: row.email,
        role: row.role,
        ends_at: row.ends_at,
        joined_at: row.created_at,
        invited_by: row.invited_by,
    }
}

/// Changes what a member is. Nobody becomes an owner so: that is offered, and accepted.
pub async fn change(
    app: &App,
    caller: Caller,
    site_id: SiteId,
    account_id: AccountId,
    change: MemberChange,
) -> Result<Member> {
    let (transaction, giver) = begin(app, caller, site_id, Right::Invite).await?;
    let now = app.now();
    let row = of(&transaction, site_id, account_id, now).await?;
    if !access::may_give(giver, row.role) {
        return Err(forbidden());
    }
    let before = cameras_of(&transaction, site_id, &row).await?;
    let role = change.role.unwrap_or(row.role);
    // The cameras and the end that somebody had as a viewer are not those of a manager.
    let stays = role == row.role;
    let new = Terms { role, cameras: change.cameras.given(), ends_at: change.ends_at.given() };
    if stays && role == Role::Owner {
        new.check_owner()?;
    } else {
        new.check(&transaction, site_id, giver, now).await?;
    }
    let terms = Terms {
        role,
        cameras: change.cameras.unwrap_or_else(|| before.filter(|_| stays)),
        ends_at: change.ends_at.unwrap_or_else(|| row.ends_at),
    };
    if row.role == Role::Owner && role != Role::Owner {
        keep_an_owner(&transaction, site_id).await?;
        forget_offer(&transaction, site_id, account_id, now).await?;
    }
    let key = (site_id, account_id);
    let limited = terms.cameras.is_some();
    members::change(&transaction, key, role, limited, terms.ends_at).await?;
    members::set_cameras(&transaction, key, terms.cameras.as_deref().unwrap_or_default()).await?;
    let entry = Entry::new(Action::MemberChanged, caller).site(site_id).subject(account_id);
    let entry = entry.changed("role", row.role.as_str(), role.as_str());
    let entry = entry.fact("cameras", &terms.cameras).fact("ends_at", &terms.ends_at);
    record(&transaction, now, entry).await?;
    let changed = of(&transaction, site_id, account_id, now).await?;
    transaction.commit().await?;
    settle(app, site_id, account_id, Some(role)).await;
    Ok(view(giver, changed, terms.cameras.unwrap_or_default()))
}

/// Takes a member out of a site, or lets the caller leave it. What they watch ends, and what they opened
/// for others: pairings, invitations, links to clips.
pub async fn remove(
    app: &App,
    caller: Caller,
    site_id: SiteId,
    account_id: AccountId,
) -> Result<()> {
    even_when_full(app, || take_out(app, caller, site_id, account_id)).await?;
    settle(app, site_id, account_id, None).await;
    Ok(())
}

async fn take_out(app: &App, caller: Caller, site_id: SiteId, account_id: AccountId) -> Result<()> {
    let leaves = account_id == caller.account_id;
    let right = if leaves { Right::SeeCameras } else { Right::Invite };
    let (transaction, giver) = begin(app, caller, site_id, right).await?;
    let now = app.now();
    let row = of(&transaction, site_id, account_id, now).await?;
    if !leaves && !access::may_give(giver, row.role) {
        return Err(forbidden());
    }
    if row.role == Role::Owner {
        keep_an_owner(&transaction, site_id).await?;
    }
    forget_offer(&transaction, site_id, account_id, now).await?;
    invitations::delete_of_member(&transaction, site_id, account_id).await?;
    members::delete(&transaction, site_id, account_id).await?;
    let action = if leaves { Action::SiteLeft } else { Action::MemberRemoved };
    let entry = Entry::new(action, caller).site(site_id).subject(account_id);
    record(&transaction, now, entry.fact("role", &row.role)).await?;
    Ok(transaction.commit().await?)
}

/// Begins a change of who belongs to a site. Whoever else changes that waits: what is read from here on,
/// the caller's own right first of all, stays true to the end.
pub(super) async fn begin(
    app: &App,
    caller: Caller,
    site_id: SiteId,
    right: Right,
) -> Result<(Transaction, Role)> {
    access::in_person(caller)?;
    // Nobody holds a site up who has no part in it.
    access::site(app, caller, site_id, right).await?;
    let transaction = app.db.begin().await?;
    members::hold(&transaction, site_id).await?;
    let site = access::site_in(&transaction, app.now(), caller, site_id, right).await?;
    Ok((transaction, site.role))
}

async fn of(
    transaction: &Transaction,
    site_id: SiteId,
    account_id: AccountId,
    now: UnixMillis,
) -> Result<MemberRow> {
    let found = members::by_account(transaction, site_id, account_id, now).await?;
    found.ok_or_else(Error::not_found)
}

async fn cameras_of(
    transaction: &Transaction,
    site_id: SiteId,
    row: &MemberRow,
) -> Result<Option<Vec<CameraId>>> {
    if !row.limited {
        return Ok(None);
    }
    let limits = members::limits_of_site(transaction, site_id).await?;
    let own = limits.iter().filter(|limit| limit.account_id == row.account_id);
    Ok(Some(own.map(|limit| limit.camera_id).collect()))
}

/// Refuses to let the only owner go.
async fn keep_an_owner(transaction: &Transaction, site_id: SiteId) -> Result<()> {
    if members::count_owners(transaction, site_id).await? > 1 {
        return Ok(());
    }
    Err(Error::conflict(
        ProblemCode::LastOwner,
        "A site has an owner: offer it to somebody else first, or delete it.",
    ))
}

/// Takes back what this account offers or is offered.
async fn forget_offer(
    transaction: &Transaction,
    site_id: SiteId,
    account_id: AccountId,
    now: UnixMillis,
) -> Result<()> {
    let offer = members::offer(transaction, site_id, now).await?;
    if offer.is_some_and(|offer| [offer.account_id, offer.offered_by].contains(&account_id)) {
        members::delete_offer(transaction, site_id).await?;
    }
    Ok(())
}

fn forbidden() -> Error {
    Error::forbidden(
        ProblemCode::Forbidden,
        "Owners decide who is more than a viewer at this site.",
    )
}

pub(super) async fn settle(app: &App, site_id: SiteId, account_id: AccountId, role: Option<Role>) {
    settle_all(app, site_id, &[(account_id, role)]).await;
}

/// Ends what people may not watch any more, and tells them what they are now. What fails here the next
/// sweep does.
pub(super) async fn settle_all(app: &App, site_id: SiteId, members: &[(AccountId, Option<Role>)]) {
    if let Err(error) = live::end_without_right(app).await {
        tracing::warn!(site.id = %site_id, %error, "cannot end what a member watches");
    }
    for (account_id, role) in members {
        let value = &Belonging { site_id, role: *role };
        let update = Update { kind: "membership", field: "membership", value };
        updates::tell_account(app, *account_id, &update);
    }
}

/// Takes guests out whose time is over. They may do nothing since it was over; this ends what they watch.
pub(super) async fn end_guests(app: &App) -> Result<()> {
    let now = app.now();
    let transaction = app.db.begin().await?;
    let ended = members::delete_ended(&transaction, now).await?;
    if ended.is_empty() {
        return Ok(());
    }
    for guest in &ended {
        let entry = Entry::new(Action::MembershipEnded, Actor::Relay).site(guest.site_id);
        record(&transaction, now, entry.subject(guest.account_id)).await?;
    }
    transaction.commit().await?;
    for guest in ended {
        settle(app, guest.site_id, guest.account_id, None).await;
    }
    Ok(())
}
