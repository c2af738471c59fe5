//! Closes what this process inherited. `v4l` and `GStreamer` open cameras without `O_CLOEXEC`: the
//! worker would hold the camera itself, unmasked even in privacy mode, and keep the number of one
//! that was unplugged.

use std::{fs, io};

/// Standard input is the agent, and errors are logged.
const STANDARD: i32 = 2;

/// Closes everything but the three standard streams. To be called before anything else: what this
/// process itself has opened by then would go, too.
#[expect(unsafe_code, reason = "the descriptors that a process inherits belong to nothing in it")]
pub(crate) fn close_inherited() -> io::Result<()> {
    let mut inherited = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let number = entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok());
        inherited.extend(number.filter(|number| *number > STANDARD));
    }
    // The list itself had one, too.
    inherited.retain(|number| fs::symlink_metadata(format!("/proc/self/fd/{number}")).is_ok());
    for number in inherited {
        // SAFETY: it is open, and nothing in this process owns it, as nothing has been opened yet.
        unsafe { rustix::io::close(number) };
    }
    Ok(())
}
