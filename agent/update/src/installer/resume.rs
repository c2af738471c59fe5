//! What goes on after a power cut, whatever lies in the package by then: a copy of this program and a
//! unit that runs it, laid down with the journal and removed at the end.

use std::{
    fs::{self, DirBuilder, File, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt, symlink},
    path::Path,
};

use crate::{Failure, Layout, files};

/// The running program, also when its file has been replaced.
const THIS_PROGRAM: &str = "/proc/self/exe";
const PROGRAM_BYTES_MAX: u64 = 256 * 1024 * 1024;

const UNIT: &str = "\
# Laid down by nightjar-update while an update is under way, and removed at its end.
[Unit]
Description=Finishes or takes back an update of the Nightjar agent that was interrupted
After=local-fs.target nightjar-agent.service

[Service]
Type=exec
ExecStart=/var/lib/nightjar-update/nightjar-update run
# Refused, and taken back: the same as for nightjar-update.service. The program is gone by then.
SuccessExitStatus=3 4
Restart=on-failure
RestartSec=60
";

pub(super) fn lay_down(layout: &Layout) -> Result<(), Failure> {
    let (program, unit, link) = (layout.kept_program(), layout.resume_unit(), layout.resume_link());
    keep_program(&program).map_err(|error| Failure::file("write", &program, &error))?;
    let write = || -> io::Result<()> {
        make_directory_of(&link)?;
        files::replace(&unit, UNIT.as_bytes(), 0o644)?;
        match symlink("../nightjar-update-resume.service", &link) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => files::sync_directory_of(&link),
        }
    };
    write().map_err(|error| Failure::file("write", &unit, &error))
}

fn keep_program(to: &Path) -> io::Result<()> {
    let is_itself = fs::read_link(THIS_PROGRAM).is_ok_and(|program| program == to);
    if is_itself {
        return Ok(());
    }
    let temporary = to.with_extension("new");
    files::copy_synced(File::open(THIS_PROGRAM)?, &temporary, PROGRAM_BYTES_MAX)?;
    fs::set_permissions(&temporary, Permissions::from_mode(0o700))?;
    files::rename(&temporary, to)
}

fn make_directory_of(path: &Path) -> io::Result<()> {
    let Some(directory) = path.parent() else { return Ok(()) };
    DirBuilder::new().recursive(true).mode(0o755).create(directory)
}

pub(super) fn remove(layout: &Layout) -> Result<(), Failure> {
    for path in [layout.resume_link(), layout.resume_unit(), layout.kept_program()] {
        if path.parent().is_some_and(Path::is_dir) {
            files::remove(&path).map_err(|error| Failure::file("remove", &path, &error))?;
        }
    }
    Ok(())
}
