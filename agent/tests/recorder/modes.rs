//! Continuous footage, alone and between events.

use std::time::Duration;

use nightjar_agent::{
    clock::{boot_id, unix_now},
    config::{RecordingConfig, RecordingMode},
    record::{adopt, recordings_dir},
    store::{Clip, ClipKind, ClipState, Held, Store},
};
use nightjar_shared::{
    configuration::{Period, Schedule, Weekday},
    event::EventState,
    ids::EventId,
};

use crate::{
    camera::{Camera, Stopped, config, video, waiting_upload},
    footage,
};

/// The longest gap of pictures at 15 frames a second.
const FRAME_MS: i64 = 100;

fn mode(mode: RecordingMode) -> RecordingConfig {
    RecordingConfig { mode, ..config() }
}

async fn pieces(camera: &Camera) -> Vec<Clip> {
    let mut clips = camera.store.clips().await.unwrap();
    clips.retain(|clip| clip.kind == ClipKind::Continuous && clip.state == ClipState::Closed);
    clips
}

/// Lets an event happen that lasts a second. Gives its id.
async fn event(camera: &Camera) -> EventId {
    let event_id = EventId::generate();
    let at = camera.footage(Duration::from_secs(2)).await;
    camera.tell(event_id, EventState::Started, at).await;
    let at = camera.footage(Duration::from_secs(1)).await;
    camera.tell(event_id, EventState::Ended, at).await;
    event_id
}

#[tokio::test(flavor = "multi_thread")]
async fn continuous_footage_stays_on_the_camera_and_motion_is_told_without_a_clip() {
    let camera = Camera::start(mode(RecordingMode::Continuous)).await;
    event(&camera).await;
    camera.until("the event's end", async || camera.messages().await.len() == 2).await;
    assert!(camera.messages().await.iter().all(|message| message.clip_id.is_none()));
    assert!(camera.recorder.status().borrow().recording);

    let Stopped { directory, store, .. } = camera.stop().await;
    let clips = store.clips().await.unwrap();
    assert_eq!(clips.len(), 1, "one piece of up to a minute: {clips:?}");
    assert_eq!((clips[0].kind, clips[0].event_id), (ClipKind::Continuous, None));
    let recordings = recordings_dir(directory.path());
    let probe = footage::probe(&recordings.join(video(&clips[0])));
    assert!(probe.starts_with_key_frame && probe.duration_s > 2.5, "{probe:?}");
    assert_eq!(waiting_upload(&store).await, None, "it is not for the relay");
}

#[tokio::test(flavor = "multi_thread")]
async fn continuous_footage_and_clips_of_events_cover_the_time_without_a_gap() {
    let camera = Camera::start(mode(RecordingMode::Both)).await;
    let event_id = event(&camera).await;
    let clips = camera.clips_of_ended_events(1).await;
    let motion: Vec<&Clip> = clips.iter().filter(|clip| clip.kind == ClipKind::Motion).collect();
    assert_eq!(motion.len(), 1);
    assert_eq!(motion[0].event_id, Some(event_id));
    camera.footage(Duration::from_millis(1_500)).await;
    let clip = motion[0].clone();

    let Stopped { directory, store, .. } = camera.stop().await;
    let clips = store.clips().await.unwrap();
    let kinds: Vec<ClipKind> = clips.iter().map(|clip| clip.kind).collect();
    assert_eq!(kinds, [ClipKind::Continuous, ClipKind::Motion, ClipKind::Continuous]);
    for pair in clips.windows(2) {
        let gap_ms = pair[1].started_at.0 - pair[0].ended_at.unwrap().0;
        assert!(gap_ms <= FRAME_MS, "a gap of {gap_ms} ms before {:?}", pair[1]);
    }
    // What is written twice: the pre-roll, and the group in which the event ends.
    let overlap_ms = clip.ended_at.unwrap().0 - clips[2].started_at.0;
    assert!(overlap_ms <= 1_000 + FRAME_MS, "{overlap_ms} ms");
    let recordings = recordings_dir(directory.path());
    for clip in &clips {
        assert!(footage::probe(&recordings.join(video(clip))).starts_with_key_frame);
    }
    assert_eq!(waiting_upload(&store).await, Some(clip.clip_id));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mode_changes_while_it_runs() {
    let camera = Camera::start(mode(RecordingMode::Off)).await;
    camera.footage(Duration::from_secs(1)).await;
    assert!(camera.store.clips().await.unwrap().is_empty());
    camera.recorder.configure(mode(RecordingMode::Continuous));
    camera.until("a piece", async || camera.recorder.status().borrow().recording).await;
    camera.footage(Duration::from_secs(1)).await;
    camera.recorder.configure(mode(RecordingMode::Off));
    camera.until("the piece to be closed", async || pieces(&camera).await.len() == 1).await;
    assert!(!camera.recorder.status().borrow().recording);
    camera.assert_in_order().await;
}

/// Days of the week, Monday first, from so many days from today on.
fn whole_days(from_today: std::ops::Range<i64>) -> Schedule {
    let days = [
        Weekday::Monday,
        Weekday::Tuesday,
        Weekday::Wednesday,
        Weekday::Thursday,
        Weekday::Friday,
        Weekday::Saturday,
        Weekday::Sunday,
    ];
    // The first day of 1970 was a Thursday.
    let today = unix_now().0 / 86_400_000 + 3;
    let period = |ahead: i64| {
        let day = days[usize::try_from((today + ahead) % 7).unwrap()];
        Period { day, from_minute: 0, until_minute: 1_440 }
    };
    Schedule { time_zone: "UTC".to_owned(), armed: from_today.map(period).collect() }
}

#[tokio::test(flavor = "multi_thread")]
async fn continuous_footage_keeps_to_its_hours_and_events_do_not() {
    let scheduled = |days| {
        let schedule = Some(whole_days(days));
        RecordingConfig { schedule, ..mode(RecordingMode::Both) }
    };
    // Neither today nor, should midnight come, tomorrow.
    let camera = Camera::start(scheduled(2..6)).await;
    event(&camera).await;
    let clips = camera.clips_of_ended_events(1).await;
    assert_eq!(clips.len(), 1, "the event alone: {clips:?}");
    assert_eq!(clips[0].kind, ClipKind::Motion);

    camera.recorder.configure(scheduled(0..2));
    camera.until("a piece", async || camera.recorder.status().borrow().recording).await;
    camera.footage(Duration::from_secs(1)).await;
    assert!(pieces(&camera).await.is_empty());

    camera.recorder.configure(scheduled(2..6));
    camera.until("the piece to be closed", async || pieces(&camera).await.len() == 1).await;
    assert!(!camera.recorder.status().borrow().recording);
    camera.assert_in_order().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn continuous_footage_stays_on_the_camera_even_when_the_index_is_lost() {
    let camera = Camera::start(mode(RecordingMode::Both)).await;
    event(&camera).await;
    camera.clips_of_ended_events(1).await;
    camera.footage(Duration::from_millis(1_500)).await;
    let Stopped { directory, store, source } = camera.stop().await;
    drop(store);
    std::fs::remove_file(directory.path().join("agent.db")).unwrap();

    let store = Store::open(&directory.path().join("agent.db")).unwrap();
    let recordings = recordings_dir(directory.path());
    adopt(&store, &recordings, boot_id().unwrap(), &source.clock()).await.unwrap();
    let clips = store.clips().await.unwrap();
    let kinds: Vec<ClipKind> = clips.iter().map(|clip| clip.kind).collect();
    assert_eq!(kinds, [ClipKind::Continuous, ClipKind::Motion, ClipKind::Continuous]);
    let waiting = store.upload_candidates(10, Held::default()).await.unwrap();
    assert_eq!(waiting.iter().map(|it| it.clip_id).collect::<Vec<_>>(), [clips[1].clip_id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn privacy_ends_continuous_footage_too() {
    let camera = Camera::start(mode(RecordingMode::Both)).await;
    camera.footage(Duration::from_secs(1)).await;
    camera.recorder.set_privacy(true);
    camera.until("the piece to be closed", async || pieces(&camera).await.len() == 1).await;
    camera.recorder.set_privacy(false);
    camera.until("a piece", async || camera.recorder.status().borrow().recording).await;
}
