//! What people do as root in the directory of an agent that is not root: it is done as that agent's user.
//! Whoever took the agent over may lay links and swap files there; as their own user they reach no more than
//! they do anyway.

use std::{
    env, fs, io,
    os::unix::{
        fs::MetadataExt as _,
        process::{CommandExt as _, ExitStatusExt as _},
    },
    path::Path,
    process::{Command, ExitCode, ExitStatus},
};

use anyhow::Context as _;
use rustix::process::geteuid;

use super::Failure;

/// This very program, even when its file was replaced since it started.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// Goes on as the owner of a data directory, where root runs this and the directory is another user's. A
/// directory that is yet to be made is root's.
pub(super) fn become_owner_of(data_dir: &Path) -> Result<(), Failure> {
    let Some(mut command) = command_as_owner_of(data_dir) else { return Ok(()) };
    let failed = command.args(env::args_os().skip(1)).exec();
    Err(unable(data_dir, &failed))
}

/// Makes a command of this program that runs as the owner of a data directory; none where this process
/// need not change its user.
pub(super) fn command_as_owner_of(data_dir: &Path) -> Option<Command> {
    let owner = fs::metadata(data_dir).ok()?;
    if !geteuid().is_root() || owner.uid() == 0 {
        return None;
    }
    let mut command = Command::new(THIS_PROGRAM);
    // Other groups are given up with this.
    command.uid(owner.uid()).gid(owner.gid());
    Some(command)
}

pub(super) fn unable(data_dir: &Path, error: &io::Error) -> Failure {
    let directory = data_dir.display();
    Failure::Other(anyhow::anyhow!("cannot go on as the owner of {directory}: {error}"))
}

/// Ends as another process of this program did.
pub(super) fn ended_as(status: ExitStatus) -> Result<ExitCode, Failure> {
    let code = status.code().with_context(|| format!("it was ended by {:?}", status.signal()))?;
    Ok(u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from))
}
