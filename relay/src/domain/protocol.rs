//! The version of the protocol that cameras speak.

use nightjar_shared::PROTOCOL_VERSION;

use crate::error::{Error, ProblemCode, Result};

/// A message from a newer camera may mean something else than it seems to.
pub(super) fn check_protocol(protocol: u32) -> Result<()> {
    if protocol <= PROTOCOL_VERSION {
        return Ok(());
    }
    Err(Error::invalid(
        ProblemCode::UnsupportedProtocol,
        "This relay is older than the camera's agent: update the relay.",
    ))
}
