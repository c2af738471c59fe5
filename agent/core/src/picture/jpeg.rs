//! A JPEG that carries a small one of the same picture, as JFIF 1.02 has it (section "JFIF extension
//! APP0 marker segment", thumbnail coded using JPEG): one file is one picture, and its thumbnail is a
//! stretch of it.

use std::ops::Range;

const START: [u8; 2] = [0xFF, 0xD8];
const APP0: [u8; 2] = [0xFF, 0xE0];
const JFIF: &[u8] = b"JFIF\0";
const JFXX: &[u8] = b"JFXX\0";
/// What follows `JFXX`: the thumbnail is a JPEG.
const CODED_USING_JPEG: u8 = 0x10;
/// A segment's length counts itself, and has two bytes.
const LENGTH_BYTES: usize = 2;

/// Every thumbnail lies within so many bytes of its file's beginning.
pub const THUMBNAIL_END_MAX: usize = 2 + 2 + 0xFFFF + 2 + 0xFFFF;
/// So many bytes of a file's beginning say where its thumbnail is.
pub const THUMBNAIL_HEAD_BYTES: usize = 64;

/// Puts a thumbnail into a JPEG. Gives nothing for what is no JPEG, or too large a thumbnail.
pub fn with_thumbnail(jpeg: &[u8], thumbnail: &[u8]) -> Option<Vec<u8>> {
    let rest = jpeg.strip_prefix(&START)?;
    // A thumbnail has no header of the kind itself.
    let thumbnail = thumbnail.strip_prefix(&START)?;
    let thumbnail = app0(thumbnail, JFIF).map_or(thumbnail, |length| &thumbnail[length..]);
    let header = app0(rest, JFIF).unwrap_or(0);
    let length = LENGTH_BYTES + JFXX.len() + 1 + START.len() + thumbnail.len();
    let length = u16::try_from(length).ok()?.to_be_bytes();
    let parts: [&[u8]; 9] = [
        &START,
        &rest[..header],
        &APP0,
        &length,
        JFXX,
        &[CODED_USING_JPEG],
        &START,
        thumbnail,
        &rest[header..],
    ];
    Some(parts.concat())
}

/// Finds the thumbnail in a JPEG, by its first [`THUMBNAIL_HEAD_BYTES`].
pub fn thumbnail(head: &[u8]) -> Option<Range<usize>> {
    let rest = head.strip_prefix(&START)?;
    let header = app0(rest, JFIF).unwrap_or(0);
    let segment = rest.get(header..)?;
    let length = app0(segment, JFXX)?;
    let skipped = APP0.len() + LENGTH_BYTES + JFXX.len() + 1;
    if segment.get(skipped - 1) != Some(&CODED_USING_JPEG) || length <= skipped {
        return None;
    }
    let begin = START.len() + header;
    Some(begin + skipped..begin + length)
}

/// Returns the length of the APP0 segment of this kind that begins here, its marker included. Its end
/// may not be there.
fn app0(bytes: &[u8], kind: &[u8]) -> Option<usize> {
    let after = bytes.strip_prefix(&APP0)?;
    let (length, after) = after.split_first_chunk::<LENGTH_BYTES>()?;
    after.starts_with(kind).then(|| APP0.len() + usize::from(u16::from_be_bytes(*length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jpeg(header: bool, content: &[u8]) -> Vec<u8> {
        let jfif: &[u8] = b"\xFF\xE0\x00\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0";
        [&START[..], if header { jfif } else { b"" }, content, b"\xFF\xD9"].concat()
    }

    #[test]
    fn a_thumbnail_is_found_where_it_was_put_by_the_files_beginning() {
        for (large, small) in [(true, true), (true, false), (false, true), (false, false)] {
            let picture = jpeg(large, b"\xFF\xDB a large picture");
            let both = with_thumbnail(&picture, &jpeg(small, b"\xFF\xDB a small one")).unwrap();
            let range = thumbnail(&both[..THUMBNAIL_HEAD_BYTES.min(both.len())]).unwrap();
            assert_eq!(both[range.clone()], jpeg(false, b"\xFF\xDB a small one"));
            assert!(range.end <= THUMBNAIL_END_MAX);
            let rest = [&both[..range.start - 10], &both[range.end..]].concat();
            assert_eq!(rest, picture, "the picture itself is as it was");
        }
    }

    #[test]
    fn what_carries_none_has_none() {
        for bytes in [&b""[..], b"\xFF\xD8", b"no picture", &jpeg(true, b""), b"\xFF\xD8\xFF\xE0"] {
            assert_eq!(thumbnail(bytes), None, "{bytes:?}");
        }
        let other_coding = b"\xFF\xD8\xFF\xE0\x00\x20JFXX\0\x11 a palette";
        assert_eq!(thumbnail(other_coding), None);
        let empty = b"\xFF\xD8\xFF\xE0\x00\x02JFXX\0\x10";
        assert_eq!(thumbnail(empty), None);
    }

    #[test]
    fn a_thumbnail_that_fits_no_segment_is_not_put_in() {
        let large = jpeg(true, &vec![0; 0xFFFF]);
        assert_eq!(with_thumbnail(&jpeg(true, b""), &large), None);
        assert_eq!(with_thumbnail(b"no picture", &jpeg(true, b"")), None);
        assert_eq!(with_thumbnail(&jpeg(true, b""), b"no picture"), None);
    }
}
