//! Footage of a span of time as one file that plays, joined without encoding anything again.
//!
//! Clips and continuous pieces overlap where an event begins and ends: each moment is taken once.
//! Gaps, during which nothing was recorded, are closed: the file plays on without them, and the
//! report says where they were. Where the picture's format changes (another size, another encoder),
//! the parameter sets go into the stream, and players follow.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use nightjar_core::mp4::{
    self, FragmentEntry, declare_in_band, index_reserve, parameter_sets, random_access_index,
    retime, sample_descriptions, segment_index, with_parameter_sets,
};
use nightjar_shared::time::UnixMillis;
use tokio::task::spawn_blocking;

use crate::progress::{Progress, Stage};
use crate::record::{clip::writer::scan_file, files};
use crate::store::{Clip, ClipKind, ClipState, Store, StoreError};

/// Pieces that lie closer together than this play on as if there were no gap: the clocks of two
/// files are rounded to milliseconds.
const SAME_MOMENT_MS: i64 = 60;
/// Fragments take a second, and a frame more where frames are rare.
const LONGEST_PIECE_MS: u64 = 3_000;
/// Shorter gaps are not worth a word: a frame or two that a loaded board lost.
const LEAST_GAP_MS: i64 = 1_000;

#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("nothing was recorded in this time")]
    NothingRecorded,
    #[error("cannot read {path}: {source}", path = path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {path}: {source}", path = path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What was exported.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exported {
    /// When the first frame was captured.
    pub started_at: UnixMillis,
    pub duration_ms: u64,
    /// Bytes.
    pub length: u64,
    /// Times without footage, from and to, that the file plays over.
    pub gaps: Vec<(UnixMillis, UnixMillis)>,
}

/// One fragment of a file, and when its first frame was captured.
#[derive(Debug, Clone)]
struct Piece {
    file: usize,
    entry: FragmentEntry,
    at_ms: i64,
}

impl Piece {
    /// A frame that is shown for long, before a stretch that could not be read or while the camera
    /// stalled, is no footage of that time: another file may have some.
    fn end_ms(&self) -> i64 {
        let length_ms = mp4::ticks_to_ms(self.entry.duration.into()).min(LONGEST_PIECE_MS);
        self.at_ms.saturating_add_unsigned(length_ms)
    }
}

/// Writes all footage between `from` and `to` into `out`; begins with the key frame before `from`.
pub async fn export(
    store: &Store,
    directory: &Path,
    from: UnixMillis,
    to: UnixMillis,
    out: &Path,
    progress: &Progress,
) -> Result<Exported, ExportError> {
    let overlaps = |clip: &Clip| {
        clip.state == ClipState::Closed
            && clip.kind != ClipKind::Snapshot
            && clip.started_at < to
            && clip.ended_at.is_some_and(|ended_at| ended_at > from)
    };
    let mut clips = store.clips().await?;
    clips.retain(overlaps);
    let (directory, out) = (directory.to_owned(), out.to_owned());
    let progress = progress.clone();
    spawn_blocking(move || join(&clips, &directory, (from, to), &out, &progress))
        .await
        .map_err(|_| StoreError::ShuttingDown)?
}

fn join(
    clips: &[Clip],
    directory: &Path,
    (from, to): (UnixMillis, UnixMillis),
    out: &Path,
    progress: &Progress,
) -> Result<Exported, ExportError> {
    let mut files = Vec::new();
    let mut found = Vec::new();
    for clip in progress.over(Stage::Searching, clips) {
        let path = directory.join(files::video_name(clip.clip_id));
        let failed = |source| ExportError::Read { path: path.clone(), source };
        let file = match File::open(&path) {
            // Retention was faster, or somebody else has deleted it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened.map_err(failed)?,
        };
        let Some(scan) = scan_file(&file).map_err(failed)? else { continue };
        let init = read(&file, 0, scan.init_length).map_err(failed)?;
        let begun = scan.fragments.first().map_or(0, |first| first.decode_time);
        for entry in &scan.fragments {
            let since = mp4::ticks_to_ms(entry.decode_time - begun);
            let at_ms = clip.started_at.plus(Duration::from_millis(since)).0;
            found.push(Piece { file: files.len(), entry: *entry, at_ms });
        }
        files.push(Source { path, init, sets: None });
    }
    let pieces = choose(found, from, to);
    let first = pieces.first().ok_or(ExportError::NothingRecorded)?;
    let mut init = files[first.file].init.clone();
    let mut used: Vec<usize> = pieces.iter().map(|piece| piece.file).collect();
    // Those of a span alternate where events overlap continuous footage.
    used.sort_unstable();
    used.dedup();
    // Whether one of them holds another stream.
    let differs =
        |index: &usize| sample_descriptions(&files[*index].init) != sample_descriptions(&init);
    if used.iter().any(differs) {
        if !declare_in_band(&mut init) {
            return Err(files[first.file].damaged());
        }
        for index in used {
            let source = &mut files[index];
            source.sets = Some(parameter_sets(&source.init).ok_or_else(|| source.damaged())?);
        }
    }
    write(&files, &pieces, &init, out, progress)
}

/// Each moment between `from` and `to` once, in order. A fragment that begins with a key frame
/// stands for itself; one that does not follows the one before it in its file.
fn choose(mut found: Vec<Piece>, from: UnixMillis, to: UnixMillis) -> Vec<Piece> {
    let wanted = |piece: &Piece| piece.at_ms < to.0 && piece.end_ms() > from.0;
    let mut decodable = Vec::new();
    // Fragments lie in the order of their files here: a start in the middle of a group of
    // pictures is moved back to its key frame.
    for (index, piece) in found.iter().enumerate() {
        if wanted(piece) {
            let start = found[..=index].iter().rposition(|piece| piece.entry.starts_with_key_frame);
            decodable.extend(start.unwrap_or(index)..=index);
        }
    }
    decodable.sort_unstable();
    decodable.dedup();
    let mut chosen: Vec<Piece> = decodable.into_iter().map(|index| found[index].clone()).collect();
    found.clear();
    // Of two that begin together, the longer.
    chosen.sort_by_key(|piece| (piece.at_ms, -piece.end_ms()));
    let mut pieces: Vec<Piece> = Vec::with_capacity(chosen.len());
    for piece in chosen {
        let Some(last) = pieces.last() else {
            pieces.push(piece);
            continue;
        };
        if piece.at_ms >= last.end_ms() - SAME_MOMENT_MS {
            pieces.push(piece);
        } else if (piece.at_ms - last.at_ms).abs() <= SAME_MOMENT_MS
            && piece.end_ms() > last.end_ms() + SAME_MOMENT_MS
        {
            // The end of an event, cut in the middle of a group that the next file has whole.
            pieces.pop();
            pieces.push(piece);
        }
    }
    pieces
}

/// Opened for each fragment: a day has more files than a process may have open.
struct Source {
    path: PathBuf,
    /// The initialisation segment.
    init: Vec<u8>,
    /// What each of its key frames is to begin with.
    sets: Option<Vec<u8>>,
}

impl Source {
    fn damaged(&self) -> ExportError {
        let source = io::Error::other("its footage is damaged; run `nightjar-agent fsck`");
        ExportError::Read { path: self.path.clone(), source }
    }

    /// A fragment, with its new place; nothing when the file has been deleted meanwhile.
    fn fragment(
        &self,
        entry: &FragmentEntry,
        number: u32,
        decode_time: u64,
    ) -> Result<Option<Vec<u8>>, ExportError> {
        let opened = File::open(&self.path);
        let mut bytes = match opened.and_then(|it| read(&it, entry.offset, entry.length.into())) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|source| ExportError::Read { path: self.path.clone(), source })?,
        };
        if let Some(sets) = &self.sets {
            bytes = with_parameter_sets(&bytes, sets).ok_or_else(|| self.damaged())?;
        }
        if retime(&mut bytes, number, decode_time) { Ok(Some(bytes)) } else { Err(self.damaged()) }
    }
}

fn read(mut file: &File, offset: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(offset))?;
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn write(
    sources: &[Source],
    pieces: &[Piece],
    init: &[u8],
    out: &Path,
    progress: &Progress,
) -> Result<Exported, ExportError> {
    let unfinished = out.with_added_extension("part");
    let failed = |source| ExportError::Write { path: out.to_owned(), source };
    let mut file = File::create(&unfinished).map_err(failed)?;
    let reserve = index_reserve(pieces.len());
    file.write_all(init).and_then(|()| file.write_all(&reserve)).map_err(failed)?;

    let mut exported = Exported::default();
    let mut fragments: Vec<FragmentEntry> = Vec::with_capacity(pieces.len());
    let (mut offset, mut decode_time) = ((init.len() + reserve.len()) as u64, 0);
    let mut ends_at_ms = pieces[0].at_ms;
    for (number, piece) in (1..).zip(progress.over(Stage::Writing, pieces)) {
        let found = sources[piece.file].fragment(&piece.entry, number, decode_time)?;
        let Some(bytes) = found else { continue };
        if fragments.is_empty() {
            (exported.started_at, ends_at_ms) = (UnixMillis(piece.at_ms), piece.at_ms);
        }
        file.write_all(&bytes).map_err(failed)?;
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        fragments.push(FragmentEntry { offset, length, decode_time, ..piece.entry });
        offset += bytes.len() as u64;
        decode_time += u64::from(piece.entry.duration);
        if piece.at_ms > ends_at_ms + LEAST_GAP_MS {
            exported.gaps.push((UnixMillis(ends_at_ms), UnixMillis(piece.at_ms)));
        }
        ends_at_ms = piece.end_ms();
    }
    if fragments.is_empty() {
        files::remove(&unfinished).map_err(failed)?;
        return Err(ExportError::NothingRecorded);
    }
    file.write_all(&random_access_index(&fragments)).map_err(failed)?;
    exported.length = file.metadata().map_err(failed)?.len();
    if let Some(index) = segment_index(&fragments, reserve.len()) {
        file.seek(SeekFrom::Start(init.len() as u64))
            .and_then(|_| file.write_all(&index))
            .map_err(failed)?;
    }
    file.sync_all().and_then(|()| fs::rename(&unfinished, out)).map_err(failed)?;
    exported.duration_ms = mp4::ticks_to_ms(decode_time);
    Ok(exported)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(file: usize, at_ms: i64, length_ms: u32, key_frame: bool) -> Piece {
        let entry = FragmentEntry {
            offset: 0,
            length: 1,
            decode_time: 0,
            duration: length_ms * 90,
            starts_with_key_frame: key_frame,
        };
        Piece { file, entry, at_ms }
    }

    fn chosen(pieces: Vec<Piece>, from: i64, to: i64) -> Vec<(usize, i64)> {
        let chosen = choose(pieces, UnixMillis(from), UnixMillis(to));
        chosen.iter().map(|piece| (piece.file, piece.at_ms)).collect()
    }

    #[test]
    fn what_two_files_hold_is_taken_once() {
        let continuous = (0..5).map(|second| piece(0, second * 1_000, 1_000, true));
        let event = (3..6).map(|second| piece(1, second * 1_000 + 2, 1_000, true));
        let taken = chosen(continuous.chain(event).collect(), 0, 10_000);
        assert_eq!(taken, [(0, 0), (0, 1_000), (0, 2_000), (0, 3_000), (0, 4_000), (1, 5_002)]);
    }

    #[test]
    fn a_group_that_an_event_cut_short_is_taken_from_the_file_that_has_it_whole() {
        let pieces = vec![
            piece(0, 0, 1_000, true),
            piece(0, 1_000, 400, true),
            piece(1, 1_001, 1_000, true),
            piece(1, 2_001, 1_000, true),
        ];
        assert_eq!(chosen(pieces, 0, 10_000), [(0, 0), (1, 1_001), (1, 2_001)]);
    }

    #[test]
    fn a_frame_that_was_shown_for_long_hides_no_other_footage() {
        let frozen = [piece(0, 0, 60_000, true), piece(0, 60_000, 1_000, true)];
        let event = (30..32).map(|second| piece(1, second * 1_000, 1_000, true));
        let taken = chosen(frozen.into_iter().chain(event).collect(), 0, 70_000);
        assert_eq!(taken, [(0, 0), (1, 30_000), (1, 31_000), (0, 60_000)]);
    }

    #[test]
    fn a_start_within_a_group_moves_back_to_its_key_frame() {
        let pieces = vec![
            piece(0, 0, 1_000, true),
            piece(0, 1_000, 1_000, true),
            piece(0, 2_000, 1_000, false),
            piece(0, 3_000, 1_000, true),
        ];
        assert_eq!(chosen(pieces, 2_500, 2_600), [(0, 1_000), (0, 2_000)]);
    }
}
