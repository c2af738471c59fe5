//! What a board tells, in `doctor` and at the relay.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, symlink},
    path::PathBuf,
    process::Command,
};

use gstreamer as gst;

use serde_json::{Value, json};

use crate::{
    pairing::pair_with_file,
    relay::{Relay, until},
    support::{Home, output},
};

/// What is wrong with the board of [`hot_weak_and_worn`].
const CODES: [&str; 4] = ["hot", "weak", "outlived", "file_system_errors"];

/// Writes the kernel's files of a board below `board` in a camera's home.
fn hot_weak_and_worn(home: &Home) {
    fs::create_dir_all(home.data_dir()).unwrap();
    let write = |path: &str, text: &str| {
        let path = home.path("board").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n");
    write("sys/class/thermal/thermal_zone0/temp", "84000\n");
    write("sys/class/hwmon/hwmon0/name", "rpi_volt\n");
    write("sys/class/hwmon/hwmon0/in0_lcrit_alarm", "1\n");
    let device = fs::metadata(home.data_dir()).unwrap().dev();
    let number = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    write(&format!("sys/dev/block/{number}/device/type"), "MMC\n");
    write(&format!("sys/dev/block/{number}/device/life_time"), "0x0b 0x01\n");
    write(&format!("sys/fs/ext4/{number}/errors_count"), "3\n");
}

fn doctor(home: &Home, root: &str) -> Value {
    let mut command = home.command("doctor");
    command.args(["--json", "--system-root"]).arg(home.path(root));
    serde_json::from_slice(&output(&mut command, "").stdout).unwrap()
}

fn found<'a>(findings: &'a Value, code: &str) -> Option<&'a Value> {
    findings.as_array()?.iter().find(|finding| finding["code"] == code)
}

/// What a board does not tell is no problem.
#[test]
fn doctor_tells_of_heat_low_voltage_and_a_worn_card() {
    let home = Home::synthetic();
    hot_weak_and_worn(&home);
    let report = doctor(&home, "board");
    for (code, name, verdict, word) in [
        ("hot", "temperature", "warning", "84 °C"),
        ("weak", "power", "warning", "too low"),
        ("outlived", "disk", "bad", "outlived"),
        ("file_system_errors", "disk", "bad", "3 errors"),
        ("plugins_complete", "plugins", "good", "all"),
    ] {
        let it = found(&report["checks"], code).unwrap();
        assert_eq!([&it["name"], &it["verdict"]], [name, verdict], "{it}");
        assert!(it["found"].as_str().unwrap().contains(word), "{it}");
        assert_eq!(it["next_step"].is_string(), verdict != "good", "{it}");
    }
    assert_eq!(report["healthy"], false);

    let mut command = home.command("doctor");
    command.arg("--system-root").arg(home.path("board"));
    let said = String::from_utf8(output(&mut command, "").stdout).unwrap();
    assert!(said.contains("note temperature: the board has 84 °C"), "{said}");
    assert!(said.contains("next: give it air"), "{said}");

    let silent = doctor(&home, "no-such-board");
    for name in ["temperature", "power", "disk"] {
        let mut checks = silent["checks"].as_array().unwrap().iter();
        assert!(checks.all(|check| check["name"] != name), "{silent}");
    }
}

#[test]
fn doctor_and_the_command_line_tell_how_the_last_update_went() {
    let home = Home::synthetic();
    fs::create_dir_all(home.data_dir()).unwrap();
    let write = |path: &str, text: &str| {
        let path = home.path("board").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write(
        "var/lib/dpkg/status",
        "Package: nightjar-agent\nStatus: install ok installed\nMaintainer: T <t@example.org>\n\
         Architecture: arm64\nVersion: 0.1.0-1\nDescription: the agent\n",
    );
    let off = doctor(&home, "board");
    assert!(found(&off["checks"], "updates_off").is_some(), "{off}");

    let detail = "version 0.2.0-1 was taken back, 0.1.0-1 runs again";
    write(
        "var/lib/nightjar-update/status.json",
        &json!({"state": "rolled_back", "target": "0.2.0-1", "problem": "crashes", "detail": detail})
            .to_string(),
    );
    write(
        "var/lib/nightjar-update/failed.json",
        &json!([{"version": "0.2.0-1", "sha256": "ab", "problem": "crashes"}]).to_string(),
    );
    let report = doctor(&home, "board");
    let taken_back = found(&report["checks"], "update_taken_back").unwrap();
    assert_eq!([&taken_back["verdict"], &taken_back["found"]], ["warning", detail]);
    assert!(taken_back["next_step"].as_str().unwrap().contains("journalctl"), "{taken_back}");
    let package = found(&report["checks"], "package").unwrap();
    assert_eq!(package["found"], "version 0.1.0-1");

    let mut status = Command::new(env!("CARGO_BIN_EXE_nightjar-agent"));
    status.args(["update", "status", "--data-dir"]).arg(home.data_dir());
    status.arg("--system-root").arg(home.path("board"));
    let said = String::from_utf8(output(&mut status, "").stdout).unwrap();
    for words in
        ["installed: 0.1.0-1 (arm64)", "rolled_back 0.2.0-1", detail, "not tried again: 0.2.0-1"]
    {
        assert!(said.contains(words), "{said}");
    }
}

#[tokio::test]
async fn the_relay_is_told_of_the_board_what_doctor_tells() {
    let Some(relay) = Relay::start().await else { return };
    let home = Home::synthetic();
    hot_weak_and_worn(&home);
    let camera = pair_with_file(&home, &relay.open_pairing().await);
    let _agent = home.run_on_board(&home.path("board"));
    let health = until("health to tell of the board", async || {
        let health = relay.health(&camera).await;
        found(&health["findings"], "hot").is_some().then_some(health)
    })
    .await;
    assert_eq!(health["temperature_celsius"], json!(84.0));
    let report = doctor(&home, "board");
    for code in CODES {
        let told = found(&health["findings"], code);
        assert_eq!(told, found(&report["checks"], code), "{health}");
        assert!(told.is_some_and(|it| it["next_step"].is_string()), "{health}");
    }
    assert_eq!(found(&health["findings"], "plugins_complete"), None, "what is good is not told");
    // It still does all that it is there for.
    relay.until_camera(&camera, "status", json!("online")).await;
}

/// A folder with all of GStreamer's plugins but the one of this name.
fn plugins_without(home: &Home, hidden: &str) -> PathBuf {
    gst::init().unwrap();
    let plugin = gst::Registry::get().find_plugin(hidden).unwrap();
    let file = plugin.filename().unwrap();
    let folder = home.path("plugins");
    fs::create_dir(&folder).unwrap();
    for entry in fs::read_dir(file.parent().unwrap()).unwrap() {
        let entry = entry.unwrap();
        if entry.path() != file {
            symlink(entry.path(), folder.join(entry.file_name())).unwrap();
        }
    }
    folder
}

#[test]
fn doctor_names_the_package_of_a_plugin_that_is_missing_beside_what_else_is_wrong() {
    let home = Home::synthetic();
    hot_weak_and_worn(&home);
    let mut command = home.command("doctor");
    command
        .args(["--json", "--system-root"])
        .arg(home.path("board"))
        .env("GST_PLUGIN_SYSTEM_PATH_1_0", plugins_without(&home, "nice"))
        .env("GST_REGISTRY_1_0", home.path("registry"));
    let report: Value = serde_json::from_slice(&output(&mut command, "").stdout).unwrap();
    let missing = found(&report["checks"], "missing_plugins").expect("it is missing");
    assert_eq!(missing["found"], "GStreamer lacks nicesrc, nicesink");
    assert_eq!(missing["next_step"], "sudo apt install gstreamer1.0-nice");
    for code in CODES {
        assert!(found(&report["checks"], code).is_some(), "{code} is missing: {report}");
    }
}
