//! What the agent decides and computes, seen from outside. One program, since each costs a link.

mod memory;
mod motion;
mod mp4;
mod qr;
mod simulator;
mod tamper;
