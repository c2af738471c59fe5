//! Names of files below `DATA_DIR/recordings`, and writes that outlive a power cut.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use nightjar_shared::{api::PartKind, ids::ClipId};

use crate::{file_system::sync_directory, store::NewPart};

/// Ends the name of a file that is not complete.
const UNFINISHED: &str = ".part";
/// Ends the name of a file that cannot be read any more.
const DAMAGED: &str = "damaged";
const VIDEO: &str = "mp4";
const PICTURE: &str = "jpg";

/// What a file in the directory is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Video,
    /// A clip's footage that was never closed.
    UnfinishedVideo,
    /// What was a clip's footage; kept for whoever wants to look at it.
    DamagedVideo,
    /// A thumbnail or a snapshot.
    Picture,
    /// A picture that was never completed.
    UnfinishedPicture,
}

pub(super) fn video_name(clip_id: ClipId) -> String {
    format!("{clip_id}.{VIDEO}")
}

pub(super) fn unfinished_video_name(clip_id: ClipId) -> String {
    format!("{clip_id}.{VIDEO}{UNFINISHED}")
}

pub(super) fn picture_name(clip_id: ClipId) -> String {
    format!("{clip_id}.{PICTURE}")
}

/// Places of the files of a clip among its parts.
pub(super) const VIDEO_PART: u32 = 0;
pub(super) const THUMBNAIL_PART: u32 = 1;

/// The row of a clip's footage; `length` in bytes.
pub(super) fn video_part(clip_id: ClipId, length: u64, duration_ms: u64) -> NewPart {
    NewPart {
        index: VIDEO_PART,
        kind: PartKind::File,
        path: video_name(clip_id),
        content_type: "video/mp4",
        length,
        duration_ms: Some(duration_ms),
    }
}

/// The row of a thumbnail or a snapshot; `length` in bytes.
pub(super) fn picture_part(clip_id: ClipId, kind: PartKind, length: u64) -> NewPart {
    NewPart {
        index: if kind == PartKind::Snapshot { VIDEO_PART } else { THUMBNAIL_PART },
        kind,
        path: picture_name(clip_id),
        content_type: "image/jpeg",
        length,
        duration_ms: None,
    }
}

/// The clip a file belongs to; nothing for a name that the agent did not give.
pub(super) fn parse_name(name: &str) -> Option<(ClipId, Kind)> {
    let (clip_id, suffix) = name.split_once('.')?;
    let kind = match suffix {
        "mp4" => Kind::Video,
        "mp4.part" => Kind::UnfinishedVideo,
        "mp4.damaged" => Kind::DamagedVideo,
        "jpg" => Kind::Picture,
        "jpg.part" => Kind::UnfinishedPicture,
        _ => return None,
    };
    Some((clip_id.parse().ok()?, kind))
}

/// The agent's files in a directory, in the order in which their clips began.
pub(super) fn list(directory: &Path) -> io::Result<Vec<(ClipId, Kind, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if let Some((clip_id, kind)) = entry.file_name().to_str().and_then(parse_name) {
            found.push((clip_id, kind, entry.path()));
        }
    }
    found.sort_by_key(|(clip_id, _, _)| *clip_id);
    Ok(found)
}

/// Writes a whole file: it is there entirely or not at all.
pub(super) fn write_whole(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let unfinished = directory.join(format!("{name}{UNFINISHED}"));
    let mut file = File::create(&unfinished)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_data());
    if let Err(error) = written {
        let _ = fs::remove_file(&unfinished);
        return Err(error);
    }
    fs::rename(&unfinished, directory.join(name))?;
    sync_directory(directory)
}

/// Keeps a file that nothing can be made of out of the way.
pub(super) fn set_aside(path: &Path) -> io::Result<()> {
    let aside = path.with_added_extension(DAMAGED);
    tracing::error!(aside = %aside.display(), "a clip's file is damaged beyond repair");
    fs::rename(path, aside)
}

/// Removes a file that may be gone already.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_foreign_ones_left_alone() {
        let clip_id = ClipId::generate();
        assert_eq!(parse_name(&video_name(clip_id)), Some((clip_id, Kind::Video)));
        assert_eq!(
            parse_name(&unfinished_video_name(clip_id)),
            Some((clip_id, Kind::UnfinishedVideo))
        );
        assert_eq!(parse_name(&picture_name(clip_id)), Some((clip_id, Kind::Picture)));
        for name in ["holiday.mp4", "lost+found", "", &format!("{clip_id}.txt")] {
            assert_eq!(parse_name(name), None, "{name}");
        }
    }

    #[test]
    fn a_file_is_written_whole() {
        let directory = tempfile::tempdir().unwrap();
        write_whole(directory.path(), "a.jpg", b"picture").unwrap();
        assert_eq!(fs::read(directory.path().join("a.jpg")).unwrap(), b"picture");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
