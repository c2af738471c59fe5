//! Tells the index which stretches of open clips may leave the camera already.

use nightjar_shared::ids::ClipId;

use super::{disk::Slot, durable::Durable, files::unfinished_video_name};
use crate::{media::mux::SegmentCutter, store::Store};

pub(super) struct GrowthReports {
    store: Store,
    cutters: Vec<(ClipId, SegmentCutter)>,
}

impl GrowthReports {
    pub(super) fn new(store: Store) -> Self {
        Self { store, cutters: Vec::new() }
    }

    pub(super) fn note(&mut self, durable: &Durable<'_>) {
        let Durable { clip_id, init_length, fragments } = *durable;
        let Some((_, cutter)) = self.cutters.iter_mut().find(|(open, _)| *open == clip_id) else {
            // Not more clips than that are open: whatever is older has been closed.
            let surplus = (self.cutters.len() + 1).saturating_sub(Slot::COUNT);
            self.cutters.drain(..surplus);
            self.cutters.push((clip_id, SegmentCutter::default()));
            return self.store.clip_grows(clip_id, unfinished_video_name(clip_id), init_length);
        };
        for segment in fragments.iter().filter_map(|fragment| cutter.push(fragment)) {
            self.store.clip_grew(clip_id, segment);
        }
    }
}
