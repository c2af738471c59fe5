//! How a message goes to one browser.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use nightjar_shared::{ids::AccountId, notification::Kind, time::UnixMillis};
use serde::Serialize;

use super::{Sealed, keys};
use crate::{
    app::App,
    domain::{
        deliveries::{Delivery, Message, Outcome},
        secrets,
    },
    engines::{
        db::{
            Executor,
            push::{self, SubscriptionRow},
        },
        outgoing::{Answer, OutgoingError, Request, retry_after},
        web_push::{PAYLOAD_BYTES_MAX, Recipient},
    },
    error::{Error, Result},
};

/// Of a push service's `Topic` (RFC 8030, 5.4).
const TOPIC_LETTERS: usize = 32;
/// How long the address of a picture is good for, less what a message takes to arrive.
const PICTURE_FOR: Duration = Duration::from_mins(4);
/// A browser whose push service refuses everything for so long is forgotten, as a webhook is turned off.
const FORGOTTEN_AFTER: Duration = Duration::from_hours(5 * 24);
/// Of a title and a body that do not fit.
const TITLE_CHARS_MAX: usize = 120;
const BODY_CHARS_MAX: usize = 400;

/// What the app's service worker reads. Additive: an older worker ignores what it does not know.
#[derive(Serialize)]
struct Payload<'a> {
    notification_id: String,
    kind: Kind,
    title: &'a str,
    body: &'a str,
    /// A page of the app.
    path: &'a str,
    happened_at: UnixMillis,
    #[serde(skip_serializing_if = "Option::is_none")]
    camera_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    picture: Option<Picture<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mute_token: Option<&'a str>,
}

/// A picture's address in the store, and until when it is good: a phone that wakes later asks the relay, as
/// who is signed in there.
#[derive(Serialize)]
struct Picture<'a> {
    url: &'a str,
    until: UnixMillis,
}

/// Lists where an account is reached: its browsers, by their ids.
pub(in crate::domain) async fn addresses(
    app: &App,
    db: &impl Executor,
    account_id: AccountId,
) -> Result<Vec<String>> {
    let rows = push::of_account(db, account_id, app.now()).await?;
    Ok(rows.into_iter().map(|row| row.subscription_id.to_string()).collect())
}

/// Sends a message to a browser of its account, if it still is one.
pub(in crate::domain) async fn deliver(app: &App, delivery: &Delivery) -> Result<Outcome> {
    let Ok(subscription_id) = delivery.address.parse() else { return Ok(Outcome::Gone) };
    let found = push::by_id(&app.db, delivery.account_id, subscription_id, app.now()).await?;
    let Some(row) = found else { return Ok(Outcome::Gone) };
    let Ok(sealed) = Sealed::open(app, &row) else {
        // The key beside the database is another one: no message leaves any more.
        push::delete(&app.db, row.subscription_id).await?;
        return Ok(Outcome::Gone);
    };
    let (headers, body) = match request(app, &row, &sealed, delivery).await? {
        Ok(request) => request,
        Err(reason) => return Ok(Outcome::Refused { reason }),
    };
    // The rules may have changed since it subscribed.
    let to = match app.outgoing.address(&sealed.endpoint) {
        Ok(to) => to,
        Err(problem) => return Ok(Outcome::Refused { reason: problem.to_string() }),
    };
    let request = Request { method: Method::POST, to: &to, headers, body: body.into() };
    let outcome = match app.outgoing.send(request).await {
        Ok(answer) => outcome(&answer, app.now()),
        Err(OutgoingError::Near) => Outcome::Refused { reason: OutgoingError::Near.to_string() },
        Err(error) => Outcome::Retry { after: None, reason: error.to_string() },
    };
    match &outcome {
        Outcome::Gone => push::delete(&app.db, row.subscription_id).await?,
        Outcome::Done { .. } => {
            push::note_sent(&app.db.unsynced(), row.subscription_id, app.now()).await?;
        }
        Outcome::Refused { .. } => return refused(app, &row, outcome).await,
        Outcome::Retry { .. } => {}
    }
    Ok(outcome)
}

/// Forgets a browser whose push service has taken nothing for days, as one that is gone.
async fn refused(app: &App, row: &SubscriptionRow, outcome: Outcome) -> Result<Outcome> {
    let now = app.now();
    if row.failing_since.is_some_and(|since| now.since(since) >= FORGOTTEN_AFTER) {
        push::delete(&app.db, row.subscription_id).await?;
        return Ok(Outcome::Gone);
    }
    push::note_refused(&app.db, row.subscription_id, now).await?;
    Ok(outcome)
}

/// Makes the request, or says why there is none.
async fn request(
    app: &App,
    row: &SubscriptionRow,
    sealed: &Sealed,
    delivery: &Delivery,
) -> Result<std::result::Result<(HeaderMap, Vec<u8>), String>> {
    let now = app.now();
    let key = push::key(&app.db, &row.push_key).await?.ok_or_else(Error::not_found)?;
    let pair = keys::open(app, &key)?;
    let encrypted = Recipient::parse(&sealed.p256dh, &sealed.auth)
        .and_then(|recipient| recipient.encrypt(&payload(&delivery.message, now)));
    let body = match encrypted {
        Ok(body) => body,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let origin = app.outgoing.address(&sealed.endpoint).map(|address| address.origin());
    let Ok(origin) = origin else { return Ok(Err("its address is not allowed".to_owned())) };
    let authorization = pair.authorization(&origin, &contact(app), now);
    let authorization = authorization.map_err(anyhow::Error::from)?;
    let lifetime = delivery.expires_at.since(now).as_secs();
    let headers = [
        (header::AUTHORIZATION, authorization),
        (header::CONTENT_ENCODING, "aes128gcm".to_owned()),
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (http::HeaderName::from_static("ttl"), lifetime.to_string()),
        (http::HeaderName::from_static("urgency"), urgency(delivery.message.kind).to_owned()),
        (http::HeaderName::from_static("topic"), topic(delivery)),
    ];
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(name, HeaderValue::try_from(value).map_err(anyhow::Error::from)?);
    }
    Ok(Ok((map, body)))
}

/// Whom the people of a push service may ask.
fn contact(app: &App) -> String {
    let given = app.config.security.contact.iter();
    let mut given = given.filter(|uri| uri.starts_with("mailto:") || uri.starts_with("https:"));
    given.next().cloned().unwrap_or_else(|| app.config.public_url.clone())
}

/// Returns how soon a push service should wake a device that sleeps.
fn urgency(kind: Kind) -> &'static str {
    match kind {
        Kind::Motion
        | Kind::Doorbell
        | Kind::Report
        | Kind::Tamper
        | Kind::NewSignIn
        | Kind::CameraOffline
        | Kind::Test => "high",
        _ => "normal",
    }
}

/// Names what a message takes the place of at the push service, while the device is away: what was told of the
/// same before. Nobody reads from it what that is.
fn topic(delivery: &Delivery) -> String {
    let subject = format!("topic {} {}", delivery.address, delivery.message.notification_id);
    secrets::hash(&subject)[..TOPIC_LETTERS].to_owned()
}

/// Writes what the service worker reads, so that it fits: the picture goes first.
fn payload(message: &Message, now: UnixMillis) -> Vec<u8> {
    let write = |title: &str, body: &str, with_picture: bool| {
        let url = message.picture_url.as_deref().filter(|_| with_picture);
        let payload = Payload {
            notification_id: message.notification_id.to_string(),
            kind: message.kind,
            title,
            body,
            path: path(&message.url),
            happened_at: message.happened_at,
            camera_id: message.camera_id.map(|id| id.to_string()),
            event_id: message.event_id.map(|id| id.to_string()),
            picture: url.map(|url| Picture { url, until: now.plus(PICTURE_FOR) }),
            mute_token: message.mute_token.as_deref(),
        };
        serde_json::to_vec(&payload).unwrap_or_default()
    };
    let whole = write(&message.title, &message.body, true);
    if whole.len() <= PAYLOAD_BYTES_MAX {
        return whole;
    }
    let short = |text: &str, most: usize| text.chars().take(most).collect::<String>();
    let (title, body) =
        (short(&message.title, TITLE_CHARS_MAX), short(&message.body, BODY_CHARS_MAX));
    let shorter = write(&title, &body, true);
    if shorter.len() <= PAYLOAD_BYTES_MAX { shorter } else { write(&title, &body, false) }
}

/// Returns the path of an address of the app.
fn path(url: &str) -> &str {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    match after_scheme.find('/') {
        Some(start) => &after_scheme[start..],
        None => "/",
    }
}

fn outcome(answer: &Answer, now: UnixMillis) -> Outcome {
    let status = answer.status;
    let reason = format!("the push service answers {}", status.as_u16());
    match status {
        _ if status.is_success() => Outcome::Done { receipt: status.as_u16().to_string() },
        StatusCode::NOT_FOUND | StatusCode::GONE => Outcome::Gone,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            Outcome::Retry { after: retry_after(&answer.headers, now), reason }
        }
        _ if status.is_server_error() => {
            Outcome::Retry { after: retry_after(&answer.headers, now), reason }
        }
        // It will not like it better in an hour.
        _ => Outcome::Refused { reason },
    }
}

#[cfg(test)]
mod tests {
    use nightjar_shared::{
        ids::{CameraId, EventId, NotificationId},
        notification::Form,
    };

    use super::*;

    fn message() -> Message {
        Message {
            notification_id: NotificationId::generate(),
            kind: Kind::Motion,
            form: Form::News,
            title: "Motion at Front door".to_owned(),
            body: "Home".to_owned(),
            url: "https://cam.example.org/clips/1".to_owned(),
            happened_at: UnixMillis(1),
            more: 0,
            site_id: None,
            camera_id: Some(CameraId::generate()),
            camera_name: None,
            event_id: Some(EventId::generate()),
            clip_id: None,
            picture_url: Some(format!("https://store.example.org/{}", "x".repeat(500))),
            mute_token: Some("t".repeat(43)),
            picture_key: None,
        }
    }

    fn read(payload: &[u8]) -> serde_json::Value {
        serde_json::from_slice(payload).unwrap()
    }

    #[test]
    fn a_payload_fits_whatever_people_write() {
        let whole = read(&payload(&message(), UnixMillis(0)));
        assert_eq!(whole["title"], "Motion at Front door");
        assert_eq!(whole["path"], "/clips/1");
        assert_eq!(whole["picture"]["until"], 240_000);
        let long = "\u{1f426}\"".repeat(5_000);
        let long = Message { title: long.clone(), body: long, ..message() };
        let cut = payload(&long, UnixMillis(0));
        assert!(cut.len() <= PAYLOAD_BYTES_MAX, "{}", cut.len());
        assert_eq!(read(&cut)["mute_token"], "t".repeat(43));
        let far = Message { picture_url: Some("x".repeat(9_000)), ..message() };
        let without = read(&payload(&far, UnixMillis(0)));
        assert!(without.get("picture").is_none(), "{without}");
    }

    #[test]
    fn an_address_of_the_app_is_a_path() {
        assert_eq!(path("https://cam.example.org/clips/1?x=y"), "/clips/1?x=y");
        assert_eq!(path("https://cam.example.org"), "/");
        assert_eq!(path("/events"), "/events");
    }

    #[test]
    fn what_a_push_service_answers_says_what_comes_next() {
        let answer = |status: u16| {
            let status = StatusCode::from_u16(status).unwrap();
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("120"));
            outcome(&Answer { status, headers, body: bytes::Bytes::new() }, UnixMillis(0))
        };
        for status in [200, 201, 202, 204] {
            assert!(matches!(answer(status), Outcome::Done { .. }), "{status}");
        }
        assert_eq!([answer(404), answer(410)], [Outcome::Gone, Outcome::Gone]);
        for status in [408, 425, 429, 500, 502, 503, 504] {
            let Outcome::Retry { after, .. } = answer(status) else { panic!("{status}") };
            assert_eq!(after, Some(Duration::from_mins(2)));
        }
        for status in [301, 307, 400, 401, 403, 413, 418] {
            assert!(matches!(answer(status), Outcome::Refused { .. }), "{status}");
        }
    }
}
