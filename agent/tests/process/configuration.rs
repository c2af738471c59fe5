//! A configuration that cannot work ends with exit code 2 and one line that names the key, its
//! value and the remedy.

use std::{fs, process::Command};

use rustix::process::Signal;

use crate::support::{Home, agent, output};

/// The one line that a refused configuration gives.
#[track_caller]
fn refusal(command: &mut Command) -> String {
    let output = output(command, "");
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
    line
}

#[track_caller]
fn assert_names(line: &str, parts: &[&str]) {
    for part in parts {
        assert!(line.contains(part), "`{part}` is missing in: {line}");
    }
}

#[test]
fn an_unknown_key_is_refused_with_the_known_ones() {
    let home = Home::with_config("[motion]\nsensitivty = 0.7\n");
    for verb in ["run", "check"] {
        let line = refusal(&mut home.command(verb));
        assert_names(&line, &["agent.toml", "sensitivty = 0.7", "`sensitivity`"]);
    }
}

#[test]
fn a_file_is_read_as_any_editor_saves_it() {
    let text = "name = \"porch\"\n[source]\nkind = \"synthetic\"\n";
    let home = Home::with_config(text);
    let lines = text.replace('\n', "\r\n");
    for saved in [lines.clone(), format!("\u{feff}{text}"), format!("\u{feff}{lines}\r\n \r\n")] {
        home.configure(&saved);
        let checked = output(&mut home.command("check"), "");
        assert_eq!(checked.status.code(), Some(0), "{saved:?}: {checked:?}");
    }
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::write(home.path("agent.toml"), utf16).unwrap();
    assert_names(&refusal(&mut home.command("check")), &["agent.toml", "UTF-16", "UTF-8"]);
    fs::write(home.path("agent.toml"), b"name = \"porch\"\n# \xE4rger\n").unwrap();
    assert_names(&refusal(&mut home.command("check")), &["agent.toml", "line 2", "UTF-8"]);
}

#[test]
fn a_missing_device_is_named_and_a_running_agent_waits_for_it() {
    let home = Home::with_config("[source]\ndevice = \"/dev/video-none\"\n");
    let line = refusal(&mut home.command("check"));
    assert_names(&line, &["source.device", "/dev/video-none", "auto"]);

    let mut agent = home.run();
    home.wait_for_log("the camera does not see");
    assert_names(&home.log(), &["source.device", "/dev/video-none"]);
    agent.signal(Signal::TERM);
    assert_eq!(agent.wait(), Some(0));
}

#[test]
fn a_missing_video_file_is_refused_with_its_name() {
    let home = Home::with_config("[source]\nkind = \"file\"\npath = \"/none/street.mp4\"\n");
    let line = refusal(&mut home.command("run"));
    assert_names(&line, &["source.path", "/none/street.mp4", "video file"]);
}

#[test]
fn an_unwritable_data_directory_is_refused_with_its_name() {
    let home = Home::synthetic();
    fs::write(home.path("file"), "").unwrap();
    let inside_a_file = home.path("file").join("data");
    let mut command = agent();
    command.arg("run").arg("--config").arg(home.path("agent.toml"));
    let line = refusal(command.arg("--data-dir").arg(&inside_a_file));
    assert_names(&line, &["--data-dir", inside_a_file.to_str().unwrap(), "writable"]);
}

#[test]
fn a_kind_that_does_not_exist_is_refused_with_the_ones_there_are() {
    let home = Home::with_config("[source]\nkind = \"webcam\"\n");
    let line = refusal(&mut home.command("check"));
    assert_names(&line, &["source.kind", "\"webcam\"", "not known", "\"v4l2\"", "\"libcamera\""]);
}

#[test]
fn a_missing_configuration_is_refused_with_its_path() {
    let line = refusal(agent().args(["check", "--config", "/none/agent.toml"]));
    assert_names(&line, &["/none/agent.toml", "--config"]);
}

#[test]
fn a_good_configuration_is_called_fine() {
    let output = output(&mut Home::synthetic().command("check"), "");
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8(output.stdout).unwrap().contains("synthetic, 320x240"));
}

#[test]
fn a_closed_pipe_behind_the_output_is_no_reason_to_panic() {
    let home = Home::synthetic();
    let mut doctor = home.command("doctor");
    let mut child = doctor
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_ne!(output.status.code(), Some(101), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_configuration_in_the_docs_is_taken() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
    let page = fs::read_to_string(page).unwrap();
    let sample = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let checked = output(&mut Home::with_config(sample).command("check"), "");
    let said = String::from_utf8(checked.stderr).unwrap();
    assert_eq!(checked.status.code(), Some(0), "{said}");
}
