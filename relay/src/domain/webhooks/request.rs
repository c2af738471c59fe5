//! What a request says, in each form: pure.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use jiff::Timestamp;
use nightjar_shared::{
    notification::Kind,
    time::UnixMillis,
    webhook::{WebhookData, WebhookFormat, WebhookMessage},
};
use serde_json::{Value, json};

use crate::{
    domain::deliveries::Message,
    engines::webhook_signature::{self, Secret},
};

/// ntfy cuts longer ones (its limit is 4,096 bytes), Gotify shows them badly.
const TEXT_CHARS_MAX: usize = 1_000;

pub(super) struct Parts {
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

pub(super) struct Facts<'a> {
    /// The same in each attempt with one message.
    pub(super) id: &'a str,
    pub(super) now: UnixMillis,
    pub(super) message: &'a Message,
    /// The relay's own address.
    pub(super) public_url: &'a str,
    /// What the server asks for.
    pub(super) token: Option<&'a str>,
    pub(super) secrets: &'a [Secret],
}

/// Writes a request. A message that makes no header is an error.
pub(super) fn write(format: WebhookFormat, facts: &Facts<'_>) -> anyhow::Result<Parts> {
    match format {
        WebhookFormat::Standard => standard(facts),
        WebhookFormat::Ntfy => ntfy(facts),
        WebhookFormat::Gotify => gotify(facts),
    }
}

fn standard(facts: &Facts<'_>) -> anyhow::Result<Parts> {
    let message = facts.message.clone();
    let body = serde_json::to_vec(&WebhookMessage {
        kind: message.kind,
        timestamp: Timestamp::from_millisecond(facts.now.0)?.to_string(),
        data: WebhookData {
            notification_id: message.notification_id,
            form: message.form,
            title: message.title,
            body: message.body,
            url: message.url,
            happened_at: message.happened_at,
            more: message.more,
            site_id: message.site_id,
            camera_id: message.camera_id,
            camera_name: message.camera_name,
            event_id: message.event_id,
            clip_id: message.clip_id,
            picture_url: message.picture_url,
        },
    })?;
    let at_s = facts.now.0.div_euclid(1_000);
    let signature = webhook_signature::sign(facts.secrets, facts.id, at_s, &body);
    let mut headers = HeaderMap::new();
    for (name, value) in [
        (header::CONTENT_TYPE, "application/json"),
        (HeaderName::from_static("webhook-id"), facts.id),
        (HeaderName::from_static("webhook-timestamp"), &at_s.to_string()),
        (HeaderName::from_static("webhook-signature"), &signature),
    ] {
        headers.insert(name, HeaderValue::try_from(value)?);
    }
    Ok(Parts { method: Method::POST, headers, body })
}

/// Writes what an ntfy server takes at a topic: the text as the body, the rest in headers.
fn ntfy(facts: &Facts<'_>) -> anyhow::Result<Parts> {
    let message = facts.message;
    let mut headers = HeaderMap::new();
    let mut put = |name: &'static str, value: String| -> anyhow::Result<()> {
        headers.insert(HeaderName::from_static(name), HeaderValue::try_from(value)?);
        Ok(())
    };
    put("title", encoded_word(&one_line(&message.title)))?;
    put("priority", ntfy_priority(message.kind).to_string())?;
    put("tags", ntfy_tag(message.kind).to_owned())?;
    put("click", message.url.clone())?;
    if let Some(url) = &message.picture_url {
        put("attach", url.clone())?;
        put("filename", "picture.jpg".to_owned())?;
    }
    if let Some(token) = &message.mute_token {
        // The token stands in a body, where no log of addresses has it.
        let mute = json!([{
            "action": "http",
            "label": "Mute 30 min",
            "method": "POST",
            "url": format!("{}/api/v1/notifications/mute", facts.public_url),
            "headers": {"Content-Type": "application/json"},
            "body": json!({"token": token}).to_string(),
            "clear": true,
        }]);
        put("actions", mute.to_string())?;
    }
    if let Some(token) = facts.token {
        put("authorization", format!("Bearer {token}"))?;
    }
    let text = if message.body.is_empty() { &message.title } else { &message.body };
    Ok(Parts { method: Method::PUT, headers, body: short(text).into_bytes() })
}

fn gotify(facts: &Facts<'_>) -> anyhow::Result<Parts> {
    let message = facts.message;
    let mut notification = json!({"click": {"url": message.url}});
    if let Some(url) = &message.picture_url {
        notification["bigImageUrl"] = Value::from(url.as_str());
    }
    let body = json!({
        "title": one_line(&message.title),
        "message": short(if message.body.is_empty() { &message.title } else { &message.body }),
        // Of 0 to 10: from 8 on a phone makes itself heard.
        "priority": 2 * ntfy_priority(message.kind),
        "extras": {"client::notification": notification},
    });
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(token) = facts.token {
        headers.insert(HeaderName::from_static("x-gotify-key"), HeaderValue::try_from(token)?);
    }
    Ok(Parts { method: Method::POST, headers, body: body.to_string().into_bytes() })
}

/// Of 1 to 5; 3 is the default.
fn ntfy_priority(kind: Kind) -> u8 {
    match kind {
        Kind::Doorbell | Kind::Tamper | Kind::NewSignIn => 5,
        Kind::Motion | Kind::CameraOffline | Kind::ViewAsked => 4,
        _ => 3,
    }
}

/// The little picture beside the title.
fn ntfy_tag(kind: Kind) -> &'static str {
    match kind {
        Kind::Motion => "eyes",
        Kind::Tamper | Kind::CameraOffline | Kind::Disk => "warning",
        Kind::CameraOnline => "white_check_mark",
        _ => "bell",
    }
}

fn one_line(text: &str) -> String {
    short(text).chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

fn short(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).collect()
}

/// Writes text for a header: as it is, or by RFC 2047, which ntfy reads, where a header has no such letters.
fn encoded_word(text: &str) -> String {
    if text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
        return text.to_owned();
    }
    format!("=?UTF-8?B?{}?=", STANDARD.encode(text))
}

#[cfg(test)]
mod tests {
    use nightjar_shared::{
        ids::{CameraId, NotificationId},
        notification::Form,
    };

    use super::*;

    fn message() -> Message {
        Message {
            notification_id: NotificationId::generate(),
            kind: Kind::Motion,
            form: Form::News,
            title: "Motion at Haust\u{fc}r\r\nX-Evil: 1".to_owned(),
            body: "at Home".to_owned(),
            url: "https://cam.example.org/clips/1".to_owned(),
            happened_at: UnixMillis(1_000),
            more: 0,
            site_id: None,
            camera_id: Some(CameraId::generate()),
            camera_name: Some("Haust\u{fc}r".to_owned()),
            event_id: None,
            clip_id: None,
            picture_url: Some("https://store.example.org/p?X-Amz-Signature=1".to_owned()),
            mute_token: Some("secret-token".to_owned()),
            picture_key: None,
        }
    }

    fn parts(format: WebhookFormat, message: &Message) -> Parts {
        let facts = Facts {
            id: "msg",
            now: UnixMillis(1_700_000_000_500),
            message,
            public_url: "https://cam.example.org",
            token: Some("tk_1"),
            secrets: &[Secret::of([1; 32])],
        };
        write(format, &facts).unwrap()
    }

    #[test]
    fn the_standard_form_is_signed_and_holds_no_token() {
        let parts = parts(WebhookFormat::Standard, &message());
        let text = String::from_utf8(parts.body.clone()).unwrap();
        assert!(!text.contains("secret-token") && !text.contains("tk_1"), "{text}");
        let body: WebhookMessage = serde_json::from_slice(&parts.body).unwrap();
        assert_eq!(body.timestamp, "2023-11-14T22:13:20.5Z");
        assert_eq!(parts.headers["webhook-id"], "msg");
        assert_eq!(parts.headers["webhook-timestamp"], "1700000000");
        let secret = [Secret::of([1; 32])];
        let signature = webhook_signature::sign(&secret, "msg", 1_700_000_000, &parts.body);
        assert_eq!(parts.headers["webhook-signature"], signature);
        assert!(!parts.headers.contains_key("authorization"));
    }

    #[test]
    fn ntfy_gets_a_title_that_breaks_no_header_and_a_button_to_mute() {
        let parts = parts(WebhookFormat::Ntfy, &message());
        assert_eq!(parts.method, Method::PUT);
        let title = parts.headers["title"].to_str().unwrap();
        let word = title.strip_prefix("=?UTF-8?B?").unwrap().strip_suffix("?=").unwrap();
        let decoded = String::from_utf8(STANDARD.decode(word).unwrap()).unwrap();
        assert_eq!(decoded, "Motion at Haust\u{fc}r  X-Evil: 1");
        assert_eq!(parts.headers["authorization"], "Bearer tk_1");
        let actions: Value =
            serde_json::from_str(parts.headers["actions"].to_str().unwrap()).unwrap();
        assert_eq!(actions[0]["url"], "https://cam.example.org/api/v1/notifications/mute");
        assert_eq!(actions[0]["body"], r#"{"token":"secret-token"}"#);
        assert_eq!(parts.headers["click"], "https://cam.example.org/clips/1");
        assert_eq!(parts.body, b"at Home");
    }

    #[test]
    fn gotify_gets_json() {
        let parts = parts(WebhookFormat::Gotify, &message());
        let body: Value = serde_json::from_slice(&parts.body).unwrap();
        assert_eq!(body["priority"], 8);
        let shown = &body["extras"]["client::notification"];
        assert_eq!(shown["click"]["url"], "https://cam.example.org/clips/1");
        assert_eq!(parts.headers["x-gotify-key"], "tk_1");
    }
}
