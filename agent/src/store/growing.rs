//! Clips that are still being written: how much of each is on disk and will not change.
//!
//! This is kept in memory alone: after a restart no clip is open, and a closed file says it all.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
};

use nightjar_core::{monotonic::MonotonicNanos, mp4::Segment};
use nightjar_shared::ids::ClipId;

use super::Store;
use crate::lock::lock;

/// An open clip's file, as far as it can be read and will not change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Growth {
    pub begun_at: MonotonicNanos,
    /// Relative to `DATA_DIR/recordings`; the file has another name once the clip is closed.
    pub path: String,
    /// The initialisation segment is the file's bytes `0 .. init_length`.
    pub init_length: u64,
    /// Those that are complete, in the order of their footage.
    pub segments: Vec<Segment>,
}

/// At most one entry for each clip that is being written.
#[derive(Debug, Default)]
pub(super) struct Growing(Mutex<HashMap<ClipId, Growth>>);

impl Growing {
    fn clips(&self) -> MutexGuard<'_, HashMap<ClipId, Growth>> {
        lock(&self.0)
    }

    pub(super) fn ended(&self, clip_id: ClipId) {
        self.clips().remove(&clip_id);
    }
}

impl Store {
    /// Notes that a clip's file has its initialisation segment.
    pub fn clip_grows(
        &self,
        clip_id: ClipId,
        path: String,
        init_length: u64,
        begun_at: MonotonicNanos,
    ) {
        let growth = Growth { begun_at, path, init_length, segments: Vec::new() };
        self.inner.growing.clips().insert(clip_id, growth);
        self.inner.uploads_wake.notify_one();
    }

    /// Notes that a clip's file has one more segment.
    pub fn clip_grew(&self, clip_id: ClipId, segment: Segment) {
        if let Some(growth) = self.inner.growing.clips().get_mut(&clip_id) {
            growth.segments.push(segment);
        }
        self.inner.uploads_wake.notify_one();
    }

    /// Notes that no more is written of a clip, although it will not be closed before the next start.
    pub fn clip_stops_growing(&self, clip_id: ClipId) {
        self.inner.growing.ended(clip_id);
    }

    /// Returns how far a clip is; `None` for one that this process does not write.
    pub fn growth(&self, clip_id: ClipId) -> Option<Growth> {
        self.inner.growing.clips().get(&clip_id).cloned()
    }
}
