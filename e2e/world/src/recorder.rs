//! Events and footage of a camera: written as the recorder writes them, from a fixed picture.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::Write as _,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use nightjar_agent::store::{ClipKind, NewClip, NewPart};
use nightjar_core::mp4::{
    self, FragmentEntry, Sample, SegmentCutter, TIMESCALE, VideoTrack, fragment, init_segment,
};
use nightjar_shared::{
    PROTOCOL_VERSION,
    api::{FIRST_SEGMENT, INIT_PART, PartKind, THUMBNAIL_PART},
    event::{EventEndReason, EventKind, EventMessage, EventState},
    ids::{ClipId, EventId},
    time::UnixMillis,
};
use sha2::{Digest, Sha256};
use tokio::time::sleep;

use crate::{
    camera::Process,
    model::{Clip, Footage},
    world::World,
};

/// x264, constrained baseline, 1280x720: parameter sets and the beginning of a key frame.
const KEY_FRAME: [u8; 46] = [
    0, 0, 0, 1, 9, 0xf0, 0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x1f, 0xd9, 0x00, 0x50, 0x05, 0xbb, 0x01,
    0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x01, 0xe0, 0, 0, 0, 1, 0x68, 0xcb, 0x83,
    0xcb, 0, 0, 0, 1, 0x65, 0x88, 0x84,
];
/// Of the thumbnail in the index.
const PICTURE_NAME_END: &str = "jpg";

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// A file that grows by a second of footage at a time.
struct File {
    bytes: Vec<u8>,
    init_length: u64,
    cutter: SegmentCutter,
    fragments: Vec<FragmentEntry>,
}

impl File {
    fn begin() -> Self {
        static HEAD: OnceLock<Vec<u8>> = OnceLock::new();
        let head = HEAD.get_or_init(|| {
            let track = VideoTrack::from_key_frame(&KEY_FRAME).unwrap();
            init_segment(&track, UnixMillis(0))
        });
        Self {
            init_length: head.len() as u64,
            bytes: head.clone(),
            cutter: SegmentCutter::default(),
            fragments: Vec::new(),
        }
    }

    /// Adds a second. `mark` makes it differ from others.
    fn grow(&mut self, mark: u64) -> Option<mp4::Segment> {
        let count = self.fragments.len();
        let mut frame = KEY_FRAME.to_vec();
        frame.extend(mark.to_be_bytes().map(|byte| byte | 1));
        let sample = Sample { data: &frame, key_frame: true, duration: TIMESCALE };
        let decode_time = count as u64 * u64::from(TIMESCALE);
        let bytes = fragment(u32::try_from(count).unwrap() + 1, decode_time, &[sample]);
        let entry = FragmentEntry {
            offset: self.bytes.len() as u64,
            length: u32::try_from(bytes.len()).unwrap(),
            decode_time,
            duration: TIMESCALE,
            starts_with_key_frame: true,
        };
        self.bytes.extend(bytes);
        self.fragments.push(entry);
        self.cutter.push(&entry)
    }

    /// The parts that this file is cut into, by index.
    fn parts(&self) -> BTreeMap<u32, String> {
        let stretch = |offset: u64, length: u64| {
            let (from, to) = (usize::try_from(offset), usize::try_from(offset + length));
            sha256(&self.bytes[from.unwrap()..to.unwrap()])
        };
        let init = (INIT_PART, stretch(0, self.init_length));
        let segments = mp4::segments(&self.fragments);
        let segments = segments.iter().zip(FIRST_SEGMENT..);
        let segments = segments.map(|(it, index)| (index, stretch(it.offset, it.length)));
        std::iter::once(init).chain(segments).collect()
    }
}

/// An event that is being recorded.
struct Recording {
    world: Arc<World>,
    number: usize,
    process: Process,
    clip_id: ClipId,
    event_id: EventId,
    /// Counts the clips of the world.
    count: u64,
    file: File,
}

/// An event begins, lasts for some seconds and ends, unless the camera's process ends first.
pub(crate) async fn record(world: Arc<World>, number: usize, process: Process) {
    let (seconds, picture_after) = {
        let mut chance = world.chance();
        (1 + chance.below(9), chance.below(3))
    };
    let count = world.model().clips.len() as u64;
    let (clip_id, event_id, file) = (ClipId::generate(), EventId::generate(), File::begin());
    {
        let mut trace = world.trace();
        trace.name(&event_id, format!("event {count}"));
        trace.name(&clip_id, format!("clip {count}"));
    }
    let mut recording = Recording { world, number, process, clip_id, event_id, count, file };
    recording.begin().await;
    for second in 0..seconds {
        sleep(Duration::from_secs(1)).await;
        if second == picture_after {
            take_picture(&recording.world, number, &recording.process, clip_id).await;
        }
        recording.grow(second);
    }
    recording.end(seconds).await;
}

impl Recording {
    fn path(&self, end: &str) -> PathBuf {
        let recordings = self.world.cameras[self.number].recordings();
        recordings.join(format!("{}.{end}", self.clip_id))
    }

    fn message(&self, state: EventState, reason: Option<EventEndReason>) -> EventMessage {
        let clock = self.world.cameras[self.number].hands.clock();
        EventMessage {
            protocol: PROTOCOL_VERSION,
            event_id: self.event_id,
            kind: EventKind::Motion,
            state,
            at: clock.unix(),
            clock: clock.state(),
            boot_id: self.process.boot_id,
            uptime_ms: clock.uptime_ms(),
            clip_id: Some(self.clip_id),
            boxes: Vec::new(),
            zones: Vec::new(),
            reason: reason.map(|reason| reason.as_str().to_owned()),
            tamper: None,
            peak_area: None,
            duration_ms: None,
        }
    }

    async fn begin(&self) {
        let Self { world, number, clip_id, event_id, .. } = self;
        let clock = world.cameras[*number].hands.clock();
        let clip = NewClip {
            clip_id: *clip_id,
            event_id: Some(*event_id),
            kind: ClipKind::Motion,
            started_at: clock.unix(),
            clock: clock.state(),
            boot_id: self.process.boot_id,
            started_uptime_ms: clock.uptime_ms(),
        };
        let begun_at = clock.monotonic();
        let began = self.message(EventState::Started, None);
        let store = &self.process.store;
        store.begin_clip(clip, Some(began)).await.unwrap();
        world.note(&format!("camera {number}: event {} begins", self.count));
        world.model().began(*number, *event_id, *clip_id);
        fs::write(self.path("mp4.part"), &self.file.bytes).unwrap();
        let name = format!("{clip_id}.mp4.part");
        store.clip_grows(*clip_id, name, self.file.init_length, begun_at);
    }

    fn grow(&mut self, second: u64) {
        let written = self.file.bytes.len();
        let segment = self.file.grow(self.count * 100 + second);
        let mut open = OpenOptions::new().append(true).open(self.path("mp4.part")).unwrap();
        open.write_all(&self.file.bytes[written..]).unwrap();
        if let Some(clip) = self.world.model().clips.get_mut(&self.clip_id) {
            clip.has_footage = true;
            clip.parts.extend(self.file.parts());
        }
        if let Some(segment) = segment {
            self.process.store.clip_grew(self.clip_id, segment);
        }
    }

    async fn end(&self, seconds: u64) {
        fs::rename(self.path("mp4.part"), self.path("mp4")).unwrap();
        let duration_ms = seconds * 1_000;
        let part = NewPart {
            index: 0,
            kind: PartKind::File,
            path: format!("{}.mp4", self.clip_id),
            content_type: "video/mp4",
            length: self.file.bytes.len() as u64,
            duration_ms: Some(duration_ms),
        };
        let ended = self.message(EventState::Ended, Some(EventEndReason::Still));
        let store = &self.process.store;
        store.close_clip(self.clip_id, duration_ms, vec![part], Some(ended)).await.unwrap();
        let Self { world, number, count, .. } = self;
        world.note(&format!("camera {number}: event {count} ends after {seconds} s"));
        let mut model = world.model();
        if let Some(event) = model.events.get_mut(&self.event_id) {
            event.ended = true;
        }
        if let Some(clip) = model.clips.get_mut(&self.clip_id) {
            clip.footage = Footage::Whole;
        }
    }
}

async fn take_picture(world: &World, number: usize, process: &Process, clip_id: ClipId) {
    let name = format!("{clip_id}.{PICTURE_NAME_END}");
    let picture = format!("a picture of {}", world.trace().named(&clip_id)).into_bytes();
    fs::write(world.cameras[number].recordings().join(&name), &picture).unwrap();
    if let Some(clip) = world.model().clips.get_mut(&clip_id) {
        clip.parts.insert(THUMBNAIL_PART, sha256(&picture));
    }
    let part = NewPart {
        index: THUMBNAIL_PART,
        kind: PartKind::Thumbnail,
        path: name,
        content_type: "image/jpeg",
        length: picture.len() as u64,
        duration_ms: None,
    };
    process.store.add_part(clip_id, part).await.unwrap();
}

/// Retention takes a clip away, whether the relay has it or not.
pub(crate) async fn lose(world: &World, number: usize, process: &Process) {
    let clip_id = {
        let mut model = world.model();
        let whole = |clip: &&mut Clip| clip.camera == number && clip.footage == Footage::Whole;
        let Some((clip_id, clip)) =
            model.clips.iter_mut().map(|(id, clip)| (*id, clip)).find(|(_, clip)| whole(clip))
        else {
            return;
        };
        clip.footage = Footage::Gone;
        clip_id
    };
    world.note(&format!("camera {number} deletes {}", world.trace().named(&clip_id)));
    for end in ["mp4", PICTURE_NAME_END] {
        // It may have no picture.
        let _ =
            fs::remove_file(world.cameras[number].recordings().join(format!("{clip_id}.{end}")));
    }
    process.store.clip_gone(clip_id, "retention").await.unwrap();
}
