//! What a camera reports of itself: events, health, presence.

use serde::{Deserialize, Serialize};

use crate::{
    finding::Finding,
    first_protocol,
    ids::{BootId, ClipId, EventId},
    time::{ClockState, UnixMillis},
    word::words,
};

/// Something began or ended at a camera (`up/event`). The relay upserts it by camera and id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventMessage {
    #[serde(default = "first_protocol")]
    pub protocol: u32,
    pub event_id: EventId,
    pub kind: EventKind,
    pub state: EventState,
    /// When it began (`started`) or ended (`ended`).
    pub at: UnixMillis,
    #[serde(default)]
    pub clock: ClockState,
    pub boot_id: BootId,
    /// Milliseconds since the camera booted: orders events whatever the wall clock did.
    pub uptime_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_id: Option<ClipId>,
    /// Where it moved when it began, which is what the clip's thumbnail shows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub boxes: Vec<BoundingBox>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub zones: Vec<String>,
    /// What is done to the camera, where its kind is `tamper`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tamper: Option<TamperKind>,
    /// Why it ended: an [`EventEndReason`], or a word of a newer camera.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The largest share of the picture that moved at once; when it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_area: Option<f32>,
    /// From the first to the last movement, whatever the wall clock did; when it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
}

/// A rectangle in relative coordinates, all in 0.0 ..= 1.0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct BoundingBox {
    #[cfg_attr(feature = "schema", schema(schema_with = crate::schema::share))]
    pub x: f32,
    #[cfg_attr(feature = "schema", schema(schema_with = crate::schema::share))]
    pub y: f32,
    #[cfg_attr(feature = "schema", schema(schema_with = crate::schema::share))]
    pub width: f32,
    #[cfg_attr(feature = "schema", schema(schema_with = crate::schema::share))]
    pub height: f32,
}

words! {
    EventKind {
        Motion = "motion",
        /// Footage that an owner asked for.
        Manual = "manual",
        /// The camera no longer sees its scene, or another one.
        Tamper = "tamper",
        /// A moment that a person marked on the timeline.
        Bookmark = "bookmark",
        Doorbell = "doorbell",
        /// Something beside the camera noticed something: a motion sensor, a contact, a light barrier.
        Sensor = "sensor",
        /// Whatever else a program tells of.
        Outside = "outside",
    } or Unknown
}

words! {
    /// What a camera that is tampered with looks like.
    TamperKind {
        /// Nothing is seen at all: a cap, or the last light is out.
        Black = "black",
        /// Something flat is before the lens: a hand, a cloth, paint.
        Covered = "covered",
        /// The scene is there without its small patterns: out of focus, or smeared.
        Blurred = "blurred",
        /// Another scene: the camera was turned.
        Turned = "turned",
        /// A good part of the scene is another, and stays so.
        SceneChanged = "scene_changed",
    } or Unknown
}

impl EventKind {
    /// Returns whether a program may tell the relay of such an event.
    pub fn is_from_outside(self) -> bool {
        matches!(self, Self::Doorbell | Self::Sensor | Self::Outside)
    }
}

words! {
    /// Who or what brought an event about.
    Trigger {
        /// The camera's own detector.
        Motion = "motion",
        /// Somebody who was signed in.
        Person = "person",
        /// A program, by an API key.
        Key = "key",
        /// The camera itself, for another reason: a button or a contact at its pins, say.
        Camera = "camera",
    }
}

words! {
    EventState {
        Started = "started",
        Ended = "ended",
    }
}

words! {
    /// Why an event ended.
    EventEndReason {
        /// Nothing moved any more.
        Still = "still",
        Disarmed = "disarmed",
        /// The hours in which the camera is armed were over.
        Schedule = "schedule",
        /// Privacy mode was switched on.
        Privacy = "privacy",
        /// A person stopped the recording, or the agent stopped.
        Stopped = "stopped",
        /// The camera gave no pictures.
        NoPicture = "no_picture",
        /// The camera lost its power.
        Interrupted = "interrupted",
        /// A manual recording reached the longest time.
        TimeLimit = "time_limit",
        /// Of tampering: the scene is seen again.
        Restored = "restored",
        /// Of tampering: what is seen is the scene from now on, after ten minutes or because an owner
        /// changed the settings.
        Accepted = "accepted",
    }
}

words! {
    /// Why the pictures of a source that makes H.264 itself are decoded and encoded again.
    TranscodeReason {
        /// Its pictures refer to later ones, which no browser plays live.
        BFrames = "b_frames",
        /// Its pictures are made of half pictures.
        Interlaced = "interlaced",
        /// Places are hidden by privacy masks.
        Masks = "masks",
        /// Its pixels are not square.
        OblongPixels = "oblong_pixels",
        /// It leaves parameter sets out, has several, or some that cannot be read.
        ParameterSets = "parameter_sets",
        /// Its profile is none that browsers decode.
        Profile = "profile",
        /// Its key frames are too far apart, and it makes none when it is asked.
        SparseKeyFrames = "sparse_key_frames",
        /// Its pictures are to be turned.
        Turned = "turned",
    } or Unknown
}

/// Sent every 30 s (`up/health`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch or a state of its own")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Health {
    #[serde(default = "first_protocol")]
    pub protocol: u32,
    pub at: UnixMillis,
    #[serde(default)]
    pub clock: ClockState,
    pub boot_id: BootId,
    pub uptime_ms: u64,
    pub agent_version: String,
    /// What is captured, or why nothing is.
    pub capture: CaptureHealth,
    pub armed: bool,
    /// The schedule keeps motion from opening events now.
    #[serde(default)]
    pub scheduled_off: bool,
    pub privacy: bool,
    /// Footage is being written, for any reason.
    pub recording: bool,
    /// Footage is being written because a person asked for it: `record_stop` would end it.
    #[serde(default)]
    pub manual_recording: bool,
    pub disk_free_bytes: u64,
    /// Size of the disk that recordings lie on; 0 when unknown.
    #[serde(default)]
    pub disk_total_bytes: u64,
    /// What recordings take of it.
    #[serde(default)]
    pub recordings_bytes: u64,
    /// How many days back the oldest recording reaches.
    pub retention_days: f32,
    /// How many days back recordings will reach once the room for them is full, at the pace so
    /// far; absent while that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_horizon_days: Option<f32>,
    /// Messages and uploads the relay must still learn.
    pub queue_length: u64,
    /// How long the oldest of them has waited; absent when none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_age_ms: Option<u64>,
    /// How often writing footage failed since the agent started.
    #[serde(default)]
    pub write_errors: u64,
    pub viewers: u32,
    /// How publishing to an SFU goes; absent when the camera serves its viewers itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sfu: Option<SfuHealth>,
    /// Of the processor; absent where the board does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature_celsius: Option<f32>,
    /// What is wrong now, one sentence each; empty when all is well.
    #[serde(default)]
    pub errors: Vec<String>,
    /// What a person should know though all works, such as packets that were lost: one sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What the camera found that is not as it could be when it looked at its board and its network last,
    /// each with the next step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

/// How a camera's publication at an SFU fares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SfuHealth {
    pub publishing: bool,
    /// Where viewers find it.
    pub whep_url: String,
    /// Why it is not published, or was not at the last try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CaptureHealth {
    pub running: bool,
    /// The source's kind, as in agent.toml.
    pub source: String,
    /// The encoder in use, for instance `x264enc`; `passthrough` where the source makes H.264
    /// itself, which goes on as it is.
    pub encoder: String,
    /// Why the source's own H.264 does not; absent where it does, or makes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transcoded: Option<TranscodeReason>,
    pub width: u32,
    pub height: u32,
    /// Measured over the last seconds.
    pub fps: f32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Whether a camera is there (`up/presence`): retained, and its last will says `online: false`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Presence {
    #[serde(default = "first_protocol")]
    pub protocol: u32,
    pub online: bool,
    pub boot_id: BootId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_version: Option<String>,
    /// The last boots whose times the camera knows, because its clock was set while they lasted:
    /// what it sent before gets its time by them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub boots: Vec<BootTime>,
}

/// When a boot of the camera began, by a clock that was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootTime {
    pub boot_id: BootId,
    pub began_at: UnixMillis,
}
