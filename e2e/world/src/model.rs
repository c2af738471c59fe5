//! The reference model: what people asked for and cameras did, as it is known without looking at the
//! programs under test.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use nightjar_shared::{
    ids::{ClipId, EventId, SessionId},
    time::UnixMillis,
};
use tokio::time::Instant;

/// A command that somebody gave. Its mark is an argument that no other command has.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    pub(crate) camera: usize,
    pub(crate) asked_at: UnixMillis,
    pub(crate) expires_in_ms: u64,
    /// The relay took it, as far as who gave it heard.
    pub(crate) accepted: bool,
    /// How often it began to run.
    pub(crate) runs: u32,
    /// It ran to its end, and its process was told so then.
    pub(crate) done_at: Option<Instant>,
    /// The process that ran it ended before it can be sure to have written that down.
    pub(crate) cut_short: bool,
}

/// An event of a camera, with its one clip.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) camera: usize,
    pub(crate) ended: bool,
}

/// What became of a clip's footage on its camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Footage {
    Recording,
    Whole,
    /// Deleted on the camera, maybe before the relay had it.
    Gone,
}

#[derive(Debug, Clone)]
pub(crate) struct Clip {
    pub(crate) camera: usize,
    pub(crate) event_id: EventId,
    pub(crate) footage: Footage,
    /// A whole fragment is on the disk.
    pub(crate) has_footage: bool,
    /// SHA-256 of each of its parts, by index, as far as it is on the disk.
    pub(crate) parts: BTreeMap<u32, String>,
    /// Its owner tried to delete it at the relay,
    pub(crate) to_be_deleted: bool,
    /// and heard that it is deleted.
    pub(crate) deleted: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) commands: BTreeMap<u64, Command>,
    given: u64,
    /// The live sessions whose viewers watch.
    pub(crate) watching: BTreeSet<SessionId>,
    pub(crate) events: BTreeMap<EventId, Event>,
    pub(crate) clips: BTreeMap<ClipId, Clip>,
    /// Since when the relay runs, if it does.
    relay_since: Option<Instant>,
    /// Since when each camera's process does not run.
    down_since: BTreeMap<usize, Instant>,
}

impl Model {
    pub(crate) fn relay_started(&mut self) {
        self.relay_since = Some(Instant::now());
    }

    pub(crate) fn relay_stopped(&mut self) {
        self.relay_since = None;
    }

    /// Since when the relay runs without a break.
    pub(crate) fn relay_since(&self) -> Option<Instant> {
        self.relay_since
    }

    /// An event begins, with its clip.
    pub(crate) fn began(&mut self, camera: usize, event_id: EventId, clip_id: ClipId) {
        self.events.insert(event_id, Event { camera, ended: false });
        let clip = Clip {
            camera,
            event_id,
            footage: Footage::Recording,
            has_footage: false,
            parts: BTreeMap::new(),
            to_be_deleted: false,
            deleted: false,
        };
        self.clips.insert(clip_id, clip);
    }

    /// A process begins: what its predecessor recorded is taken up as far as it is on the disk.
    pub(crate) fn process_began(&mut self, camera: usize) {
        self.down_since.remove(&camera);
        let open = |clip: &&mut Clip| clip.camera == camera && clip.footage == Footage::Recording;
        for clip in self.clips.values_mut().filter(open) {
            clip.footage = if clip.has_footage { Footage::Whole } else { Footage::Gone };
            if let Some(event) = self.events.get_mut(&clip.event_id) {
                event.ended = true;
            }
        }
    }

    /// Whether a camera records an event now.
    pub(crate) fn records(&self, camera: usize) -> bool {
        let records = |clip: &Clip| clip.camera == camera && clip.footage == Footage::Recording;
        self.clips.values().any(records)
    }

    pub(crate) fn process_ended(&mut self, camera: usize) {
        self.down_since.insert(camera, Instant::now());
        let ran = |command: &&mut Command| command.camera == camera && command.runs > 0;
        for command in self.commands.values_mut().filter(ran) {
            command.cut_short |=
                command.done_at.is_none_or(|at| at.elapsed() < Duration::from_secs(1));
        }
    }

    /// Since when a camera's process does not run, if it does not.
    pub(crate) fn down_since(&self, camera: usize) -> Option<Instant> {
        self.down_since.get(&camera).copied()
    }

    /// Numbers a command that is given.
    pub(crate) fn next_command(&mut self) -> u64 {
        self.given += 1;
        self.given
    }

    pub(crate) fn command_done(&mut self, mark: u64) {
        if let Some(command) = self.commands.get_mut(&mark) {
            command.done_at = Some(Instant::now());
        }
    }
}
