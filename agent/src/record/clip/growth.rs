//! Tells the index which stretches of open clips may leave the camera already.

use nightjar_core::mp4::SegmentCutter;
use nightjar_shared::ids::ClipId;

use crate::record::{clip::durable::Durable, files::unfinished_video_name};
use crate::{clock::Clock, store::Store};

pub(in crate::record) struct GrowthReports {
    store: Store,
    clock: Clock,
    /// Those of the clips that are open.
    cutters: Vec<(ClipId, SegmentCutter)>,
}

impl GrowthReports {
    pub(in crate::record) fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock, cutters: Vec::new() }
    }

    pub(in crate::record) fn note(&mut self, durable: &Durable<'_>) {
        let Durable { clip_id, init_length, fragments } = *durable;
        let Some((_, cutter)) = self.cutters.iter_mut().find(|(open, _)| *open == clip_id) else {
            self.cutters.push((clip_id, SegmentCutter::default()));
            let path = unfinished_video_name(clip_id);
            return self.store.clip_grows(clip_id, path, init_length, self.clock.monotonic());
        };
        for segment in fragments.iter().filter_map(|fragment| cutter.push(fragment)) {
            self.store.clip_grew(clip_id, segment);
        }
    }

    /// Nothing more is written of a clip. A long one outlasts many others: only its own end takes
    /// its cutter away.
    pub(in crate::record) fn ended(&mut self, clip_id: ClipId) {
        self.cutters.retain(|(open, _)| *open != clip_id);
    }
}
