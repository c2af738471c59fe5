//! A camera's login is in one private file and nowhere else.

use std::{
    fs,
    io::Write as _,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::server::{Server, mount};

const PASSWORD: &str = "s3cret-of-the-porch";

fn write_config(directory: &Path, url: &str) -> std::path::PathBuf {
    let config = directory.join("agent.toml");
    let login = directory.join("login");
    fs::write(
        &config,
        format!(
            "[source]\nkind = \"rtsp\"\n[source.rtsp]\nurl = \"{url}\"\nlogin_file = \"{}\"\n\
             [recording]\nmin_free_percent = 0\n",
            login.display()
        ),
    )
    .unwrap();
    config
}

fn write_login(directory: &Path, password: &str, mode: u32) {
    let login = directory.join("login");
    fs::write(&login, format!("root\n{password}\n")).unwrap();
    fs::set_permissions(&login, fs::Permissions::from_mode(mode)).unwrap();
}

/// What a command prints about the configured camera.
fn printed(directory: &Path, config: &Path, command: &[&str]) -> String {
    let mut agent = Command::new(env!("CARGO_BIN_EXE_nightjar-agent"));
    agent.args(command).arg("--config").arg(config).env("RUST_LOG", "trace");
    if command[0] == "doctor" {
        agent.arg("--data-dir").arg(directory.join("data"));
    }
    let output = agent.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// Runs the agent until its log says so; gives the log, and what the system shows of the process.
fn run_until(directory: &Path, config: &Path, says: &str) -> String {
    let log = directory.join("agent.log");
    let mut child = Command::new(env!("CARGO_BIN_EXE_nightjar-agent"))
        .arg("run")
        .arg("--config")
        .arg(config)
        .arg("--data-dir")
        .arg(directory.join("data"))
        .env("RUST_LOG", "trace")
        .stdout(Stdio::null())
        .stderr(fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(40);
    let read = || fs::read_to_string(&log).unwrap_or_default();
    while !read().contains(says) && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(50));
    }
    let shown = ["cmdline", "environ"].map(|file| {
        String::from_utf8_lossy(&fs::read(format!("/proc/{}/{file}", child.id())).unwrap())
            .into_owned()
    });
    child.kill().unwrap();
    child.wait().unwrap();
    let log = read();
    assert!(log.contains(says), "waited in vain for `{says}`:\n{log}");
    format!("{log}{}", shown.concat())
}

#[test]
fn a_login_lets_us_in_and_is_shown_nowhere() {
    let plain = mount("/main", "tune=zerolatency key-int-max=15", "high");
    let login = format!("root:{PASSWORD}");
    let Some(server) = Server::start(&["--login", &login], &[plain]) else { return };
    let directory = tempfile::tempdir().unwrap();
    let config = write_config(directory.path(), &server.url("/main?token=also-s3cret"));

    write_login(directory.path(), PASSWORD, 0o600);
    let shown = run_until(directory.path(), &config, "the camera sees");
    assert!(!shown.contains("s3cret"), "{shown}");

    for (password, mode, says) in [
        ("another-s3cret", 0o600, "refuses the login"),
        (PASSWORD, 0o644, "others may read it: chmod 600"),
    ] {
        write_login(directory.path(), password, mode);
        let shown = run_until(directory.path(), &config, says);
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}

#[test]
fn probe_and_doctor_say_what_a_camera_gives_or_what_to_do_about_it() {
    let plain = mount("/main", "tune=zerolatency key-int-max=15", "high");
    let login = format!("root:{PASSWORD}");
    let Some(server) = Server::start(&["--login", &login], &[plain]) else { return };
    let directory = tempfile::tempdir().unwrap();
    let config = write_config(directory.path(), &server.url("/main?token=also-s3cret"));
    let both = |expected: &str| {
        for command in [&["probe"][..], &["probe", "--json"], &["doctor"], &["doctor", "--json"]] {
            let printed = printed(directory.path(), &config, command);
            assert!(printed.contains(expected), "{command:?}: no `{expected}` in {printed}");
            assert!(!printed.contains("s3cret"), "{command:?}: {printed}");
        }
    };
    write_login(directory.path(), PASSWORD, 0o600);
    both("H264 320x240 at 15 fps: goes on as it is");
    write_login(directory.path(), "another-s3cret", 0o600);
    both("correct the file source.rtsp.login_file");
}

/// Debian's user `nobody`.
const NOBODY: u32 = 65_534;

/// Says aloud what is not tested.
fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

#[test]
fn a_login_that_belongs_to_another_user_is_not_used() {
    if !rustix::process::geteuid().is_root() {
        return skipped("a login of another user: it takes root to make one");
    }
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // Nothing is there: it is not even asked.
    let config = write_config(directory.path(), "rtsp://127.0.0.1:9/main");
    write_login(directory.path(), PASSWORD, 0o644);
    let probed = Command::new(env!("CARGO_BIN_EXE_nightjar-agent"))
        .args(["probe", "--config"])
        .arg(config)
        .env("GST_REGISTRY_1_0", "/dev/null")
        .uid(NOBODY)
        .output();
    let Ok(probed) = probed else {
        return skipped("a login of another user: `nobody` may not start what was built here");
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = text(&probed.stdout) + &text(&probed.stderr);
    assert!(said.contains("it belongs to another user") && said.contains("chown"), "{said}");
    assert!(!said.contains("s3cret"), "{said}");
}

#[test]
fn a_login_that_systemd_hands_over_is_taken_with_its_access_list() {
    let plain = mount("/main", "tune=zerolatency key-int-max=15", "high");
    let login = format!("root:{PASSWORD}");
    let Some(server) = Server::start(&["--login", &login], &[plain]) else { return };
    let directory = tempfile::tempdir().unwrap();
    let config = write_config(directory.path(), &server.url("/main"));
    // The list that lets the agent's user read shows in the mode as a right of the group.
    write_login(directory.path(), PASSWORD, 0o440);
    let probe = |credentials: &Path| {
        let mut agent = Command::new(env!("CARGO_BIN_EXE_nightjar-agent"));
        agent.arg("probe").arg("--config").arg(&config);
        let output = agent.env("CREDENTIALS_DIRECTORY", credentials).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let printed = probe(directory.path());
    assert!(printed.contains("H264 320x240 at 15 fps"), "{printed}");
    let printed = probe(Path::new("/run/credentials/another.service"));
    assert!(printed.contains("others may read it: chmod 600"), "{printed}");
}
