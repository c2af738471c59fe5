//! Starts the real programs and stands where people and cameras stand: the demo, the end-to-end
//! tests and the bench are made of this.

pub mod agent;
pub mod api;
pub mod bench;
pub mod browser;
pub mod clip_page;
pub mod demo;
pub mod feed;
pub mod footage;
pub mod hls;
pub mod network;
pub mod players;
pub mod process;
pub mod programs;
pub mod relay;
pub mod sfu;
pub mod shaper;
pub mod stack;
pub mod turn;
pub mod viewer;
pub mod wait;
