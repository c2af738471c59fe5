//! The first administrator of a relay: by a link that is printed where there is no account yet.

use std::{net::IpAddr, time::Duration};

use nightjar_shared::{audit::Action, range::Check, role::AccountRole, time::UnixMillis};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    links::{self, Link},
    sign_up::{self, SignUp},
};
use crate::{
    app::App,
    domain::{
        access::Caller,
        audit::{Entry, record},
        secrets,
    },
    engines::db::{
        Db,
        admin::{self, accounts as known},
    },
    error::Result,
};

/// As long as somebody takes who has just started it; a restart makes another.
const LIFETIME: Duration = Duration::from_hours(1);

/// Makes the link where there is no account, and ends the one before. Needs no running relay.
pub async fn make_first_admin_link(
    db: &Db,
    public_url: &str,
    now: UnixMillis,
) -> Result<Option<Link>> {
    let transaction = db.begin().await?;
    admin::hold(&transaction).await?;
    if known::count(&transaction).await? > 0 {
        known::replace_first_admin_link(&transaction, None).await?;
        transaction.commit().await?;
        return Ok(None);
    }
    let (token, expires_at) = (secrets::token()?, now.plus(LIFETIME));
    let link = Some((secrets::hash(&token), expires_at));
    known::replace_first_admin_link(&transaction, link).await?;
    transaction.commit().await?;
    Ok(Some(Link { url: format!("{public_url}/first-admin#{token}"), expires_at }))
}

/// What the first administrator signs up with.
#[derive(Clone, Deserialize, ToSchema)]
pub struct FirstAdmin {
    /// What stands behind the `#` of the link.
    pub token: String,
    #[schema(format = "email", max_length = 254)]
    pub email: String,
    /// At least 10 characters, and none of the passwords that are guessed first.
    #[schema(min_length = 10)]
    pub password: String,
    #[serde(default)]
    pub name: Option<String>,
}

impl Check for FirstAdmin {}

/// Makes the first administrator. Of two who have the link, one does; where there is an administrator, the
/// link is worth nothing.
pub async fn make_first_admin(app: &App, first: FirstAdmin, address: IpAddr) -> Result<Caller> {
    app.limits.links_by_address.take_at(app.address_key(address).as_deref(), app.now())?;
    let hash = secrets::hash(&first.token);
    // A password that is refused leaves the link as it is, and who has no link hashes nothing.
    if !known::has_first_admin_link(&app.db, &hash, app.now()).await? {
        return Err(links::is_over());
    }
    let sign_up = SignUp { email: first.email, password: first.password, name: first.name };
    let new = {
        let _turn = app.passwords.turn_of(address).await?;
        sign_up::prepare(&app.passwords, sign_up, AccountRole::Admin, app.config.host()).await?
    };
    let now = app.now();
    let transaction = app.db.begin().await?;
    admin::hold(&transaction).await?;
    let is_good = known::take_first_admin_link(&transaction, &hash, now).await?;
    if !is_good || known::count_administrators(&transaction).await? > 0 {
        return Err(links::is_over());
    }
    let caller = sign_up::settle_in(&transaction, new, now).await?;
    let entry = Entry::new(Action::FirstAdminMade, caller.account_id).subject(caller.account_id);
    let entry = entry.address(app.known_address(address));
    record(&transaction, now, entry).await?;
    transaction.commit().await?;
    Ok(caller)
}
