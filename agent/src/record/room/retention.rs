//! What must go so that recording can go on: pure decisions.
//!
//! Three limits: an age for each class of footage, a byte budget, and a floor of free space that
//! counts whoever filled the disk. Age takes what is too old. For budget and floor clips go in
//! this order, each class oldest first: what the relay has, continuous footage, what the relay
//! lacks, what an owner protects. On a disk that somebody else has filled beyond the floor, what
//! exists nowhere else is kept up to an allowance, for as long as recording itself has room.

use std::{collections::HashSet, time::Duration};

use nightjar_shared::{
    ids::{BootId, ClipId},
    time::{ClockState, UnixMillis},
};

use crate::record::room::space::DiskSpace;
use crate::store::{ClipKind, StoredClip};

/// Ages beyond this come from a clock that was set wrong: nobody knows such a clip's age.
const OLDEST_BELIEVED: Duration = Duration::from_hours(400 * 24);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::record) struct Limits {
    /// All recordings together.
    pub(in crate::record) max_bytes: u64,
    /// Clips and snapshots.
    pub(in crate::record) max_age: Option<Duration>,
    pub(in crate::record) continuous_max_age: Option<Duration>,
    pub(in crate::record) disk: DiskSpace,
}

/// What the clocks say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::record) struct Now {
    pub(in crate::record) wall: UnixMillis,
    pub(in crate::record) clock: ClockState,
    pub(in crate::record) boot_id: BootId,
    pub(in crate::record) uptime_ms: u64,
}

/// Classes in the order in which they make room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// The relay has it, or its owner deleted it there.
    Settled,
    Continuous,
    /// Exists here alone.
    Unsettled,
    Protected,
}

impl Class {
    const ALL: [Self; 4] = [Self::Settled, Self::Continuous, Self::Unsettled, Self::Protected];

    fn of(clip: &StoredClip) -> Self {
        match clip {
            StoredClip { protected: true, .. } => Self::Protected,
            StoredClip { kind: ClipKind::Continuous, .. } => Self::Continuous,
            StoredClip { settled: true, .. } => Self::Settled,
            _ => Self::Unsettled,
        }
    }
}

/// The clips to delete; `clips` come oldest first.
pub(in crate::record) fn to_delete(
    clips: &[StoredClip],
    limits: Limits,
    now: Now,
) -> HashSet<ClipId> {
    let mut doomed = HashSet::new();
    let mut used: u64 = clips.iter().map(|clip| clip.bytes).sum();
    let mut free = limits.disk.free_bytes;
    for clip in expired(clips, limits, now) {
        doomed.insert(clip.clip_id);
        used -= clip.bytes;
        free += clip.bytes;
    }
    for class in Class::ALL {
        for clip in clips.iter().filter(|clip| Class::of(clip) == class) {
            if used <= limits.max_bytes && free >= wanted_free(class, used, limits.disk) {
                break;
            }
            if doomed.insert(clip.clip_id) {
                used -= clip.bytes;
                free += clip.bytes;
            }
        }
    }
    doomed
}

/// How much free space a class makes way for while `used` bytes are recorded.
fn wanted_free(class: Class, used: u64, disk: DiskSpace) -> u64 {
    if class == Class::Settled || used > disk.allowance_bytes() {
        disk.target_bytes()
    } else {
        disk.least_bytes()
    }
}

/// The clips that are older than their class may be; `clips` come oldest first. A clip whose own age
/// nobody knows, as its clock was never set or the index that knew it was lost, is as old as any
/// that was recorded, or taken up, after it.
fn expired(clips: &[StoredClip], limits: Limits, now: Now) -> Vec<&StoredClip> {
    let mut at_least = Duration::ZERO;
    let is_expired = |clip: &&StoredClip| {
        let age = age(clip, now).unwrap_or(at_least);
        at_least = at_least.max(age);
        let limit = match clip.kind {
            ClipKind::Continuous => limits.continuous_max_age,
            _ => limits.max_age,
        };
        !clip.protected && limit.is_some_and(|limit| age >= limit)
    };
    clips.iter().rev().filter(is_expired).collect()
}

/// How long ago a clip began. Within one boot the uptime tells, whatever the wall clock does; over
/// boots only wall clocks that the network has set do, and only within reason.
fn age(clip: &StoredClip, now: Now) -> Option<Duration> {
    if clip.boot_id == now.boot_id {
        return Some(Duration::from_millis(now.uptime_ms.saturating_sub(clip.started_uptime_ms)));
    }
    let age = now.wall.since(clip.started_at);
    let believed = [clip.clock, now.clock] == [ClockState::Synced; 2] && age <= OLDEST_BELIEVED;
    believed.then_some(age)
}

#[cfg(test)]
mod tests;
