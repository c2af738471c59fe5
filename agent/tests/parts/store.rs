//! The index, through its public door, on real files.

use nightjar_agent::store::{
    Clip, ClipKind, ClipState, CommandHistory, Held, NewClip, NewPart, OutboxKind, Store,
};
use nightjar_shared::{
    PROTOCOL_VERSION,
    api::PartKind,
    command::{CommandAck, Outcome},
    event::{EventKind, EventMessage, EventState},
    ids::{BootId, ClipId, CommandId, EventId},
    time::{ClockState, UnixMillis},
};
use tempfile::TempDir;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

fn open(directory: &TempDir) -> Store {
    Store::open(&directory.path().join("agent.db")).unwrap()
}

fn new_clip(event_id: EventId) -> NewClip {
    NewClip {
        clip_id: ClipId::generate(),
        event_id: Some(event_id),
        kind: ClipKind::Motion,
        started_at: NOW,
        clock: ClockState::Synced,
        boot_id: BootId::generate(),
        started_uptime_ms: 5_000,
    }
}

fn file_part(length: u64) -> NewPart {
    NewPart {
        index: 0,
        kind: PartKind::File,
        path: "a.mp4".to_owned(),
        content_type: "video/mp4",
        length,
        duration_ms: Some(12_000),
    }
}

fn message(event_id: EventId, state: EventState, clip_id: ClipId) -> EventMessage {
    EventMessage {
        protocol: PROTOCOL_VERSION,
        event_id,
        kind: EventKind::Motion,
        state,
        at: NOW,
        clock: ClockState::Synced,
        boot_id: BootId::generate(),
        uptime_ms: 5_000,
        clip_id: Some(clip_id),
        boxes: Vec::new(),
        zones: Vec::new(),
        reason: None,
        tamper: None,
        peak_area: None,
        duration_ms: None,
    }
}

/// The most urgent of the clips that wait.
async fn next_upload(store: &Store) -> Option<Clip> {
    let waiting = store.upload_candidates(1, Held::default()).await.unwrap();
    store.clip(waiting.first()?.clip_id).await.unwrap()
}

fn ack(command_id: CommandId) -> CommandAck {
    CommandAck {
        protocol: PROTOCOL_VERSION,
        command_id,
        outcome: Outcome::Acked,
        reason: None,
        result: None,
    }
}

/// Milliseconds.
const LENGTH: u64 = 12_000;

async fn closed_clip(store: &Store, length: u64) -> ClipId {
    let clip = new_clip(EventId::generate());
    let clip_id = clip.clip_id;
    store.begin_clip(clip, None).await.unwrap();
    store.close_clip(clip_id, LENGTH, vec![file_part(length)], None).await.unwrap();
    clip_id
}

#[tokio::test]
async fn messages_outlive_a_restart_and_the_newest_event_leaves_first() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let clip_id = ClipId::generate();
    let events = [(); 3].map(|()| EventId::generate());
    for event_id in events {
        store.enqueue_event(message(event_id, EventState::Started, clip_id)).await.unwrap();
    }
    store.enqueue_event(message(events[0], EventState::Ended, clip_id)).await.unwrap();
    let first = store.next_messages(&[], 1).await.unwrap().remove(0);
    store.remove_message(first.id).await.unwrap();
    drop(store);

    let store = open(&directory);
    let messages = store.next_messages(&[], 10).await.unwrap();
    let told = |payload: &str| {
        let message: EventMessage = serde_json::from_str(payload).unwrap();
        (message.event_id, message.state)
    };
    let order: Vec<_> = messages.iter().map(|message| told(&message.payload)).collect();
    let expected = [
        (events[0], EventState::Ended),
        (events[2], EventState::Started),
        (events[1], EventState::Started),
    ];
    assert_eq!(told(&first.payload), (events[0], EventState::Started));
    assert_eq!(order, expected);

    let on_the_way = [messages[0].id, messages[1].id];
    let rest = store.next_messages(&on_the_way, 10).await.unwrap();
    assert_eq!(rest, messages[2..], "what is on its way is not offered again");
}

#[tokio::test]
async fn a_message_wakes_the_uplink() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    store.finish_command(&ack(CommandId::generate()), NOW).await.unwrap();
    store.outbox_wake().notified().await;
}

#[tokio::test]
async fn a_command_runs_once_and_its_answer_is_given_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let command_id = CommandId::generate();
    assert_eq!(
        store.begin_command(command_id, "snapshot", NOW).await.unwrap(),
        CommandHistory::New
    );
    assert_eq!(
        store.begin_command(command_id, "snapshot", NOW).await.unwrap(),
        CommandHistory::Running
    );

    store.finish_command(&ack(command_id), NOW).await.unwrap();

    let again = store.begin_command(command_id, "snapshot", NOW).await.unwrap();
    assert_eq!(again, CommandHistory::Done(ack(command_id)));
    let messages = store.next_messages(&[], 10).await.unwrap();
    assert_eq!(messages.len(), 1, "the ack went into the outbox once");
    assert_eq!(messages[0].kind, OutboxKind::Ack);
}

#[tokio::test]
async fn a_command_cut_by_a_restart_is_found_by_the_next_run() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let command_id = CommandId::generate();
    store.begin_command(command_id, "restart", NOW).await.unwrap();
    assert!(store.interrupted_commands().await.unwrap().is_empty());
    drop(store);

    let store = open(&directory);
    let interrupted = store.interrupted_commands().await.unwrap();
    assert_eq!(interrupted.len(), 1);
    assert_eq!((interrupted[0].command_id, interrupted[0].kind.as_str()), (command_id, "restart"));
    assert_eq!(
        store.begin_command(command_id, "restart", NOW).await.unwrap(),
        CommandHistory::Interrupted
    );
    store.finish_command(&ack(command_id), NOW).await.unwrap();
    assert!(store.interrupted_commands().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_setting_outlives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    assert_eq!(store.setting::<bool>("armed").await.unwrap(), None);
    store.set_setting("armed", &true).await.unwrap();
    store.set_setting("armed", &false).await.unwrap();
    drop(store);
    assert_eq!(open(&directory).setting::<bool>("armed").await.unwrap(), Some(false));
}

#[tokio::test]
async fn a_clip_its_upload_and_its_event_close_together() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let event_id = EventId::generate();
    let clip = new_clip(event_id);
    let clip_id = clip.clip_id;
    store.begin_clip(clip, Some(message(event_id, EventState::Started, clip_id))).await.unwrap();
    assert_eq!(store.clip(clip_id).await.unwrap().unwrap().state, ClipState::Open);
    assert_eq!(store.queue_length().await.unwrap(), 1, "only the event waits");

    let ended = message(event_id, EventState::Ended, clip_id);
    store.close_clip(clip_id, LENGTH, vec![file_part(100)], Some(ended)).await.unwrap();

    let clip = next_upload(&store).await.unwrap();
    assert_eq!((clip.clip_id, clip.state), (clip_id, ClipState::Closed));
    assert_eq!((clip.event_id, clip.duration_ms), (Some(event_id), Some(12_000)));
    assert_eq!(clip.parts.len(), 1);
    assert_eq!((clip.parts[0].kind, clip.parts[0].length), (PartKind::File, 100));
    assert_eq!(store.next_messages(&[], 10).await.unwrap().len(), 2);
    assert_eq!(store.queue_length().await.unwrap(), 3);
}

#[tokio::test]
async fn the_newest_clip_goes_first_and_one_that_failed_goes_last() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let older = closed_clip(&store, 1).await;
    let newer = closed_clip(&store, 1).await;
    assert_eq!(next_upload(&store).await.unwrap().clip_id, newer);

    store.upload_delayed(newer, "timed out".to_owned()).await.unwrap();
    assert_eq!(next_upload(&store).await.unwrap().clip_id, older);

    store.upload_done(older).await.unwrap();
    assert_eq!(next_upload(&store).await.unwrap().clip_id, newer);
    store.upload_failed(newer, "refused".to_owned()).await.unwrap();
    assert!(next_upload(&store).await.is_none());
}

#[tokio::test]
async fn clips_that_must_wait_do_not_hide_the_one_that_may_go() {
    const CONSIDERED: usize = 64;
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let mut fresh = new_clip(EventId::generate());
    fresh.started_at = UnixMillis(NOW.0 + 3_600_000);
    let fresh_id = fresh.clip_id;
    store.begin_clip(fresh, None).await.unwrap();
    store.close_clip(fresh_id, LENGTH, vec![file_part(1)], None).await.unwrap();
    store.upload_delayed(fresh_id, "timed out".to_owned()).await.unwrap();
    let mut backlog = Vec::new();
    for _ in 0..CONSIDERED {
        backlog.push(closed_clip(&store, 1).await);
    }
    let first = async |held: Held| {
        let candidates = store.upload_candidates(CONSIDERED, held).await.unwrap();
        assert_eq!(candidates.len(), CONSIDERED);
        candidates[0].clip_id
    };
    let newest = *backlog.last().unwrap();
    assert_eq!(first(Held::default()).await, newest, "the backlog alone is seen");
    let older_than = Some(UnixMillis(NOW.0 + 1));
    assert_eq!(first(Held { older_than, ..Held::default() }).await, fresh_id);

    // Pictures go first, but not those that failed.
    for clip_id in &backlog {
        let thumbnail = NewPart { index: 1, kind: PartKind::Thumbnail, ..file_part(1) };
        store.add_part(*clip_id, thumbnail).await.unwrap();
    }
    assert_eq!(first(Held { older_than, ..Held::default() }).await, newest, "pictures are small");
    assert_eq!(first(Held { delayed: backlog, ..Held::default() }).await, fresh_id);
}

#[tokio::test]
async fn what_the_object_store_has_is_remembered() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let clip_id = closed_clip(&store, 7).await;
    store.part_uploaded(clip_id, 0, NOW).await.unwrap();
    drop(store);

    let clip = open(&directory).clip(clip_id).await.unwrap().unwrap();
    assert!(clip.parts[0].uploaded);
}

#[tokio::test]
async fn retention_sees_bytes_and_whether_the_relay_has_the_clip() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let uploaded = closed_clip(&store, 10).await;
    store.upload_done(uploaded).await.unwrap();
    let waiting = closed_clip(&store, 20).await;
    let refused = closed_clip(&store, 30).await;
    store.upload_failed(refused, "too large".to_owned()).await.unwrap();

    let stored = store.stored_clips().await.unwrap();
    let seen: Vec<_> = stored.iter().map(|clip| (clip.clip_id, clip.bytes, clip.settled)).collect();
    assert_eq!(seen, [(uploaded, 10, true), (waiting, 20, false), (refused, 30, false)]);
}

#[tokio::test]
async fn a_clock_that_is_set_gives_the_clips_of_its_boot_their_times() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let earlier = closed_clip(&store, 1).await;
    let boot_id = BootId::generate();
    let mut clip = new_clip(EventId::generate());
    let clip_id = clip.clip_id;
    clip.boot_id = boot_id;
    clip.clock = ClockState::Unsynced;
    clip.started_at = UnixMillis(7_000);
    store.begin_clip(clip, None).await.unwrap();

    let boot_at = UnixMillis(NOW.0 + 60_000);
    assert_eq!(store.correct_times(boot_id, boot_at).await.unwrap(), 1);
    assert_eq!(store.correct_times(boot_id, boot_at).await.unwrap(), 0);
    store.close_clip(clip_id, LENGTH, vec![file_part(1)], None).await.unwrap();

    let clip = store.clip(clip_id).await.unwrap().unwrap();
    assert_eq!((clip.clock, clip.started_at), (ClockState::Synced, UnixMillis(boot_at.0 + 5_000)));
    assert_eq!(clip.ended_at, Some(UnixMillis(boot_at.0 + 17_000)));
    let earlier = store.clip(earlier).await.unwrap().unwrap();
    assert_eq!(earlier.started_at, NOW, "other boots have clocks of their own");
}

#[tokio::test]
async fn a_lost_clip_stays_until_the_relay_has_been_told() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let lost = closed_clip(&store, 10).await;
    store.clip_gone(lost, "the file was deleted").await.unwrap();

    let clip = next_upload(&store).await.unwrap();
    assert_eq!((clip.clip_id, clip.state), (lost, ClipState::Gone));
    assert_eq!(clip.gone_reason.as_deref(), Some("the file was deleted"));
    assert!(clip.parts.is_empty());
    assert!(store.stored_clips().await.unwrap().is_empty());

    store.upload_failed(lost, "told".to_owned()).await.unwrap();
    assert!(store.clip(lost).await.unwrap().is_none());
}

#[tokio::test]
async fn an_uploaded_clip_that_is_deleted_is_forgotten_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let clip_id = closed_clip(&store, 10).await;
    store.upload_done(clip_id).await.unwrap();
    store.clip_gone(clip_id, "made room").await.unwrap();
    assert!(store.clip(clip_id).await.unwrap().is_none());
    assert!(next_upload(&store).await.is_none());
}

#[tokio::test]
async fn a_damaged_index_is_moved_aside_and_a_new_one_begun() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.db");
    closed_clip(&open(&directory), 1).await;
    std::fs::write(&path, vec![0x55; 8_192]).unwrap();

    let store = open(&directory);
    assert!(store.clips().await.unwrap().is_empty());
    closed_clip(&store, 1).await;
    let damaged = std::fs::read(directory.path().join("agent.db.damaged")).unwrap();
    assert_eq!(damaged, vec![0x55; 8_192]);
}

#[tokio::test]
async fn an_index_with_a_garbled_page_is_moved_aside_unless_it_can_be_used() {
    const CLIPS: usize = 60;
    const PAGE: usize = 4_096;
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    for _ in 0..CLIPS {
        closed_clip(&store, 1).await;
    }
    drop(store);
    let index = std::fs::read(directory.path().join("agent.db")).unwrap();
    let mut moved_aside = 0;
    for page in 0..index.len() / PAGE {
        let directory = tempfile::tempdir().unwrap();
        let mut garbled = index.clone();
        garbled[page * PAGE..][..PAGE].fill(0x55);
        std::fs::write(directory.path().join("agent.db"), garbled).unwrap();

        let store = open(&directory);
        let clips = store.clips().await.unwrap().len();
        let is_new = directory.path().join("agent.db.damaged").exists();
        assert_eq!(clips, if is_new { 0 } else { CLIPS }, "page {page}");
        closed_clip(&store, 1).await;
        store.set_setting("armed", &true).await.unwrap();
        assert!(store.open_events().await.unwrap().is_empty());
        moved_aside += usize::from(is_new);
    }
    assert!(moved_aside > 5, "only {moved_aside} pages mattered");
}

#[tokio::test]
async fn an_index_with_a_row_that_makes_no_sense_is_moved_aside() {
    let directory = tempfile::tempdir().unwrap();
    closed_clip(&open(&directory), 1).await;
    let index = rusqlite::Connection::open(directory.path().join("agent.db")).unwrap();
    index.execute("update clips set boot_id = 'U'", []).unwrap();
    drop(index);

    let store = open(&directory);
    assert!(store.clips().await.unwrap().is_empty());
    assert!(directory.path().join("agent.db.damaged").exists());
}
