//! Confines a worker to what libraries need to read: one that talks to strangers, or looks at what they
//! hold before the camera, and runs as the agent's user, to whom keys and footage belong.

mod calls;
mod inherited;

use std::{env, path::PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError,
    RulesetStatus, Scope, path_beneath_rules,
};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs};

pub(crate) use self::inherited::close_inherited;

/// The newest rules that are asked for; an older kernel enforces what it knows of them.
const RULES: ABI = ABI::V6;

/// Takes from this thread, and all that it starts from now on, what the worker does not need: files,
/// devices, signals to other processes, sockets without a file, capabilities, and system calls of other
/// trades. What a kernel does not have is logged, and the worker goes on.
pub(crate) fn confine() {
    match confine_by_landlock() {
        Ok(true) => {}
        Ok(false) => tracing::info!("no Landlock to be had: this worker may read files"),
        Err(error) => tracing::warn!(%error, "this worker may read files"),
    }
    let none = CapabilitySet::empty();
    let none = CapabilitySets { effective: none, permitted: none, inheritable: none };
    // Root keeps all of them without this, whatever it starts.
    if let Err(error) = set_no_new_privs(true).and_then(|()| set_capabilities(None, none)) {
        tracing::warn!(%error, "this worker keeps its capabilities");
    }
    if let Err(error) = calls::refuse() {
        tracing::warn!(%error, "this worker keeps all system calls");
    }
}

/// Programs' libraries; the system's account of itself; chance and clocks; names and addresses of
/// hosts, wherever the files are that `/etc` links to.
const READABLE: &[&str] = &[
    "/usr",
    "/lib",
    "/lib64",
    "/proc",
    "/sys",
    "/dev/null",
    "/dev/random",
    "/dev/urandom",
    "/dev/zero",
    "/etc/gai.conf",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl",
    "/run/systemd/resolve",
    "/run/NetworkManager",
    "/run/resolvconf",
];

/// What may be listed and not opened: where `GStreamer` sees other devices than when it made its
/// list of plugins, it makes the list again.
const LISTED: &str = "/dev";

/// Leaves nothing else readable, and nothing writable. Returns false where the kernel has no Landlock,
/// or it is not switched on.
fn confine_by_landlock() -> Result<bool, RulesetError> {
    let readable = READABLE.iter().map(PathBuf::from).chain(plugin_lists());
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(RULES))?
        .scope(Scope::from_all(RULES))?
        .create()?
        .add_rules(path_beneath_rules(readable, AccessFs::ReadFile | AccessFs::ReadDir))?
        .add_rules(path_beneath_rules([LISTED], AccessFs::ReadDir))?
        .restrict_self()?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}

/// Lists where `GStreamer` keeps what it knows of its plugins, and looks for more of them: without
/// these it would look at every plugin at each start.
fn plugin_lists() -> impl Iterator<Item = PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache =
        cache.or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    let named = ["GST_REGISTRY", "GST_PLUGIN_PATH", "GST_PLUGIN_SYSTEM_PATH", "LD_LIBRARY_PATH"];
    let named = named.into_iter().filter_map(env::var_os);
    let named: Vec<_> =
        named.flat_map(|paths| env::split_paths(&paths).collect::<Vec<_>>()).collect();
    cache.map(|cache| cache.join("gstreamer-1.0")).into_iter().chain(named)
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _, thread};

    use landlock::{CompatLevel, Compatible as _};

    use super::*;

    #[test]
    fn a_confined_thread_reads_libraries_and_neither_keys_nor_footage() {
        let directory = tempfile::tempdir().unwrap();
        let key = directory.path().join("identity.key");
        fs::write(&key, "secret").unwrap();
        let confined = thread::spawn(move || {
            if !confine_by_landlock().unwrap() {
                // Where there is nothing to confine with there is nothing to test.
                return None;
            }
            let denied = fs::read(&key).unwrap_err();
            let made = fs::write(key.with_extension("new"), "x").unwrap_err();
            let list = fs::read_dir("/usr/lib").map(Iterator::count).unwrap();
            let device = fs::File::open("/dev/full").unwrap_err();
            Some((denied.kind(), made.kind(), device.kind(), list > 0))
        });
        let denied = std::io::ErrorKind::PermissionDenied;
        match confined.join().unwrap() {
            Some(seen) => assert_eq!(seen, (denied, denied, denied, true)),
            None => writeln!(std::io::stderr(), "SKIPPED: no Landlock here").unwrap(),
        }
    }

    #[test]
    fn a_confined_thread_has_no_capabilities_starts_no_program_and_opens_no_odd_socket() {
        use rustix::net::{AddressFamily, SocketType, socket};

        let seen = thread::spawn(|| {
            confine();
            let status = fs::read_to_string("/proc/thread-self/status").unwrap();
            let line = |name: &str| {
                let found = status.lines().find_map(|line| line.strip_prefix(name));
                found.unwrap_or_default().trim().to_owned()
            };
            let kept = ["CapEff:", "CapPrm:", "CapInh:"].map(line);
            let program = std::process::Command::new("/usr/bin/true").status();
            let raw = socket(AddressFamily::PACKET, SocketType::DGRAM, None);
            let ciphers = AddressFamily::from_raw(38);
            let alg = socket(ciphers, SocketType::SEQPACKET, None);
            let usual = [AddressFamily::INET, AddressFamily::INET6, AddressFamily::UNIX]
                .map(|family| socket(family, SocketType::DGRAM, None).is_ok());
            let threads = thread::spawn(|| 7).join().unwrap();
            (kept, line("NoNewPrivs:"), line("Seccomp:"), program, raw, alg, usual, threads)
        });
        let (kept, no_new, filter, program, raw, alg, usual, threads) = seen.join().unwrap();
        assert!(kept.iter().all(|set| set.bytes().all(|digit| digit == b'0')), "{kept:?}");
        assert_eq!((no_new.as_str(), filter.as_str()), ("1", "2"));
        assert_eq!(program.unwrap_err().kind(), std::io::ErrorKind::PermissionDenied);
        assert_eq!(raw.unwrap_err(), rustix::io::Errno::PERM);
        assert_eq!(alg.unwrap_err(), rustix::io::Errno::PERM);
        assert_eq!((usual, threads), ([true; 3], 7));
    }

    #[test]
    fn a_confined_thread_reaches_no_other_process_by_signal_or_by_a_socket_without_a_file() {
        use std::os::{
            linux::net::SocketAddrExt as _,
            unix::net::{SocketAddr, UnixListener, UnixStream},
        };

        let mut other = std::process::Command::new("/bin/sleep").arg("60").spawn().unwrap();
        let number = rustix::process::Pid::from_child(&other);
        let name = format!("nightjar-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let _listener = UnixListener::bind_addr(&address).unwrap();
        let confined = thread::spawn(move || {
            let scoped = Ruleset::default()
                .set_compatibility(CompatLevel::HardRequirement)
                .scope(Scope::from_all(ABI::V6))
                .is_ok();
            confine();
            let signal = rustix::process::kill_process(number, rustix::process::Signal::CONT);
            let socket = UnixStream::connect_addr(&address).map(drop);
            scoped.then_some((signal, socket))
        });
        let seen = confined.join().unwrap();
        drop((other.kill(), other.wait()));
        match seen {
            Some((signal, socket)) => {
                assert_eq!(signal, Err(rustix::io::Errno::PERM));
                assert_eq!(socket.unwrap_err().kind(), std::io::ErrorKind::PermissionDenied);
            }
            None => writeln!(std::io::stderr(), "SKIPPED: no scopes of Landlock here").unwrap(),
        }
    }
}
