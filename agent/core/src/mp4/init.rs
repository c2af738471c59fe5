//! The initialisation segment: what a decoder must know before the first fragment.

use nightjar_shared::time::UnixMillis;

use super::{
    TIMESCALE,
    boxes::{boxed, full_box, u16be, u32be, u64be},
    h264::VideoTrack,
};

/// The only track's id.
pub(super) const TRACK_ID: u32 = 1;

/// Seconds from 1904, where this format's time begins, to 1970.
const EPOCH_OFFSET_S: u64 = 2_082_844_800;

/// Where the minor version of `ftyp`, the first box, lies: it informs, and no reader goes by it.
const MINOR_VERSION: std::ops::Range<usize> = 12..16;
/// As many bytes of a file tell its mark.
pub const MARK_END: usize = MINOR_VERSION.end;

/// Writes a number of the writer's own into an initialisation segment.
pub fn set_mark(init: &mut [u8], mark: u32) {
    if let Some(place) = init.get_mut(MINOR_VERSION) {
        place.copy_from_slice(&mark.to_be_bytes());
    }
}

/// The number that [`set_mark`] wrote, from the first [`MARK_END`] bytes of a file; 0 without one.
pub fn mark(head: &[u8]) -> u32 {
    let place = head.get(MINOR_VERSION).and_then(|place| place.try_into().ok());
    place.map_or(0, u32::from_be_bytes)
}

/// A matrix that neither turns nor scales the picture.
const IDENTITY: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];

/// `ftyp` and `moov` of a file whose frames come in fragments. Its length is a multiple of 8: the
/// header of the box after it never straddles two disk sectors, so that rewriting it in place
/// happens at once or not at all.
pub fn init_segment(track: &VideoTrack, created_at: UnixMillis) -> Vec<u8> {
    let created_s = u64::try_from(created_at.0 / 1_000).unwrap_or(0) + EPOCH_OFFSET_S;
    let mut out = Vec::with_capacity(1_024);
    boxed(&mut out, *b"ftyp", |out| {
        out.extend_from_slice(b"iso6");
        u32be(out, 0);
        for brand in [b"iso6", b"isom", b"mp41", b"avc1"] {
            out.extend_from_slice(brand);
        }
    });
    boxed(&mut out, *b"moov", |out| {
        movie_header(out, created_s);
        boxed(out, *b"trak", |out| {
            track_header(out, track, created_s);
            boxed(out, *b"mdia", |out| media(out, track, created_s));
        });
        boxed(out, *b"mvex", |out| {
            full_box(out, *b"trex", 0, 0, |out| {
                u32be(out, TRACK_ID);
                u32be(out, 1); // sample description
                u32be(out, 0); // default duration, size and flags: each fragment tells its own
                u32be(out, 0);
                u32be(out, 0);
            });
        });
        // The size of `moov` itself is written last, its header is counted already.
        let padding = (8 - out.len() % 8) % 8;
        boxed(out, *b"free", |out| out.resize(out.len() + padding, 0));
    });
    out
}

fn times(out: &mut Vec<u8>, created_s: u64) {
    u64be(out, created_s);
    u64be(out, created_s);
}

fn matrix(out: &mut Vec<u8>) {
    for value in IDENTITY {
        u32be(out, value);
    }
}

fn movie_header(out: &mut Vec<u8>, created_s: u64) {
    full_box(out, *b"mvhd", 1, 0, |out| {
        times(out, created_s);
        u32be(out, TIMESCALE);
        u64be(out, 0); // the duration is the fragments'
        u32be(out, 0x1_0000); // rate 1.0
        u16be(out, 0x100); // volume 1.0
        out.extend_from_slice(&[0; 10]);
        matrix(out);
        out.extend_from_slice(&[0; 24]);
        u32be(out, TRACK_ID + 1); // next free track id
    });
}

fn track_header(out: &mut Vec<u8>, track: &VideoTrack, created_s: u64) {
    const ENABLED_IN_MOVIE: u32 = 3;
    full_box(out, *b"tkhd", 1, ENABLED_IN_MOVIE, |out| {
        times(out, created_s);
        u32be(out, TRACK_ID);
        u32be(out, 0);
        u64be(out, 0); // duration
        out.extend_from_slice(&[0; 16]); // layer, group, volume of a picture: none
        matrix(out);
        u32be(out, u32::from(track.width) << 16);
        u32be(out, u32::from(track.height) << 16);
    });
}

fn media(out: &mut Vec<u8>, track: &VideoTrack, created_s: u64) {
    full_box(out, *b"mdhd", 1, 0, |out| {
        times(out, created_s);
        u32be(out, TIMESCALE);
        u64be(out, 0); // duration
        u16be(out, 0x55c4); // language: undetermined
        u16be(out, 0);
    });
    full_box(out, *b"hdlr", 0, 0, |out| {
        u32be(out, 0);
        out.extend_from_slice(b"vide");
        out.extend_from_slice(&[0; 12]);
        out.extend_from_slice(b"Nightjar\0");
    });
    boxed(out, *b"minf", |out| {
        full_box(out, *b"vmhd", 0, 1, |out| out.extend_from_slice(&[0; 8]));
        boxed(out, *b"dinf", |out| {
            full_box(out, *b"dref", 0, 0, |out| {
                u32be(out, 1);
                full_box(out, *b"url ", 0, 1, |_| {}); // the media lies in this file
            });
        });
        boxed(out, *b"stbl", |out| sample_table(out, track));
    });
}

fn sample_table(out: &mut Vec<u8>, track: &VideoTrack) {
    full_box(out, *b"stsd", 0, 0, |out| {
        u32be(out, 1);
        boxed(out, *b"avc1", |out| {
            out.extend_from_slice(&[0; 6]);
            u16be(out, 1); // data reference
            out.extend_from_slice(&[0; 16]);
            u16be(out, track.width);
            u16be(out, track.height);
            u32be(out, 0x48_0000); // 72 dots an inch
            u32be(out, 0x48_0000);
            u32be(out, 0);
            u16be(out, 1); // one frame in a sample
            out.extend_from_slice(&[0; 32]); // compressor name
            u16be(out, 24); // colour depth
            u16be(out, 0xffff); // no colour table
            boxed(out, *b"avcC", |out| out.extend_from_slice(&track.decoder_configuration()));
        });
    });
    // All samples come in fragments, so the tables of the movie itself are empty.
    full_box(out, *b"stts", 0, 0, |out| u32be(out, 0));
    full_box(out, *b"stsc", 0, 0, |out| u32be(out, 0));
    full_box(out, *b"stsz", 0, 0, |out| out.extend_from_slice(&[0; 8]));
    full_box(out, *b"stco", 0, 0, |out| u32be(out, 0));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mp4::h264::tests::key_frame;

    #[test]
    fn the_segment_is_the_same_byte_for_byte() {
        let track = VideoTrack::from_key_frame(&key_frame()).unwrap();
        let bytes = init_segment(&track, UnixMillis(1_800_000_000_000));
        let golden = include_str!("golden/init_segment.hex").replace('\n', "");
        assert_eq!(hex::encode(bytes), golden);
    }
}
