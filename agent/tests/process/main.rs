//! The real program from outside: its files, its exit codes, its signals, and a real relay.

#![expect(clippy::unwrap_used, reason = "in a test a failed unwrap is a failed test")]

mod alone;
mod board;
mod clock;
mod commands;
mod configuration;
mod damaged;
mod detect;
mod file_systems;
#[path = "../footage/mod.rs"]
mod footage;
mod footage_tools;
mod left_clips;
mod lens;
mod neighbours;
mod night;
mod outbox;
mod pairing;
mod progress;
mod provisioning;
mod recorded;
mod relay;
mod routes;
#[path = "../recorder/source.rs"]
#[expect(dead_code, reason = "the recorder's own tests have more uses for it")]
mod source;
mod support;
mod tamper;
mod uploads;
mod wifi;
