//! What the recorder is fed with: frames that the encoder made once, as fast as they are taken, or a
//! camera with its encoder in real time.

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use nightjar_agent::{
    clock::{Clock, SimulatedClock},
    config::{SourceConfig, SourceKind},
    encode::Media,
    stills::Stills,
};
use nightjar_core::{monotonic::MonotonicNanos, picture::EncodedFrame};
use nightjar_shared::time::UnixMillis;
use tokio::{
    sync::broadcast,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Three seconds of the synthetic scene, 320x180, 15 frames a second, a key frame each second, in
/// Annex B. It begins with a key frame, so it can go on from its end with its beginning.
const WALKER: &[u8] = include_bytes!("walker.h264");
const ACCESS_UNIT_DELIMITER: &[u8] = &[0, 0, 0, 1, 9];
/// Its parameter sets come first in a key frame.
const SEQUENCE_PARAMETERS: &[u8] = &[0, 0, 0, 1, 0x67];
pub(crate) const FRAME_INTERVAL: Duration = Duration::from_nanos(66_666_667);

/// Something that begins and ends like a JPEG: it is never looked at.
const STILL: &[u8] = &[0xff, 0xd8, 0, 0, 0xff, 0xd9];

/// Frames that listeners may be behind. The reel waits for the slowest one.
const QUEUE: usize = 16;

/// The encoded frames, and which of them are key frames.
static FRAMES: LazyLock<Vec<(Bytes, bool)>> = LazyLock::new(|| {
    let starts_with = |at: &usize| WALKER[*at..].starts_with(ACCESS_UNIT_DELIMITER);
    let starts: Vec<usize> = (0..WALKER.len()).filter(starts_with).collect();
    let ends = starts[1..].iter().copied().chain([WALKER.len()]);
    let frames = starts.iter().zip(ends).map(|(start, end)| {
        // Our encoders put no delimiter in front; it is five bytes, and one that says what follows.
        let data = &WALKER[start + ACCESS_UNIT_DELIMITER.len() + 1..end];
        (Bytes::from_static(data), data.starts_with(SEQUENCE_PARAMETERS))
    });
    frames.collect()
});

/// Where a recorder's frames come from.
pub(crate) enum Source {
    Reel(Reel),
    Camera(Media),
}

impl Source {
    /// A reel whose clock begins now.
    pub(crate) fn reel() -> Self {
        Self::Reel(Reel::new(SimulatedClock::standing(nightjar_agent::clock::unix_now())))
    }

    /// A camera with a real encoder. The first frame is there.
    pub(crate) async fn camera(tracker: &TaskTracker, cancel: &CancellationToken) -> Self {
        let source = SourceConfig {
            kind: SourceKind::Synthetic,
            width: 320,
            height: 180,
            fps: 15,
            ..SourceConfig::default()
        };
        let media = Media::start(&source, None, tracker, cancel.clone()).unwrap();
        timeout(PATIENCE, media.frames().recv()).await.unwrap().unwrap();
        Self::Camera(media)
    }

    pub(crate) fn frames(&self) -> broadcast::Receiver<Arc<EncodedFrame>> {
        match self {
            Self::Reel(reel) => reel.frames.subscribe(),
            Self::Camera(media) => media.frames(),
        }
    }

    pub(crate) fn stills(&self) -> Stills {
        match self {
            Self::Reel(_) => Stills::new(|_| async { Ok(Bytes::from_static(STILL)) }),
            Self::Camera(media) => media.stills(),
        }
    }

    pub(crate) fn clock(&self) -> Clock {
        match self {
            Self::Reel(reel) => reel.clock.clock(),
            Self::Camera(_) => Clock::default(),
        }
    }

    /// Waits for this much footage to go by. Gives the capture time of its last frame.
    pub(crate) async fn footage(&self, length: Duration) -> MonotonicNanos {
        let wait = async {
            match self {
                Self::Reel(reel) => reel.roll(length).await,
                Self::Camera(media) => passed(media.frames(), length).await,
            }
        };
        timeout(PATIENCE, wait).await.expect("the source gives frames, and they are taken")
    }

    /// Waits until something is the case, while footage goes by.
    pub(crate) async fn until(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        let wait = async {
            while !holds().await {
                self.footage(FRAME_INTERVAL).await;
                // Time for what does not go by the reel: the disk.
                sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("waited in vain for {what}"));
    }
}

async fn passed(
    mut frames: broadcast::Receiver<Arc<EncodedFrame>>,
    length: Duration,
) -> MonotonicNanos {
    let mut first = None;
    loop {
        let Ok(frame) = frames.recv().await else { continue };
        let first = *first.get_or_insert(frame.captured_at);
        if frame.captured_at.since(first) >= length {
            return frame.captured_at;
        }
    }
}

/// Gives the recorded frames again and again. Time passes with each of them, and at no other time.
pub(crate) struct Reel {
    pub(crate) clock: SimulatedClock,
    frames: broadcast::Sender<Arc<EncodedFrame>>,
    given: AtomicUsize,
}

impl Reel {
    pub(crate) fn new(clock: SimulatedClock) -> Self {
        Self { clock, frames: broadcast::Sender::new(QUEUE), given: AtomicUsize::new(0) }
    }

    /// At a time that is always the same: so is then what is recorded.
    pub(crate) fn at_noon() -> Self {
        Self::new(SimulatedClock::standing(UnixMillis(1_800_000_000_000)))
    }

    async fn roll(&self, length: Duration) -> MonotonicNanos {
        let until = self.clock.clock().monotonic().plus(length);
        loop {
            let frame = self.next().await;
            if frame.captured_at >= until {
                return frame.captured_at;
            }
        }
    }

    /// Gives one frame, and waits until all who listen have it.
    pub(crate) async fn next(&self) -> Arc<EncodedFrame> {
        self.clock.advance(FRAME_INTERVAL);
        let number = self.given.fetch_add(1, Ordering::Relaxed) % FRAMES.len();
        let (data, key_frame) = FRAMES[number].clone();
        let captured_at = self.clock.clock().monotonic();
        let frame = Arc::new(EncodedFrame { data, key_frame, captured_at });
        // An error means that nobody listens.
        drop(self.frames.send(Arc::clone(&frame)));
        while !self.frames.is_empty() {
            sleep(Duration::from_millis(1)).await;
        }
        frame
    }
}

/// Waits until a message is taken by all who listen.
pub(crate) async fn taken<T>(sender: &broadcast::Sender<T>) {
    let wait = async {
        while !sender.is_empty() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, wait).await.expect("the recorder listens");
}
