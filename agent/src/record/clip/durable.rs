//! Footage that no power cut takes any more, told as it comes about.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use nightjar_core::{monotonic::MonotonicNanos, mp4::FragmentEntry};
use nightjar_shared::ids::ClipId;

/// Bytes of a clip's file that are synced: they are neither changed nor moved any more, and only
/// what comes after them is written. (The space between the initialisation segment and the first
/// fragment belongs to neither: an index takes it when the file is closed.)
#[derive(Debug, Clone, Copy)]
pub(in crate::record) struct Durable<'a> {
    pub(in crate::record) clip_id: ClipId,
    /// The initialisation segment is the file's bytes `0 .. init_length`.
    pub(in crate::record) init_length: u64,
    /// What has become durable since the last report, in order and without a gap. Empty in the
    /// first report of a file, which tells that its initialisation segment is.
    pub(in crate::record) fragments: &'a [FragmentEntry],
}

/// When footage was last written for good. Clones share one.
#[derive(Debug, Clone, Default)]
pub(in crate::record) struct LastWritten(Arc<AtomicU64>);

impl LastWritten {
    pub(in crate::record) fn note(&self, durable: &Durable<'_>, now: MonotonicNanos) {
        tracing::trace!(
            clip.id = %durable.clip_id,
            init_length = durable.init_length,
            fragments = durable.fragments.len(),
            "durable"
        );
        self.0.store(now.0, Ordering::Relaxed);
    }

    pub(in crate::record) fn at(&self) -> MonotonicNanos {
        MonotonicNanos(self.0.load(Ordering::Relaxed))
    }
}
