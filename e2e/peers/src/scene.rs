//! The scene of `make bench`, drawn by the agent's own code, for those who are not the agent.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use gstreamer::{self as gst, prelude::*};
use gstreamer_app::AppSrc;
use nightjar_agent::{
    capture::{scene::Scene, stamp},
    clock,
};
use nightjar_e2e::bench;

/// What the agent encodes at when nobody says otherwise.
pub(crate) const BITRATE_KBPS: u32 = 2_000;

/// Sets what the agent sets of x264enc (`agent/src/encode/encoder.rs`), and nothing else.
pub(crate) fn set_up(encoder: &gst::Element) {
    encoder.set_property_from_str("tune", "zerolatency");
    encoder.set_property_from_str("speed-preset", "ultrafast");
    encoder.set_property("key-int-max", bench::scene().fps);
    encoder.set_property("threads", 1_u32);
    encoder.set_property("bitrate", BITRATE_KBPS);
}

/// Draws pictures at the pace of real time, in a thread of its own, until the pipeline stops.
pub(crate) fn feed(sink: AppSrc) -> Result<()> {
    let wanted = bench::scene();
    let caps = gst::Caps::builder("video/x-raw")
        .field("format", "I420")
        .field("width", i32::try_from(wanted.width)?)
        .field("height", i32::try_from(wanted.height)?)
        .field("framerate", gst::Fraction::new(i32::try_from(wanted.fps)?, 1))
        .build();
    sink.set_caps(Some(&caps));
    let width = usize::try_from(wanted.width)?;
    let (quiet, walk) = (wanted.quiet_s.into(), wanted.walk_s.into());
    let (quiet, walk) = (Duration::from_secs(quiet), Duration::from_secs(walk));
    let scene = Scene::new(width, usize::try_from(wanted.height)?, quiet, walk);
    // As in the agent: memory that is allocated anew for each picture costs more than drawing it.
    let pool = gst::BufferPool::new();
    let mut config = pool.config();
    config.set_params(Some(&caps), u32::try_from(scene.size())?, 2, 0);
    pool.set_config(config).context("cannot set up picture buffers")?;
    pool.set_active(true).context("cannot allocate picture buffers")?;
    let interval = Duration::from_secs(1) / wanted.fps;
    let draw = move || -> Result<()> {
        let begin = Instant::now();
        for drawn in 0.. {
            thread::sleep((interval * drawn).saturating_sub(begin.elapsed()));
            let mut buffer = pool.acquire_buffer(None).context("no picture buffer")?;
            {
                let writable = buffer.get_mut().context("a pooled buffer is shared")?;
                let mut map = writable.map_writable().context("cannot map a picture buffer")?;
                scene.draw(interval * drawn, &mut map);
                stamp::draw(&mut map, width, clock::unix_now());
            }
            // Fails when the pipeline stops.
            sink.push_buffer(buffer).context("the pipeline takes no pictures")?;
        }
        Ok(())
    };
    thread::Builder::new()
        .name("scene".to_owned())
        .spawn(move || {
            if let Err(error) = draw() {
                tell(&format!("the scene ends: {error:#}"));
            }
        })
        .context("cannot start the thread that draws")?;
    Ok(())
}

/// For the log of a process of the bench.
#[expect(clippy::print_stderr, reason = "standard error is this process's log")]
pub(crate) fn tell(what: &str) {
    eprintln!("{what}");
}
