//! Events, manual recordings and snapshots as clips.

use std::{convert::Infallible, fs, time::Duration};

use nightjar_agent::{
    config::{RecordingConfig, RecordingMode},
    record::{RecordError, recordings_dir},
    store::{ClipKind, ClipState},
};
use nightjar_core::mp4;
use nightjar_shared::{
    api::PartKind,
    event::{EventKind, EventState},
    ids::EventId,
};

use crate::{
    camera::{Camera, Stopped, config, video, waiting_upload},
    footage,
};

#[tokio::test(flavor = "multi_thread")]
async fn an_event_becomes_a_clip_with_pre_roll_post_roll_and_thumbnail() {
    let camera = Camera::start(config()).await;
    assert_an_event_becomes_a_clip(&camera).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_before_a_real_encoder_becomes_a_clip_just_so() {
    let camera = Camera::start_encoder(config()).await;
    assert_an_event_becomes_a_clip(&camera).await;
    camera.stop().await;
}

async fn assert_an_event_becomes_a_clip(camera: &Camera) {
    let started_at = camera.footage(Duration::from_millis(2_500)).await;
    let event_id = EventId::generate();
    camera.tell(event_id, EventState::Started, started_at).await;
    let ended_at = camera.footage(Duration::from_secs(1)).await;
    camera.tell(event_id, EventState::Ended, ended_at).await;

    let clips = camera.clips_of_ended_events(1).await;
    assert_eq!(clips.len(), 1);
    let clip = &clips[0];
    assert_eq!((clip.kind, clip.event_id), (ClipKind::Motion, Some(event_id)));

    let probe = footage::probe(&camera.recordings().join(video(clip)));
    assert!(probe.starts_with_key_frame);
    // The pre-roll reaches back to a key frame, so it may be a group (1 s) longer than asked for.
    let event_s = ended_at.since(started_at).as_secs_f64();
    let least_s = 1.0 + event_s + 1.0;
    assert!(
        (least_s - 0.15..least_s + 1.15).contains(&probe.duration_s),
        "an event of {event_s:.2} s gave {probe:?}"
    );
    let indexed = Duration::from_millis(clip.duration_ms.unwrap());
    assert!((probe.duration_s - indexed.as_secs_f64()).abs() < 0.01, "{probe:?} {indexed:?}");

    let thumbnail = clip.parts.iter().find(|part| part.kind == PartKind::Thumbnail).unwrap();
    let jpeg = fs::read(camera.recordings().join(&thumbnail.path)).unwrap();
    assert!(jpeg.starts_with(&[0xff, 0xd8]) && jpeg.ends_with(&[0xff, 0xd9]));

    let messages = camera.messages().await;
    let told: Vec<_> = messages.iter().map(|message| (message.state, message.clip_id)).collect();
    assert_eq!(
        told,
        [(EventState::Started, Some(clip.clip_id)), (EventState::Ended, Some(clip.clip_id))]
    );
    assert_eq!(messages[0].boxes.len(), 1);
    assert_eq!(messages[1].reason.as_deref(), Some("still"));
    assert!(messages.iter().all(|message| message.event_id == event_id));
    assert_eq!(waiting_upload(&camera.store).await, Some(clip.clip_id));
    camera.assert_in_order().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn motion_that_resumes_within_the_post_roll_extends_the_event() {
    let camera = Camera::start(config()).await;
    let first = EventId::generate();
    let at = camera.footage(Duration::from_secs(1)).await;
    camera.tell(first, EventState::Started, at).await;
    let at = camera.footage(Duration::from_millis(300)).await;
    camera.tell(first, EventState::Ended, at).await;
    let resumed = EventId::generate();
    let at = camera.footage(Duration::from_millis(300)).await;
    camera.tell(resumed, EventState::Started, at).await;
    let at = camera.footage(Duration::from_millis(1_500)).await;
    camera.tell(resumed, EventState::Ended, at).await;

    let clips = camera.clips_of_ended_events(1).await;
    assert_eq!(clips.len(), 1);
    let messages = camera.messages().await;
    let told: Vec<_> = messages.iter().map(|message| (message.event_id, message.state)).collect();
    assert_eq!(told, [(first, EventState::Started), (first, EventState::Ended)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn long_motion_is_split_into_clips_without_a_gap() {
    let camera = Camera::start(RecordingConfig { max_clip_s: 2, ..config() }).await;
    let event_id = EventId::generate();
    let at = camera.footage(Duration::from_millis(1_500)).await;
    camera.tell(event_id, EventState::Started, at).await;
    let at = camera.footage(Duration::from_secs(4)).await;
    camera.tell(event_id, EventState::Ended, at).await;

    let clips = camera.clips_of_ended_events(1).await;
    assert!(clips.len() >= 2, "{clips:?}");
    assert!(clips.iter().all(|clip| clip.event_id == Some(event_id)));
    for pair in clips.windows(2) {
        let gap_ms = pair[1].started_at.0 - pair[0].ended_at.unwrap().0;
        assert!(gap_ms.abs() <= 100, "a gap of {gap_ms} ms");
    }
    for clip in &clips {
        let probe = footage::probe(&camera.recordings().join(video(clip)));
        assert!(probe.starts_with_key_frame && probe.frames > 0, "{probe:?}");
    }
    let messages = camera.messages().await;
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[1].clip_id, Some(clips[0].clip_id));
    camera.assert_in_order().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manual_recording_runs_beside_a_motion_event() {
    let camera = Camera::start(config()).await;
    let at = camera.footage(Duration::from_secs(1)).await;
    assert_eq!(camera.recorder.stop_manual().await, Err(RecordError::NotRecording));
    let manual = camera.recorder.start_manual().await.unwrap();
    assert_eq!(camera.recorder.start_manual().await, Err(RecordError::AlreadyRecording));
    let event_id = EventId::generate();
    camera.tell(event_id, EventState::Started, at).await;
    let at = camera.footage(Duration::from_secs(1)).await;
    camera.tell(event_id, EventState::Ended, at).await;
    assert_eq!(camera.recorder.stop_manual().await, Ok(manual));

    let clips = camera.clips_of_ended_events(2).await;
    let kinds: Vec<ClipKind> = clips.iter().map(|clip| clip.kind).collect();
    assert_eq!(kinds, [ClipKind::Manual, ClipKind::Motion]);
    assert_eq!(clips[0].clip_id, manual);
    for clip in &clips {
        footage::probe(&camera.recordings().join(video(clip)));
    }
    let messages = camera.messages().await;
    let manual_told: Vec<EventState> = messages
        .iter()
        .filter(|message| message.kind == EventKind::Manual)
        .map(|message| message.state)
        .collect();
    assert_eq!(manual_told, [EventState::Started, EventState::Ended]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_recording_leaves_in_its_own_segments_whatever_comes_and_goes_beside_it() {
    let camera = Camera::start(RecordingConfig { post_roll_s: 0, ..config() }).await;
    camera.footage(Duration::from_secs(1)).await;
    let manual = camera.recorder.start_manual().await.unwrap();
    for number in 1..=4 {
        let event_id = EventId::generate();
        let at = camera.footage(Duration::from_millis(200)).await;
        camera.tell(event_id, EventState::Started, at).await;
        let at = camera.footage(Duration::from_millis(300)).await;
        camera.tell(event_id, EventState::Ended, at).await;
        let told = async || {
            let messages = camera.messages().await;
            messages.iter().filter(|message| message.state == EventState::Ended).count() == number
        };
        camera.until("the event's end", told).await;
    }
    camera.footage(Duration::from_secs(6)).await;
    let grown = async || camera.store.growth(manual).is_some_and(|it| it.segments.len() >= 3);
    camera.until("three segments", grown).await;
    let growth = camera.store.growth(manual).unwrap();
    camera.recorder.stop_manual().await.unwrap();
    let clips = camera.clips_of_ended_events(5).await;

    let file = fs::read(camera.recordings().join(video(&clips[0]))).unwrap();
    let read = |offset: u64, length: usize| {
        let rest = &file[usize::try_from(offset).unwrap().min(file.len())..];
        Ok::<_, Infallible>(rest[..length.min(rest.len())].to_vec())
    };
    let found = mp4::scan(file.len() as u64, read).unwrap().unwrap();
    let segments = mp4::segments(&found.fragments);
    assert_eq!(growth.segments, segments[..growth.segments.len()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_a_clip_of_one_picture() {
    let camera = Camera::start(config()).await;
    camera.footage(Duration::from_millis(200)).await;
    let clip_id = camera.recorder.snapshot_clip().await.unwrap();
    assert_eq!(waiting_upload(&camera.store).await, Some(clip_id));
    let clip = camera.store.clip(clip_id).await.unwrap().unwrap();
    assert_eq!(clip.kind, ClipKind::Snapshot);
    let part = &clip.parts[0];
    assert_eq!((part.kind, part.content_type.as_str()), (PartKind::Snapshot, "image/jpeg"));
    let jpeg = fs::read(camera.recordings().join(&part.path)).unwrap();
    assert!(jpeg.starts_with(&[0xff, 0xd8]));
    assert_eq!(jpeg.len() as u64, part.length);
}

#[tokio::test(flavor = "multi_thread")]
async fn privacy_closes_the_clip_and_nothing_is_recorded_until_it_ends() {
    let camera = Camera::start(config()).await;
    let event_id = EventId::generate();
    let at = camera.footage(Duration::from_secs(1)).await;
    camera.tell(event_id, EventState::Started, at).await;
    let at = camera.footage(Duration::from_millis(500)).await;
    camera.recorder.set_privacy(true);

    camera.clips_of_ended_events(1).await;
    assert_eq!(camera.messages().await[1].reason.as_deref(), Some("privacy"));
    camera.tell(EventId::generate(), EventState::Started, at).await;
    assert_eq!(camera.recorder.start_manual().await, Err(RecordError::Private));
    assert_eq!(camera.recorder.snapshot_clip().await, Err(RecordError::Private));
    assert_eq!(camera.store.clips().await.unwrap().len(), 1);

    camera.recorder.set_privacy(false);
    camera.footage(Duration::from_secs(1)).await;
    camera.recorder.start_manual().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_recording_events_are_told_and_nothing_is_written() {
    let camera = Camera::start(RecordingConfig { mode: RecordingMode::Off, ..config() }).await;
    let event_id = EventId::generate();
    let at = camera.footage(Duration::from_secs(1)).await;
    camera.tell(event_id, EventState::Started, at).await;
    let at = camera.footage(Duration::from_millis(300)).await;
    camera.tell(event_id, EventState::Ended, at).await;
    camera.until("two messages", async || camera.messages().await.len() == 2).await;
    assert!(camera.messages().await.iter().all(|message| message.clip_id.is_none()));
    assert_eq!(fs::read_dir(camera.recordings()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_closes_the_open_clip() {
    let camera = Camera::start(config()).await;
    camera.footage(Duration::from_secs(1)).await;
    let clip_id = camera.recorder.start_manual().await.unwrap();
    camera.footage(Duration::from_secs(1)).await;
    let Stopped { directory, store, .. } = camera.stop().await;

    let clip = store.clip(clip_id).await.unwrap().unwrap();
    assert_eq!(clip.state, ClipState::Closed);
    footage::probe(&recordings_dir(directory.path()).join(video(&clip)));
    assert!(store.open_events().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn old_clips_make_room_for_new_ones() {
    let camera = Camera::start(RecordingConfig { max_bytes: 1, ..config() }).await;
    camera.footage(Duration::from_secs(1)).await;
    camera.recorder.start_manual().await.unwrap();
    camera.footage(Duration::from_millis(700)).await;
    camera.recorder.stop_manual().await.unwrap();
    let gone = async || {
        let clips = camera.store.clips().await.unwrap();
        clips.iter().any(|clip| clip.state == ClipState::Gone)
    };
    camera.until("a clip to be gone", gone).await;
    let clips = camera.store.clips().await.unwrap();
    assert!(clips[0].gone_reason.as_deref().unwrap().contains("room"));
    assert_eq!(fs::read_dir(camera.recordings()).unwrap().count(), 0);
}
