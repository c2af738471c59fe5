//! The readers that meet the bytes of strangers, taken out of agent and relay as they are: the whole
//! of both would bring `GStreamer` and a broker along, and take half an hour to build.
#![allow(dead_code, unused_imports, reason = "only some of it is fuzzed")]

#[path = "../../agent/src/media/mux/mod.rs"]
pub mod mux;
#[path = "../../agent/src/media/offer/mod.rs"]
pub mod offer;
#[path = "../../relay/src/domain/sdp.rs"]
pub mod sdp;
#[path = "../../agent/src/segment.rs"]
pub mod segment;
