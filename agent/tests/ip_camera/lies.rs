//! Streams that are odd in the middle: nothing that nobody can play goes on.

use std::time::Duration;

use nightjar_shared::event::TranscodeReason;

use crate::{
    liar::{Liar, Lie, Play},
    watcher::{Watcher, camera, next},
};

fn play(lie: Lie) -> Watcher {
    Watcher::start(&camera(&Liar::Plays(Play { lie, ..Play::default() }).listen().url()))
}

#[tokio::test(flavor = "multi_thread")]
async fn parameter_sets_between_key_frames_let_the_stream_be_encoded_again() {
    let watcher = play(Lie::Sets(20));
    let seen = watcher.until("other sets", |status| status.transcoded.is_some()).await;
    assert_eq!(seen.transcoded, Some(TranscodeReason::ParameterSets));
    assert_ne!(seen.encoder, "passthrough");
    watcher.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_lost_picture_nothing_goes_on_up_to_the_next_key_frame_and_the_loss_is_told() {
    let watcher = play(Lie::Loses);
    let mut frames = watcher.media.frames();
    let (mut last, mut gap) = (next(&mut frames).await, Duration::ZERO);
    for _ in 0..45 {
        let frame = next(&mut frames).await;
        let step = frame.captured_at.since(last.captured_at);
        assert!(step < Duration::from_millis(450) || frame.key_frame, "{step:?}");
        gap = gap.max(step);
        last = frame;
    }
    assert!(gap > Duration::from_millis(500), "from one before it to the key frame: {gap:?}");
    let seen = watcher.until("the loss", |status| status.lost_packets.is_some()).await;
    assert_eq!((seen.problem, seen.transcoded), (None, None));
    watcher.stop().await;
}

/// As that of the scene, with 4,294,967,295 half pictures a second.
const HASTY: &[u8] = &[
    0x67, 0x42, 0xc0, 0x0c, 0xda, 0x05, 0x06, 0x7e, 0x7c, 0x05, 0xa8, 0x30, 0x30, 0x35, 0x28, 0x00,
    0x00, 0x03, 0x00, 0x0f, 0xff, 0xff, 0xff, 0xfc, 0x78, 0xa1, 0x55,
];

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_says_an_impossible_pace_is_seen() {
    let watcher = play(Lie::Sequence(0, HASTY));
    let mut luma = watcher.media.luma().unwrap();
    watcher.until("pictures", |status| status.running).await;
    for _ in 0..20 {
        luma.recv().await.unwrap();
    }
    assert!(watcher.media.status().borrow().problem.is_none());
    watcher.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_with_two_picture_parameter_sets_is_decoded_whole_and_encoded_again() {
    let watcher = play(Lie::TwoSets);
    let seen = watcher.until("two sets", |status| status.running).await;
    assert_eq!(seen.transcoded, Some(TranscodeReason::ParameterSets));
    let mut luma = watcher.media.luma().unwrap();
    let mut last = luma.recv().await.unwrap();
    let mut close = 0;
    for _ in 0..30 {
        let next = luma.recv().await.unwrap();
        close += u32::from(next.captured_at.since(last.captured_at) < Duration::from_millis(500));
        last = next;
    }
    assert!(close > 20, "only key frames are decoded, one a second: {close} of 30 follow closely");
    watcher.stop().await;
}
