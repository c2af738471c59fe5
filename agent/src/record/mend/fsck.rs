//! Whether the index and the files agree. Looking may go on beside a working agent, mending may not.

use std::{
    collections::HashMap,
    fs::File,
    path::{Path, PathBuf},
};

use nightjar_shared::ids::{BootId, ClipId};
use serde::Serialize;
use tokio::task::spawn_blocking;

use crate::record::{
    clip::writer::scan_file,
    files::{self, Kind},
    mend::adopt::{AdoptError, Files, adopt, close},
};
use crate::{
    clock::Clock,
    progress::{Progress, Stage},
    store::{Clip, ClipState, Part, Store, StoreError},
};

const BEYOND_REPAIR: &str = "its file was damaged beyond repair";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DamageKind {
    /// The index names a file that is not there.
    MissingFile,
    /// The file's length is not the index's.
    WrongLength,
    /// The footage is not whole, or the file was set aside because nothing of it can be read.
    Damaged,
    /// A file that the index does not name. The agent adopts it when it starts.
    Orphan,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Damage {
    pub clip_id: ClipId,
    pub path: PathBuf,
    pub kind: DamageKind,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FsckReport {
    /// Closed clips.
    pub clips: usize,
    /// Clips being written, or waiting for the agent's next start.
    pub open_clips: usize,
    /// Bytes of all parts of closed clips, as the index has them.
    pub bytes: u64,
    pub damages: Vec<Damage>,
}

/// Mends all that can be mended: closes what was open, takes up files without a row, forgets rows
/// without files, cuts torn tails, makes holes of what cannot be read in the middle of a clip. Gives
/// what was wrong before. No agent may be running.
pub async fn repair(
    store: &Store,
    directory: &Path,
    boot_id: BootId,
    clock: &Clock,
    progress: &Progress,
) -> Result<FsckReport, AdoptError> {
    let before = fsck(store, directory, progress).await?;
    adopt(store, directory, boot_id, clock).await?;
    let left = fsck(store, directory, progress).await?.damages;
    let mut clips: Vec<ClipId> = left.into_iter().map(|damage| damage.clip_id).collect();
    clips.dedup();
    for &clip_id in progress.over(Stage::Mending, &clips) {
        let Some(clip) = store.clip(clip_id).await? else { continue };
        for part in &clip.parts {
            if !directory.join(&part.path).exists() {
                store.drop_part(clip_id, part.index).await?;
            }
        }
        let path = |name: String| Some(directory.join(name)).filter(|path| path.exists());
        let left = Files {
            video: path(files::video_name(clip_id)),
            picture: path(files::picture_name(clip_id)),
        };
        let end = close(store, directory, clip_id, clip.kind, clip.started_at, left).await?;
        if end.is_none() {
            store.clip_gone(clip_id, BEYOND_REPAIR).await?;
        }
    }
    Ok(before)
}

/// Compares the index with `directory`; every clip's container is read, its media is not.
pub async fn fsck(
    store: &Store,
    directory: &Path,
    progress: &Progress,
) -> Result<FsckReport, AdoptError> {
    let clips = store.clips().await?;
    let (path, progress) = (directory.to_owned(), progress.clone());
    spawn_blocking(move || compare(&clips, &path, &progress))
        .await
        .map_err(|_| StoreError::ShuttingDown)?
        .map_err(|source| AdoptError::List { path: directory.to_owned(), source })
}

fn compare(clips: &[Clip], directory: &Path, progress: &Progress) -> std::io::Result<FsckReport> {
    let mut report = FsckReport::default();
    let mut files: HashMap<PathBuf, (ClipId, Kind)> = files::list(directory)?
        .into_iter()
        .map(|(clip_id, kind, path)| (path, (clip_id, kind)))
        .collect();
    for clip in progress.over(Stage::Comparing, clips) {
        if clip.state == ClipState::Open {
            report.open_clips += 1;
            files.retain(|_, (clip_id, _)| *clip_id != clip.clip_id);
            continue;
        }
        report.clips += usize::from(clip.state == ClipState::Closed);
        for part in &clip.parts {
            report.bytes += part.length;
            let path = directory.join(&part.path);
            files.remove(&path);
            if let Some(kind) = damage(part, &path) {
                report.damages.push(Damage { clip_id: clip.clip_id, path, kind });
            }
        }
    }
    let mut unnamed: Vec<Damage> = files
        .into_iter()
        .map(|(path, (clip_id, kind))| {
            let damaged = kind == Kind::DamagedVideo;
            let kind = if damaged { DamageKind::Damaged } else { DamageKind::Orphan };
            Damage { clip_id, path, kind }
        })
        .collect();
    unnamed.sort_by(|one, other| one.path.cmp(&other.path));
    report.damages.extend(unnamed);
    Ok(report)
}

fn damage(part: &Part, path: &Path) -> Option<DamageKind> {
    let Ok(file) = File::open(path) else { return Some(DamageKind::MissingFile) };
    let length = file.metadata().map(|metadata| metadata.len()).ok()?;
    if length != part.length {
        return Some(DamageKind::WrongLength);
    }
    let expected = part.duration_ms?;
    match scan_file(&file) {
        Ok(Some(found)) if nightjar_core::mp4::ticks_to_ms(found.duration()) == expected => None,
        _ => Some(DamageKind::Damaged),
    }
}
