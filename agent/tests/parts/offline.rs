//! Days without the relay, power cuts among them, then everything arrives once. Time is virtual and
//! the relay a map: what is tried is what the index keeps, and in which order it is offered.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::Path,
    time::Duration,
};

use nightjar_agent::store::{
    ClipKind, ClipState, Held, INDEX_FILE, NewClip, NewPart, OutboxKind, Store,
};
use nightjar_core::seeded::Seeded;
use nightjar_shared::{
    PROTOCOL_VERSION,
    api::PartKind,
    command::{CommandAck, Outcome},
    event::{EventKind, EventMessage, EventState},
    ids::{BootId, ClipId, CommandId, EventId},
    time::{ClockState, UnixMillis},
};
use tempfile::TempDir;

const SEEDS: u64 = 2;
const SEEDS_IN_SOAK: u64 = 20;
/// An event every five minutes.
const EVENTS_A_DAY: usize = 24 * 12;
const FIVE_MINUTES: Duration = Duration::from_mins(5);

/// The answer to a command that was seen once.
fn ack() -> CommandAck {
    CommandAck {
        protocol: PROTOCOL_VERSION,
        command_id: CommandId::generate(),
        outcome: Outcome::Acked,
        reason: None,
        result: None,
    }
}

/// What a relay has understood: idempotent on ids that the camera made.
#[derive(Default)]
struct Relay {
    events: BTreeMap<EventId, EventState>,
    clips: BTreeSet<ClipId>,
    /// In the order in which their footage came.
    arrivals: Vec<ClipId>,
    acks: BTreeSet<String>,
    /// Deliveries, repeated ones too.
    messages: usize,
}

impl Relay {
    fn hear(&mut self, kind: OutboxKind, payload: &str) {
        self.messages += 1;
        if kind == OutboxKind::Ack {
            self.acks.insert(payload.to_owned());
            return;
        }
        let message: EventMessage = serde_json::from_str(payload).unwrap();
        let state = self.events.entry(message.event_id).or_insert(message.state);
        if message.state == EventState::Ended {
            *state = EventState::Ended;
        }
    }

    fn take(&mut self, clip_id: ClipId) {
        if self.clips.insert(clip_id) {
            self.arrivals.push(clip_id);
        }
    }
}

struct Camera {
    home: TempDir,
    store: Store,
    boot_id: BootId,
    now: UnixMillis,
}

impl Camera {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(&home.path().join(INDEX_FILE)).unwrap();
        let boot_id = BootId::generate();
        Self { home, store, boot_id, now: UnixMillis(1_800_000_000_000) }
    }

    /// The files as the disk has them at this moment are all that is left.
    fn cut_power(self) -> Self {
        let home = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(self.home.path()).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap();
            // Rebuilt from the log when the index is opened.
            if Path::new(name).extension().is_some_and(|it| it == "db-shm") {
                continue;
            }
            fs::copy(&path, home.path().join(name)).unwrap();
        }
        let store = Store::open(&home.path().join(INDEX_FILE)).unwrap();
        Self { home, store, boot_id: BootId::generate(), now: self.now }
    }

    fn message(&self, event_id: EventId, state: EventState, clip_id: ClipId) -> EventMessage {
        EventMessage {
            protocol: PROTOCOL_VERSION,
            event_id,
            kind: EventKind::Motion,
            state,
            at: self.now,
            clock: ClockState::Synced,
            boot_id: self.boot_id,
            uptime_ms: 1,
            clip_id: Some(clip_id),
            boxes: Vec::new(),
            zones: Vec::new(),
            reason: None,
            tamper: None,
            peak_area: None,
            duration_ms: None,
        }
    }

    async fn sees_something(&mut self) -> (EventId, ClipId) {
        let (event_id, clip_id) = (EventId::generate(), ClipId::generate());
        self.begin(event_id, clip_id).await;
        self.end(event_id, clip_id).await;
        (event_id, clip_id)
    }

    async fn begin(&mut self, event_id: EventId, clip_id: ClipId) {
        self.now = self.now.plus(FIVE_MINUTES);
        let clip = NewClip {
            clip_id,
            event_id: Some(event_id),
            kind: ClipKind::Motion,
            started_at: self.now,
            clock: ClockState::Synced,
            boot_id: self.boot_id,
            started_uptime_ms: 1,
        };
        let started = self.message(event_id, EventState::Started, clip_id);
        self.store.begin_clip(clip, Some(started)).await.unwrap();
    }

    async fn end(&mut self, event_id: EventId, clip_id: ClipId) {
        let part = |index, kind, content_type| NewPart {
            index,
            kind,
            path: format!("{clip_id}.{index}"),
            content_type,
            length: 1_000,
            duration_ms: None,
        };
        let parts =
            vec![part(0, PartKind::File, "video/mp4"), part(1, PartKind::Thumbnail, "image/jpeg")];
        let ended = self.message(event_id, EventState::Ended, clip_id);
        self.store.close_clip(clip_id, 10_000, parts, Some(ended)).await.unwrap();
    }

    /// One message and one step of an upload; acknowledgements get lost at random.
    async fn speak(&self, relay: &mut Relay, random: &mut Seeded) -> bool {
        let messages = self.store.next_messages(&[], 1).await.unwrap();
        for message in &messages {
            relay.hear(message.kind, &message.payload);
            if random.below(4) > 0 {
                self.store.remove_message(message.id).await.unwrap();
            }
        }
        let candidates = self.store.upload_candidates(2, Held::default()).await.unwrap();
        for candidate in &candidates {
            let clip_id = candidate.clip_id;
            assert_eq!(candidate.state, ClipState::Closed);
            if candidate.picture_waits {
                self.store.part_uploaded(clip_id, 1, self.now).await.unwrap();
                continue;
            }
            relay.take(clip_id);
            if random.below(4) > 0 {
                self.store.upload_done(clip_id).await.unwrap();
            }
        }
        !messages.is_empty() || !candidates.is_empty()
    }
}

#[tokio::test]
async fn after_a_day_offline_with_three_power_cuts_everything_arrives_once() {
    let is_soak = env::var_os("NIGHTJAR_SOAK").is_some();
    for seed in 0..if is_soak { SEEDS_IN_SOAK } else { SEEDS } {
        let mut random = Seeded::new(seed);
        let mut camera = Camera::new();
        let mut relay = Relay::default();
        let mut told = BTreeMap::new();
        let cuts: BTreeSet<u64> = (0..3).map(|_| random.below(EVENTS_A_DAY as u64)).collect();
        for number in 0..EVENTS_A_DAY as u64 {
            let (event_id, clip_id) = camera.sees_something().await;
            told.insert(event_id, clip_id);
            if number % 50 == 0 {
                camera.store.finish_command(&ack(), camera.now).await.unwrap();
            }
            if cuts.contains(&number) {
                camera = camera.cut_power();
            }
        }
        // It is back for a moment, and goes again in the middle of everything.
        for _ in 0..random.below(100) {
            camera.speak(&mut relay, &mut random).await;
        }
        camera = camera.cut_power();
        while camera.speak(&mut relay, &mut random).await {}

        assert_eq!(relay.events.len(), told.len(), "seed {seed}: none is lost, none is double");
        assert!(relay.events.values().all(|state| *state == EventState::Ended), "seed {seed}");
        assert!(told.keys().all(|event_id| relay.events.contains_key(event_id)), "seed {seed}");
        let clips: BTreeSet<ClipId> = told.values().copied().collect();
        assert_eq!(relay.clips, clips, "seed {seed}");
        assert_eq!(relay.acks.len(), EVENTS_A_DAY.div_ceil(50), "seed {seed}");
        assert_eq!(camera.store.queue_length().await.unwrap(), 0, "seed {seed}");
    }
}

#[tokio::test]
async fn what_just_happened_passes_the_backlog_and_pictures_pass_footage() {
    let mut camera = Camera::new();
    let mut backlog = Vec::new();
    for _ in 0..20 {
        backlog.push(camera.sees_something().await.1);
    }
    let pictures = camera.store.upload_candidates(64, Held::default()).await.unwrap();
    assert!(pictures.iter().all(|candidate| candidate.picture_waits));
    for clip_id in &backlog {
        camera.store.part_uploaded(*clip_id, 1, camera.now).await.unwrap();
    }
    let (_, newest) = camera.sees_something().await;
    let first = camera.store.upload_candidates(64, Held::default()).await.unwrap();
    assert_eq!((first[0].clip_id, first[0].picture_waits), (newest, true));
    let order: Vec<ClipId> = first[1..].iter().map(|candidate| candidate.clip_id).collect();
    backlog.reverse();
    assert_eq!(order, backlog, "then the footage, newest first");
    camera.store.part_uploaded(newest, 1, camera.now).await.unwrap();
    let next = camera.store.upload_candidates(1, Held::default()).await.unwrap();
    assert_eq!(next[0].clip_id, newest);
    // One that fails lets all others pass.
    camera.store.upload_delayed(newest, "its file cannot be read".to_owned()).await.unwrap();
    let last = camera.store.upload_candidates(64, Held::default()).await.unwrap();
    assert_eq!(last.last().unwrap().clip_id, newest);
}

#[tokio::test]
async fn a_clip_that_is_being_recorded_is_offered_and_its_picture_at_once() {
    let mut camera = Camera::new();
    let (event_id, clip_id) = (EventId::generate(), ClipId::generate());
    camera.begin(event_id, clip_id).await;
    let open = camera.store.upload_candidates(1, Held::default()).await.unwrap()[0];
    assert_eq!((open.clip_id, open.state), (clip_id, ClipState::Open));
    assert!(!open.picture_waits && !open.has_picture);
    let picture = NewPart {
        index: 1,
        kind: PartKind::Thumbnail,
        path: format!("{clip_id}.jpg"),
        content_type: "image/jpeg",
        length: 1_000,
        duration_ms: None,
    };
    camera.store.add_part(clip_id, picture).await.unwrap();
    let open = camera.store.upload_candidates(1, Held::default()).await.unwrap()[0];
    assert!(open.picture_waits && open.has_picture);
    camera.end(event_id, clip_id).await;
    let closed = camera.store.upload_candidates(1, Held::default()).await.unwrap()[0];
    assert_eq!(closed.state, ClipState::Closed);
}
