//! Mending: closing and adopting what a power cut left open, comparing files with the index, and
//! joining footage for an export.

pub(super) mod adopt;
pub(super) mod export;
pub(super) mod fsck;
