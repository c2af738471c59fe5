//! Whether a viewer got every frame that was encoded while it watched.

use std::sync::{Arc, Mutex};

use nightjar_agent::media::Media;
use tokio::sync::broadcast::error::RecvError;

/// The payloader may round where this module truncates.
const ROUNDING: u32 = 1;

/// Everything that was encoded since it listens.
pub(crate) struct Encoded {
    /// Capture times in RTP's 90 kHz.
    ticks: Arc<Mutex<Vec<u32>>>,
}

impl Encoded {
    pub(crate) fn listen(media: &Media) -> Self {
        let ticks = Arc::<Mutex<Vec<u32>>>::default();
        let (mut frames, noted) = (media.frames(), Arc::clone(&ticks));
        tokio::spawn(async move {
            loop {
                match frames.recv().await {
                    Ok(frame) => noted.lock().unwrap().push(ticks_of(frame.captured_at.0)),
                    // The test shows the hole as missing frames of this list, not of the viewer's.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                }
            }
        });
        Self { ticks }
    }

    /// How many frames a viewer had to get between its first and its last one, and how many of
    /// them it did not get.
    pub(crate) fn missed_by(&self, rtp_times: &[u32]) -> (usize, usize) {
        missed(&self.ticks.lock().unwrap(), rtp_times)
    }
}

fn ticks_of(nanos: u64) -> u32 {
    let ticks = u128::from(nanos) * 90_000 / 1_000_000_000;
    u32::try_from(ticks & u128::from(u32::MAX)).unwrap()
}

/// RTP times begin anywhere. Where most of them fit is where they began.
fn missed(encoded: &[u32], seen: &[u32]) -> (usize, usize) {
    let (first, last) = (seen[0], seen[seen.len() - 1]);
    let fits = |start: usize| {
        let mut rest = seen.iter().map(|time| time.wrapping_sub(first)).peekable();
        let mut expected = 0;
        let mut found = 0;
        for tick in &encoded[start..] {
            let tick = tick.wrapping_sub(encoded[start]);
            if tick > last.wrapping_sub(first) + ROUNDING {
                break;
            }
            expected += 1;
            while rest.next_if(|time| time + ROUNDING < tick).is_some() {}
            found += usize::from(rest.next_if(|time| time.abs_diff(tick) <= ROUNDING).is_some());
        }
        (expected, found)
    };
    let best = (0..encoded.len()).map(fits).max_by_key(|(_, found)| *found).unwrap();
    (best.0, best.0 - best.1)
}

#[test]
fn a_missing_frame_is_noticed_and_jitter_of_capture_is_not() {
    let encoded: Vec<u32> = (0..500).map(|index: u32| index * 3_600 + index * index % 71).collect();
    let offset = |times: &[u32]| {
        times.iter().map(|time| time.wrapping_add(u32::MAX - 9_000)).collect::<Vec<u32>>()
    };
    assert_eq!(missed(&encoded, &offset(&encoded[30..400])), (370, 0));
    let with_a_hole = [&encoded[30..100], &encoded[101..400]].concat();
    assert_eq!(missed(&encoded, &offset(&with_a_hole)), (370, 1));
}
