//! What anybody here must know of an H.264 stream without decoding it, and whether a camera's own may be
//! recorded and sent as it is.

mod bits;
mod depacketizer;
mod judge;
mod sequence;
#[cfg(test)]
pub(crate) mod test_stream;
mod units;

pub use self::{
    depacketizer::{DepacketizeError, Depacketized, Depacketizer, Packet},
    judge::{Judge, Seen, is_whole_key_frame},
    sequence::{HIGH_PROFILES, Sequence},
    units::{NalKind, nal_units},
};
