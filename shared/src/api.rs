//! HTTP requests and responses that agent and relay exchange, below `/api/v1`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    first_protocol,
    ids::{BootId, CameraId, ClipId, EventId, SiteId},
    signal::IceServer,
    time::{ClockState, UnixMillis},
    word::words,
};

/// Error body of every door (RFC 9457), `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Stable, for programs to branch on: a [`ProblemCode`](crate::problem::ProblemCode), or a
    /// word of a newer relay.
    pub code: String,
    pub title: String,
    pub status: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// `GET agent/challenge`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Challenge {
    /// Works once, for 60 s.
    pub nonce: String,
    /// The camera's floor for wall-clock time.
    pub server_time: UnixMillis,
}

/// `POST agent/token`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TokenRequest {
    pub camera_id: CameraId,
    pub nonce: String,
    /// Ed25519 over [`crate::pairing::token_proof`], base64 (standard, padded).
    pub signature: String,
    /// SHA-256 of the authority that the camera pins, of its DER form, lower-case hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_sha256: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TokenResponse {
    /// Bearer token for HTTP, password for MQTT.
    pub token: String,
    pub expires_in_s: u64,
    pub server_time: UnixMillis,
    /// The authority to pin from now on, in PEM, where the camera pins another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_pem: Option<String>,
}

/// `POST agent/network`: what a camera needs to find out whether its network lets it work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct NetworkMeans {
    /// Where uploads go.
    pub store_url: String,
    /// For one allocation, which ends within a minute.
    #[serde(default)]
    pub ice_servers: Vec<IceServer>,
}

/// `POST pairings/claim`. Exactly one of `code` and `secret` is given.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
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
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
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
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct MqttEndpoint {
    /// `mqtts://host:port`.
    pub url: String,
    /// Client id and user name: the camera's id.
    pub client_id: String,
}

/// `POST agent/clips`: the camera announces a clip. Idempotent on `clip_id`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ClipAnnouncement {
    pub clip_id: ClipId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<EventId>,
    pub started_at: UnixMillis,
    #[serde(default)]
    pub clock: ClockState,
    /// With the uptime, gives it its time when the clock is set later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<BootId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_uptime_ms: Option<u64>,
    /// Still being written: its parts come as they are recorded.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recording: bool,
}

/// Index of the initialisation segment of a clip in several parts.
pub const INIT_PART: u32 = 0;
/// Index of a clip's thumbnail.
pub const THUMBNAIL_PART: u32 = 1;
/// Index of the still that a thumbnail was made of: behind all segments.
pub const STILL_PART: u32 = 9_999;
/// Index of the first segment. The others follow without a gap, in the order of their footage.
pub const FIRST_SEGMENT: u32 = 2;

/// One part of `POST agent/clips/{id}/parts`, whose body is a list of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PartRequest {
    pub index: u32,
    pub kind: PartKind,
    pub length: u64,
    /// Lower-case hexadecimal.
    pub sha256: String,
    /// Lower-case hexadecimal, beside SHA-256: there are stores that check this one alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub md5: Option<String>,
    pub content_type: String,
    /// Of a segment: how long it plays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
}

words! {
    PartKind {
        /// The whole clip in one MP4.
        File = "file",
        /// Initialisation segment of a clip in several parts.
        Init = "init",
        Segment = "segment",
        /// A picture for lists: at most 320 pixels wide and 15,000 bytes; of older agents, 640 pixels.
        Thumbnail = "thumbnail",
        /// The picture that the thumbnail was made of.
        Still = "still",
        Snapshot = "snapshot",
    }
}

impl PartKind {
    /// Returns whether the part only shows what its clip is about: a clip is complete without it.
    pub fn is_illustration(self) -> bool {
        matches!(self, Self::Thumbnail | Self::Still)
    }
}

/// Where one part goes: a `PUT` to `url` with exactly these headers.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PartUpload {
    pub index: u32,
    pub url: String,
    pub headers: BTreeMap<String, String>,
    pub expires_at: UnixMillis,
    /// The relay has this part already, checksum and all; nothing is to be sent.
    #[serde(default)]
    pub stored: bool,
}

/// `POST agent/clips/{id}/stored`: these parts were sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PartsSent {
    pub parts: Vec<u32>,
}

/// What the relay found of them in the object store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PartsStored {
    /// There, with the announced length and checksum.
    pub stored: Vec<u32>,
    #[serde(default)]
    pub missing: Vec<u32>,
}

/// `POST agent/clips/{id}/complete`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ClipCompletion {
    /// The indexes of all parts.
    pub parts: Vec<u32>,
    pub ended_at: UnixMillis,
    pub duration_ms: u64,
    /// SHA-256 of the [`manifest`] of these parts, lower-case hexadecimal: the relay says that it
    /// has the clip only when it has this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest_sha256: Option<String>,
}

/// One part as its clip's manifest names it.
#[derive(Debug, Clone, Copy)]
pub struct ManifestPart<'a> {
    pub index: u32,
    pub kind: PartKind,
    pub length: u64,
    pub duration_ms: Option<u64>,
    /// Lower-case hexadecimal.
    pub sha256: &'a str,
}

/// Writes what a clip consists of, as camera and relay do each for itself: a line for each
/// part in the order of the indexes, `index kind length duration_ms sha256`, with `-` where a
/// part has no duration.
pub fn manifest<'a>(parts: impl IntoIterator<Item = ManifestPart<'a>>) -> String {
    let line = |part: ManifestPart<'_>| {
        let ManifestPart { index, kind, length, duration_ms, sha256 } = part;
        let duration = duration_ms.map_or_else(|| "-".to_owned(), |ms| ms.to_string());
        format!("{index} {} {length} {duration} {sha256}\n", kind.as_str())
    };
    parts.into_iter().map(line).collect()
}

/// `POST agent/clips/{id}/failed`: the footage is gone and will never come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ClipFailure {
    pub reason: String,
}
