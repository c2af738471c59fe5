//! Everything the agent and the relay say to each other, as types.
//!
//! Messages are additive: a reader ignores fields that it does not know, and a field, once
//! published, keeps its name and meaning. `tests/wire` holds one golden file for each message.

pub mod account;
pub mod admin;
pub mod api;
pub mod audit;
pub mod authenticity;
pub mod camera;
pub mod clip;
pub mod command;
pub mod configuration;
pub mod event;
pub mod factor;
pub mod finding;
pub mod ids;
pub mod image;
pub mod introduction;
pub mod notification;
pub mod pairing;
pub mod pairing_qr;
pub mod problem;
pub mod range;
pub mod release;
pub mod request_id;
pub mod role;
#[cfg(feature = "schema")]
mod schema;
pub mod sdp;
pub mod session;
pub mod signal;
pub mod text;
pub mod text_file;
pub mod time;
pub mod topic;
pub mod web_address;
pub mod webhook;
pub mod wifi;
pub mod word;

/// Version of the wire protocol. Every hello (claim, presence) and every message carries it.
pub const PROTOCOL_VERSION: u32 = 1;

/// Returns the default of the `protocol` field: messages written before it existed were version 1.
pub(crate) fn first_protocol() -> u32 {
    1
}
