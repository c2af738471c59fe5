//! The last that was to be said about provisioning: for the console, and for `doctor`.

use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use nightjar_shared::{finding::Finding, text::is_hidden};
use rustix::fs::OFlags;

use super::{leave::leave, read_bounded};
use crate::board::SystemRoot;

/// Name of the file below the data directory. A path unit watches it.
const NOTICE_FILE: &str = "provisioning.json";
/// Where somebody may look at a screen, the first that takes it.
const CONSOLES: [&str; 2] = ["/dev/tty1", "/dev/console"];
/// Of a line of the console: what stands in a notice comes from files and from the network.
const LINE_CHARS_MAX: usize = 400;

/// Writes the notice, and into the log, where it is another one than before. Returns whether it was.
pub fn tell(data_dir: &Path, finding: impl Into<Finding>) -> bool {
    let finding = finding.into();
    if read(data_dir).as_ref() == Some(&finding) {
        return false;
    }
    let Finding { code, found, next_step, .. } = &finding;
    tracing::info!(code, next_step, "provisioning: {found}");
    let written = serde_json::to_vec(&finding)
        .map_err(io::Error::from)
        .and_then(|text| leave(data_dir, NOTICE_FILE, &text));
    if let Err(error) = written {
        tracing::warn!(%error, "the notice for console and doctor was not written");
    }
    true
}

/// Reads the notice: nothing where there is none.
pub fn read(data_dir: &Path) -> Option<Finding> {
    let bytes = read_bounded(&data_dir.join(NOTICE_FILE)).ok()?;
    serde_json::from_slice(&bytes).ok()
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
    use std::fs;

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
        assert_eq!(read(root.path()), Some(finding.clone()));
        show(&SystemRoot::at(root.path()), &finding).unwrap();
        let shown = fs::read_to_string(root.path().join("dev/tty1")).unwrap();
        assert_eq!(shown, "\r\nNightjar: [2Jgone\r\n  next: write it anew\r\n");
    }
}
