//! The end of an account. It is one step: the account, its sign-ins and its part in others' sites are gone
//! at once. The sites that it alone owned belong to nobody from then on, and go by a job with their
//! cameras, clips and objects; that goes on after a crash.
//!
//! The trail of who did what stays, as nobody may alter it: it names people by identifiers, which lead to
//! nobody then, and forgets addresses and details.

use std::{collections::BTreeSet, net::IpAddr};

use nightjar_shared::{
    ids::{AccountId, SiteId},
    range::Check,
    role::AccountRole,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::confirm::confirm;
use crate::{
    app::App,
    domain::{
        access::{self, Caller},
        administrators,
        audit::{self, Actor, Doer},
        cameras, live,
        mails::{self, Mail, Recipient},
        objects,
        signed_in::SignedIn,
    },
    engines::db::{
        Executor, Transaction,
        accounts::{self, AccountRow},
        admin as admin_rows,
        departures::{self, OwnSite},
        mails as outbox, members, parts, sites,
    },
    error::{Error, ProblemCode, Result},
};

/// A site that would go.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SiteToGo {
    #[schema(value_type = String)]
    pub site_id: SiteId,
    pub name: String,
    pub cameras: u64,
    pub clips: u64,
    /// People who would lose it.
    pub other_members: u64,
}

impl From<OwnSite> for SiteToGo {
    fn from(site: OwnSite) -> Self {
        let OwnSite { site_id, name, cameras, clips, other_members } = site;
        Self { site_id, name, cameras, clips, other_members }
    }
}

/// What the end of an account would take along.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Deletion {
    /// Those that the account alone owns. Who wants others to keep one hands it over first.
    pub sites: Vec<SiteToGo>,
    /// Sites that the account would leave.
    pub memberships: u64,
}

#[derive(Clone, Deserialize, ToSchema)]
pub struct DeletionRequest {
    pub password: String,
    /// The sites that go, as they were shown: should it be others by now, nothing is deleted.
    #[schema(value_type = Vec<String>)]
    pub site_ids: Vec<SiteId>,
}

impl Check for DeletionRequest {}

/// Says what the end of the caller's account would take along.
pub async fn deletion(app: &App, caller: Caller) -> Result<Deletion> {
    access::in_person(caller)?;
    what_goes_with(&app.db, caller.account_id).await
}

/// Says what the end of an account would take along.
pub(in crate::domain) async fn what_goes_with(
    db: &impl Executor,
    account_id: AccountId,
) -> Result<Deletion> {
    let own = departures::own_sites(db, account_id).await?;
    let all = sites::count_of_account(db, account_id).await?;
    let memberships = all.saturating_sub(own.len() as u64);
    Ok(Deletion { sites: own.into_iter().map(SiteToGo::from).collect(), memberships })
}

/// Deletes the caller's account.
pub async fn delete_account(
    app: &App,
    signed_in: &SignedIn,
    request: DeletionRequest,
    address: IpAddr,
) -> Result<()> {
    let account_id = signed_in.caller.account_id;
    confirm(app, signed_in, request.password, address).await?;
    let shown: BTreeSet<SiteId> = request.site_ids.into_iter().collect();
    end(app, account_id, account_id, Some(&shown)).await
}

/// Deletes an account for whom an administrator began that a while ago, with the sites that it alone owns
/// by now.
pub(in crate::domain) async fn delete_for(
    app: &App,
    account_id: AccountId,
    doer: impl Into<Doer>,
) -> Result<()> {
    end(app, account_id, doer, None).await
}

/// Ends an account. Where sites were shown that go with it, it is those or nothing.
async fn end(
    app: &App,
    account_id: AccountId,
    doer: impl Into<Doer>,
    shown: Option<&BTreeSet<SiteId>>,
) -> Result<()> {
    // Cameras are told while it is known what they send to whom.
    live::end_of_account(app, account_id, None).await?;
    let now = app.now();
    let transaction = app.db.begin().await?;
    admin_rows::hold(&transaction).await?;
    let account = accounts::by_id(&transaction, account_id).await?.ok_or_else(Error::not_found)?;
    keep_an_administrator(&transaction, &account).await?;
    // Of owners who go at the same time, the one who comes second is the only one. In the order of their
    // ids: two who hold several do not wait for each other.
    for site in sites::of_account(&transaction, account_id, now).await? {
        members::hold(&transaction, site.site_id).await?;
    }
    let own = departures::own_sites(&transaction, account_id).await?;
    let own: BTreeSet<SiteId> = own.into_iter().map(|site| site.site_id).collect();
    if shown.is_some_and(|shown| own != *shown) {
        let title = "These are not the sites that would go with the account by now; look again.";
        return Err(Error::conflict(ProblemCode::SitesChanged, title));
    }
    for site_id in own {
        departures::give_up_site(&transaction, site_id).await?;
    }
    departures::delete_account(&transaction, account_id).await?;
    outbox::delete_to(&transaction, &crate::domain::email::for_mail(&account.email)).await?;
    audit::forget_account(&transaction, now, account_id, doer).await?;
    if account.verified_at.is_some() {
        let to = Recipient { account_id: None, email: &account.email };
        mails::tell(app, &transaction, to, Mail::AccountDeleted).await?;
    }
    transaction.commit().await?;
    app.realtime.close_account(account_id);
    app.departures_due.notify_one();
    Ok(())
}

/// Refuses to let the only administrator go from others who need one.
async fn keep_an_administrator(transaction: &Transaction, account: &AccountRow) -> Result<()> {
    if account.role != AccountRole::Admin || admin_rows::accounts::count(transaction).await? == 1 {
        return Ok(());
    }
    administrators::keep_one(transaction, account.account_id).await
}

/// Deletes what is left of sites that nobody owns any more.
pub(in crate::domain) async fn delete_given_up_sites(app: &App) -> Result<()> {
    for site_id in departures::given_up_sites(&app.db).await? {
        cameras::remove_all_of(app, site_id).await?;
        let now = app.now();
        let transaction = app.db.begin().await?;
        // What cameras left here that moved elsewhere.
        parts::delete_all_of_site(&transaction, site_id, objects::deletion_due(now)).await?;
        departures::delete_site(&transaction, site_id).await?;
        audit::forget_site(&transaction, now, site_id, Actor::Relay).await?;
        transaction.commit().await?;
        app.deletions_due.notify_one();
    }
    Ok(())
}
