//! Makes a package of what is installed. It is needed once, for the version that a camera was set up
//! with: of all later ones the package itself is kept.

use std::{
    collections::BTreeSet,
    fs::{self, Permissions},
    io::{self, Write},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use nightjar_shared::release::{AGENT_PACKAGE, UpdateProblem};

use super::{complaint, run, unable};
use crate::{Failure, Layout};

/// Files of dpkg's database that belong into a package.
const CONTROL_FILES: [&str; 6] =
    ["preinst", "postinst", "prerm", "postrm", "conffiles", "triggers"];
/// Fields of dpkg's database that do not.
const OWN_FIELDS: [&str; 3] = ["Status:", "Conffiles:", "Config-Version:"];

/// Writes the installed package to `to`, by way of a directory beside it.
pub(crate) fn repack(layout: &Layout, to: &Path) -> Result<(), Failure> {
    let work = to.with_extension("repack");
    drop(fs::remove_dir_all(&work));
    if let Err(error) = gather(layout, &work) {
        // On a full disk, half a copy would leave no room for anything.
        drop(fs::remove_dir_all(&work));
        let failure = Failure::file("write below", &work, &error);
        let is_full = failure.problem == UpdateProblem::NoSpace;
        let unreadable = || no_way_back(&format!("its files cannot be read: {error}"));
        return Err(if is_full { failure } else { unreadable() });
    }
    let mut build = Command::new("dpkg-deb");
    // Quick rather than small: it is written once, and on slow boards.
    build.args(["--root-owner-group", "-Zgzip", "-z1", "--build"]).arg(&work).arg(to);
    let output = run(&mut build).map_err(|error| unable("dpkg-deb", &error))?;
    drop(fs::remove_dir_all(&work));
    if output.status.success() {
        return Ok(());
    }
    drop(fs::remove_file(to));
    Err(no_way_back(&complaint(&output)))
}

fn no_way_back(cause: &str) -> Failure {
    Failure::new(
        UpdateProblem::NoWayBack,
        format!(
            "the installed version cannot be kept, so that nothing could be taken back ({cause}): \
             reinstall {AGENT_PACKAGE} by apt"
        ),
    )
}

fn gather(layout: &Layout, work: &Path) -> io::Result<()> {
    let control = work.join("DEBIAN");
    fs::create_dir_all(&control)?;
    fs::set_permissions(work, Permissions::from_mode(0o755))?;
    fs::set_permissions(&control, Permissions::from_mode(0o755))?;
    fs::write(control.join("control"), control_of(layout)?)?;
    let info = layout.dpkg_database().join("info");
    for name in CONTROL_FILES {
        let from = info.join(format!("{AGENT_PACKAGE}.{name}"));
        if from.is_file() {
            fs::copy(&from, control.join(name))?;
        }
    }
    let changed = changed_settings(layout)?;
    let list = fs::read_to_string(info.join(format!("{AGENT_PACKAGE}.list")))?;
    let mut kept = Vec::new();
    for path in list.lines().filter(|path| *path != "/.") {
        if !changed.contains(path) && copy(layout, work, path)? {
            kept.push(path.to_owned());
        }
    }
    leave_out_missing_settings(&control.join("conffiles"), &kept)
}

/// Lists the settings that somebody has changed. In the package they would count as the maker's own, and
/// the next one would write over them; left out, dpkg leaves them alone and goes on knowing that they
/// were changed.
fn changed_settings(layout: &Layout) -> io::Result<BTreeSet<String>> {
    let stanza = stanza_of(layout)?;
    let settings = stanza.lines().skip_while(|line| *line != "Conffiles:").skip(1);
    let mut changed = BTreeSet::new();
    for line in settings.take_while(|line| line.starts_with(' ')) {
        // A path, the MD5 of what the maker shipped, and perhaps `obsolete`.
        let mut fields = line.split_whitespace();
        let (Some(path), Some(shipped)) = (fields.next(), fields.next()) else { continue };
        if md5_of(&layout.below(path.trim_start_matches('/')))?.as_deref() != Some(shipped) {
            changed.insert(path.to_owned());
        }
    }
    Ok(changed)
}

/// Asks for the MD5 by which dpkg knows a file; None where it cannot be read.
fn md5_of(path: &Path) -> io::Result<Option<String>> {
    let output = run(Command::new("md5sum").arg(path))?;
    let said = String::from_utf8_lossy(&output.stdout);
    Ok(said.split_whitespace().next().filter(|_| output.status.success()).map(str::to_owned))
}

/// Copies a file, a link or a directory; false where somebody removed it.
fn copy(layout: &Layout, work: &Path, path: &str) -> io::Result<bool> {
    let path = path.trim_start_matches('/');
    let (from, to): (PathBuf, PathBuf) = (layout.below(path), work.join(path));
    let metadata = match fs::symlink_metadata(&from) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    // A directory of the package may be a link on this machine, as /lib is.
    if metadata.is_symlink() && !from.is_dir() {
        symlink(fs::read_link(&from)?, &to)?;
    } else if from.is_dir() {
        fs::create_dir_all(&to)?;
        fs::set_permissions(&to, Permissions::from_mode(0o755))?;
    } else {
        fs::copy(&from, &to)?;
    }
    Ok(true)
}

/// A package must hold what it calls its settings.
fn leave_out_missing_settings(conffiles: &Path, kept: &[String]) -> io::Result<()> {
    let Ok(text) = fs::read_to_string(conffiles) else { return Ok(()) };
    let mut file = fs::File::create(conffiles)?;
    for line in text.lines().filter(|line| kept.iter().any(|path| path == line.trim())) {
        writeln!(file, "{line}")?;
    }
    Ok(())
}

/// Reads what dpkg's database says of the package.
fn stanza_of(layout: &Layout) -> io::Result<String> {
    let status = fs::read_to_string(layout.dpkg_database().join("status"))?;
    let heading = format!("Package: {AGENT_PACKAGE}");
    let mut stanzas = status.split("\n\n");
    let stanza = stanzas.find(|stanza| stanza.lines().any(|line| line == heading));
    let missing = || io::Error::new(io::ErrorKind::NotFound, "dpkg knows no such package");
    stanza.map(str::to_owned).ok_or_else(missing)
}

/// The package's own fields, as dpkg's database has them.
fn control_of(layout: &Layout) -> io::Result<String> {
    let stanza = stanza_of(layout)?;
    let mut control = String::new();
    let mut is_own = false;
    for line in stanza.lines() {
        if !line.starts_with(' ') {
            is_own = OWN_FIELDS.iter().any(|field| line.starts_with(field));
        }
        if !is_own {
            control.push_str(line);
            control.push('\n');
        }
    }
    Ok(control)
}
