//! Says what the source does: as the status that everybody reads, and in the log when it changes.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::Supervisor;
use crate::{
    encode::{CaptureStatus, pipeline::Pipeline},
    logging::printable,
};

/// Frame rates are measured over this many checks.
const RATE_WINDOW: usize = 6;

impl Supervisor {
    /// Running means that frames arrive, not that a pipeline exists.
    pub(super) fn report(&self, pipeline: &Pipeline, fps: f32) {
        if fps <= 0.0 {
            return;
        }
        let (width, height) = pipeline.size();
        let status = CaptureStatus {
            running: true,
            encoder: pipeline.encoder_name().to_owned(),
            transcoded: pipeline.transcoded,
            width,
            height,
            fps,
            problem: None,
            lost_packets: pipeline.lost(),
            image_problem: self.status.borrow().image_problem.clone(),
            hangs: false,
        };
        let (was_running, transcoded) = {
            let before = self.status.borrow();
            (before.running, before.transcoded)
        };
        if let Some(reason) = pipeline.transcoded.filter(|reason| transcoded != Some(*reason)) {
            let reason = reason.as_str();
            tracing::warn!(reason, "the source's own H.264 is decoded and encoded again");
        }
        if !was_running {
            tracing::info!(
                encoder = status.encoder,
                width = status.width,
                height = status.height,
                "the camera sees"
            );
        }
        self.status.send_replace(status);
    }

    pub(super) fn report_failure(&self, problem: String) {
        let problem = printable(problem);
        let known = self.status.borrow().problem.as_ref() == Some(&problem);
        if !known {
            tracing::warn!(problem, "the camera does not see; trying again");
        }
        self.status.send_modify(|status| {
            status.running = false;
            status.fps = 0.0;
            status.problem = Some(problem);
        });
    }
}

/// Frames a second over the last checks.
#[derive(Default)]
pub(super) struct Rate {
    window: VecDeque<(u64, Instant)>,
}

impl Rate {
    pub(super) fn measure(&mut self, frames: u64, now: Instant) -> f32 {
        self.window.push_back((frames, now));
        if self.window.len() > RATE_WINDOW {
            self.window.pop_front();
        }
        let Some((first_frames, first_at)) = self.window.front() else { return 0.0 };
        let elapsed = now.duration_since(*first_at).as_secs_f32();
        let counted = u16::try_from(frames - first_frames).unwrap_or(u16::MAX);
        if elapsed > 0.0 { f32::from(counted) / elapsed } else { 0.0 }
    }
}
