//! Views of a site: an administrator of the relay, who has no right there, asks to see it, with a reason;
//! an owner allows it for an hour at most, and ends it at any time. Until then nothing is seen, and all of
//! it stands in the site's trail.

use std::time::Duration;

use nightjar_shared::{
    admin::ViewState,
    audit::Action,
    ids::{AccountId, SiteId, ViewId},
    notification::Kind,
    range::Check,
    role::Role,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    List,
    access::{self, Caller, Right},
    audit::{Actor, Doer, Entry, record},
    mails::{self, Mail},
    members,
    notifications::{self, Happening, details},
    text,
    updates::{self, Update},
};
use crate::{
    app::App,
    engines::db::{
        Transaction, accounts,
        admin::{
            accounts::is_disabled,
            sites,
            views::{self as rows, ViewRow},
        },
        members as member_rows, usage,
    },
    error::{Error, ProblemCode, Result},
};

const MINUTES_MAX: u32 = 60;
const REASON_CHARS_MAX: usize = 300;
/// How long an owner may answer.
const ANSWER_WITHIN: Duration = Duration::from_hours(24);
/// Views that are listed: the newest.
const SHOWN: u32 = 100;
const HISTORY: Duration = Duration::from_hours(24 * 365);

/// A view of a site.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct View {
    pub view_id: ViewId,
    pub site_id: SiteId,
    pub site_name: String,
    /// The administrator.
    pub account_id: AccountId,
    pub account_name: String,
    pub reason: String,
    pub minutes: u32,
    pub state: ViewState,
    pub asked_at: UnixMillis,
    /// Until then an owner may answer.
    pub expires_at: UnixMillis,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered_at: Option<UnixMillis>,
    /// When it ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<UnixMillis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<UnixMillis>,
}

impl From<ViewRow> for View {
    fn from(row: ViewRow) -> Self {
        Self {
            view_id: row.view_id,
            site_id: row.site_id,
            site_name: row.site_name,
            account_id: row.account_id,
            account_name: row.account_name,
            reason: row.reason,
            minutes: row.minutes,
            state: row.state,
            asked_at: row.asked_at,
            expires_at: row.expires_at,
            answered_at: row.answered_at,
            ends_at: row.ends_at,
            ended_at: row.ended_at,
        }
    }
}

/// What an administrator asks for.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub struct ViewRequest {
    /// For the owner: what is to be found out.
    #[schema(min_length = 3, max_length = 300)]
    pub reason: String,
    #[schema(minimum = 1, maximum = 60)]
    pub minutes: u32,
}

impl Check for ViewRequest {}

/// Asks the owners of a site for a view of it.
pub async fn ask(
    app: &App,
    caller: Caller,
    site_id: SiteId,
    request: &ViewRequest,
) -> Result<View> {
    access::administrator(app, caller).await?;
    let (now, account_id) = (app.now(), caller.account_id);
    let reason = reason(&request.reason)?;
    if !(1..=MINUTES_MAX).contains(&request.minutes) {
        return Err(Error::invalid(ProblemCode::OutOfRange, "minutes is 1 to 60."));
    }
    app.limits.views.take(&account_id.to_string(), now)?;
    let transaction = app.db.begin().await?;
    if !member_rows::hold(&transaction, site_id).await? {
        return Err(Error::not_found());
    }
    let site = sites::by_id(&transaction, site_id).await?.ok_or_else(Error::not_found)?;
    let asker = accounts::by_id(&transaction, account_id).await?.ok_or_else(Error::not_found)?;
    if member_rows::by_account(&transaction, site_id, account_id, now).await?.is_some() {
        let title = "You belong to this site already: what you may see there, you see.";
        return Err(Error::conflict(ProblemCode::AlreadyMember, title));
    }
    if rows::is_open(&transaction, site_id, account_id, now).await? {
        let title = "You have asked for a view of this site already, or have one.";
        return Err(Error::conflict(ProblemCode::AlreadyAsked, title));
    }
    let row = ViewRow {
        view_id: ViewId::generate(),
        site_id,
        site_name: site.name,
        account_id,
        account_name: asker.name,
        reason,
        minutes: request.minutes,
        state: ViewState::Asked,
        asked_at: now,
        expires_at: now.plus(ANSWER_WITHIN),
        answered_by: None,
        answered_at: None,
        ends_at: None,
        ended_at: None,
    };
    rows::insert(&transaction, &row).await?;
    record(&transaction, now, entry(Action::ViewAsked, caller, &row)).await?;
    let owners = usage::owners(&transaction, site_id).await?;
    for owner in &owners {
        tell_by_mail(app, &transaction, *owner, &row).await?;
    }
    let news = Happening::at_site(Kind::ViewAsked, site_id)
        .subject(row.view_id)
        .detail(details::PERSON, row.account_name.as_str())
        .detail(details::SENTENCE, row.reason.as_str());
    notifications::happened(app, &transaction, news).await?;
    transaction.commit().await?;
    app.due.happenings.notify_one();
    let view = View::from(row);
    tell_owners(app, &owners, &view);
    Ok(view)
}

fn reason(given: &str) -> Result<String> {
    let reason = text::report(given.trim());
    if (3..=REASON_CHARS_MAX).contains(&reason.chars().count()) {
        return Ok(reason);
    }
    Err(Error::invalid(ProblemCode::OutOfRange, "reason has 3 to 300 characters, for the owner."))
}

fn entry(action: Action, doer: impl Into<Doer>, view: &ViewRow) -> Entry {
    let entry = Entry::new(action, doer).site(view.site_id).subject(view.account_id);
    entry.text("reason", &view.reason).fact("minutes", &view.minutes)
}

async fn tell_by_mail(
    app: &App,
    transaction: &Transaction,
    owner: AccountId,
    view: &ViewRow,
) -> Result<()> {
    let Some(owner) = accounts::by_id(transaction, owner).await? else { return Ok(()) };
    let page = format!("{}/sites/{}/views", app.config.public_url, view.site_id);
    let mail = Mail::ViewAsked {
        by: &view.account_name,
        site: &view.site_name,
        reason: &view.reason,
        minutes: view.minutes,
        page: &page,
        expires_at: view.expires_at,
    };
    mails::tell_owner(app, transaction, &owner, mail).await
}

fn tell_owners(app: &App, owners: &[AccountId], view: &View) {
    let update = Update { kind: "view", field: "view", value: view };
    for owner in owners {
        updates::tell_account(app, *owner, &update);
    }
}

/// Lists the newest views of a site, for its owners.
pub async fn of_site(app: &App, caller: Caller, site_id: SiteId) -> Result<List<View>> {
    access::in_person(caller)?;
    access::site(app, caller, site_id, Right::Own).await?;
    let rows = rows::of_site(&app.db, site_id, SHOWN).await?;
    Ok(List { items: rows.into_iter().map(View::from).collect(), next_cursor: None })
}

/// Lists the newest views of all sites, for administrators.
pub async fn newest(app: &App, caller: Caller) -> Result<List<View>> {
    access::administrator(app, caller).await?;
    let rows = rows::newest(&app.db, SHOWN).await?;
    Ok(List { items: rows.into_iter().map(View::from).collect(), next_cursor: None })
}

/// Allows a view, or refuses it. Of two owners who answer at once, one does.
pub async fn answer(
    app: &App,
    caller: Caller,
    site_id: SiteId,
    view_id: ViewId,
    allows: bool,
) -> Result<View> {
    let (transaction, _) = members::begin(app, caller, site_id, Right::Own).await?;
    let now = app.now();
    let view = of(&transaction, site_id, view_id).await?;
    let ends_at = allows.then(|| now.plus(Duration::from_mins(view.minutes.into())));
    let state = if allows { ViewState::Granted } else { ViewState::Refused };
    let asker = accounts::by_id(&transaction, view.account_id).await?;
    let may_ask = asker.is_some_and(|asker| access::administers(&asker))
        && !is_disabled(&transaction, view.account_id).await?;
    if !may_ask
        || !rows::answer(&transaction, view_id, state, caller.account_id, ends_at, now).await?
    {
        let title = "This was answered already, or its time is over.";
        return Err(Error::conflict(ProblemCode::AlreadyAnswered, title));
    }
    if let Some(ends_at) = ends_at {
        rows::let_in(&transaction, &view, ends_at, caller.account_id, now).await?;
    }
    let action = if allows { Action::ViewGranted } else { Action::ViewRefused };
    record(&transaction, now, entry(action, caller, &view).fact("ends_at", &ends_at)).await?;
    let view = of(&transaction, site_id, view_id).await?;
    transaction.commit().await?;
    if allows {
        members::settle(app, site_id, view.account_id, Some(Role::Viewer)).await;
    }
    Ok(view.into())
}

async fn of(transaction: &Transaction, site_id: SiteId, view_id: ViewId) -> Result<ViewRow> {
    let found = rows::by_id(transaction, view_id).await?;
    found.filter(|view| view.site_id == site_id).ok_or_else(Error::not_found)
}

/// Ends a view at once, by an owner of the site.
pub async fn end(app: &App, caller: Caller, site_id: SiteId, view_id: ViewId) -> Result<()> {
    let (transaction, _) = members::begin(app, caller, site_id, Right::Own).await?;
    let view = of(&transaction, site_id, view_id).await?;
    finish(app, transaction, &view, caller).await
}

/// Gives a view back, by the administrator who has it or asked for it.
pub async fn give_back(app: &App, caller: Caller, view_id: ViewId) -> Result<()> {
    access::administrator(app, caller).await?;
    let found = rows::by_id(&app.db, view_id).await?;
    let found = found.filter(|view| view.account_id == caller.account_id);
    let view = found.ok_or_else(Error::not_found)?;
    let transaction = app.db.begin().await?;
    member_rows::hold(&transaction, view.site_id).await?;
    finish(app, transaction, &view, caller).await
}

/// Ends what the view lets see: live pictures, sockets, and the addresses of footage, of which no more are
/// made.
async fn finish(
    app: &App,
    transaction: Transaction,
    view: &ViewRow,
    doer: impl Into<Doer>,
) -> Result<()> {
    let now = app.now();
    if !rows::end(&transaction, view.view_id, now).await? {
        let title = "It is over already.";
        return Err(Error::conflict(ProblemCode::AlreadyAnswered, title));
    }
    record(&transaction, now, entry(Action::ViewEnded, doer, view)).await?;
    transaction.commit().await?;
    members::settle(app, view.site_id, view.account_id, None).await;
    app.realtime.close_account(view.account_id);
    Ok(())
}

/// Ends views whose time is over, and those of who administers the relay no more.
pub(super) async fn end_over(app: &App) -> Result<()> {
    let now = app.now();
    for view in rows::over(&app.db, now).await? {
        let transaction = app.db.begin().await?;
        member_rows::hold(&transaction, view.site_id).await?;
        // Somebody else may have ended it just now.
        if let Err(error) = finish(app, transaction, &view, Actor::Relay).await
            && error.code() != ProblemCode::AlreadyAnswered
        {
            return Err(error);
        }
    }
    Ok(rows::expire(&app.db, now).await?)
}

/// Forgets views that were over long ago.
pub(super) async fn forget_old(app: &App) -> Result<()> {
    Ok(rows::forget_old(&app.db, app.now().minus(HISTORY)).await?)
}
