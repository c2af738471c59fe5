//! Stands where people and cameras stand: browsers, players, networks between them. The end-to-end
//! tests and the bench are made of this, on top of what starts the programs, `nightjar_demo`.

pub use nightjar_demo::{agent, api, process, programs, relay, stack, wait};

pub mod attack;
pub mod bench;
pub mod bench_relay;
pub mod browser;
pub mod clip_page;
pub mod fake_camera;
pub mod feed;
pub mod footage;
pub mod guest;
pub mod hls;
pub mod ip_camera;
pub mod lens;
pub mod network;
pub mod players;
pub mod radosgw;
pub mod sfu;
pub mod shaper;
pub mod small_disk;
pub mod suites;
pub mod traffic;
pub mod turn;
pub mod viewer;
