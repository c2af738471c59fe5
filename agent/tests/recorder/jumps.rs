//! A board without a clock of its own: the time jumps while it records.

use std::time::Duration;

use nightjar_agent::{
    config::{RecordingConfig, RecordingMode},
    store::{Clip, ClipKind, ClipState},
};
use nightjar_shared::{
    event::EventState,
    ids::EventId,
    time::{ClockState, UnixMillis},
};

use crate::{
    camera::{Camera, config},
    source::Source,
};

const IN_1970: UnixMillis = UnixMillis(3_600_000);
const IN_2035: UnixMillis = UnixMillis(2_064_268_800_000);
const IN_2050: UnixMillis = UnixMillis(2_537_827_200_000);
/// Pre-roll, the group before it and rounding.
const MAX_OVERLAP_MS: i64 = 3_500;

/// An event that ends, after everything that it brings about.
async fn event(camera: &Camera, number: usize) {
    let event_id = EventId::generate();
    let at = camera.footage(Duration::from_secs(3)).await;
    camera.tell(event_id, EventState::Started, at).await;
    let at = camera.footage(Duration::from_secs(2)).await;
    camera.tell(event_id, EventState::Ended, at).await;
    let clips = camera.clips_of_ended_events(number).await;
    let events = clips.iter().filter(|clip| clip.kind == ClipKind::Motion);
    assert!(events.clone().all(|clip| clip.state == ClipState::Closed));
    assert_eq!(events.count(), number, "clips were deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_neither_stops_recording_nor_deletes_and_is_corrected() {
    // Footage of more than a day is deleted.
    let camera = Camera::start(RecordingConfig {
        mode: RecordingMode::Both,
        max_clip_s: 5,
        max_age_days: 1,
        continuous_max_age_days: 1,
        ..config()
    })
    .await;
    let Source::Reel(reel) = &camera.source else { unreachable!("it goes by a reel") };
    let (hands, clock) = (&reel.clock, reel.clock.clock());
    let (begun_at, right) = (clock.monotonic(), clock.unix());
    let mut events = 0;
    for (time, state) in [
        (IN_1970, ClockState::Unsynced),
        (IN_2050, ClockState::Unsynced),
        (IN_2035, ClockState::Synced),
    ] {
        hands.set_unix(time);
        hands.set_state(state);
        for _ in 0..2 {
            events += 1;
            event(&camera, events).await;
        }
        let clips = camera.store.clips().await.unwrap();
        assert!(clips.iter().all(|clip| clip.state != ClipState::Gone), "{time:?}: {clips:?}");
    }
    hands.set_unix(right.plus(clock.monotonic().since(begun_at)));
    event(&camera, events + 1).await;
    camera
        .until("the times to be corrected", async || {
            let clips = camera.store.clips().await.unwrap();
            clips.iter().all(|clip| clip.clock == ClockState::Synced && clip.started_at >= right)
        })
        .await;
    camera.assert_in_order().await;
    let stopped = camera.stop().await;
    assert_in_order(&stopped.store.clips().await.unwrap(), clock.unix());
}

/// In the order in which they were recorded clips have rising times, none of which is to come, and
/// overlap by no more than a pre-roll.
fn assert_in_order(clips: &[Clip], now: UnixMillis) {
    for clip in clips {
        assert!(clip.ended_at.unwrap().0 <= now.0 + 1_000, "{clip:?}");
    }
    for pair in clips.windows(2) {
        // The pre-roll of an event may reach back beyond the piece before it.
        assert!(pair[1].started_at.0 >= pair[0].started_at.0 - MAX_OVERLAP_MS, "{pair:?}");
        let overlap_ms = pair[0].ended_at.unwrap().0 - pair[1].started_at.0;
        assert!((-1_500..=MAX_OVERLAP_MS).contains(&overlap_ms), "{overlap_ms} ms: {pair:?}");
    }
}
