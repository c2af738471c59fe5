//! HTTP requests and responses that agent and relay exchange, below `/api/v1`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    first_protocol,
    ids::{CameraId, ClipId, EventId, SiteId},
    time::{ClockState, UnixMillis},
};

/// Error body of every door (RFC 9457), `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Stable, for programs to branch on: `not_found`, `rate_limited`, …
    pub code: String,
    pub title: String,
    pub status: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// `GET agent/challenge`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// Works once, for 60 s.
    pub nonce: String,
    /// The camera's floor for wall-clock time.
    pub server_time: UnixMillis,
}

/// `POST agent/token`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRequest {
    pub camera_id: CameraId,
    pub nonce: String,
    /// Ed25519 over [`crate::pairing::token_proof`], base64 (standard, padded).
    pub signature: String,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenResponse {
    /// Bearer token for HTTP, password for MQTT.
    pub token: String,
    pub expires_in_s: u64,
    pub server_time: UnixMillis,
}

/// `POST pairings/claim`. Exactly one of `code` and `secret` is given.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimRequest {
    #[serde(default = "first_protocol")]
    pub protocol: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Ed25519 public key, base64 (standard, padded).
    pub public_key: String,
    pub nonce: String,
    /// Ed25519 over [`crate::pairing::claim_proof`], base64 (standard, padded).
    pub signature: String,
    pub name: String,
    pub model: String,
    pub agent_version: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimResponse {
    #[serde(default = "first_protocol")]
    pub protocol: u32,
    pub camera_id: CameraId,
    pub site_id: SiteId,
    pub mqtt: MqttEndpoint,
    /// The relay's CA; the camera pins it.
    pub ca_pem: String,
    pub server_time: UnixMillis,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MqttEndpoint {
    /// `mqtts://host:port`.
    pub url: String,
    /// Client id and user name: the camera's id.
    pub client_id: String,
}

/// `POST agent/clips`: the camera announces a clip. Idempotent on `clip_id`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClipAnnouncement {
    pub clip_id: ClipId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<EventId>,
    pub started_at: UnixMillis,
    #[serde(default)]
    pub clock: ClockState,
}

/// One part of `POST agent/clips/{id}/parts`, whose body is a list of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRequest {
    pub index: u32,
    pub kind: PartKind,
    pub length: u64,
    /// Lower-case hexadecimal.
    pub sha256: String,
    pub content_type: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartKind {
    /// The whole clip in one MP4.
    File,
    /// Initialisation segment of a clip in several parts.
    Init,
    Segment,
    Thumbnail,
    Snapshot,
}

impl PartKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Init => "init",
            Self::Segment => "segment",
            Self::Thumbnail => "thumbnail",
            Self::Snapshot => "snapshot",
        }
    }
}

/// Where one part goes: a `PUT` to `url` with exactly these headers.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartUpload {
    pub index: u32,
    pub url: String,
    pub headers: BTreeMap<String, String>,
    pub expires_at: UnixMillis,
    /// The relay has this part already, checksum and all; nothing is to be sent.
    #[serde(default)]
    pub stored: bool,
}

/// `POST agent/clips/{id}/complete`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClipCompletion {
    /// The indexes of all parts.
    pub parts: Vec<u32>,
    pub ended_at: UnixMillis,
    pub duration_ms: u64,
}

/// `POST agent/clips/{id}/failed`: the footage is gone and will never come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClipFailure {
    pub reason: String,
}
