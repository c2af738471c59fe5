//! How other programs are told what happens.

use serde::{Deserialize, Serialize};

use crate::{
    ids::{CameraId, ClipId, EventId, NotificationId, SiteId},
    notification::{Form, Kind},
    time::UnixMillis,
    word::words,
};

words! {
    /// In which form a program is told.
    WebhookFormat {
        /// JSON, signed as Standard Webhooks says.
        Standard = "standard",
        /// A message for a topic of an ntfy server.
        Ntfy = "ntfy",
        /// A message for a Gotify server.
        Gotify = "gotify",
    }
}

/// The body of a request in the form `standard`: the payload that Standard Webhooks recommends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookMessage {
    #[serde(rename = "type")]
    pub kind: Kind,
    /// When it was sent, by RFC 3339.
    pub timestamp: String,
    pub data: WebhookData,
}

/// What happened. Additive: a reader ignores what it does not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookData {
    /// The same in all that is told of one thing: later messages of it are in the place of earlier ones.
    pub notification_id: NotificationId,
    pub form: Form,
    /// One line, in English.
    pub title: String,
    /// A line or two; may be empty.
    pub body: String,
    /// A page of the app.
    pub url: String,
    pub happened_at: UnixMillis,
    /// How often it happened again since.
    #[serde(default)]
    pub more: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site_id: Option<SiteId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub camera_id: Option<CameraId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub camera_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<EventId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_id: Option<ClipId>,
    /// In the store, good for minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture_url: Option<String>,
}
