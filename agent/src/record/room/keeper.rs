//! Keeps the disk usable and the index true: deletes what retention says must go, notices clips
//! whose files somebody else deleted.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use nightjar_core::monotonic::MonotonicNanos;
use nightjar_shared::{
    ids::{BootId, ClipId},
    time::{ClockState, UnixMillis},
};
use tokio::{
    sync::{Notify, watch},
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use crate::record::{
    Controls, RecordStatus, RetentionStatus, files,
    room::ballast::Ballast,
    room::retention::{Limits, Now, to_delete},
    room::space::{DISK_FULL, DiskSpace},
};
use crate::{
    clock::Clock,
    file_system::sync_directory,
    store::{Clip, ClipState, Store, StoreError, StoredClip},
};

/// How often the file system is asked for its free space.
const SPACE_INTERVAL: Duration = Duration::from_secs(5);
/// How often the budget is checked even when space is free and no clip was closed.
const ROUND_INTERVAL: Duration = Duration::from_mins(1);
/// A wall clock that moves by more was set.
const CLOCK_STEP_MS: i64 = 1_000;
/// How often a round chooses again, without the clips whose files cannot be deleted.
const MAX_PASSES: usize = 3;
/// How often every clip's files are looked for.
const INSPECTION_INTERVAL: Duration = Duration::from_hours(1);

pub(in crate::record) const DELETED_BEHIND: &str = "its file was deleted from the camera's disk";
const MADE_ROOM: &str = "it was deleted to make room before it could be uploaded";

pub(in crate::record) struct Keeper {
    pub(in crate::record) directory: PathBuf,
    pub(in crate::record) ballast: Ballast,
    pub(in crate::record) boot_id: BootId,
    pub(in crate::record) clock: Clock,
    pub(in crate::record) store: Store,
    pub(in crate::record) controls: watch::Receiver<Controls>,
    pub(in crate::record) status: Arc<watch::Sender<RecordStatus>>,
    pub(in crate::record) wake: Arc<Notify>,
}

impl Keeper {
    pub(in crate::record) async fn run(mut self, cancel: CancellationToken) {
        let mut ticks = interval(SPACE_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut inspected = self.clock.monotonic();
        let mut kept: Option<MonotonicNanos> = None;
        let mut boot_began: Option<UnixMillis> = None;
        loop {
            let woken = tokio::select! {
                () = cancel.cancelled() => return,
                () = self.wake.notified() => true,
                _ = ticks.tick() => false,
            };
            let now = self.clock.monotonic();
            self.follow_clock(&mut boot_began).await;
            let space = self.disk_space();
            self.publish_space(space);
            // Once more when the space is back, to say so.
            let short = space.free_bytes < space.target_bytes()
                || self.status.borrow().retention.crowded.is_some();
            if woken || short || kept.is_none_or(|at| now.since(at) >= ROUND_INTERVAL) {
                kept = Some(now);
                if let Err(error) = self.make_room(space).await {
                    tracing::warn!(%error, "retention could not be kept");
                }
                self.ballast.restore();
            }
            if now.since(inspected) >= INSPECTION_INTERVAL {
                inspected = now;
                self.inspect().await;
            }
        }
    }

    /// Corrects the times of this boot's clips once the wall clock is right, and whenever it is set
    /// again. A clock that cannot be right changes nothing.
    async fn follow_clock(&self, boot_began: &mut Option<UnixMillis>) {
        let now = self.clock.boot_at();
        let stepped = boot_began.is_none_or(|before| (now.0 - before.0).abs() > CLOCK_STEP_MS);
        if !stepped || self.clock.state() == ClockState::Unsynced {
            return;
        }
        match self.store.correct_times(self.boot_id, now).await {
            Ok(corrected) => {
                *boot_began = Some(now);
                if corrected > 0 {
                    tracing::info!(corrected, "the clock was set: clips have their times");
                }
            }
            Err(error) => tracing::warn!(%error, "the times of clips could not be corrected"),
        }
    }

    async fn make_room(&self, mut disk: DiskSpace) -> Result<(), StoreError> {
        let mut clips = self.store.stored_clips().await?;
        for _ in 0..MAX_PASSES {
            let doomed = to_delete(&clips, self.limits(disk), self.now());
            let deleted = self.delete(&clips, &doomed).await?;
            // What cannot be deleted makes no room: others do.
            clips.retain(|clip| !doomed.contains(&clip.clip_id));
            if deleted == doomed.len() {
                break;
            }
            disk = self.disk_space();
        }
        let left = self.store.stored_clips().await?;
        let used_bytes = left.iter().map(|clip| clip.bytes).sum();
        let oldest_at = left.first().map(|clip| clip.started_at);
        let space = self.disk_space();
        let crowded = (space.free_bytes < space.floor_bytes())
            .then(|| crowded(space, used_bytes, self.status.borrow().retention.problem.is_some()));
        self.status.send_if_modified(|status| {
            let retention = RetentionStatus {
                used_bytes,
                oldest_at,
                crowded: crowded.flatten(),
                ..status.retention.clone()
            };
            std::mem::replace(&mut status.retention, retention.clone()) != retention
        });
        Ok(())
    }

    /// Deletes clips in the order in which they were recorded. Gives the number of those that it
    /// could delete; the others are tried again in the next round.
    async fn delete(
        &self,
        clips: &[StoredClip],
        doomed: &HashSet<ClipId>,
    ) -> Result<usize, StoreError> {
        let mut deleted = 0;
        for clip in clips.iter().filter(|clip| doomed.contains(&clip.clip_id)) {
            let clip_id = clip.clip_id;
            // Files first: should the power fail in between, the start-up scan finds a row
            // without files, which it understands; files without a row would be adopted again.
            let directory = self.directory.clone();
            let removed = spawn_blocking(move || remove_files(&directory, clip_id)).await;
            if let Ok(Err(error)) = removed {
                tracing::warn!(clip.id = %clip_id, %error, "a clip's file cannot be deleted");
                continue;
            }
            self.store.clip_gone(clip_id, MADE_ROOM).await?;
            deleted += 1;
            tracing::info!(clip.id = %clip_id, "a clip was deleted to make room");
        }
        Ok(deleted)
    }

    fn disk_space(&self) -> DiskSpace {
        DiskSpace::of(&self.directory, self.controls.borrow().config.min_free_percent)
    }

    fn limits(&self, disk: DiskSpace) -> Limits {
        let controls = self.controls.borrow();
        let days = |days: u32| (days > 0).then(|| Duration::from_hours(24) * days);
        Limits {
            max_bytes: controls.config.max_bytes,
            max_age: days(controls.config.max_age_days),
            continuous_max_age: days(controls.config.continuous_max_age_days),
            disk,
        }
    }

    fn now(&self) -> Now {
        Now {
            wall: self.clock.unix(),
            clock: self.clock.state(),
            boot_id: self.boot_id,
            uptime_ms: self.clock.uptime_ms(),
        }
    }

    /// Tells of a full disk also while nothing records, and of space that has returned.
    fn publish_space(&self, space: DiskSpace) {
        let text = space.is_full().then(|| DISK_FULL.to_owned());
        self.status.send_if_modified(|status| {
            let retention = &mut status.retention;
            let changed =
                retention.disk_free_bytes != space.free_bytes || retention.problem != text;
            retention.disk_free_bytes = space.free_bytes;
            retention.problem = text;
            changed
        });
    }

    async fn inspect(&self) {
        let inspection = match self.store.clips().await {
            Ok(clips) => find_missing(&self.store, &self.directory, clips).await,
            Err(error) => Err(error),
        };
        match inspection {
            Ok(missing) => {
                self.status.send_modify(|status| status.retention.missing_clips = missing);
            }
            Err(error) => tracing::warn!(%error, "the recordings could not be inspected"),
        }
    }
}

/// What the owner is told of a disk that others have filled; nothing while it stops recording,
/// which is told already.
fn crowded(space: DiskSpace, used_bytes: u64, full: bool) -> Option<String> {
    let mb = |bytes: u64| bytes / 1_000_000;
    (!full).then(|| {
        format!(
            "other files fill the disk for recordings: {} MB are free, recordings take {} MB; only \
             the newest are kept",
            mb(space.free_bytes),
            mb(used_bytes)
        )
    })
}

/// Marks closed clips whose footage is no longer on disk, and removes what is left of them: a
/// picture without its row would be taken for a snapshot. Gives their number.
pub(in crate::record) async fn find_missing(
    store: &Store,
    directory: &Path,
    clips: Vec<Clip>,
) -> Result<u64, StoreError> {
    let directory = directory.to_owned();
    let look = move || {
        let footage = |clip: &Clip| clip.parts.first().map(|part| directory.join(&part.path));
        let missing = clips
            .into_iter()
            .filter(|clip| clip.state == ClipState::Closed)
            .filter(|clip| footage(clip).is_some_and(|path| !path.exists()));
        let missing: Vec<ClipId> = missing.map(|clip| clip.clip_id).collect();
        for clip_id in &missing {
            let removed = files::remove(&directory.join(files::picture_name(*clip_id)));
            if let Err(error) = removed.and_then(|()| sync_directory(&directory)) {
                tracing::warn!(clip.id = %clip_id, %error, "a clip's picture cannot be deleted");
            }
        }
        missing
    };
    let missing = spawn_blocking(look).await.unwrap_or_default();
    for clip_id in &missing {
        tracing::warn!(clip.id = %clip_id, "a clip's file is gone: it was deleted from outside");
        store.clip_gone(*clip_id, DELETED_BEHIND).await?;
    }
    Ok(missing.len() as u64)
}

fn remove_files(directory: &Path, clip_id: ClipId) -> std::io::Result<()> {
    files::remove(&directory.join(files::video_name(clip_id)))?;
    files::remove(&directory.join(files::picture_name(clip_id)))?;
    sync_directory(directory)
}
