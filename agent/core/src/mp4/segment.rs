//! A stretch of a clip's file that is uploaded by itself.

/// Whole fragments of an MP4 file, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Where it begins in the file, bytes.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
    pub duration_ms: u64,
}
