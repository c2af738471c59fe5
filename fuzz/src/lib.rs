//! The relay's reader of descriptions, taken out of it as it is: the whole relay would bring a
//! broker along, and take half an hour to build.
#![allow(dead_code, unused_imports, reason = "only some of it is fuzzed")]

#[path = "../../relay/src/domain/sdp.rs"]
pub mod sdp;
