//! Confines the worker to what libraries need to read. The worker talks to strangers and runs as the
//! agent's user, to whom keys and footage belong.

use std::{env, path::PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError,
    RulesetStatus, path_beneath_rules,
};

/// The newest rules that are asked for; an older kernel enforces what it knows of them.
const RULES: ABI = ABI::V3;

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

/// Leaves nothing else readable, and nothing writable, to this thread and all that it starts from
/// now on. Returns false where the kernel has no Landlock, or it is not switched on.
pub(super) fn confine() -> Result<bool, RulesetError> {
    let readable = READABLE.iter().map(PathBuf::from).chain(plugin_lists());
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(RULES))?
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

    use super::*;

    #[test]
    fn a_confined_thread_reads_libraries_and_neither_keys_nor_footage() {
        let directory = tempfile::tempdir().unwrap();
        let key = directory.path().join("identity.key");
        fs::write(&key, "secret").unwrap();
        let confined = thread::spawn(move || {
            if !confine().unwrap() {
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
}
