//! Sites: homes and shops, the unit of tenancy.

use nightjar_shared::{
    audit::Action,
    ids::{AccountId, SiteId},
    range::Check,
    role::Role,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    List,
    access::{self, Caller, Right},
    audit::{self, Entry, record},
    cameras as camera_domain, even_when_full, live,
    members::{self as member_domain, ownership::Offer},
    objects, text,
};
use crate::{
    app::App,
    engines::db::{
        Executor, cameras, factors, invitations,
        members::{self, OfferRow},
        pairings, parts,
        sites::{self, SiteFacts, SiteRow},
    },
    error::{Error, ProblemCode, Result},
};

const SITES_PER_ACCOUNT_MAX: u64 = 50;

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Site {
    #[schema(value_type = String)]
    pub site_id: SiteId,
    pub name: String,
    /// What the caller is to it: `owner`, `manager`, `viewer` or `installer`.
    #[schema(value_type = String)]
    pub role: Role,
    /// What that role may do here: `see_cameras`, `see_pictures`, `control`, `manage`, `pair`, `invite`,
    /// `own`, `audit`, `report`.
    #[schema(value_type = Vec<String>)]
    pub may: Vec<Right>,
    /// Whether members need a second factor. One who has none may nothing here until then.
    pub requires_second_factor: bool,
}

impl Site {
    fn new(caller: Caller, row: SiteRow) -> Self {
        Self {
            site_id: row.site_id,
            role: row.role,
            name: row.name,
            may: if row.lacks_factor { Vec::new() } else { access::rights_of(caller, row.role) },
            requires_second_factor: row.requires_second_factor,
        }
    }
}

/// Finds all sites that the caller reaches, oldest first.
pub(super) async fn of(app: &App, caller: Caller) -> Result<Vec<Site>> {
    let rows = sites::of_account(&app.db, caller.account_id, app.now()).await?;
    let reached = rows.into_iter().filter(|row| caller.scope.reaches(row.site_id));
    Ok(reached.map(|row| Site::new(caller, row)).collect())
}

/// Lists all of the caller's sites: there are at most 50.
pub async fn list(app: &App, caller: Caller) -> Result<List<Site>> {
    let mut items = of(app, caller).await?;
    items.reverse();
    Ok(List { items, next_cursor: None })
}

pub async fn create(app: &App, caller: Caller, name: &str) -> Result<Site> {
    access::in_person(caller)?;
    let site = SiteRow::new(text::name(name)?);
    let transaction = app.db.begin().await?;
    check_room(&transaction, caller.account_id).await?;
    sites::insert(&transaction, &site, caller.account_id, app.now()).await?;
    let entry = Entry::new(Action::SiteCreated, caller).site(site.site_id).subject(site.site_id);
    record(&transaction, app.now(), entry.text("name", &site.name)).await?;
    transaction.commit().await?;
    Ok(Site::new(caller, site))
}

/// Refuses to let an account belong to more sites than it may.
pub(super) async fn check_room(db: &impl Executor, account_id: AccountId) -> Result<()> {
    if sites::count_of_account(db, account_id).await? < SITES_PER_ACCOUNT_MAX {
        return Ok(());
    }
    Err(Error::conflict(ProblemCode::TooManySites, "An account has at most 50 sites."))
}

/// A site, and what its owner says of it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SiteDetails {
    #[serde(flatten)]
    pub site: Site,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Of the IANA, such as `Europe/Berlin`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    #[schema(value_type = i64)]
    pub created_at: UnixMillis,
    /// To whom an owner offers the site: told to owners, and to whom it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ownership_offer: Option<Offer>,
}

/// What an owner says of a site. What is absent stays; an empty text takes place or time zone away.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
pub struct SiteChange {
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub place: Option<String>,
    #[serde(default)]
    pub time_zone: Option<String>,
    /// Whether members need a second factor; said by an owner who has one.
    #[serde(default)]
    pub requires_second_factor: Option<bool>,
}

impl Check for SiteChange {}

/// Who ends a site types its name: everything that it has is gone afterwards.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub struct SiteRemoval {
    pub name: String,
}

impl Check for SiteRemoval {}

pub async fn get(app: &App, caller: Caller, site_id: SiteId) -> Result<SiteDetails> {
    let row = access::site(app, caller, site_id, Right::SeeCameras).await?;
    let facts = sites::facts(&app.db, site_id).await?.ok_or_else(Error::not_found)?;
    let offer = members::offer(&app.db, site_id, app.now()).await?;
    let is_told = |offer: &OfferRow| {
        access::allows(row.role, Right::Own) || offer.account_id == caller.account_id
    };
    Ok(SiteDetails {
        ownership_offer: offer.filter(is_told).map(Offer::from),
        site: Site::new(caller, row),
        place: facts.place,
        time_zone: facts.time_zone,
        created_at: facts.created_at,
    })
}

pub async fn change(
    app: &App,
    caller: Caller,
    site_id: SiteId,
    change: SiteChange,
) -> Result<SiteDetails> {
    let (transaction, _) = member_domain::begin(app, caller, site_id, Right::Own).await?;
    let is_required = change.requires_second_factor;
    if is_required == Some(true) && factors::count(&transaction, caller.account_id).await? == 0 {
        return Err(access::second_factor_required());
    }
    let facts = sites::facts(&transaction, site_id).await?.ok_or_else(Error::not_found)?;
    let before = facts.clone();
    let after = SiteFacts {
        name: change.name.as_deref().map_or(Ok(facts.name), text::name)?,
        place: changed(facts.place, change.place, text::name)?,
        time_zone: changed(facts.time_zone, change.time_zone, time_zone)?,
        requires_second_factor: is_required.unwrap_or(facts.requires_second_factor),
        created_at: facts.created_at,
    };
    sites::set_facts(&transaction, site_id, &after).await?;
    let mut entry = Entry::new(Action::SiteChanged, caller).site(site_id).subject(site_id);
    for (name, before, after) in [
        ("name", Some(before.name), Some(after.name)),
        ("place", before.place, after.place),
        ("time_zone", before.time_zone, after.time_zone),
    ] {
        if before != after {
            entry = entry.changed(name, before, after);
        }
    }
    let (was_required, is_required) = (before.requires_second_factor, after.requires_second_factor);
    if was_required != is_required {
        entry = entry.changed("requires_second_factor", was_required, is_required);
    }
    record(&transaction, app.now(), entry).await?;
    transaction.commit().await?;
    if is_required && !was_required {
        live::end_without_right(app).await?;
    }
    get(app, caller, site_id).await
}

fn changed(
    before: Option<String>,
    given: Option<String>,
    read: impl FnOnce(&str) -> Result<String>,
) -> Result<Option<String>> {
    match given {
        None => Ok(before),
        Some(text) if text.trim().is_empty() => Ok(None),
        Some(text) => read(&text).map(Some),
    }
}

/// Takes what looks like the name of a time zone: which there are changes with each year's rules, and
/// those who show times know them.
fn time_zone(text: &str) -> Result<String> {
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || "/_+-".contains(letter);
    let text = text.trim();
    if text.len() <= 64
        && text.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && text.chars().all(is_letter)
    {
        return Ok(text.to_owned());
    }
    Err(Error::invalid(
        ProblemCode::InvalidTimeZone,
        "A time zone has a name of the IANA, such as Europe/Berlin.",
    ))
}

/// Ends a site with all that it has: cameras, their footage, members, invitations.
pub async fn remove(
    app: &App,
    caller: Caller,
    site_id: SiteId,
    removal: SiteRemoval,
) -> Result<()> {
    access::in_person(caller)?;
    let site = access::site(app, caller, site_id, Right::Own).await?;
    if text::name(&removal.name).ok().as_ref() != Some(&site.name) {
        return Err(Error::invalid(
            ProblemCode::NameMismatch,
            "This is not the site's name: type it as it is shown.",
        ));
    }
    let members = members::of_site(&app.db, site_id, app.now()).await?;
    let told: Vec<_> = members.iter().map(|member| (member.account_id, None)).collect();
    even_when_full(app, || close(app, caller, site_id)).await?;
    member_domain::settle_all(app, site_id, &told).await;
    for camera_id in cameras::ids_of_site(&app.db, site_id).await? {
        if let Some(row) = cameras::by_id(&app.db, camera_id).await? {
            camera_domain::forget_all_of(app, caller, &row).await?;
        }
    }
    even_when_full(app, || forget(app, caller, site_id)).await?;
    app.deletions_due.notify_one();
    Ok(())
}

/// Leaves nobody at a site but who ends it: should that stop half-way, it can be done again.
async fn close(app: &App, caller: Caller, site_id: SiteId) -> Result<()> {
    let (transaction, _) = member_domain::begin(app, caller, site_id, Right::Own).await?;
    pairings::delete_of_site(&transaction, site_id).await?;
    invitations::delete_of_site(&transaction, site_id).await?;
    members::delete_all_but(&transaction, site_id, caller.account_id).await?;
    Ok(transaction.commit().await?)
}

async fn forget(app: &App, caller: Caller, site_id: SiteId) -> Result<()> {
    let (transaction, _) = member_domain::begin(app, caller, site_id, Right::Own).await?;
    let now = app.now();
    // What cameras left here that moved elsewhere.
    parts::delete_all_of_site(&transaction, site_id, objects::deletion_due(now)).await?;
    sites::delete(&transaction, site_id).await?;
    audit::forget_site(&transaction, now, site_id, caller).await?;
    Ok(transaction.commit().await?)
}
