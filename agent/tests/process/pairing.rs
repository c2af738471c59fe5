//! A camera becomes part of a site, and says what to do when it cannot.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt, chown},
    path::{Path, PathBuf},
};

use rustix::process::geteuid;
use serde_json::{Value, json};

use crate::{
    relay::Relay,
    support::{Home, output, say_skipped},
};

/// The camera's id, once paired.
pub(crate) fn camera_id(home: &Home) -> String {
    let pairing = fs::read(home.data_dir().join("pairing.json")).unwrap();
    let pairing: Value = serde_json::from_slice(&pairing).unwrap();
    pairing["camera_id"].as_str().unwrap().to_owned()
}

/// Pairs with a file; gives the camera's id.
#[track_caller]
pub(crate) fn pair_with_file(home: &Home, pairing: &Value) -> String {
    let (code, message) = try_file(home, pairing["provisioning"].as_str().unwrap());
    assert_eq!(code, Some(0), "{message}");
    camera_id(home)
}

fn try_file(home: &Home, provisioning: &str) -> (Option<i32>, String) {
    let file = home.path("nightjar.toml");
    fs::write(&file, provisioning).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let output = output(home.command("pair").arg("--file").arg(&file), "");
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

fn try_code(home: &Home, relay: &Relay, code: &str) -> (Option<i32>, String) {
    let output = output(home.command("pair").args(["--relay", relay.url()]), &format!("{code}\n"));
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test]
async fn a_running_agent_comes_online_when_it_is_paired_with_a_file() {
    let Some(relay) = Relay::start().await else { return };
    let home = Home::synthetic();
    let _agent = home.run();
    home.wait_for_log("the camera sees");
    let pairing = relay.open_pairing().await;
    // As an editor of another system saves it.
    let provisioning = pairing["provisioning"].as_str().unwrap().replace('\n', "\r\n");
    let (code, message) = try_file(&home, &format!("\u{feff}{provisioning}"));
    assert_eq!(code, Some(0), "{message}");
    let camera = camera_id(&home);
    relay.until_online(&camera).await;
    assert_eq!(relay.camera(&camera).await["name"], "test");

    let saved = home.data_dir().join("pairing.json");
    assert_eq!(fs::metadata(saved).unwrap().permissions().mode() & 0o777, 0o600);
    let file = fs::read_to_string(home.path("nightjar.toml")).unwrap();
    assert!(!file.contains(pairing["secret"].as_str().unwrap()), "the secret was not wiped");
    let again = output(home.command("pair").arg("--file").arg(home.path("nightjar.toml")), "");
    let message = String::from_utf8(again.stderr).unwrap();
    assert!(!again.status.success() && message.contains("used up"), "{message}");
}

#[tokio::test]
async fn a_code_pairs_one_camera_and_the_same_camera_again() {
    let Some(relay) = Relay::start().await else { return };
    let pairing = relay.open_pairing().await;
    let code = pairing["code"].as_str().unwrap();
    let (home, other) = (Home::synthetic(), Home::synthetic());
    assert_eq!(try_code(&home, &relay, &code.to_lowercase()).0, Some(0));
    let first = camera_id(&home);
    // A lost answer strands nobody: the same key gets the same place.
    assert_eq!(try_code(&home, &relay, code).0, Some(0));
    assert_eq!(camera_id(&home), first);

    let (exit, message) = try_code(&other, &relay, code);
    assert_eq!(exit, Some(1));
    assert!(message.contains("expired or used") && message.lines().count() == 1, "{message}");
    assert!(!other.data_dir().join("pairing.json").exists());
}

#[tokio::test]
async fn a_wrong_code_says_where_to_get_a_new_one() {
    let Some(relay) = Relay::start().await else { return };
    let (exit, message) = try_code(&Home::synthetic(), &relay, "BCDF-GHJK");
    assert_eq!(exit, Some(1));
    assert!(message.contains("ask for a new one in the app"), "{message}");
}

#[tokio::test]
async fn https_is_pinned_to_the_authority_of_the_file() {
    let Some(relay) = Relay::start_with("https").await else { return };
    let home = Home::synthetic();
    let pairing = relay.open_pairing().await;
    let provisioning = pairing["provisioning"].as_str().unwrap();
    let hash = pairing["ca_sha256"].as_str().unwrap();

    let other_hash = "0".repeat(64);
    let (exit, message) = try_file(&home, &provisioning.replace(hash, &other_hash));
    assert_eq!(exit, Some(1));
    assert!(message.contains(&other_hash) && message.contains(hash), "{message}");

    // It has told nothing: the file still pairs.
    let by_code = Home::synthetic();
    let mut command = by_code.command("pair");
    command.args(["--relay", relay.url(), "--ca-sha256", &hash.to_uppercase()]);
    let paired = output(&mut command, relay.open_pairing().await["code"].as_str().unwrap());
    assert!(paired.status.success(), "{}", String::from_utf8_lossy(&paired.stderr));
    let camera = pair_with_file(&home, &pairing);
    let _agent = home.run();
    relay.until_online(&camera).await;
}

#[tokio::test]
async fn a_code_and_the_relay_s_name_are_all_that_is_typed() {
    let Some(relay) = Relay::start_with("https").await else { return };
    let home = Home::synthetic();
    // What is wrong tells neither the code nor anything else of the camera.
    let (exit, message) = try_code(&home, &relay, "BCDF-GHJK");
    assert_eq!(exit, Some(1));
    assert!(message.contains("did not show that it knows this code"), "{message}");
    assert!(!home.data_dir().join("pairing.json").exists());

    let pairing = relay.open_pairing().await;
    let host = relay.url().trim_start_matches("https://");
    let mut command = home.command("pair");
    let paired = output(command.args(["--relay", host]), pairing["code"].as_str().unwrap());
    assert!(paired.status.success(), "{}", String::from_utf8_lossy(&paired.stderr));
    let saved = fs::read_to_string(home.data_dir().join("pairing.json")).unwrap();
    assert!(saved.contains(pairing["ca_sha256"].as_str().unwrap()), "{saved}");
    let _agent = home.run();
    relay.until_online(&camera_id(&home)).await;
}

/// A data directory of the agent's own user, as the package makes one.
fn of_another_user(home: &Home) -> Option<PathBuf> {
    if !geteuid().is_root() {
        say_skipped("only root can give a directory to another user");
        return None;
    }
    let set_mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    // As /var/lib is.
    set_mode(&home.path(""), 0o755);
    let data_dir = home.data_dir();
    fs::create_dir(&data_dir).unwrap();
    chown(&data_dir, Some(12_345), Some(23_456)).unwrap();
    set_mode(&data_dir, 0o700);
    Some(data_dir)
}

#[tokio::test]
async fn root_pairs_with_no_more_rights_in_the_agent_s_directory_than_the_agent_has() {
    let home = Home::synthetic();
    let Some(data_dir) = of_another_user(&home) else { return };
    let Some(relay) = Relay::start().await else { return };
    // What the agent may not write is not written by root in its place.
    let pairing = relay.open_pairing().await;
    let code = pairing["code"].as_str().unwrap();
    let locked = data_dir.join("identity.pem");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(locked.join("root's"), "").unwrap();
    fs::set_permissions(&data_dir, fs::Permissions::from_mode(0o500)).unwrap();
    let (exit, message) = try_code(&home, &relay, code);
    assert_eq!(exit, Some(1), "{message}");
    assert!(locked.join("root's").exists(), "root did what the agent may not do");
    fs::set_permissions(&data_dir, fs::Permissions::from_mode(0o700)).unwrap();
    fs::remove_dir_all(&locked).unwrap();

    assert_eq!(try_code(&home, &relay, code).0, Some(0));
    for name in ["identity.pem", "pairing.json"] {
        let found = fs::metadata(data_dir.join(name)).unwrap();
        assert_eq!((found.uid(), found.gid()), (12_345, 23_456), "{name}");
    }
    // A file that root alone may read and wipe.
    let pairing = relay.open_pairing().await;
    let (exit, message) = try_file(&home, pairing["provisioning"].as_str().unwrap());
    assert_eq!(exit, Some(0), "{message}");
    let file = fs::read_to_string(home.path("nightjar.toml")).unwrap();
    assert!(!file.contains(pairing["secret"].as_str().unwrap()), "the secret was not wiped");
}

#[tokio::test]
async fn a_board_that_wakes_in_the_past_trusts_its_relay_all_the_same() {
    let Some(library) = faked_time() else { return };
    let Some(relay) = Relay::start_with("https").await else { return };
    let home = Home::synthetic();
    let camera = pair_with_file(&home, &relay.open_pairing().await);
    let _agent = home.run_with(&[
        ("LD_PRELOAD", library.as_os_str()),
        ("FAKETIME", "2000-01-01 00:00:00".as_ref()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".as_ref()),
    ]);
    relay.until_online(&camera).await;
    assert!(home.log().contains("2000-01-01"), "the clock was not faked: {}", home.log());
}

/// libfaketime, where it is installed.
pub(crate) fn faked_time() -> Option<PathBuf> {
    let found = fs::read_dir("/usr/lib").unwrap().find_map(|directory| {
        let library = directory.unwrap().path().join("faketime/libfaketime.so.1");
        library.exists().then_some(library)
    });
    if found.is_none() {
        say_skipped("no libfaketime; install Debian's package faketime");
    }
    found
}

#[tokio::test]
async fn a_camera_that_was_removed_says_so_and_keeps_working() {
    let Some(relay) = Relay::start().await else { return };
    let home = Home::synthetic();
    let camera = pair_with_file(&home, &relay.open_pairing().await);
    let _agent = home.run();
    relay.until_online(&camera).await;
    relay.remove_camera(&camera).await;
    home.wait_for_log("pair it again");

    // Pairing anew while it runs gives it a new place.
    let camera = pair_with_file(&home, &relay.open_pairing().await);
    relay.until_online(&camera).await;
}

#[tokio::test]
async fn another_key_does_not_get_the_camera_s_place() {
    let Some(relay) = Relay::start().await else { return };
    let (home, thief) = (Home::synthetic(), Home::synthetic());
    let camera = pair_with_file(&home, &relay.open_pairing().await);
    fs::create_dir_all(thief.data_dir()).unwrap();
    fs::copy(home.data_dir().join("pairing.json"), thief.data_dir().join("pairing.json")).unwrap();
    let _agent = thief.run();
    thief.wait_for_log("does not know this camera");
    assert_eq!(relay.camera(&camera).await["status"], json!("offline"));
}
