//! The shape of a box: 32-bit size, four-letter kind, body.

/// Appends a box; `body` appends its contents.
pub(super) fn boxed(out: &mut Vec<u8>, kind: [u8; 4], body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&kind);
    body(out);
    let size = size_of_bytes(&out[start..]);
    out[start..start + 4].copy_from_slice(&size.to_be_bytes());
}

/// Appends a box that begins with a version and 24 bits of flags.
pub(super) fn full_box(
    out: &mut Vec<u8>,
    kind: [u8; 4],
    version: u8,
    flags: u32,
    body: impl FnOnce(&mut Vec<u8>),
) {
    boxed(out, kind, |out| {
        u32be(out, u32::from(version) << 24 | flags);
        body(out);
    });
}

pub(super) fn u16be(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(super) fn u32be(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(super) fn u64be(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// The length as boxes spell it. Frames and fragments are bounded by the pre-roll ring to far
/// less than 4 GiB.
pub(super) fn size_of_bytes(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}
