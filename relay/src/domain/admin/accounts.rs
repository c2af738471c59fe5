//! All accounts: who there is, and what an administrator does to one.

use std::{collections::BTreeSet, time::Duration};

use nightjar_shared::{
    account::LinkPurpose,
    audit::Action,
    ids::{AccountId, SiteId},
    range::Check,
    role::{AccountRole, Role},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Desk, pattern};
use crate::{
    app::App,
    domain::{
        List, PageRequest,
        accounts::{self as own, Deletion},
        administrators::keep_one as keep_an_administrator,
        audit::{Actor, record},
        email, live,
        mails::{self, Mail},
        secrets,
    },
    engines::db::{
        Executor, Transaction, accounts as rows,
        accounts::AccountRow,
        admin::accounts::{self as known, KnownAccount, Wanted},
        api_keys, known_devices, links, sign_in,
    },
    error::{Error, ProblemCode, Result},
};

/// How long the end of an account that an administrator began can be taken back.
const GRACE: Duration = Duration::from_hours(7 * 24);
/// Accounts that are deleted at a time.
const DELETED_PER_STEP: u32 = 20;

/// An account as administrators see it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AdminAccount {
    pub account_id: AccountId,
    pub email: String,
    pub name: String,
    pub role: AccountRole,
    /// When mail to its address was known to arrive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<UnixMillis>,
    pub created_at: UnixMillis,
    /// Since then it may do nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled_at: Option<UnixMillis>,
    /// Then it goes for good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delete_after: Option<UnixMillis>,
    /// Second factors.
    pub factors: u64,
    pub sites: u64,
    pub sign_ins: u64,
    /// When it was last used, to the minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen_at: Option<UnixMillis>,
}

impl From<KnownAccount> for AdminAccount {
    fn from(row: KnownAccount) -> Self {
        Self {
            seen_at: row.browser_seen_at.max(row.program_seen_at),
            account_id: row.account_id,
            email: row.email,
            name: row.name,
            role: row.role,
            verified_at: row.verified_at,
            created_at: row.created_at,
            disabled_at: row.disabled_at,
            delete_after: row.delete_after,
            factors: row.factors,
            sites: row.sites,
            sign_ins: row.sign_ins,
        }
    }
}

/// What an account is to a site.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AccountSite {
    pub site_id: SiteId,
    pub name: String,
    pub role: Role,
}

/// One account, and the sites that it belongs to.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AdminAccountDetails {
    #[serde(flatten)]
    pub account: AdminAccount,
    pub belongs_to: Vec<AccountSite>,
}

/// Which accounts a list shows. Absent means any.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AccountSearch {
    /// A part of the address or the name.
    #[param(max_length = 100)]
    pub search: Option<String>,
    pub role: Option<AccountRole>,
    /// `true` for those that may do nothing, `false` for the others.
    pub disabled: Option<bool>,
}

/// What is to be different.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
pub struct AdminAccountChange {
    #[serde(default)]
    pub role: Option<AccountRole>,
    /// Whether it may do nothing from now on.
    #[serde(default)]
    pub disabled: Option<bool>,
}

impl Check for AdminAccountChange {}

/// Lists all accounts, newest first.
pub async fn list(
    desk: &Desk<'_>,
    search: &AccountSearch,
    page: &PageRequest,
) -> Result<List<AdminAccount>> {
    let position = page.position()?;
    let wanted = Wanted {
        pattern: pattern(search.search.as_deref())?,
        role: search.role,
        disabled: search.disabled,
    };
    let rows = known::list(desk.db, &position.page, &wanted, desk.now).await?;
    Ok(position.list(rows, |row| (row.created_at, row.account_id), AdminAccount::from))
}

pub async fn get(desk: &Desk<'_>, account_id: AccountId) -> Result<AdminAccountDetails> {
    view(desk, desk.db, account_id).await
}

async fn view(
    desk: &Desk<'_>,
    db: &impl Executor,
    account_id: AccountId,
) -> Result<AdminAccountDetails> {
    let row = known::by_id(db, account_id, desk.now).await?.ok_or_else(Error::not_found)?;
    let belongs_to = known::sites_of(db, account_id).await?.into_iter();
    let belongs_to =
        belongs_to.map(|it| AccountSite { site_id: it.site_id, name: it.name, role: it.role });
    Ok(AdminAccountDetails { account: row.into(), belongs_to: belongs_to.collect() })
}

/// Finds an account by its id or by its address.
pub async fn find(desk: &Desk<'_>, named: &str) -> Result<AccountId> {
    if let Ok(account_id) = named.parse() {
        return Ok(account_id);
    }
    let found = rows::by_email(desk.db, &email::normalize(named)?).await?;
    let (account, _) = found.ok_or_else(Error::not_found)?;
    Ok(account.account_id)
}

/// Begins to change an account.
async fn begin(desk: &Desk<'_>, account_id: AccountId) -> Result<(Transaction, KnownAccount)> {
    let transaction = desk.db.begin().await?;
    desk.hold(&transaction).await?;
    let found = known::by_id(&transaction, account_id, desk.now).await?;
    let found = found.ok_or_else(Error::not_found)?;
    Ok((transaction, found))
}

/// Changes what an account is to the relay, and whether it may do anything.
pub async fn change(
    desk: &Desk<'_>,
    account_id: AccountId,
    change: &AdminAccountChange,
) -> Result<AdminAccountDetails> {
    let (transaction, before) = begin(desk, account_id).await?;
    let role = change.role.unwrap_or(before.role);
    let was_disabled = before.disabled_at.is_some();
    let is_disabled = change.disabled.unwrap_or(was_disabled);
    let administers = |role, disabled: bool| role == AccountRole::Admin && !disabled;
    if administers(before.role, was_disabled) && !administers(role, is_disabled) {
        keep_an_administrator(&transaction, account_id).await?;
    }
    if role != before.role {
        known::set_role(&transaction, account_id, role).await?;
        let entry = desk.entry(Action::AccountRoleChanged).subject(account_id);
        let entry = entry.changed("role", before.role.as_str(), role.as_str());
        record(&transaction, desk.now, entry).await?;
    }
    if is_disabled && !was_disabled {
        disable(desk, &transaction, &before, None).await?;
    } else if was_disabled && !is_disabled {
        known::set_disabled(&transaction, account_id, None, None).await?;
        let entry = desk.entry(Action::AccountEnabled).subject(account_id);
        record(&transaction, desk.now, entry).await?;
    }
    let changed = view(desk, &transaction, account_id).await?;
    transaction.commit().await?;
    if role != AccountRole::Admin || is_disabled {
        end_what_is_open(desk, account_id, is_disabled).await?;
    }
    Ok(changed)
}

/// Lets an account do nothing from now on: who is signed in to it is signed out.
async fn disable(
    desk: &Desk<'_>,
    transaction: &Transaction,
    account: &KnownAccount,
    delete_after: Option<UnixMillis>,
) -> Result<()> {
    let account_id = account.account_id;
    let disabled_at = account.disabled_at.unwrap_or(desk.now);
    known::set_disabled(transaction, account_id, Some(disabled_at), delete_after).await?;
    sign_in::delete_all_but(transaction, account_id, None).await?;
    known::end_memberships_by_view(transaction, account_id).await?;
    let entry = match delete_after {
        None => desk.entry(Action::AccountDisabled),
        Some(at) => desk.entry(Action::DeletionBegun).fact("delete_after", &at),
    };
    record(transaction, desk.now, entry.subject(account_id)).await?;
    let mail = match delete_after {
        None => Mail::AccountDisabled,
        Some(at) => Mail::DeletionBegun { at },
    };
    tell(desk, transaction, account, mail).await
}

async fn tell(
    desk: &Desk<'_>,
    transaction: &Transaction,
    account: &KnownAccount,
    mail: Mail<'_>,
) -> Result<()> {
    let Some(app) = desk.app else { return Ok(()) };
    let row = AccountRow {
        account_id: account.account_id,
        email: account.email.clone(),
        name: account.name.clone(),
        role: account.role,
        verified_at: account.verified_at,
    };
    mails::tell_owner(app, transaction, &row, mail).await
}

/// Ends sockets and live pictures of an account that lost something. From the command line the sweeps of
/// the relay that runs do it, within seconds.
async fn end_what_is_open(desk: &Desk<'_>, account_id: AccountId, all: bool) -> Result<()> {
    let Some(app) = desk.app else { return Ok(()) };
    app.realtime.close_account(account_id);
    if all {
        live::end_of_account(app, account_id, None).await
    } else {
        live::end_without_right(app).await
    }
}

/// Ends all sign-ins of an account, with the keys of its programs.
pub async fn sign_out(desk: &Desk<'_>, account_id: AccountId) -> Result<()> {
    let (transaction, _) = begin(desk, account_id).await?;
    sign_in::delete_all_but(&transaction, account_id, None).await?;
    api_keys::delete_of_account(&transaction, account_id).await?;
    known_devices::delete_of_account(&transaction, account_id).await?;
    let entry = desk.entry(Action::AccountSignedOut).subject(account_id);
    record(&transaction, desk.now, entry).await?;
    transaction.commit().await?;
    end_what_is_open(desk, account_id, true).await
}

/// How somebody whose password does not work any more gets another.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ForcedReset {
    /// A mail with a link is on its way to the account's owner.
    pub mailed: bool,
    /// Without mail: the link, to be brought by hand. It is shown once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<UnixMillis>,
}

/// Makes the password of an account worth nothing, signs it out, and makes a link by which its owner sets
/// another: by mail, where mail to the account is known to arrive.
pub async fn force_reset(
    desk: &Desk<'_>,
    account_id: AccountId,
    public_url: &str,
) -> Result<ForcedReset> {
    if let (Some(app), Some(by)) = (desk.app, desk.account_id()) {
        app.limits.reset_links.take(&by.to_string(), desk.now)?;
    }
    let (transaction, account) = begin(desk, account_id).await?;
    let before = rows::password_hash(&transaction, account_id).await?.unwrap_or_default();
    rows::set_password_hash(&transaction, account_id, of_no_password(&before)?).await?;
    sign_in::delete_all_but(&transaction, account_id, None).await?;
    api_keys::delete_of_account(&transaction, account_id).await?;
    known_devices::delete_of_account(&transaction, account_id).await?;
    for purpose in [LinkPurpose::Reset, LinkPurpose::Verify] {
        links::delete_of_account(&transaction, account_id, purpose).await?;
    }
    let mail_to = desk
        .app
        .filter(|app| mails::is_there(app) && account.verified_at.is_some())
        .map(|app| (app, account.email.as_str()));
    let link = own::make_link(
        &transaction,
        public_url,
        account_id,
        mail_to.map(|(_, address)| address),
        desk.now,
    )
    .await?;
    if let Some((app, email)) = mail_to {
        let to = mails::Recipient { account_id: Some(account_id), email };
        let mail = Mail::PasswordVoided { link: &link.url, expires_at: link.expires_at };
        mails::queue(app, &transaction, to, mail).await?;
    }
    let entry = desk.entry(Action::PasswordVoided).subject(account_id);
    record(&transaction, desk.now, entry).await?;
    transaction.commit().await?;
    end_what_is_open(desk, account_id, true).await?;
    let by_hand = mail_to.is_none();
    Ok(ForcedReset {
        mailed: !by_hand,
        expires_at: by_hand.then_some(link.expires_at),
        url: by_hand.then_some(link.url),
    })
}

/// Makes a hash that no password has, of the same cost as this one.
fn of_no_password(hash: &str) -> Result<String> {
    let (settings, _) = hash.rsplit_once('$').unwrap_or_default();
    Ok(format!("{settings}${}", secrets::hash(&secrets::token()?)))
}

/// The sites that go with an account, as they were shown.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub struct AdminDeletion {
    pub site_ids: Vec<SiteId>,
}

impl Check for AdminDeletion {}

/// Says what the end of an account would take along.
pub async fn deletion(desk: &Desk<'_>, account_id: AccountId) -> Result<Deletion> {
    known::by_id(desk.db, account_id, desk.now).await?.ok_or_else(Error::not_found)?;
    own::what_goes_with(desk.db, account_id).await
}

/// Begins the end of an account: it may do nothing from now on, and goes in a week with the sites that it
/// alone owns then, unless that is taken back.
pub async fn begin_deletion(
    desk: &Desk<'_>,
    account_id: AccountId,
    request: &AdminDeletion,
) -> Result<AdminAccountDetails> {
    let (transaction, account) = begin(desk, account_id).await?;
    if account.role == AccountRole::Admin {
        keep_an_administrator(&transaction, account_id).await?;
    }
    let goes = own::what_goes_with(&transaction, account_id).await?;
    let own: BTreeSet<SiteId> = goes.sites.iter().map(|site| site.site_id).collect();
    if own != request.site_ids.iter().copied().collect() {
        let title = "These are not the sites that would go with the account by now; look again.";
        return Err(Error::conflict(ProblemCode::SitesChanged, title));
    }
    let delete_after = account.delete_after.unwrap_or_else(|| desk.now.plus(GRACE));
    disable(desk, &transaction, &account, Some(delete_after)).await?;
    let changed = view(desk, &transaction, account_id).await?;
    transaction.commit().await?;
    end_what_is_open(desk, account_id, true).await?;
    Ok(changed)
}

/// Takes the end of an account back. It may do what it could before: one that was disabled before stays so.
pub async fn take_deletion_back(desk: &Desk<'_>, account_id: AccountId) -> Result<()> {
    let (transaction, account) = begin(desk, account_id).await?;
    let Some(delete_after) = account.delete_after else { return Err(Error::not_found()) };
    let begun_at = delete_after.minus(GRACE);
    let disabled_at = account.disabled_at.filter(|at| *at < begun_at);
    known::set_disabled(&transaction, account_id, disabled_at, None).await?;
    let entry = desk.entry(Action::DeletionTakenBack).subject(account_id);
    record(&transaction, desk.now, entry).await?;
    Ok(transaction.commit().await?)
}

/// Deletes accounts whose time of grace is over, as their owners would have.
pub(in crate::domain) async fn delete_due(app: &App) -> Result<()> {
    for account_id in known::to_delete(&app.db, app.now(), DELETED_PER_STEP).await? {
        own::delete_for(app, account_id, Actor::Relay).await?;
    }
    Ok(())
}
