//! Pushes the pictures of a scene or a file into the pipeline at the pace of real time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::Context as _;
use gstreamer::{self as gst, prelude::*};
use gstreamer_app::AppSrc;
use nightjar_core::monotonic::MonotonicNanos;

use super::{
    reel::{Picture, Reel},
    scene::Scene,
    stamp,
};
use crate::clock::{Clock, monotonic_now};

/// Later than this, the missed pictures are given up and time starts anew.
const MAX_LATENESS: Duration = Duration::from_millis(500);

/// What a feeder feeds.
pub(crate) enum Supply {
    Scene(SceneSupply),
    Reel(Box<Reel>),
}

impl Supply {
    /// When, counted from the beginning, the next picture is due.
    fn next_due(&mut self) -> anyhow::Result<Duration> {
        match self {
            Self::Scene(scene) => Ok(scene.due()),
            Self::Reel(reel) => reel.due(),
        }
    }

    fn take(&mut self, captured_at: MonotonicNanos) -> anyhow::Result<Picture> {
        match self {
            Self::Scene(scene) => Ok((scene.take(captured_at)?, scene.caps.clone())),
            Self::Reel(reel) => reel.take(),
        }
    }
}

/// The drawn scene as a sequence of buffers.
pub(crate) struct SceneSupply {
    scene: Scene,
    width: usize,
    interval: Duration,
    stamped: bool,
    drawn: u32,
    pool: gst::BufferPool,
    caps: gst::Caps,
}

impl SceneSupply {
    pub(crate) fn new(
        scene: Scene,
        width: usize,
        fps: u32,
        stamped: bool,
        caps: &gst::Caps,
    ) -> anyhow::Result<Self> {
        let pool = gst::BufferPool::new();
        let mut config = pool.config();
        let size = u32::try_from(scene.size()).context("the scene is too large")?;
        config.set_params(Some(caps), size, 2, 0);
        pool.set_config(config).context("cannot set up picture buffers")?;
        pool.set_active(true).context("cannot allocate picture buffers")?;
        let interval = Duration::from_secs(1) / fps.max(1);
        Ok(Self { scene, width, interval, stamped, drawn: 0, pool, caps: caps.clone() })
    }

    fn due(&self) -> Duration {
        self.interval * self.drawn
    }

    fn take(&mut self, captured_at: MonotonicNanos) -> anyhow::Result<gst::Buffer> {
        let mut buffer = self.pool.acquire_buffer(None).context("no picture buffer")?;
        {
            let writable = buffer.get_mut().context("a pooled buffer is shared")?;
            let mut map = writable.map_writable().context("cannot map a picture buffer")?;
            self.scene.draw(self.due(), &mut map);
            if self.stamped {
                stamp::draw(&mut map, self.width, Clock::default().unix_time_of(captured_at));
            }
        }
        self.drawn = self.drawn.wrapping_add(1);
        Ok(buffer)
    }
}

impl Drop for SceneSupply {
    fn drop(&mut self) {
        // Buffers still on their way return to an inactive pool and are freed there.
        let _ = self.pool.set_active(false);
    }
}

/// A thread that feeds one `appsrc`; [`Feeder::stop`] joins it.
pub(crate) struct Feeder {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Feeder {
    /// The pipeline's clock must be the system's and its base time zero: pictures are stamped
    /// with `CLOCK_MONOTONIC`.
    pub(crate) fn start(mut supply: Supply, sink: AppSrc) -> anyhow::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("capture-feeder".to_owned())
            .spawn(move || {
                if let Err(error) = feed(&mut supply, &sink, &stopped) {
                    gst::element_error!(sink, gst::ResourceError::Read, ("{error:#}"));
                }
            })
            .context("cannot start the capture thread")?;
        Ok(Self { stop, thread })
    }

    /// Blocks until the thread has ended.
    pub(crate) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        if self.thread.join().is_err() {
            tracing::error!("the capture thread panicked");
        }
    }
}

fn feed(supply: &mut Supply, sink: &AppSrc, stop: &AtomicBool) -> anyhow::Result<()> {
    let mut beginning = monotonic_now();
    loop {
        let due_after = supply.next_due()?;
        let mut due = beginning.plus(due_after);
        let now = monotonic_now();
        if now.since(due) > MAX_LATENESS {
            beginning = beginning.plus(now.since(due));
            due = now;
        }
        if !wait_until(due, stop) {
            return Ok(());
        }
        let (mut buffer, caps) = supply.take(due)?;
        // Nothing happens while they stay the same.
        sink.set_caps(Some(&caps));
        buffer.make_mut().set_pts(gst::ClockTime::from_nseconds(due.0));
        // A flushing appsrc means that the pipeline is being stopped.
        if sink.push_buffer(buffer).is_err() {
            return Ok(());
        }
    }
}

/// False when the feeder is to stop.
fn wait_until(due: MonotonicNanos, stop: &AtomicBool) -> bool {
    while !stop.load(Ordering::Relaxed) {
        let left = due.since(monotonic_now());
        if left.is_zero() {
            return true;
        }
        thread::park_timeout(left);
    }
    false
}
