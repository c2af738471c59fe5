//! Where fragments begin, for players that seek.

use super::{
    TIMESCALE,
    boxes::{boxed, full_box, u32be, u64be},
    init::TRACK_ID,
};

/// What the indexes tell of one fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FragmentEntry {
    /// Of its `moof`, from the start of the file.
    pub offset: u64,
    /// Bytes, `mdat` included, and what was made a hole behind it.
    pub length: u32,
    /// Of its first frame, in ticks.
    pub decode_time: u64,
    /// Ticks.
    pub duration: u32,
    pub starts_with_key_frame: bool,
}

/// Bytes that an entry of a `sidx` takes.
pub const RESERVE_PER_ENTRY: usize = 12;
/// The header of the `free` box that takes the rest of the space, and a `sidx` without entries.
const RESERVE_FIXED: usize = 40 + 8;

/// A `free` box with room for a `sidx` of `entries` entries.
pub fn index_reserve(entries: usize) -> Vec<u8> {
    let mut out = Vec::new();
    boxed(&mut out, *b"free", |out| {
        out.resize(RESERVE_FIXED + entries * RESERVE_PER_ENTRY, 0);
    });
    out
}

/// A `sidx` of all fragments after a shrunken `free` box, together exactly `reserve` bytes, for the
/// place where [`index_reserve`] stood. The index ends where the first fragment begins: some
/// players ignore one that stands apart. Only the first four bytes, the size of the `free` box,
/// make it visible. Where the room is short, entries cover several fragments. Nothing when there
/// is no fragment or not even room for one entry.
pub fn segment_index(fragments: &[FragmentEntry], reserve: usize) -> Option<Vec<u8>> {
    let room = reserve.checked_sub(RESERVE_FIXED)? / RESERVE_PER_ENTRY;
    let first = fragments.first()?;
    if room == 0 {
        return None;
    }
    let groups = grouped(fragments, room.min(usize::from(u16::MAX)));
    let free = reserve - (RESERVE_FIXED - 8) - groups.len() * RESERVE_PER_ENTRY;
    let mut out = Vec::with_capacity(reserve);
    boxed(&mut out, *b"free", |out| out.resize(free, 0));
    full_box(&mut out, *b"sidx", 1, 0, |out| {
        u32be(out, TRACK_ID);
        u32be(out, TIMESCALE);
        u64be(out, first.decode_time);
        u64be(out, 0); // the first fragment follows at once
        u32be(out, u32::try_from(groups.len()).unwrap_or(u32::MAX));
        for group in &groups {
            u32be(out, group.length & 0x7fff_ffff);
            u32be(out, group.duration);
            // Starts with a stream access point of type 1: decodable from its first frame on.
            u32be(out, if group.starts_with_key_frame { 0x9000_0000 } else { 0 });
        }
    });
    Some(out)
}

/// Neighbours joined until at most `room` entries are left.
fn grouped(fragments: &[FragmentEntry], room: usize) -> Vec<FragmentEntry> {
    let per_group = fragments.len().div_ceil(room);
    fragments
        .chunks(per_group)
        .map(|chunk| FragmentEntry {
            length: chunk.iter().map(|fragment| fragment.length).sum(),
            duration: chunk.iter().map(|fragment| fragment.duration).sum(),
            ..chunk[0]
        })
        .collect()
}

/// `mfra`: every fragment that begins with a key frame, for the end of the file.
pub fn random_access_index(fragments: &[FragmentEntry]) -> Vec<u8> {
    let entries = || fragments.iter().filter(|fragment| fragment.starts_with_key_frame);
    let mut out = Vec::new();
    boxed(&mut out, *b"mfra", |out| {
        full_box(out, *b"tfra", 1, 0, |out| {
            u32be(out, TRACK_ID);
            u32be(out, 0); // traf, trun and sample numbers take one byte each
            u32be(out, u32::try_from(entries().count()).unwrap_or(u32::MAX));
            for entry in entries() {
                u64be(out, entry.decode_time);
                u64be(out, entry.offset);
                out.extend_from_slice(&[1, 1, 1]);
            }
        });
        let size = u32::try_from(out.len() + 16).unwrap_or(u32::MAX);
        full_box(out, *b"mfro", 0, 0, |out| u32be(out, size));
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragments(count: usize) -> Vec<FragmentEntry> {
        (0..count as u64)
            .map(|number| FragmentEntry {
                offset: 1_000 + number * 500,
                length: 500,
                decode_time: number * 90_000,
                duration: 90_000,
                starts_with_key_frame: true,
            })
            .collect()
    }

    #[test]
    fn the_index_takes_exactly_the_reserved_space() {
        for (reserved, used) in [(4, 1), (4, 4), (4, 9), (1, 3), (60, 60), (60, 7)] {
            let reserve = index_reserve(reserved);
            let index = segment_index(&fragments(used), reserve.len()).unwrap();
            assert_eq!(index.len(), reserve.len(), "{reserved} reserved, {used} used");
        }
    }

    #[test]
    fn the_index_is_the_same_byte_for_byte() {
        let index = segment_index(&fragments(1), index_reserve(1).len()).unwrap();
        assert_eq!(
            hex::encode(index),
            concat!(
                "0000000866726565", // free
                "00000034736964780100000000000001",
                "00015f90", // sidx, track 1, 90 kHz
                "0000000000000000",
                "0000000000000000",
                "00000001", // from 0, at once, 1 entry
                "000001f4",
                "00015f90",
                "90000000", // 500 bytes, 1 s, starts with a key frame
            )
        );
    }

    #[test]
    fn entries_cover_several_fragments_when_there_is_little_room() {
        let groups = grouped(&fragments(7), 3);
        let lengths: Vec<u32> = groups.iter().map(|group| group.length).collect();
        assert_eq!(lengths, [1_500, 1_500, 500]);
    }

    #[test]
    fn the_last_box_tells_the_size_of_the_random_access_index() {
        let index = random_access_index(&fragments(2));
        let told = u32::from_be_bytes(index[index.len() - 4..].try_into().unwrap());
        assert_eq!(told as usize, index.len());
    }
}
