//! Where somebody is reached by a channel.

use nightjar_shared::{
    ids::AccountId,
    notification::{Channel, Kind},
};

use crate::{
    app::App,
    domain::{mails, push},
    engines::db::{
        Executor, accounts,
        notifications::Place,
        webhooks::{self, WebhookRow},
    },
    error::Result,
};

/// Lists the addresses of an account by a channel for what happens at a place, as the channel names them. Mail
/// goes to the account's own address, once mail there is known to arrive.
pub(super) async fn of_account(
    app: &App,
    db: &impl Executor,
    (account_id, place): (AccountId, Place),
    channel: Channel,
) -> Result<Vec<String>> {
    match channel {
        // The list of the app is no address.
        Channel::App => Ok(Vec::new()),
        Channel::WebPush => push::addresses(app, db, account_id).await,
        Channel::Webhook => {
            // What is no site's goes to all of them that want it.
            let rows = webhooks::of_account(db, account_id, place.site_id).await?;
            let wants =
                |row: &WebhookRow| place.kind == Kind::Test || row.kinds.contains(&place.kind);
            Ok(rows.into_iter().filter(wants).map(|row| row.webhook_id.to_string()).collect())
        }
        Channel::Mail => {
            let account = accounts::by_id(db, account_id).await?;
            let is_reached = account.is_some_and(|account| account.verified_at.is_some());
            let is_reached = is_reached && mails::is_there(app);
            Ok(is_reached.then(String::new).into_iter().collect())
        }
    }
}
