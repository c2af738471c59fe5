//! Links that work once. Their secret stands behind the `#`, which browsers keep to themselves: no
//! server, log or proxy sees it before a person presses a button.

use std::time::Duration;

use nightjar_shared::{account::LinkPurpose, ids::AccountId, time::UnixMillis};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    domain::secrets,
    engines::db::{
        Executor,
        links::{self, LinkRow},
    },
    error::{Error, ProblemCode, Result},
};

/// As long as it takes to look into one's mail.
const RESET_LIFETIME: Duration = Duration::from_hours(1);
/// Until somebody who made an account in the evening looks into their mail at work.
const VERIFY_LIFETIME: Duration = Duration::from_hours(48);
/// Brought by hand, by somebody who has other things to do.
const BROUGHT_LIFETIME: Duration = Duration::from_hours(24);

/// A link that was made just now.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Link {
    /// It is shown once: the relay keeps a hash of its secret.
    pub url: String,
    pub expires_at: UnixMillis,
}

/// How a link reaches its person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way<'a> {
    /// To this address: following it proves that mail arrives there.
    Mail(&'a str),
    ByHand,
}

pub(super) async fn make(
    db: &impl Executor,
    public_url: &str,
    account_id: AccountId,
    purpose: LinkPurpose,
    way: Way<'_>,
    now: UnixMillis,
) -> Result<Link> {
    let token = secrets::short_token()?;
    let (page, lifetime) = match (purpose, way) {
        (LinkPurpose::Verify, _) => ("verify", VERIFY_LIFETIME),
        (LinkPurpose::Reset, Way::Mail(_)) => ("reset", RESET_LIFETIME),
        (LinkPurpose::Reset, Way::ByHand) => ("reset", BROUGHT_LIFETIME),
    };
    let email = match way {
        Way::Mail(email) => Some(email.to_owned()),
        Way::ByHand => None,
    };
    let expires_at = now.plus(lifetime);
    let row = LinkRow { account_id, purpose, email };
    links::insert(db, secrets::hash(&token), row, expires_at).await?;
    Ok(Link { url: format!("{public_url}/{page}#{token}"), expires_at })
}

/// Makes a link for a new password: by mail to an address, or to be brought by hand.
pub(in crate::domain) async fn make_reset(
    db: &impl Executor,
    public_url: &str,
    account_id: AccountId,
    mail_to: Option<&str>,
    now: UnixMillis,
) -> Result<Link> {
    let way = mail_to.map_or(Way::ByHand, Way::Mail);
    make(db, public_url, account_id, LinkPurpose::Reset, way, now).await
}

pub(super) fn is_over() -> Error {
    Error::refused(
        404,
        ProblemCode::NotFoundOrExpired,
        "This link has been used, or its time is over. Ask for another one.",
    )
}
