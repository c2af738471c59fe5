//! What the agent decides and computes, without the world around it: no file, socket, thread or
//! clock, no GStreamer and no tokio. Callers pass `now` and carry out what comes back. The package is
//! optimised in development builds too, because tests look at many pictures.

pub mod backoff;
pub mod encoding;
pub mod h264;
pub mod monotonic;
pub mod motion;
pub mod mp4;
pub mod night;
pub mod orientation;
pub mod picture;
pub mod qr;
pub mod rtp;
pub mod schedule;
pub mod seeded;
pub mod shape;
pub mod tamper;
pub mod update;
