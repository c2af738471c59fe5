//! What a clip consists of in the store, and where each part lies on this disk.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

use nightjar_core::mp4::{self, Segment};
use nightjar_shared::api::{FIRST_SEGMENT, INIT_PART, PartKind, THUMBNAIL_PART};

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

/// Returns the picture of a clip: its thumbnail, or the snapshot that it is.
pub(super) fn picture(clip: &Clip) -> Option<Stretch> {
    let is_picture = |kind| matches!(kind, PartKind::Thumbnail | PartKind::Snapshot);
    clip.parts.iter().find(|part| is_picture(part.kind)).map(|part| Stretch {
        index: if part.kind == PartKind::Thumbnail { THUMBNAIL_PART } else { part.index },
        kind: part.kind,
        path: part.path.clone(),
        content_type: part.content_type.clone(),
        offset: 0,
        length: part.length,
        duration_ms: None,
    })
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
