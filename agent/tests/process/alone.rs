//! The agent without a relay: it starts, keeps an identity, and stops when told.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, net::UnixDatagram},
    path::Path,
};

use serde_json::Value;

use crate::support::{Home, PATIENCE, agent as agent_command, output};
use rustix::process::Signal;

#[test]
fn the_first_start_makes_a_private_identity_that_stays() {
    let home = Home::synthetic();
    let key = home.data_dir().join("identity.pem");
    let mut first = home.run();
    home.wait_for_log("the camera sees");
    let made = fs::read(&key).unwrap();
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(home.data_dir()).unwrap().permissions().mode() & 0o777, 0o700);
    first.signal(Signal::TERM);
    assert_eq!(first.wait(), Some(0));

    let _second = home.run();
    home.wait_for_log("the camera sees");
    assert_eq!(fs::read(&key).unwrap(), made);
}

/// Everything below a directory that others than its owner may look into.
fn open_to_others(directory: &Path) -> Vec<String> {
    let mut open = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        if metadata.permissions().mode() & 0o077 != 0 {
            open.push(entry.path().display().to_string());
        }
        if metadata.is_dir() {
            open.extend(open_to_others(&entry.path()));
        }
    }
    open
}

#[test]
fn nobody_else_looks_into_recordings_whatever_was_there_before() {
    let home = Home::synthetic();
    // As `install -d` makes it, and as an older agent left what lies in it.
    let data = home.data_dir();
    fs::create_dir_all(data.join("recordings/older")).unwrap();
    fs::write(data.join("recordings/older/clip.mp4"), "").unwrap();
    for (path, mode) in [("", 0o755), ("recordings", 0o755), ("recordings/older/clip.mp4", 0o644)] {
        fs::set_permissions(data.join(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    let mut agent = home.run();
    home.wait_for_log("a clip is complete");
    agent.signal(Signal::TERM);
    assert_eq!(agent.wait(), Some(0));
    assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(open_to_others(&data), [""; 0]);
    assert!(data.join("agent.db").exists());
}

#[test]
fn without_a_relay_motion_is_recorded_and_index_and_files_agree() {
    let home = Home::synthetic();
    let mut agent = home.run();
    home.wait_for_log("a clip is complete");
    agent.signal(Signal::TERM);
    assert_eq!(agent.wait(), Some(0));
    let mut fsck = agent_command();
    fsck.args(["fsck", "--json", "--data-dir"]).arg(home.data_dir());
    let checked = output(&mut fsck, "");
    let report: Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!(checked.status.code(), Some(0), "{report}");
    assert!(report["clips"].as_u64().unwrap() >= 1, "{report}");
    assert_eq!(report["open_clips"], 0, "{report}");

    let footage = fs::read_dir(home.data_dir().join("recordings"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|it| it == "mp4"))
        .unwrap();
    let found = output(agent_command().arg("detect").arg(footage), "");
    let lines = String::from_utf8(found.stdout).unwrap();
    let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert!(first["start_s"].as_f64() < first["end_s"].as_f64(), "{lines}");
}

#[test]
fn a_recording_that_cannot_be_read_is_named() {
    for (arguments, part) in [
        (vec!["detect", "/none/street.mp4"], "/none/street.mp4"),
        (vec!["detect", "--raw", "320x180", "-"], "WxH@FPS"),
    ] {
        let refused = output(agent_command().args(arguments), "");
        let message = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(2), "{message}");
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn both_signals_stop_it_in_order() {
    for signal in [Signal::TERM, Signal::INT] {
        let home = Home::synthetic();
        let mut agent = home.run();
        home.wait_for_log("the camera sees");
        agent.signal(signal);
        assert_eq!(agent.wait(), Some(0));
        assert!(home.log().contains("stopped"), "{}", home.log());
        assert!(!home.log().contains("left behind"), "{}", home.log());
    }
}

#[test]
fn systemd_hears_that_it_is_ready_alive_and_stopping() {
    let home = Home::synthetic();
    let path = home.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut agent =
        home.run_with(&[("NOTIFY_SOCKET", path.as_os_str()), ("WATCHDOG_USEC", "600000".as_ref())]);
    let hear = |word: &str| {
        let mut buffer = [0; 256];
        loop {
            let length = socket.recv(&mut buffer).unwrap();
            let message = std::str::from_utf8(&buffer[..length]).unwrap();
            if message.lines().any(|line| line == word) {
                return;
            }
            assert!(!message.contains("STOPPING"), "waited in vain for {word}");
        }
    };
    hear("READY=1");
    home.wait_for_log("the camera sees");
    hear("WATCHDOG=1");
    agent.signal(Signal::TERM);
    hear("STOPPING=1");
    assert_eq!(agent.wait(), Some(0));
}

#[test]
fn a_second_agent_on_the_same_data_directory_is_refused() {
    let home = Home::synthetic();
    let _first = home.run();
    home.wait_for_log("the camera sees");
    let second = output(&mut home.command("run"), "");
    assert_eq!(second.status.code(), Some(2));
    let line = String::from_utf8(second.stderr).unwrap();
    assert!(line.contains("--data-dir") && line.contains("another agent"), "{line}");
}

#[test]
fn pairing_says_what_to_do() {
    let home = Home::synthetic();
    for (relay, code, remedy) in [
        ("http://localhost:1", "BCDF-GHJK", "check the address"),
        ("http://192.0.2.1", "BCDF-GHJK", "use https"),
        ("http://localhost:1", "BCDF", "8 letters"),
    ] {
        let output = output(home.command("pair").args(["--relay", relay]), &format!("{code}\n"));
        let line = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{line}");
        assert!(line.contains(remedy) && line.lines().count() == 1, "{line}");
    }
}
