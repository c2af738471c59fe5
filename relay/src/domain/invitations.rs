//! Invitations: links by which people come to belong to a site, whoever has them. A link says who invites
//! where to as what, and is good for as long as its maker may let somebody in.

use std::{net::IpAddr, time::Duration};

use nightjar_shared::{
    audit::Action,
    ids::{AccountId, CameraId, InvitationId, SiteId},
    range::Check,
    role::{AccountRole, Registration, Right, Role},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    List,
    access::{self, Caller},
    accounts::{self as account_domain, SignUp},
    audit::{Entry, record},
    email,
    mails::{self, Mail, Recipient},
    members::{self as member_domain, MEMBERS_MAX, Terms},
    secrets,
    sites::{self as site_domain, Site},
    text,
};
use crate::{
    app::{App, limits::address_key},
    engines::db::{
        Executor, Transaction, accounts as account_rows,
        invitations::{self, InvitationRow},
        members::{self, NewMember},
        sites,
    },
    error::{Error, ProblemCode, Result},
};

const LIFETIME_MIN: Duration = Duration::from_mins(5);
const LIFETIME_DEFAULT: Duration = Duration::from_hours(7 * 24);
const LIFETIME_MAX: Duration = Duration::from_hours(30 * 24);
const USES_MAX: u32 = 20;
const OPEN_PER_SITE_MAX: usize = 50;

#[derive(Debug, Clone, Deserialize, ToSchema)]
pub struct InvitationRequest {
    /// `manager`, `viewer` or `installer`.
    #[schema(value_type = String)]
    pub role: Role,
    /// For whom it is.
    #[serde(default)]
    pub name: Option<String>,
    /// Of a viewer: sees these alone.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    pub cameras: Option<Vec<CameraId>>,
    /// Belongs to the site until then.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    pub ends_at: Option<UnixMillis>,
    /// From 5 minutes to 30 days; 7 days unless said otherwise.
    #[serde(default)]
    pub expires_in_s: Option<u64>,
    /// How many may take it, 1 to 20; one unless said otherwise.
    #[serde(default)]
    pub uses: Option<u32>,
    /// Where its link is sent, too. It lets in whoever has it, one person, by any address.
    #[serde(default)]
    #[schema(format = "email", max_length = 254)]
    pub email: Option<String>,
}

impl Check for InvitationRequest {}

/// A link that was just made: the only time its token is shown.
#[derive(Clone, Serialize, ToSchema)]
pub struct CreatedInvitation {
    #[schema(value_type = String)]
    pub invitation_id: InvitationId,
    pub token: String,
    /// The page that opens it, at the relay's origin. The token stands in the fragment, which browsers keep
    /// to themselves.
    pub url: String,
    #[schema(value_type = i64)]
    pub expires_at: UnixMillis,
}

/// An invitation that may still be taken.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Invitation {
    #[schema(value_type = String)]
    pub invitation_id: InvitationId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[schema(value_type = String)]
    pub role: Role,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub cameras: Option<Vec<CameraId>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub ends_at: Option<UnixMillis>,
    pub uses_left: u32,
    #[schema(value_type = i64)]
    pub created_at: UnixMillis,
    #[schema(value_type = i64)]
    pub expires_at: UnixMillis,
    /// Whether who asks may end it.
    pub may_end: bool,
}

#[derive(Deserialize, ToSchema)]
pub struct InvitationToken {
    pub token: String,
}

impl Check for InvitationToken {}

/// What somebody signs up with who was invited.
#[derive(Deserialize, ToSchema)]
pub struct InvitedSignUp {
    pub token: String,
    #[serde(flatten)]
    pub sign_up: SignUp,
}

impl Check for InvitedSignUp {}

/// What a link says to whoever has it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct OpenedInvitation {
    pub site_name: String,
    /// The name of who invites.
    pub invited_by: String,
    #[schema(value_type = String)]
    pub role: Role,
    /// What that role may do there.
    #[schema(value_type = Vec<String>)]
    pub may: Vec<Right>,
    /// Whether some cameras alone are meant.
    pub limited: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub ends_at: Option<UnixMillis>,
    #[schema(value_type = i64)]
    pub expires_at: UnixMillis,
    /// Whether an account may be made with it.
    pub registration: bool,
}

/// Makes a link.
pub async fn create(
    app: &App,
    caller: Caller,
    site_id: SiteId,
    request: InvitationRequest,
) -> Result<CreatedInvitation> {
    let lifetime = request.expires_in_s.map_or(LIFETIME_DEFAULT, Duration::from_secs);
    if !(LIFETIME_MIN..=LIFETIME_MAX).contains(&lifetime) {
        let title = "An invitation lasts for 300 to 2592000 seconds.";
        return Err(Error::invalid(ProblemCode::InvalidLifetime, title));
    }
    let uses_left = request.uses.unwrap_or(1);
    if !(1..=USES_MAX).contains(&uses_left) {
        return Err(Error::invalid(ProblemCode::OutOfRange, "An invitation has 1 to 20 uses."));
    }
    let name = request.name.as_deref().map(text::name).transpose()?;
    let email = request.email.as_deref().map(email::normalize).transpose()?;
    check_mail(app, email.as_deref(), uses_left)?;
    let (transaction, giver) = member_domain::begin(app, caller, site_id, Right::Invite).await?;
    let now = app.now();
    app.limits.invitations.take(&caller.account_id.to_string(), now)?;
    if let Some(email) = &email {
        app.limits.mails_by_recipient.take(email, now)?;
    }
    let terms = Terms { role: request.role, cameras: request.cameras, ends_at: request.ends_at };
    terms.check(&transaction, site_id, giver, now).await?;
    let Terms { role, cameras, ends_at } = terms;
    if invitations::of_site(&transaction, site_id, now).await?.len() >= OPEN_PER_SITE_MAX {
        let title = "This site has 50 open invitations; end one first.";
        return Err(Error::conflict(ProblemCode::TooManyInvitations, title));
    }
    let row = InvitationRow {
        invitation_id: InvitationId::generate(),
        site_id,
        invited_by: caller.account_id,
        name,
        email,
        role,
        limited: cameras.is_some(),
        ends_at,
        uses_left,
        created_at: now,
        expires_at: now.plus(lifetime),
    };
    let token = secrets::short_token()?;
    let cameras = cameras.unwrap_or_default();
    invitations::insert(&transaction, &row, &cameras, secrets::hash(&token)).await?;
    let url = format!("/invitation#{token}");
    send(app, &transaction, &row, &url).await?;
    let entry = Entry::new(Action::MemberInvited, caller).site(site_id);
    let entry = entry.subject(row.invitation_id).fact("role", &row.role);
    record(&transaction, now, entry.fact("ends_at", &row.ends_at)).await?;
    transaction.commit().await?;
    Ok(CreatedInvitation {
        invitation_id: row.invitation_id,
        url,
        token,
        expires_at: row.expires_at,
    })
}

fn check_mail(app: &App, email: Option<&str>, uses: u32) -> Result<()> {
    if email.is_some() && uses != 1 {
        let title = "An invitation that is sent by mail has one use.";
        return Err(Error::invalid(ProblemCode::OutOfRange, title));
    }
    if email.is_some() && !mails::is_there(app) {
        let title = "This relay sends no mail: send the link yourself.";
        return Err(Error::conflict(ProblemCode::NoMail, title));
    }
    Ok(())
}

/// Sends the link by mail where that was asked for: it leaves once the invitation stands.
async fn send(
    app: &App,
    transaction: &Transaction,
    invitation: &InvitationRow,
    url: &str,
) -> Result<()> {
    let Some(email) = &invitation.email else { return Ok(()) };
    let site = sites::facts(transaction, invitation.site_id).await?;
    let inviter = account_rows::by_id(transaction, invitation.invited_by).await?;
    let (site, inviter) = site.zip(inviter).ok_or_else(Error::not_found)?;
    let mail = Mail::Invitation {
        link: &format!("{}{url}", app.config.public_url),
        by: &inviter.name,
        site: &site.name,
        role: invitation.role,
        expires_at: invitation.expires_at,
    };
    let to = Recipient { account_id: None, email };
    mails::queue(app, transaction, to, mail).await
}

/// Lists the invitations of a site that may still be taken, newest first: there are at most 50.
pub async fn list(app: &App, caller: Caller, site_id: SiteId) -> Result<List<Invitation>> {
    let site = access::site(app, caller, site_id, Right::Invite).await?;
    let now = app.now();
    let limits = invitations::limits_of_site(&app.db, site_id).await?;
    let mut items = Vec::new();
    for row in invitations::of_site(&app.db, site_id, now).await? {
        if !access::may_be_taken(&app.db, &row, now).await? {
            continue;
        }
        let own = limits.iter().filter(|limit| limit.invitation_id == row.invitation_id);
        let cameras = own.map(|limit| limit.camera_id).collect();
        items.push(Invitation {
            may_end: access::may_give(site.role, row.role),
            invitation_id: row.invitation_id,
            name: row.name,
            email: row.email,
            role: row.role,
            cameras: row.limited.then_some(cameras),
            ends_at: row.ends_at,
            uses_left: row.uses_left,
            created_at: row.created_at,
            expires_at: row.expires_at,
        });
    }
    Ok(List { items, next_cursor: None })
}

/// Ends an invitation at once.
pub async fn revoke(app: &App, caller: Caller, invitation_id: InvitationId) -> Result<()> {
    access::in_person(caller)?;
    let row = access::invitation(app, caller, invitation_id).await?;
    let transaction = app.db.begin().await?;
    invitations::delete(&transaction, invitation_id).await?;
    let entry = Entry::new(Action::InvitationRevoked, caller).site(row.site_id);
    let entry = entry.subject(invitation_id);
    record(&transaction, app.now(), entry).await?;
    Ok(transaction.commit().await?)
}

/// Says what an invitation is. One that ended, was taken or never was: the answer is the same.
pub async fn open(app: &App, token: &str, address: IpAddr) -> Result<OpenedInvitation> {
    let row = find(app, token, address).await?;
    let site = sites::facts(&app.db, row.site_id).await?.ok_or_else(Error::not_found)?;
    let inviter = account_rows::by_id(&app.db, row.invited_by).await?;
    Ok(OpenedInvitation {
        site_name: site.name,
        invited_by: inviter.ok_or_else(Error::not_found)?.name,
        role: row.role,
        may: access::rights_with(row.role),
        limited: row.limited,
        ends_at: row.ends_at,
        expires_at: row.expires_at,
        registration: app.settings.get().registration != Registration::Closed,
    })
}

/// Makes the caller a member.
pub async fn accept(app: &App, caller: Caller, token: &str, address: IpAddr) -> Result<Site> {
    access::in_person(caller)?;
    let invitation = find(app, token, address).await?;
    let transaction = app.db.begin().await?;
    join(&transaction, &invitation, caller.account_id, app.now()).await?;
    transaction.commit().await?;
    let (site_id, role) = (invitation.site_id, invitation.role);
    member_domain::settle(app, site_id, caller.account_id, Some(role)).await;
    site_domain::get(app, caller, site_id).await.map(|details| details.site)
}

/// Makes an account, which is a member from the beginning and has no site of its own.
pub async fn register(app: &App, invited: InvitedSignUp, address: IpAddr) -> Result<Caller> {
    if app.settings.get().registration == Registration::Closed {
        return Err(Error::forbidden(
            ProblemCode::RegistrationClosed,
            "This relay takes no new accounts; ask its administrator.",
        ));
    }
    let invitation = find(app, &invited.token, address).await?;
    app.limits.registration.take(&address_key(address), app.now())?;
    let _turn = app.passwords.turn_of(address).await?;
    let (role, host) = (AccountRole::User, app.config.host());
    let account = account_domain::prepare(&app.passwords, invited.sign_up, role, host).await?;
    let now = app.now();
    let transaction = app.db.begin().await?;
    let caller = account_domain::create_invited(app, &transaction, account).await?;
    join(&transaction, &invitation, caller.account_id, now).await?;
    transaction.commit().await?;
    Ok(caller)
}

async fn find(app: &App, token: &str, address: IpAddr) -> Result<InvitationRow> {
    let now = app.now();
    app.limits.invitation_opening.take_at(app.address_key(address).as_deref(), now)?;
    let found = invitations::by_token(&app.db, &secrets::hash(token), now).await?;
    let row = found.ok_or_else(Error::not_found)?;
    if access::may_be_taken(&app.db, &row, now).await? { Ok(row) } else { Err(Error::not_found()) }
}

/// Takes an invitation for an account. Whatever is refused here leaves it as it was.
async fn join(
    transaction: &Transaction,
    invitation: &InvitationRow,
    account_id: AccountId,
    now: UnixMillis,
) -> Result<()> {
    let site_id = invitation.site_id;
    // Who removes the inviter now comes before or after this.
    members::hold(transaction, site_id).await?;
    let is_over = invitation.ends_at.is_some_and(|ends_at| ends_at <= now);
    if is_over
        || !access::may_be_taken(transaction, invitation, now).await?
        || !invitations::take(transaction, invitation.invitation_id, now).await?
    {
        return Err(Error::not_found());
    }
    check_room(transaction, site_id, account_id).await?;
    let member = NewMember {
        site_id,
        account_id,
        role: invitation.role,
        limited: invitation.limited,
        ends_at: invitation.ends_at,
        invited_by: Some(invitation.invited_by),
    };
    if !members::insert(transaction, member, now).await? {
        return Err(Error::conflict(
            ProblemCode::AlreadyMember,
            "You belong to this site already.",
        ));
    }
    let key = (site_id, account_id);
    members::set_cameras_of_invitation(transaction, key, invitation.invitation_id).await?;
    let entry = Entry::new(Action::MemberJoined, account_id).site(site_id);
    let entry = entry.subject(invitation.invitation_id).fact("role", &invitation.role);
    record(transaction, now, entry).await
}

async fn check_room(db: &impl Executor, site_id: SiteId, account_id: AccountId) -> Result<()> {
    if members::count_of_site(db, site_id).await? >= MEMBERS_MAX {
        let title = "A site has at most 100 members.";
        return Err(Error::conflict(ProblemCode::TooManyMembers, title));
    }
    site_domain::check_room(db, account_id).await
}

pub(super) async fn forget_old(app: &App) -> Result<()> {
    invitations::delete_expired(&app.db, app.now()).await?;
    Ok(())
}
