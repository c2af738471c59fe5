//! The version of the protocol that cameras speak.

use nightjar_shared::PROTOCOL_VERSION;

use crate::error::{Error, ProblemCode, Result};

/// Refuses messages of a newer camera: they may mean something else than they seem to.
pub(super) fn check_protocol(protocol: u32) -> Result<()> {
    if protocol <= PROTOCOL_VERSION {
        return Ok(());
    }
    Err(Error::invalid(
        ProblemCode::UnsupportedProtocol,
        "This relay is older than the camera's agent: update the relay.",
    ))
}
