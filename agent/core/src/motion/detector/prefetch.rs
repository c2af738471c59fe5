//! Memory that is about to be read. A picture comes from memory row by row, and the processor's
//! own prefetcher stops at the end of each page of 4 KiB; asked in time, it fetches the next rows
//! while the last ones are worked on.

/// Bytes that a cache fetches at a time.
const LINE_BYTES: usize = 64;

/// Asks for the bytes to be fetched into the cache; where the processor is not known, nothing.
#[cfg(target_arch = "x86_64")]
#[expect(
    unsafe_code,
    reason = "nearly halves the cost of a picture from memory, see docs/history/motion-2026-11.md"
)]
pub(super) fn prefetch(bytes: &[u8]) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

    for line in bytes.chunks(LINE_BYTES) {
        // SAFETY: every x86-64 has the instruction; it is a hint that changes nothing but caches,
        // and the address lies within a slice.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) fn prefetch(_bytes: &[u8]) {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails by a fault, which would end the process.
    #[test]
    fn any_bytes_may_be_asked_for() {
        let bytes = [0; 3 * LINE_BYTES + 7];
        for from in 0..=bytes.len() {
            prefetch(&bytes[from..]);
            prefetch(&bytes[..from]);
        }
    }
}
