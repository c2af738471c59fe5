//! A clip's file: crash-safe by order of writes.
//!
//! The file is born under a temporary name. Its initialisation segment is synced before the first
//! fragment is written. Fragments of an event are synced one by one (those of the pre-roll
//! together), those of continuous footage every few seconds: whatever the moment of a power cut,
//! all that was synced is on disk and plays. Closing adds the indexes, syncs, gives the file its
//! final name and syncs the directory. All of it blocks.
//!
//! What a failed sync leaves on disk nobody knows, and a second sync would not tell: the fragments
//! since the last good one are cut off.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use nightjar_core::{
    monotonic::MonotonicNanos,
    mp4::{
        self, FragmentEntry, InvalidStream, VideoTrack, index_reserve, init_segment,
        random_access_index, segment_index,
    },
    picture::EncodedFrame,
};
use nightjar_shared::{ids::ClipId, time::UnixMillis};

use crate::{
    file_system::sync_directory,
    record::{
        clip::fragmenter::Fragmenter,
        files::{self, unfinished_video_name, video_name},
    },
};

/// Fragments that the index in front has room for, beyond one for each second of the clip.
const SPARE_INDEX_ENTRIES: usize = 8;

/// In the file of a piece of continuous footage: it is adopted as what it is, and stays on the camera,
/// even when the index is lost.
const CONTINUOUS_MARK: u32 = 1;

#[derive(Debug, thiserror::Error)]
pub(in crate::record) enum WriteError {
    #[error("cannot write {path}: {source}", path = path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("the encoder's stream cannot be recorded: {0}")]
    Stream(#[from] InvalidStream),
}

impl WriteError {
    /// Whether the file system is full: writing succeeds again once space is free.
    pub(in crate::record) fn is_disk_full(&self) -> bool {
        matches!(self, Self::File { source, .. } if source.kind() == io::ErrorKind::StorageFull)
    }
}

/// A clip being written.
#[derive(Debug)]
pub(in crate::record) struct ClipFile {
    file: File,
    directory: PathBuf,
    clip_id: ClipId,
    fragmenter: Fragmenter,
    /// Where the space reserved for the index in front begins, and its length.
    reserve: (u64, usize),
    /// How much footage may wait for the next sync; none: every fragment is synced.
    sync_every: Duration,
    /// How many of the fragments are synced.
    durable: usize,
    /// Capture time of the newest frame when it last synced.
    synced_at: MonotonicNanos,
}

/// A clip's file under its final name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::record) struct FinishedFile {
    /// Bytes.
    pub(in crate::record) length: u64,
    pub(in crate::record) duration_ms: u64,
    /// The initialisation segment is the file's bytes `0 .. init_length`.
    pub(in crate::record) init_length: u64,
    /// The fragments that closing made durable; all of them when it was not this process that
    /// wrote the file.
    pub(in crate::record) last_fragments: Vec<FragmentEntry>,
}

impl ClipFile {
    /// Makes the file and syncs all that comes before the first fragment. `first` is the key
    /// frame that the clip begins with; `longest` is the clip's expected length. Continuous footage
    /// alone is not synced with every fragment.
    pub(in crate::record) fn create(
        directory: &Path,
        clip_id: ClipId,
        first: &EncodedFrame,
        started_at: UnixMillis,
        longest: Duration,
        sync_every: Duration,
    ) -> Result<Self, WriteError> {
        let track = VideoTrack::from_key_frame(&first.data)?;
        let mut head = init_segment(&track, started_at);
        if !sync_every.is_zero() {
            mp4::set_mark(&mut head, CONTINUOUS_MARK);
        }
        let reserve_at = head.len() as u64;
        let seconds = usize::try_from(longest.as_secs()).unwrap_or(0);
        let reserve = index_reserve(seconds + SPARE_INDEX_ENTRIES);
        head.extend_from_slice(&reserve);

        let path = directory.join(unfinished_video_name(clip_id));
        let create = || {
            let mut file =
                OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
            let written = file
                .write_all(&head)
                .and_then(|()| file.sync_data())
                .and_then(|()| sync_directory(directory));
            if let Err(error) = written {
                let _ = fs::remove_file(&path);
                return Err(error);
            }
            Ok(file)
        };
        let file = create().map_err(|source| WriteError::File { path: path.clone(), source })?;
        Ok(Self {
            file,
            directory: directory.to_owned(),
            clip_id,
            fragmenter: Fragmenter::new(first.captured_at, head.len() as u64),
            reserve: (reserve_at, reserve.len()),
            sync_every,
            durable: 0,
            synced_at: first.captured_at,
        })
    }

    pub(in crate::record) fn init_length(&self) -> u64 {
        self.reserve.0
    }

    /// Takes frames; writes the fragments that they complete, and syncs once, when it is time.
    /// Gives the fragments that have become durable. After an error the file takes no more
    /// frames: it is to be closed.
    pub(in crate::record) fn append(
        &mut self,
        frames: impl IntoIterator<Item = Arc<EncodedFrame>>,
    ) -> Result<&[FragmentEntry], WriteError> {
        let durable = self.durable;
        let mut newest = self.synced_at;
        for frame in frames {
            newest = frame.captured_at;
            if let Some(bytes) = self.fragmenter.push(frame) {
                self.write_fragment(&bytes)?;
            }
        }
        if newest.since(self.synced_at) >= self.sync_every && self.sync()? {
            self.synced_at = newest;
        }
        Ok(&self.fragmenter.fragments()[durable..self.durable])
    }

    /// Makes all fragments durable; false when they are. Those that it cannot make so are cut off.
    fn sync(&mut self) -> Result<bool, WriteError> {
        let written = self.fragmenter.fragments().len();
        if written == self.durable {
            return Ok(false);
        }
        self.file.sync_data().map_err(|source| {
            self.cut_to(self.durable);
            self.failed(source)
        })?;
        self.durable = written;
        Ok(true)
    }

    /// Closes the file; nothing, and no file, when it holds no footage. When not even the last
    /// fragment or the indexes fit the disk, the clip ends before them. After an error it may be
    /// tried again with [`close_again`].
    pub(in crate::record) fn close(mut self) -> Result<Option<FinishedFile>, WriteError> {
        let durable = self.durable;
        let last = self.fragmenter.finish().map_or(Ok(()), |bytes| self.write_fragment(&bytes));
        if let Err(error) = last.and_then(|()| self.sync()) {
            tracing::warn!(clip.id = %self.clip_id, %error, "the end of a clip is lost");
        }
        let fragments = self.fragmenter.fragments();
        let path = self.directory.join(video_name(self.clip_id));
        let finished = finish(&self.file, &self.path(), &path, fragments, self.reserve)
            .map_err(|source| self.failed(source))?;
        let last_fragments = fragments[durable..].to_vec();
        Ok(finished.map(|finished| FinishedFile { last_fragments, ..finished }))
    }

    fn write_fragment(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.file.write_all(bytes).map_err(|source| {
            self.cut_to(self.fragmenter.fragments().len() - 1);
            self.failed(source)
        })
    }

    /// Forgets all but the first `fragments`, and the frames that wait: those would follow a gap.
    fn cut_to(&mut self, fragments: usize) {
        let end = self.fragmenter.cut_to(fragments);
        // What was written of the others must not stand before whatever comes next.
        let _ = self.file.set_len(end);
        let _ = self.file.seek(SeekFrom::Start(end));
    }

    fn failed(&self, source: io::Error) -> WriteError {
        WriteError::File { path: self.path(), source }
    }

    fn path(&self) -> PathBuf {
        self.directory.join(unfinished_video_name(self.clip_id))
    }
}

/// Tries again to close a file that could not be closed.
pub(in crate::record) fn close_again(
    directory: &Path,
    clip_id: ClipId,
) -> Result<Option<FinishedFile>, WriteError> {
    let mut path = directory.join(unfinished_video_name(clip_id));
    if !path.exists() {
        // It had got its final name, or held nothing, but that may not outlive a power cut yet.
        path = directory.join(video_name(clip_id));
        let synced = sync_directory(directory);
        synced.map_err(|source| WriteError::File { path: path.clone(), source })?;
    }
    match repair(directory, &path, clip_id) {
        Err(WriteError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok(None)
        }
        closed => closed,
    }
}

/// Closes a file that a crash left behind: cuts the torn tail, adds the indexes, gives it its
/// final name. In one that was closed, what lies behind a garbled stretch is kept; one that is whole is
/// measured only. Nothing when no footage is found:
/// then an unfinished file is removed, but one that was closed held footage once, and is set aside.
pub(in crate::record) fn repair(
    directory: &Path,
    path: &Path,
    clip_id: ClipId,
) -> Result<Option<FinishedFile>, WriteError> {
    let failed = |source| WriteError::File { path: path.to_owned(), source };
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(failed)?;
    let was_closed = path.ends_with(video_name(clip_id));
    // Only what was closed was all on the disk once: behind the torn end of another, some file
    // systems show what was deleted before.
    let found = if was_closed { scan_over_holes(&file) } else { scan_file(&file) };
    let Some(found) = found.map_err(failed)?.filter(|found| !found.fragments.is_empty()) else {
        let gone = if was_closed { files::set_aside(path) } else { files::remove(path) };
        gone.and_then(|()| sync_directory(directory)).map_err(failed)?;
        return Ok(None);
    };
    let length = file.metadata().map_err(failed)?.len();
    let index_length = random_access_index(&found.fragments).len() as u64;
    let whole = [found.media_end(), found.media_end() + index_length].contains(&length);
    if was_closed && whole {
        return Ok(Some(FinishedFile {
            length,
            duration_ms: mp4::ticks_to_ms(found.duration()),
            init_length: found.init_length,
            last_fragments: found.fragments,
        }));
    }
    let reserve_length = usize::try_from(found.reserve_length).unwrap_or(0);
    let reserve = (found.init_length, reserve_length);
    file.sync_data().map_err(failed)?;
    finish(&file, path, &directory.join(video_name(clip_id)), &found.fragments, reserve)
        .map_err(failed)
}

/// Whether a file is a piece of continuous footage. Blocks.
pub(in crate::record) fn is_continuous(path: &Path) -> io::Result<bool> {
    let mut head = [0; mp4::MARK_END];
    File::open(path)?.read_exact(&mut head)?;
    Ok(mp4::mark(&head) == CONTINUOUS_MARK)
}

/// What a clip's file holds.
pub(in crate::record) fn scan_file(file: &File) -> io::Result<Option<mp4::Scan>> {
    mp4::scan(file.metadata()?.len(), |offset, wanted| read_at(file, offset, wanted))
}

/// At most `wanted` bytes, fewer at the end.
fn read_at(mut file: &File, offset: u64, wanted: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(offset))?;
    file.take(wanted as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What a file holds, and what lies behind stretches of it that cannot be read any more: those are
/// made holes, which players skip.
fn scan_over_holes(file: &File) -> io::Result<Option<mp4::Scan>> {
    loop {
        let Some(found) = scan_file(file)? else { return Ok(None) };
        let Some(last) = found.fragments.last() else { return Ok(Some(found)) };
        if !bridge(file, last)? {
            return Ok(Some(found));
        }
    }
}

/// Makes a hole between a fragment and the next one that can be read. False when there is none.
fn bridge(file: &File, last: &FragmentEntry) -> io::Result<bool> {
    let hole_at = last.offset + u64::from(last.length);
    let ended_at = last.decode_time.saturating_add(u64::from(last.duration));
    let size = read_at(file, last.offset, 4)?.try_into().map_or(0, u32::from_be_bytes);
    let mut moof = read_at(file, last.offset, size as usize)?;
    let Some(sequence) = mp4::sequence_of(&moof) else { return Ok(false) };
    let before = mp4::Before { sequence, ended_at };
    let read = |offset, wanted| read_at(file, offset, wanted);
    let next = mp4::find_fragment(file.metadata()?.len(), hole_at, before, read)?;
    let Some(next) = next else { return Ok(false) };
    let length = next.offset - hole_at;
    let fits = u32::try_from(length).is_ok_and(|length| last.length.checked_add(length).is_some());
    let Some(hole) = mp4::hole_header(length).filter(|_| fits) else { return Ok(false) };
    // First the frame before the hole, so that a power cut in between leaves it to be found again.
    let missing = next.decode_time - ended_at;
    if missing > 0 && mp4::prolong(&mut moof, missing) {
        file.write_all_at(&moof, last.offset)?;
        file.sync_data()?;
    }
    file.write_all_at(&hole, hole_at)?;
    file.sync_data()?;
    tracing::warn!(hole.bytes = length, "a clip plays on behind a stretch that cannot be read");
    Ok(true)
}

/// All `fragments` are durable.
fn finish(
    file: &File,
    unfinished: &Path,
    path: &Path,
    fragments: &[FragmentEntry],
    (reserve_at, reserve_length): (u64, usize),
) -> io::Result<Option<FinishedFile>> {
    let directory = path.parent().unwrap_or(path);
    let Some(last) = fragments.last() else {
        files::remove(unfinished)?;
        sync_directory(directory)?;
        return Ok(None);
    };
    let media_end = last.offset + u64::from(last.length);
    file.set_len(media_end)?;
    if let Err(error) = write_indexes(file, fragments, reserve_at, reserve_length, media_end) {
        // The clip plays without them; only seeking is slower.
        tracing::warn!(path = %path.display(), %error, "a clip stays without an index");
        file.set_len(media_end)?;
    }
    file.sync_all()?;
    let length = file.metadata()?.len();
    fs::rename(unfinished, path)?;
    sync_directory(directory)?;
    let ticks = last.decode_time + u64::from(last.duration) - fragments[0].decode_time;
    Ok(Some(FinishedFile {
        length,
        duration_ms: mp4::ticks_to_ms(ticks),
        init_length: reserve_at,
        last_fragments: fragments.to_vec(),
    }))
}

/// The index in front takes the tail of the reserved `free` box in two steps: first its contents,
/// synced, then the size of the box before it, 4 bytes in one disk sector, which makes it visible.
fn write_indexes(
    file: &File,
    fragments: &[FragmentEntry],
    reserve_at: u64,
    reserve_length: usize,
    media_end: u64,
) -> io::Result<()> {
    file.write_all_at(&random_access_index(fragments), media_end)?;
    if let Some(index) = segment_index(fragments, reserve_length) {
        let (free_size, rest) = index.split_at(4);
        file.write_all_at(rest, reserve_at + 4)?;
        file.sync_data()?;
        file.write_all_at(free_size, reserve_at)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
