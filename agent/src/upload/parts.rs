//! What a clip consists of in the store, and where each part lies on this disk.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

use nightjar_core::{
    mp4::{self, Segment},
    picture::jpeg,
};
use nightjar_shared::api::{FIRST_SEGMENT, INIT_PART, PartKind, STILL_PART, THUMBNAIL_PART};

use crate::store::{Clip, Growth};

const MP4: &str = "video/mp4";

/// A part, as a stretch of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) index: u32,
    pub(super) kind: PartKind,
    /// Relative to the recordings.
    pub(super) path: String,
    pub(super) content_type: String,
    pub(super) offset: u64,
    pub(super) length: u64,
    pub(super) duration_ms: Option<u64>,
}

/// The initialisation segment of a file, and the segments behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cut {
    init_length: u64,
    segments: Vec<Segment>,
}

/// Cuts a closed file into segments; `None` for one that is no fragmented MP4 of ours. Blocks.
pub(super) fn cut(path: &Path) -> io::Result<Option<Cut>> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let found = mp4::scan(length, |offset, wanted| read_at(&file, offset, wanted))?;
    Ok(found.filter(|found| !found.fragments.is_empty()).map(|found| Cut {
        init_length: found.init_length,
        segments: mp4::segments(&found.fragments),
    }))
}

fn read_at(file: &File, offset: u64, wanted: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; wanted];
    let mut filled = 0;
    while filled < wanted {
        match file.read_at(&mut bytes[filled..], offset + filled as u64)? {
            0 => break,
            read => filled += read,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// The picture of a clip, as one file, and what it is sent as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Picture {
    /// Of its row in the index.
    pub(super) index: u32,
    /// The first is for lists.
    pub(super) parts: Vec<Stretch>,
}

/// Returns the picture of a clip: the one of its beginning, or the snapshot that it is. `thumbnail` is
/// where its file carries a smaller one.
pub(super) fn picture(clip: &Clip, thumbnail: Option<(u64, u64)>) -> Option<Picture> {
    let is_picture = |kind| matches!(kind, PartKind::Thumbnail | PartKind::Snapshot);
    let part = clip.parts.iter().find(|part| is_picture(part.kind))?;
    let stretch = |index, kind, (offset, length)| Stretch {
        index,
        kind,
        path: part.path.clone(),
        content_type: part.content_type.clone(),
        offset,
        length,
        duration_ms: None,
    };
    let whole = (0, part.length);
    let parts = match (part.kind, thumbnail) {
        (PartKind::Snapshot, None) => vec![stretch(part.index, PartKind::Snapshot, whole)],
        (PartKind::Snapshot, Some(thumbnail)) => vec![
            stretch(THUMBNAIL_PART, PartKind::Thumbnail, thumbnail),
            stretch(part.index, PartKind::Snapshot, whole),
        ],
        // An agent that was older when it took the picture put none inside.
        (_, None) => vec![stretch(THUMBNAIL_PART, PartKind::Thumbnail, whole)],
        (_, Some(thumbnail)) => vec![
            stretch(THUMBNAIL_PART, PartKind::Thumbnail, thumbnail),
            stretch(STILL_PART, PartKind::Still, whole),
        ],
    };
    Some(Picture { index: part.index, parts })
}

/// Finds the thumbnail that a picture's file carries: its offset and its length. Blocks.
pub(super) fn thumbnail(path: &Path) -> io::Result<Option<(u64, u64)>> {
    let file = File::open(path)?;
    let head = read_at(&file, 0, jpeg::THUMBNAIL_HEAD_BYTES)?;
    let length = file.metadata()?.len();
    let range = jpeg::thumbnail(&head).map(|range| (range.start as u64, range.end as u64));
    Ok(range.filter(|(_, end)| *end <= length).map(|(start, end)| (start, end - start)))
}

/// Lists the parts of a clip that is still being written, as far as they are on disk for good.
pub(super) fn grown(growth: &Growth) -> Vec<Stretch> {
    segmented(&growth.path, growth.init_length, &growth.segments)
}

/// Lists the parts of a closed clip's footage; `cut` is that of its file.
pub(super) fn closed(clip: &Clip, cut: Option<&Cut>) -> Vec<Stretch> {
    let Some(file) = clip.parts.iter().find(|part| part.kind == PartKind::File) else {
        return Vec::new();
    };
    match cut {
        Some(cut) => segmented(&file.path, cut.init_length, &cut.segments),
        None => vec![Stretch {
            index: file.index,
            kind: PartKind::File,
            path: file.path.clone(),
            content_type: MP4.to_owned(),
            offset: 0,
            length: file.length,
            duration_ms: None,
        }],
    }
}

fn segmented(path: &str, init_length: u64, segments: &[Segment]) -> Vec<Stretch> {
    let stretch = |index, kind, offset, length, duration_ms| Stretch {
        index,
        kind,
        path: path.to_owned(),
        content_type: MP4.to_owned(),
        offset,
        length,
        duration_ms,
    };
    let init = stretch(INIT_PART, PartKind::Init, 0, init_length, None);
    let segments = segments.iter().zip(FIRST_SEGMENT..).map(|(segment, index)| {
        let Segment { offset, length, duration_ms } = *segment;
        stretch(index, PartKind::Segment, offset, length, Some(duration_ms))
    });
    std::iter::once(init).chain(segments).collect()
}
