//! Messages by mail: to the address of the account, with a small picture where there is one.

use nightjar_shared::notification::Kind;

use crate::{
    app::App,
    domain::{
        deliveries::{Delivery, Message, Outcome},
        email, mails,
    },
    engines::{
        db::accounts,
        mail::{Failure, Letter, Picture},
    },
    error::Result,
};

/// Attempts with a mail that the server refuses for good: what refused it may be mended meanwhile.
const REFUSED_MAX: u32 = 3;

pub(super) async fn deliver(app: &App, delivery: &Delivery) -> Outcome {
    if !mails::is_there(app) {
        return Outcome::Retry { after: None, reason: "mail is turned off".to_owned() };
    }
    let recipient = match recipient(app, delivery).await {
        Ok(Some(recipient)) => recipient,
        // Mail there is not known to arrive any more.
        Ok(None) => return Outcome::Gone,
        Err(error) => return Outcome::Retry { after: None, reason: error.code().to_string() },
    };
    let message = &delivery.message;
    let letter = Letter {
        id: delivery.delivery_id.to_string(),
        to: recipient,
        subject: message.title.clone(),
        text: text(message, &app.config.public_url),
        picture: picture(app, message).await,
        at: delivery.queued_at,
    };
    match app.mailer.send(&letter).await {
        Ok(()) => Outcome::Done { receipt: "taken by the mail server".to_owned() },
        Err(error) if error.failure == Failure::Refused && delivery.attempts >= REFUSED_MAX => {
            Outcome::Refused { reason: error.reason }
        }
        Err(error) => Outcome::Retry { after: None, reason: error.reason },
    }
}

async fn recipient(app: &App, delivery: &Delivery) -> Result<Option<String>> {
    let account = accounts::by_id(&app.db, delivery.account_id).await?;
    let account = account.filter(|account| account.verified_at.is_some());
    Ok(account.map(|account| email::for_mail(&account.email)))
}

fn text(message: &Message, public_url: &str) -> String {
    let Message { title, body, url, .. } = message;
    let mut text = format!("{title}\n{body}\n\n{url}\n");
    if let Some(token) = &message.mute_token {
        text.push_str("\nSilence this camera for 30 minutes; works once, within a day:\n\n");
        text.extend([public_url, "/mute#", token, "\n"]);
    }
    if message.kind != Kind::Test {
        text.extend(["\nWhat you are told, and how: ", public_url, "/notifications/settings\n"]);
    }
    text
}

/// Reads the picture of a message from the store. A mail without it is better than none.
async fn picture(app: &App, message: &Message) -> Option<Picture> {
    let key = message.picture_key.as_deref()?.parse().ok()?;
    match app.objects.read_picture(&key).await {
        Ok(content) => {
            let name = format!("{}.jpg", message.kind);
            content.map(|content| Picture { name, content: content.to_vec() })
        }
        Err(error) => {
            tracing::warn!(%error, "a mail leaves without its picture");
            None
        }
    }
}
