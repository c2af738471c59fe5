//! Who has a camera. An agent locks the node that it captures from, so that of two agents one has it and
//! the other learns which; the kernel lets go of the lock when its holder ends, however it ends.

use std::{
    collections::BTreeSet,
    fmt,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process,
};

use rustix::{
    fs::{FlockOperation, OFlags, flock},
    io::Errno,
    process::{Pid, test_kill_process},
};
use serde::Serialize;

const PROGRAM: &str = "nightjar-agent";
const CONTROL_GROUPS: &str = "/sys/fs/cgroup";
/// More folders of control groups than a board has.
const GROUPS_MAX: usize = 4_096;

/// A device from which no other agent captures while this lives.
#[derive(Debug)]
pub(crate) struct Claim {
    _node: File,
}

/// Why a device cannot be claimed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClaimError {
    #[error("{0}")]
    Taken(Holders),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Claim {
    /// Claims a device, unless another agent has it.
    pub(crate) fn take(node: &Path) -> Result<Self, ClaimError> {
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(node)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => Err(ClaimError::Taken(Holders(lockers(node)))),
            // Where nodes cannot be locked, the driver alone keeps a second one out.
            Ok(()) | Err(_) => Ok(Self { _node: file }),
        }
    }
}

/// A process that has a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Holder {
    pub pid: u32,
    /// Its unit of systemd.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Its name, as far as this user may see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// Of another agent: the directory that tells it from its neighbours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// It locked the device, as an agent does that captures from it. Others merely have it open.
    pub captures: bool,
}

impl Holder {
    fn of(pid: u32, captures: bool) -> Self {
        let program = fs::read_to_string(format!("/proc/{pid}/comm")).ok();
        let program = program.map(|name| name.trim().to_owned());
        let is_agent = program.as_deref() == Some(PROGRAM);
        // The arguments of other programs may hold what should not be shown.
        let data_dir = if is_agent { data_dir_of(pid) } else { None };
        Self { pid, unit: unit_of(pid), program, data_dir, captures }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, unit, program, data_dir, .. } = self;
        let name = unit.as_deref().or(program.as_deref()).unwrap_or("another program");
        write!(formatter, "{name} (process {pid}")?;
        if let Some(data_dir) = data_dir {
            write!(formatter, ", --data-dir {}", data_dir.display())?;
        }
        formatter.write_str(")")
    }
}

/// All that have a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holders(pub(crate) Vec<Holder>);

impl fmt::Display for Holders {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        match names.as_slice() {
            [] => {
                formatter.write_str("another program has it; `sudo nightjar-agent probe` names it")
            }
            names => write!(formatter, "{} has it", names.join(" and ")),
        }
    }
}

/// Lists those that have a device, this process apart: first those that locked it.
pub(crate) fn holders(node: &Path) -> Vec<Holder> {
    let locked = lockers(node);
    let known: BTreeSet<u32> = locked.iter().map(|holder| holder.pid).collect();
    let others = processes().filter(|pid| !known.contains(pid) && has_open(*pid, node));
    let others: Vec<Holder> = others.map(|pid| Holder::of(pid, false)).collect();
    locked.into_iter().chain(others).collect()
}

/// Lists those that locked a file, this process apart.
pub fn lockers(path: &Path) -> Vec<Holder> {
    let Ok(file) = fs::metadata(path) else { return Vec::new() };
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    let (major, minor) = (rustix::fs::major(file.dev()), rustix::fs::minor(file.dev()));
    let place = format!("{major:02x}:{minor:02x}:{}", file.ino());
    let pids: BTreeSet<u32> = locks.lines().filter_map(|line| holder_of(line, &place)).collect();
    let others = pids.into_iter().filter(|pid| *pid != process::id() && is_there(*pid));
    others.map(|pid| Holder::of(pid, true)).collect()
}

/// A lock outlives the process that took it where another one has inherited it. The list names the first;
/// who has it now is among those that have the file open.
fn is_there(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid) != Err(Errno::SRCH))
}

/// Reads who holds a lock from a line of `/proc/locks`, if the lock is on the file at `place`. Who waits
/// for it has `->` behind the number.
fn holder_of(line: &str, place: &str) -> Option<u32> {
    let mut words = line.split_whitespace().skip(1);
    let (kind, pid, at) = (words.next()?, words.nth(2)?, words.next()?);
    (kind != "->" && at == place).then(|| pid.parse().ok()).flatten()
}

/// All processes that this user may see, this one apart.
fn processes() -> impl Iterator<Item = u32> {
    let names = fs::read_dir("/proc").into_iter().flatten().flatten();
    names
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != process::id())
}

fn has_open(pid: u32, node: &Path) -> bool {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    open.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|target| target == node)
}

fn data_dir_of(pid: u32) -> Option<PathBuf> {
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let mut words = arguments.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    words.find(|word| word == "--data-dir")?;
    words.next().map(|word| PathBuf::from(word.as_ref()))
}

/// The unit that a process belongs to. The unit file of the agent hides other services' processes from
/// it, but not the control groups that they are in.
fn unit_of(pid: u32) -> Option<String> {
    if let Ok(group) = fs::read_to_string(format!("/proc/{pid}/cgroup")) {
        return unit_in(Path::new(group.trim()));
    }
    let mut folders = vec![PathBuf::from(CONTROL_GROUPS)];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        seen += 1;
        if seen > GROUPS_MAX {
            return None;
        }
        let members = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
        if members.lines().any(|member| member.parse() == Ok(pid)) {
            return unit_in(&folder);
        }
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        folders.extend(entries.filter(is_folder).map(|entry| entry.path()));
    }
    None
}

fn is_folder(entry: &fs::DirEntry) -> bool {
    entry.file_type().is_ok_and(|kind| kind.is_dir())
}

/// The innermost service on a control group's path.
fn unit_in(group: &Path) -> Option<String> {
    let is_service =
        |name: &&str| Path::new(name).extension().is_some_and(|extension| extension == "service");
    let names = group.iter().rev().filter_map(|name| name.to_str());
    names.filter(is_service).map(str::to_owned).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_claim_is_refused_until_the_first_is_gone() {
        let device = tempfile::NamedTempFile::new().unwrap();
        let first = Claim::take(device.path()).unwrap();
        assert!(matches!(Claim::take(device.path()), Err(ClaimError::Taken(_))));
        drop(first);
        Claim::take(device.path()).unwrap();
        assert!(matches!(Claim::take(Path::new("/none")), Err(ClaimError::Io(_))));
    }

    #[test]
    fn another_process_that_has_a_device_is_named() {
        let device = tempfile::NamedTempFile::new().unwrap();
        let path = device.path().canonicalize().unwrap();
        let held = |command: &str| {
            process::Command::new("flock")
                .args(["--exclusive", "--no-fork"])
                .arg(&path)
                .args(["sh", "-c", command])
                .stdout(process::Stdio::piped())
                .stdin(process::Stdio::piped())
                .spawn()
                .unwrap()
        };
        let mut other = held("echo held; read word");
        let mut word = [0; 5];
        io::Read::read_exact(other.stdout.as_mut().unwrap(), &mut word).unwrap();
        let Err(ClaimError::Taken(holders)) = Claim::take(&path) else { panic!("it is free") };
        assert_eq!(holders.0.len(), 1, "{holders}");
        assert_eq!((holders.0[0].pid, holders.0[0].captures), (other.id(), true));
        let text = holders.to_string();
        assert!(text.contains(&format!("(process {})", other.id())), "{text}");
        assert!(text.ends_with(" has it"), "{text}");
        assert_eq!(super::holders(&path), holders.0);
        drop(other.stdin.take());
        other.wait().unwrap();
        Claim::take(&path).unwrap();
    }

    #[test]
    fn a_lock_that_outlives_its_process_keeps_the_device_and_names_nobody_who_is_gone() {
        let device = tempfile::NamedTempFile::new().unwrap();
        let path = device.path().canonicalize().unwrap();
        // What locks it ends; what was started beside it has the lock.
        let left = r#"exec 9<"$0"; flock --exclusive 9; sleep 600 >/dev/null 2>&1 & echo $!"#;
        let shell = process::Command::new("sh").args(["-c", left]).arg(&path).output().unwrap();
        let heir: u32 = String::from_utf8(shell.stdout).unwrap().trim().parse().unwrap();
        let Err(ClaimError::Taken(named)) = Claim::take(&path) else { panic!("it is free") };
        assert_eq!(named.0, [], "nobody who locked it is there any more");
        let pids: Vec<u32> = holders(&path).iter().map(|holder| holder.pid).collect();
        assert_eq!(pids, [heir]);
        let heir = Pid::from_raw(i32::try_from(heir).unwrap()).unwrap();
        rustix::process::kill_process(heir, rustix::process::Signal::KILL).unwrap();
        while Claim::take(&path).is_err() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_lock_is_read_from_the_kernel_s_list_and_one_that_is_waited_for_is_not() {
        let place = "00:06:337";
        let line = "3: FLOCK  ADVISORY  WRITE 4711 00:06:337 0 EOF";
        assert_eq!(holder_of(line, place), Some(4_711));
        assert_eq!(holder_of(line, "00:06:338"), None);
        let waits = "3: -> FLOCK  ADVISORY  WRITE 4712 00:06:337 0 EOF";
        assert_eq!(holder_of(waits, place), None);
        for odd in ["", "3:", "3: FLOCK", "3: FLOCK ADVISORY WRITE -1 00:06:337 0 EOF"] {
            assert_eq!(holder_of(odd, place), None, "{odd}");
        }
    }

    #[test]
    fn the_unit_is_the_innermost_service() {
        let group = "0::/system.slice/system-nightjar\\x2dagent.slice/nightjar-agent@porch.service";
        assert_eq!(unit_in(Path::new(group)).unwrap(), "nightjar-agent@porch.service");
        let of_a_user = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/cam.service/x";
        assert_eq!(unit_in(Path::new(of_a_user)).unwrap(), "cam.service");
        assert_eq!(unit_in(Path::new("0::/init.scope")), None);
    }
}
