//! What the bench measures and no other door shows: the ring's memory and retention's decision.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use nightjar_core::{monotonic::MonotonicNanos, picture::EncodedFrame};
use nightjar_shared::{
    ids::{BootId, ClipId},
    time::{ClockState, UnixMillis},
};

use super::{
    clip::preroll::Preroll,
    room::retention::{Limits, Now, to_delete},
    room::space::DiskSpace,
};
use crate::store::{ClipKind, StoredClip};

/// Fills a pre-roll ring of `span` with twice as much footage of 30 frames a second, a key frame
/// each second. Keep what comes back for as long as the memory is measured.
#[must_use]
pub fn full_preroll(span: Duration, bits_per_second: usize) -> impl Sized {
    const FPS: usize = 30;
    let mut ring = Preroll::new(span, usize::MAX);
    let frames = usize::try_from(span.as_secs()).unwrap_or(0) * 2 * FPS;
    for number in 0..frames {
        let at = Duration::from_secs(1) * u32::try_from(number).unwrap_or(0) / 30;
        ring.push(Arc::new(EncodedFrame {
            data: Bytes::from(vec![1; bits_per_second / 8 / FPS]),
            key_frame: number % FPS == 0,
            captured_at: MonotonicNanos(0).plus(at),
        }));
    }
    ring
}

/// How long retention takes to decide over `rows` clips of which half must go, and how many it
/// chose.
#[must_use]
pub fn retention_decision(rows: usize) -> (Duration, usize) {
    const CLIP_BYTES: u64 = 10_000_000;
    let boot_id = BootId::generate();
    let clips: Vec<StoredClip> = (0..rows)
        .map(|number| StoredClip {
            clip_id: ClipId::generate(),
            sequence: i64::try_from(number).unwrap_or(i64::MAX),
            kind: if number % 3 == 0 { ClipKind::Continuous } else { ClipKind::Motion },
            started_at: UnixMillis(0),
            clock: ClockState::Synced,
            boot_id,
            started_uptime_ms: 0,
            bytes: CLIP_BYTES,
            settled: number % 2 == 0,
            protected: number % 50 == 0,
        })
        .collect();
    let limits = Limits {
        max_bytes: CLIP_BYTES * rows as u64 / 2,
        max_age: Some(Duration::from_hours(24)),
        continuous_max_age: Some(Duration::from_hours(24)),
        disk: DiskSpace {
            total_bytes: u64::MAX / 2,
            free_bytes: u64::MAX / 4,
            min_free_percent: 5,
        },
    };
    let now = Now { wall: UnixMillis(0), clock: ClockState::Synced, boot_id, uptime_ms: 1 };
    let begun = Instant::now();
    let doomed = to_delete(&clips, limits, now).len();
    (begun.elapsed(), doomed)
}
