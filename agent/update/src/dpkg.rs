//! Debian's package manager: what is installed, its locks, installing, and making a package of what
//! is installed.

mod repack;

use std::{
    fs::{File, OpenOptions},
    io,
    path::Path,
    process::{Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use nightjar_shared::release::{AGENT_PACKAGE, Manifest, PackageVersion, UpdateProblem};
use rustix::{
    fs::{FlockOperation, fcntl_lock},
    process::{Flock, FlockType, fcntl_getlk},
};

pub(crate) use self::repack::repack;
use crate::{Failure, Layout};

const ASK_AGAIN: Duration = Duration::from_secs(1);
/// Of what dpkg says when it fails.
const COMPLAINT_CHARS_MAX: usize = 600;
/// `dpkg-query` ends so where it knows no such package; with 2 where it cannot read its database.
const NO_SUCH_PACKAGE: i32 = 1;

/// What dpkg says of the camera's package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    pub version: PackageVersion,
    pub architecture: String,
    /// Whole, and set up.
    pub sound: bool,
}

/// Asks dpkg what is installed; None where it knows no such package, or is not there itself.
pub fn installed(layout: &Layout) -> Result<Option<Installed>, Failure> {
    let mut query = Command::new("dpkg-query");
    query.arg("--admindir").arg(layout.dpkg_database());
    query.args(["-W", "-f", "${db:Status-Abbrev}\t${Version}\t${Architecture}\n", AGENT_PACKAGE]);
    let output = match run(&mut query) {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unable("dpkg-query", &error)),
    };
    match output.status.code() {
        Some(0) => {}
        Some(NO_SUCH_PACKAGE) => return Ok(None),
        _ => {
            let detail = format!("dpkg cannot say what is installed: {}", complaint(&output));
            return Err(Failure::new(UpdateProblem::Failed, detail));
        }
    }
    Ok(parse_installed(&String::from_utf8_lossy(&output.stdout)))
}

fn parse_installed(line: &str) -> Option<Installed> {
    let mut fields = line.trim_end().split('\t');
    let status = fields.next()?.trim();
    let version = fields.next()?.parse().ok()?;
    let architecture = fields.next()?.to_owned();
    // `rc`: only its configuration is left.
    let is_there = !matches!(status.as_bytes().get(1), None | Some(b'n' | b'c'));
    // What is wanted comes first: a package that is held is no less whole.
    is_there.then(|| Installed { version, architecture, sound: status.get(1..) == Some("i") })
}

/// The lock that apt and its like hold while they work. Held until it is dropped.
pub(crate) struct FrontendLock(#[expect(dead_code, reason = "closing it gives the lock up")] File);

/// Waits for others to be done with the package database.
pub(crate) fn lock(layout: &Layout, wait: Duration) -> Result<FrontendLock, Failure> {
    let path = layout.dpkg_database().join("lock-frontend");
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(|error| Failure::file("open", &path, &error))?;
    let until = Instant::now() + wait;
    loop {
        match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(FrontendLock(file)),
            Err(_) if Instant::now() < until => sleep(ASK_AGAIN.min(wait)),
            Err(_) => return Err(locked(&file)),
        }
    }
}

fn locked(file: &File) -> Failure {
    let holder = fcntl_getlk(file, &Flock::from(FlockType::WriteLock)).ok().flatten();
    let holder = holder.and_then(|lock| lock.pid).map(|pid| {
        let pid = pid.as_raw_nonzero();
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        format!("{} (process {pid})", name.trim())
    });
    let holder = holder.unwrap_or_else(|| "another program".to_owned());
    Failure::new(
        UpdateProblem::DatabaseLocked,
        format!(
            "the package database is held by {holder}: the update waits until it is done; end it if it \
             hangs"
        ),
    )
}

/// Installs a package file over whatever state there is. Settings that somebody changed stay.
pub(crate) fn install(
    layout: &Layout,
    package: &Path,
    _lock: &FrontendLock,
) -> Result<(), Failure> {
    let mut dpkg = Command::new("dpkg");
    if !layout.is_whole_system() {
        dpkg.arg("--root").arg(layout.root());
        dpkg.arg("--log").arg(layout.below("var/log/dpkg.log"));
    }
    dpkg.args(["--force-confdef", "--force-confold", "--install"]).arg(package);
    dpkg.env("DEBIAN_FRONTEND", "noninteractive").env("DPKG_FRONTEND_LOCKED", "true");
    let output = run(&mut dpkg).map_err(|error| unable("dpkg", &error))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Failure::new(
        UpdateProblem::InstallFailed,
        format!("dpkg could not install it: {}", complaint(&output)),
    ))
}

/// Checks that a package file is what its manifest says.
pub(crate) fn check_fields(package: &Path, manifest: &Manifest) -> Result<(), Failure> {
    let fields = fields(package)?;
    let expected =
        (AGENT_PACKAGE.to_owned(), manifest.version.clone(), manifest.architecture.clone());
    if fields.as_ref() == Some(&expected) {
        return Ok(());
    }
    Err(Failure::new(
        UpdateProblem::InvalidManifest,
        "the package names itself otherwise than its manifest: sign it anew",
    ))
}

/// Returns whether a file is the package of a version that can be installed again.
pub(crate) fn is_package_of(path: &Path, installed: &Installed) -> bool {
    let wanted =
        (AGENT_PACKAGE.to_owned(), installed.version.clone(), installed.architecture.clone());
    path.is_file() && fields(path).is_ok_and(|found| found == Some(wanted)) && is_whole(path)
}

/// Reads all of a package: one that was cut off cannot be unpacked.
fn is_whole(path: &Path) -> bool {
    let mut list = Command::new("dpkg-deb");
    list.arg("--contents").arg(path);
    run(&mut list).is_ok_and(|output| output.status.success())
}

fn fields(package: &Path) -> Result<Option<(String, PackageVersion, String)>, Failure> {
    let mut show = Command::new("dpkg-deb");
    show.args(["--showformat", "${Package}\t${Version}\t${Architecture}", "--show"]).arg(package);
    let output = run(&mut show).map_err(|error| unable("dpkg-deb", &error))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut fields = text.trim_end().split('\t');
    let (name, version) = (fields.next(), fields.next().and_then(|it| it.parse().ok()));
    let read = name.zip(version).zip(fields.next());
    Ok(read
        .map(|((name, version), architecture)| (name.to_owned(), version, architecture.to_owned())))
}

fn run(command: &mut Command) -> io::Result<Output> {
    // What dpkg says is in the language that we read it in.
    command.env("LC_ALL", "C.UTF-8").stdin(Stdio::null()).output()
}

fn unable(program: &str, error: &io::Error) -> Failure {
    Failure::new(UpdateProblem::Failed, format!("cannot run {program}: {error}"))
}

/// The end of what a program said, which is where it says what is wrong.
fn complaint(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let skipped = said.chars().count().saturating_sub(COMPLAINT_CHARS_MAX);
    said.chars().skip(skipped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dpkg_says_is_read() {
        let read = |line| parse_installed(line).map(|it| (it.version.to_string(), it.sound));
        assert_eq!(read("ii \t1.0-1\tarm64\n"), Some(("1.0-1".to_owned(), true)));
        assert_eq!(read("hi \t1.0-1\tarm64\n"), Some(("1.0-1".to_owned(), true)));
        assert_eq!(read("iiR\t1.0-1\tarm64\n"), Some(("1.0-1".to_owned(), false)));
        assert_eq!(read("iU \t1.0-1\tarm64\n"), Some(("1.0-1".to_owned(), false)));
        assert_eq!(read("rc \t1.0-1\tarm64\n"), None);
        assert_eq!(read("un \t\t\n"), None);
        assert_eq!(read(""), None);
    }
}
