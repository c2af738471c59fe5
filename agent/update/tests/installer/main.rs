//! The installer on a root of files: real dpkg and its database, real packages, real signatures.
//! systemd and the agent are a script; the guest has real ones.

#![expect(clippy::unwrap_used, reason = "in a test a failed unwrap is a failed test")]

mod bad_builds;
mod bad_input;
mod board;
mod cuts;
mod good;
mod overtaken;
