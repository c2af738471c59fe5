//! The relay's HTTP doors, from outside: the real relay on ports of its own, on every database
//! there is. The modules mirror the URLs below `/api/v1`.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod agent;
mod auth;
mod bad_sdp;
mod cameras;
mod clips;
mod commands;
mod database;
mod device;
mod events;
mod growing_clips;
mod live;
mod live_life;
mod live_limits;
mod live_socket;
#[path = "../mqtt/camera.rs"]
#[expect(dead_code, reason = "the broker's tests ask more of an MQTT client")]
mod mqtt;
#[path = "../../../shared/tests/mutation/mod.rs"]
mod mutation;
mod operations;
mod pairings;
mod person;
mod relay;
mod renewal;
mod shares;
#[path = "../support/mod.rs"]
mod support;
mod tenancy;
mod timeline;
mod times;
mod turn;
mod turn_client;
mod turn_limits;
mod upkeep;
mod uplink;
mod whep;
mod whep_redirect;
mod ws;
mod ws_limits;
