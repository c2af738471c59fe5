//! What is to be said about provisioning, for the console and for `doctor`: the last that happened, and
//! what is wrong with the file that lies on the boot partition. Neither hides the other.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use nightjar_shared::{finding::Finding, text::is_hidden};
use rustix::fs::OFlags;

use super::{leave::leave, read_bounded};
use crate::board::SystemRoot;

/// Names of the files below the data directory. A path unit watches the first.
const LAST_FILE: &str = "provisioning.json";
const STANDING_FILE: &str = "boot_file.json";
/// Where somebody may look at a screen, the first that takes it.
const CONSOLES: [&str; 2] = ["/dev/tty1", "/dev/console"];
/// Of a line of the console: what stands in a notice comes from files and from the network.
const LINE_CHARS_MAX: usize = 400;

/// Writes what happened, and into the log, where it is something else than before. Returns whether it was.
pub fn tell(data_dir: &Path, finding: impl Into<Finding>) -> bool {
    write(data_dir, LAST_FILE, &finding.into())
}

/// Writes what is wrong with the file that lies there; or that nothing is.
pub fn tell_standing(data_dir: &Path, finding: Option<&Finding>) {
    match finding {
        Some(finding) => drop(write(data_dir, STANDING_FILE, finding)),
        None => match fs::remove_file(data_dir.join(STANDING_FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, "the notice of a file that is gone was not removed");
            }
            _ => {}
        },
    }
}

fn write(data_dir: &Path, name: &str, finding: &Finding) -> bool {
    if read(data_dir, name).as_ref() == Some(finding) {
        return false;
    }
    let Finding { code, found, next_step, .. } = finding;
    tracing::info!(code, next_step, "provisioning: {found}");
    let written = serde_json::to_vec(finding)
        .map_err(io::Error::from)
        .and_then(|text| leave(data_dir, name, &text));
    if let Err(error) = written {
        tracing::warn!(%error, "the notice for console and doctor was not written");
    }
    true
}

/// Reads what happened last, if anything did.
pub fn read_last(data_dir: &Path) -> Option<Finding> {
    read(data_dir, LAST_FILE)
}

/// Reads what is wrong with the file that lies there.
pub fn read_standing(data_dir: &Path) -> Option<Finding> {
    read(data_dir, STANDING_FILE)
}

fn read(data_dir: &Path, name: &str) -> Option<Finding> {
    serde_json::from_slice(&read_bounded(&data_dir.join(name)).ok()?).ok()
}

/// Shows a finding on the console, where there is one.
pub fn show(system: &SystemRoot, finding: &Finding) -> io::Result<()> {
    let step = finding.next_step.as_deref().map(|step| format!("  next: {}\r\n", plain(step)));
    let text = format!("\r\nNightjar: {}\r\n{}", plain(&finding.found), step.unwrap_or_default());
    let flags = OFlags::NOCTTY | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let mut last = Err(io::Error::from(io::ErrorKind::NotFound));
    for console in CONSOLES {
        let opened = OpenOptions::new().append(true).custom_flags(flags).open(system.path(console));
        last = opened.and_then(|mut console| console.write_all(text.as_bytes()));
        if last.is_ok() {
            break;
        }
    }
    last
}

/// Leaves out what steers a terminal.
fn plain(text: &str) -> String {
    text.chars().filter(|letter| !is_hidden(*letter)).take(LINE_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use nightjar_shared::finding::Verdict;

    use super::*;

    #[test]
    fn a_notice_steers_no_terminal_and_is_told_once() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("dev")).unwrap();
        fs::write(root.path().join("dev/tty1"), "").unwrap();
        let finding = Finding {
            name: "provisioning".to_owned(),
            code: "malformed".to_owned(),
            verdict: Verdict::Bad,
            found: "\u{1b}[2Jgone\u{7}".to_owned(),
            next_step: Some("write it anew".to_owned()),
        };
        assert!(tell(root.path(), finding.clone()));
        assert!(!tell(root.path(), finding.clone()));
        assert_eq!(read_last(root.path()), Some(finding.clone()));
        tell_standing(root.path(), Some(&finding));
        assert_eq!(read_standing(root.path()), Some(finding.clone()));
        tell_standing(root.path(), None);
        tell_standing(root.path(), None);
        assert_eq!(read_standing(root.path()), None);
        show(&SystemRoot::at(root.path()), &finding).unwrap();
        let shown = fs::read_to_string(root.path().join("dev/tty1")).unwrap();
        assert_eq!(shown, "\r\nNightjar: [2Jgone\r\n  next: write it anew\r\n");
    }
}
