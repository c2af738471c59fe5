//! May this caller do this to that: the one place that decides.
//!
//! Whoever has no part in a site gets the answer of a thing that does not exist. A member whose
//! role does not allow seeing a thing gets the same; one who may see but not act is told so.

use std::net::IpAddr;

use nightjar_shared::{
    clip::Visibility,
    ids::{
        AccountId, ApiKeyId, CameraId, ClipId, CommandId, EventId, InvitationId, PairingId,
        SessionId, ShareId, SiteId, WebhookId,
    },
    role::{AccountRole, Role},
    time::UnixMillis,
};

pub use nightjar_shared::role::Right;

use super::scope::Scope;
use crate::{
    app::App,
    engines::db::{
        Executor, Reader, Roles,
        accounts::{self, AccountRow},
        cameras::{self, CameraRow},
        clips::{self, ClipRow},
        commands::{self, CommandRow},
        events::{self, EventRow},
        invitations::{self, InvitationRow},
        live::{self, SessionRow, Viewer},
        members,
        pairings::{self, PairingRow},
        shares::{self, ShareRow},
        sites::{self, Membership, SiteRow},
        webhooks::{self, WebhookRow},
    },
    error::{Error, ProblemCode, Result},
};

/// Somebody who has proved who they are, and how far what they proved it with goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    pub account_id: AccountId,
    pub scope: Scope,
    /// Of a program that acts by one.
    pub key_id: Option<ApiKeyId>,
    /// From where, for the trail of who did what: it decides nothing.
    pub address: Option<IpAddr>,
}

impl Caller {
    /// A person who is there, or for whom the relay itself acts.
    pub fn person(account_id: AccountId) -> Self {
        Self { account_id, scope: Scope::PERSON, key_id: None, address: None }
    }
}

/// Refuses API keys: what an account is, and who has a part in a site, people change themselves.
pub fn in_person(caller: Caller) -> Result<()> {
    if caller.scope.is_person() {
        return Ok(());
    }
    Err(Error::forbidden(ProblemCode::Forbidden, "An API key may not do this: sign in."))
}

/// Refuses who has to set up a second factor before anything else.
pub fn second_factor_required() -> Error {
    Error::forbidden(
        ProblemCode::SecondFactorRequired,
        "Set up a second factor first: an app with codes, or a passkey.",
    )
}

/// Returns whether the right is to see that a thing exists: for a caller without it, it does not
/// exist.
fn is_sight(right: Right) -> bool {
    matches!(right, Right::SeeCameras | Right::SeePictures)
}

/// Decides what a role may do: the whole policy.
pub fn allows(role: Role, right: Right) -> bool {
    use Right::{Control, Invite, Manage, Pair, Report, SeeCameras, SeePictures};
    match role {
        Role::Owner => right != Right::ReadMetrics,
        Role::Manager => {
            matches!(right, SeeCameras | SeePictures | Control | Manage | Invite | Report)
        }
        Role::Viewer => matches!(right, SeeCameras | SeePictures),
        Role::Installer => matches!(right, SeeCameras | Pair),
    }
}

/// Decides whether who has a role may make somebody, or let somebody cease to be, `other`: owners
/// everybody, and managers viewers, so that none of them makes a peer of themselves or ends one.
pub(super) fn may_give(role: Role, other: Role) -> bool {
    allows(role, Right::Own) || (allows(role, Right::Invite) && other == Role::Viewer)
}

/// Returns what a caller may do at a site in this role, for the app, which shows what is allowed and
/// nothing else.
pub(super) fn rights_of(caller: Caller, role: Role) -> Vec<Right> {
    rights_with(role).into_iter().filter(|right| caller.scope.has(*right)).collect()
}

/// Returns what a role may do, for who may get it.
pub(super) fn rights_with(role: Role) -> Vec<Right> {
    Right::ALL.iter().copied().filter(|right| allows(role, *right)).collect()
}

/// Returns the roles that have a right, for a statement's `in (…)`.
pub(super) fn roles_with(right: Right) -> Roles {
    std::array::from_fn(|index| Role::ALL.get(index).copied().filter(|role| allows(*role, right)))
}

/// Returns the roles in which this caller has a right: none, where the scope has it not.
pub(super) fn roles_of(caller: Caller, right: Right) -> Roles {
    if caller.scope.has(right) { roles_with(right) } else { Roles::default() }
}

/// Returns who asks for a list of what takes this right to see.
pub(super) fn reader(app: &App, caller: Caller, right: Right) -> Reader {
    Reader {
        now: app.now(),
        account_id: caller.account_id,
        roles: roles_of(caller, right),
        site_id: caller.scope.site_id(),
    }
}

/// Gives the object back if role and scope allow the right. `sight` is the right to know that the
/// object exists.
fn decide<T>(
    caller: Caller,
    found: Option<(T, Membership)>,
    sight: Right,
    right: Right,
) -> Result<T> {
    let (object, membership) = found.ok_or_else(Error::not_found)?;
    let (role, scope) = (membership.role, caller.scope);
    if !allows(role, sight) || !scope.allows(sight, membership.site_id) {
        return Err(Error::not_found());
    }
    if membership.lacks_factor {
        return Err(second_factor_required());
    }
    if is_sight(right) && !(allows(role, right) && scope.has(right)) {
        return Err(Error::not_found());
    }
    if !allows(role, right) {
        return Err(Error::forbidden(
            ProblemCode::Forbidden,
            "Your role at this site does not allow this.",
        ));
    }
    if !scope.has(right) {
        return Err(Error::forbidden(ProblemCode::Forbidden, "This API key does not allow this."));
    }
    Ok(object)
}

pub async fn site(app: &App, caller: Caller, site_id: SiteId, right: Right) -> Result<SiteRow> {
    site_in(&app.db, app.now(), caller, site_id, right).await
}

/// The same as [`site`], as far as a transaction has come.
pub(super) async fn site_in(
    db: &impl Executor,
    now: UnixMillis,
    caller: Caller,
    site_id: SiteId,
    right: Right,
) -> Result<SiteRow> {
    let found = sites::for_member(db, site_id, caller.account_id, now).await?;
    let found = found.map(|site| {
        let lacks_factor = site.lacks_factor;
        let membership = Membership { site_id, role: site.role, lacks_factor };
        (site, membership)
    });
    decide(caller, found, Right::SeeCameras, right)
}

/// Checks that the caller may read the figures of the whole relay: an administrator, or a key that one has made
/// for it.
pub async fn metrics(app: &App, caller: Caller) -> Result<()> {
    if !caller.scope.has(Right::ReadMetrics) {
        let title = "This API key is not for metrics: make one with the right `read_metrics`.";
        return Err(Error::forbidden(ProblemCode::Forbidden, title));
    }
    is_administrator(app, caller).await
}

/// Checks that the caller administers the relay. That gives no right at any site.
pub async fn administrator(app: &App, caller: Caller) -> Result<()> {
    in_person(caller)?;
    is_administrator(app, caller).await
}

async fn is_administrator(app: &App, caller: Caller) -> Result<()> {
    let account = accounts::by_id(&app.db, caller.account_id).await?;
    match account {
        Some(account) if administers(&account) => Ok(()),
        _ => Err(no_administrator()),
    }
}

/// Returns whether an account administers the relay.
pub(super) fn administers(account: &AccountRow) -> bool {
    account.role == AccountRole::Admin
}

pub(super) fn no_administrator() -> Error {
    Error::forbidden(ProblemCode::Forbidden, "Only administrators of the relay may do this.")
}

pub async fn camera(
    app: &App,
    caller: Caller,
    camera_id: CameraId,
    right: Right,
) -> Result<CameraRow> {
    let found = cameras::for_member(&app.db, camera_id, caller.account_id, app.now()).await?;
    decide(caller, found, Right::SeeCameras, right)
}

/// Finds a camera for who tells of something there: a key may have this right alone, and know of no
/// camera otherwise.
pub(super) async fn reported_camera(
    app: &App,
    caller: Caller,
    camera_id: CameraId,
) -> Result<CameraRow> {
    let found = cameras::for_member(&app.db, camera_id, caller.account_id, app.now()).await?;
    let knows = caller.scope.has(Right::SeeCameras);
    decide(caller, found, if knows { Right::SeeCameras } else { Right::Report }, Right::Report)
}

pub async fn pairing(app: &App, caller: Caller, pairing_id: PairingId) -> Result<PairingRow> {
    let found = pairings::by_id(&app.db, pairing_id).await?.ok_or_else(Error::not_found)?;
    // Who may not pair at its site, may not know of it either.
    hide(site(app, caller, found.site_id, Right::Pair).await)?;
    Ok(found)
}

/// Returns whether a camera may still take a pairing: whoever opened it may pair there now.
pub(super) async fn may_be_claimed(
    db: &impl Executor,
    pairing: &PairingRow,
    now: UnixMillis,
) -> Result<bool> {
    let Some(opener) = pairing.created_by else { return Ok(true) };
    let site = sites::for_member(db, pairing.site_id, opener, now).await?;
    Ok(site.is_some_and(|site| allows(site.role, Right::Pair) && !site.lacks_factor))
}

/// Finds an invitation that the caller may end. It does not exist for a caller who may not let in whom
/// it lets in.
pub(super) async fn invitation(
    app: &App,
    caller: Caller,
    invitation_id: InvitationId,
) -> Result<InvitationRow> {
    let found = invitations::by_id(&app.db, invitation_id).await?.ok_or_else(Error::not_found)?;
    let site = hide(site(app, caller, found.site_id, Right::Invite).await)?;
    if may_give(site.role, found.role) { Ok(found) } else { Err(Error::not_found()) }
}

/// Finds a webhook of a site that the caller manages. It does not exist for anybody else.
pub(super) async fn webhook(
    app: &App,
    caller: Caller,
    webhook_id: WebhookId,
) -> Result<WebhookRow> {
    in_person(caller)?;
    let found = webhooks::by_id(&app.db, webhook_id).await?.ok_or_else(Error::not_found)?;
    hide(site(app, caller, found.site_id, Right::Manage).await)?;
    Ok(found)
}

/// Returns whether an invitation may still be taken: who made it may let in now whom it lets in.
pub(super) async fn may_be_taken(
    db: &impl Executor,
    invitation: &InvitationRow,
    now: UnixMillis,
) -> Result<bool> {
    let site = sites::for_member(db, invitation.site_id, invitation.invited_by, now).await?;
    Ok(site.is_some_and(|site| may_give(site.role, invitation.role) && !site.lacks_factor))
}

/// Returns whether who watches may go on: in a role that sees pictures, by a sign-in that is good.
pub(super) fn may_watch_on(viewer: Viewer) -> bool {
    viewer.sign_ins > 0 && viewer.role.is_some_and(|role| allows(role, Right::SeePictures))
}

/// Turns any refusal into "not found": the object does not exist for this caller.
fn hide<T>(answer: Result<T>) -> Result<T> {
    answer.map_err(|error| match error {
        Error::Refused(_) => Error::not_found(),
        internal @ Error::Internal(_) => internal,
    })
}

pub async fn command(app: &App, caller: Caller, command_id: CommandId) -> Result<CommandRow> {
    let found = commands::for_member(&app.db, command_id, caller.account_id, app.now()).await?;
    decide(caller, found, Right::SeeCameras, Right::SeeCameras)
}

/// Finds a session that the caller may look at.
pub async fn session(app: &App, caller: Caller, session_id: SessionId) -> Result<SessionRow> {
    let found = live::for_member(&app.db, session_id, caller.account_id, app.now()).await?;
    decide(caller, found, Right::SeePictures, Right::SeePictures)
}

/// Finds a session that the caller may steer, because the caller opened it.
pub async fn own_session(app: &App, caller: Caller, session_id: SessionId) -> Result<SessionRow> {
    let session = session(app, caller, session_id).await?;
    if session.account_id == caller.account_id { Ok(session) } else { Err(Error::not_found()) }
}

pub async fn event(app: &App, caller: Caller, event_id: EventId) -> Result<EventRow> {
    event_with(app, caller, event_id, Right::SeePictures).await
}

pub(super) async fn event_with(
    app: &App,
    caller: Caller,
    event_id: EventId,
    right: Right,
) -> Result<EventRow> {
    let found = events::for_member(&app.db, event_id, caller.account_id, app.now()).await?;
    decide(caller, found, Right::SeePictures, right)
}

pub async fn clip(app: &App, caller: Caller, clip_id: ClipId, right: Right) -> Result<ClipRow> {
    let found = clips::for_member(&app.db, clip_id, caller.account_id, app.now()).await?;
    let sight = found.as_ref().map_or(Right::SeePictures, |(row, _)| right_to_see(row.visibility));
    decide(caller, found, sight, right)
}

/// Finds a share that the caller may end, and its clip. It does not exist for a caller who may not
/// share the clip.
pub async fn share(app: &App, caller: Caller, share_id: ShareId) -> Result<(ShareRow, ClipRow)> {
    let found = shares::by_id(&app.db, share_id).await?.ok_or_else(Error::not_found)?;
    let clip = hide(clip(app, caller, found.clip_id, Right::Manage).await)?;
    Ok((found, clip))
}

/// Finds the clip of a share for anyone who has its link, as long as the maker of the link may
/// share it.
pub(super) async fn shared_clip(app: &App, share: &ShareRow) -> Result<ClipRow> {
    let sharer = Caller::person(share.created_by);
    hide(clip(app, sharer, share.clip_id, Right::Manage).await)
}

/// Finds a camera that somebody offers, as long as they own its site.
pub(super) async fn offered_camera(
    app: &App,
    camera_id: CameraId,
    offered_by: AccountId,
) -> Result<CameraRow> {
    hide(camera(app, Caller::person(offered_by), camera_id, Right::Own).await)
}

/// Returns the right without which a clip of this visibility does not exist.
pub(super) fn right_to_see(visibility: Visibility) -> Right {
    match visibility {
        Visibility::Private => Right::Manage,
        Visibility::Site => Right::SeePictures,
    }
}

/// Finds who at a site may see something of a camera now: computed when it is sent, never kept.
pub(super) async fn recipients(
    app: &App,
    site_id: SiteId,
    camera_id: CameraId,
    right: Right,
) -> Result<Vec<AccountId>> {
    let mut recipients = Vec::new();
    for (account_id, role) in members::at_camera(&app.db, site_id, camera_id, app.now()).await? {
        if allows(role, right) {
            recipients.push(account_id);
        }
    }
    Ok(recipients)
}

#[cfg(test)]
mod tests {
    use nightjar_shared::role::Rights;

    use super::*;

    fn of<T>(role: Role, object: T) -> (Caller, Option<(T, Membership)>) {
        let site_id = SiteId::generate();
        let membership = Membership { site_id, role, lacks_factor: false };
        (Caller::person(AccountId::generate()), Some((object, membership)))
    }

    fn code<T: std::fmt::Debug>(answer: Result<T>) -> ProblemCode {
        answer.unwrap_err().code()
    }

    #[test]
    fn an_installer_never_sees_a_picture() {
        assert!(!allows(Role::Installer, Right::SeePictures));
        assert!(allows(Role::Installer, Right::Pair));
        let (caller, clip) = of(Role::Installer, ());
        let refused = decide(caller, clip, Right::SeePictures, Right::Manage);
        assert_eq!(code(refused), ProblemCode::NotFound);
    }

    #[test]
    fn a_viewer_is_told_that_acting_is_not_allowed() {
        let (caller, camera) = of(Role::Viewer, ());
        let refused = decide(caller, camera, Right::SeeCameras, Right::Control);
        assert_eq!(code(refused), ProblemCode::Forbidden);
    }

    #[test]
    fn a_stranger_gets_the_answer_of_a_missing_thing() {
        let (caller, _) = of(Role::Owner, ());
        let refused = decide::<()>(caller, None, Right::SeeCameras, Right::Control);
        assert_eq!(code(refused), ProblemCode::NotFound);
    }

    #[test]
    fn a_key_does_less_than_its_owner_and_only_at_its_site() {
        let decide_by = |scope: Scope, site_id: SiteId, right: Right| {
            let caller = Caller { scope, ..Caller::person(AccountId::generate()) };
            let membership = Membership { site_id, role: Role::Owner, lacks_factor: false };
            let found = Some(((), membership));
            decide(caller, found, Right::SeeCameras, right)
        };
        let (home, shop) = (SiteId::generate(), SiteId::generate());
        let key = Scope::of_key(Rights::of(&[Right::SeeCameras]), Some(home));
        decide_by(key, home, Right::SeeCameras).unwrap();
        assert_eq!(code(decide_by(key, shop, Right::SeeCameras)), ProblemCode::NotFound);
        assert_eq!(code(decide_by(key, home, Right::SeePictures)), ProblemCode::NotFound);
        assert_eq!(code(decide_by(key, home, Right::Control)), ProblemCode::Forbidden);
        let blind = Scope::of_key(Rights::of(&[Right::Control]), None);
        assert_eq!(code(decide_by(blind, home, Right::Control)), ProblemCode::NotFound);
    }

    #[test]
    fn nobody_but_an_owner_makes_more_than_a_viewer() {
        for other in Role::ALL.iter().copied() {
            assert!(may_give(Role::Owner, other));
            assert_eq!(may_give(Role::Manager, other), other == Role::Viewer, "{other}");
            assert!(!may_give(Role::Viewer, other) && !may_give(Role::Installer, other));
        }
    }

    #[test]
    fn cameras_come_and_go_by_owners_and_installers() {
        let may_pair = Role::ALL.iter().copied().filter(|role| allows(*role, Right::Pair));
        assert_eq!(may_pair.collect::<Vec<_>>(), [Role::Owner, Role::Installer]);
    }

    #[test]
    fn a_member_without_the_factor_that_a_site_requires_is_told_so() {
        let (caller, found) = of(Role::Owner, ());
        let lacking = |role| {
            found.map(|(object, it)| (object, Membership { role, lacks_factor: true, ..it }))
        };
        let refused = decide(caller, lacking(Role::Owner), Right::SeeCameras, Right::SeeCameras);
        assert_eq!(code(refused), ProblemCode::SecondFactorRequired);
        // Nor is it told of what it may not see anyway.
        let hidden =
            decide(caller, lacking(Role::Installer), Right::SeePictures, Right::SeePictures);
        assert_eq!(code(hidden), ProblemCode::NotFound);
    }

    #[test]
    fn roles_with_a_right_are_listed_for_statements() {
        assert_eq!(
            roles_with(Right::SeePictures),
            [Some(Role::Owner), Some(Role::Manager), Some(Role::Viewer), None]
        );
    }
}
