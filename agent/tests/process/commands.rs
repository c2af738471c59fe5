//! Commands on their whole way: API, relay, broker, camera, and back.

use std::{fs, os::unix::net::UnixDatagram};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{
    pairing::pair_with_file,
    relay::{Relay, until},
    support::{Home, RunningAgent},
};

/// A paired camera that is online.
async fn online(relay: &Relay) -> (Home, RunningAgent, String) {
    let home = Home::synthetic();
    let camera = pair_with_file(&home, &relay.open_pairing().await);
    let agent = home.run();
    relay.until_online(&camera).await;
    (home, agent, camera)
}

#[tokio::test]
async fn a_restart_is_acknowledged_after_it_and_keeps_the_process() {
    let Some(relay) = Relay::start().await else { return };
    let home = Home::synthetic();
    let camera = pair_with_file(&home, &relay.open_pairing().await);
    let socket = UnixDatagram::bind(home.path("notify")).unwrap();
    let mut agent = home.run_with(&[("NOTIFY_SOCKET", home.path("notify").as_os_str())]);
    relay.until_online(&camera).await;
    relay.carried_out(&camera, json!({"kind": "restart", "expires_in_ms": 60_000})).await;
    assert_eq!(home.log().matches("starting name").count(), 2, "{}", home.log());
    // systemd would kill the new run, which is the same process to it.
    let told = supervisor_was_told(&socket);
    assert!(told.contains("READY=1") && !told.contains("STOPPING=1"), "{told}");
    agent.signal(Signal::TERM);
    assert_eq!(agent.wait(), Some(0));
}

/// What a supervisor has been told up to now.
fn supervisor_was_told(socket: &UnixDatagram) -> String {
    socket.set_nonblocking(true).unwrap();
    let mut told = String::new();
    let mut message = [0; 256];
    while let Ok(length) = socket.recv(&mut message) {
        told.push_str(std::str::from_utf8(&message[..length]).unwrap());
        told.push('\n');
    }
    told
}

#[tokio::test]
async fn what_an_owner_switches_outlives_a_restart() {
    let Some(relay) = Relay::start().await else { return };
    let (home, mut agent, camera) = online(&relay).await;
    relay.carried_out(&camera, json!({"kind": "privacy_on"})).await;
    relay.carried_out(&camera, json!({"kind": "disarm"})).await;
    relay.until_camera(&camera, "privacy", json!(true)).await;
    agent.signal(Signal::TERM);
    assert_eq!(agent.wait(), Some(0));

    let _agent = home.run();
    relay.until_online(&camera).await;
    relay.until_camera(&camera, "privacy", json!(true)).await;
    relay.until_camera(&camera, "armed", json!(false)).await;
    relay.carried_out(&camera, json!({"kind": "privacy_off"})).await;
    relay.until_camera(&camera, "privacy", json!(false)).await;
}

#[tokio::test]
async fn privacy_outlives_a_damaged_index() {
    let Some(relay) = Relay::start().await else { return };
    let (home, mut agent, camera) = online(&relay).await;
    relay.carried_out(&camera, json!({"kind": "privacy_on"})).await;
    agent.signal(Signal::TERM);
    assert_eq!(agent.wait(), Some(0));
    let index = home.data_dir().join("agent.db");
    fs::write(&index, vec![0xa5; 100_000]).unwrap();

    let _agent = home.run();
    home.wait_for_log("privacy=true");
    assert!(index.with_extension("db.damaged").exists(), "{}", home.log());
    relay.until_online(&camera).await;
    relay.carried_out(&camera, json!({"kind": "privacy_off"})).await;
}

#[tokio::test]
async fn a_command_that_expired_while_the_camera_was_away_never_runs() {
    let Some(relay) = Relay::start().await else { return };
    let (home, mut agent, camera) = online(&relay).await;
    agent.signal(Signal::TERM);
    assert_eq!(agent.wait(), Some(0));
    let late = relay.command(&camera, json!({"kind": "privacy_on", "expires_in_ms": 1_000})).await;
    assert_eq!(relay.command_end(&late).await["state"], "expired");

    let _agent = home.run();
    relay.until_online(&camera).await;
    relay.carried_out(&camera, json!({"kind": "arm"})).await;
    assert!(!home.log().contains("privacy_on"), "{}", home.log());
}

#[tokio::test]
async fn a_command_sent_while_the_camera_is_away_runs_when_it_is_back() {
    let Some(relay) = Relay::start().await else { return };
    let (home, mut agent, camera) = online(&relay).await;
    agent.signal(Signal::TERM);
    assert_eq!(agent.wait(), Some(0));
    let waiting = relay.command(&camera, json!({"kind": "disarm", "expires_in_ms": 60_000})).await;
    let _agent = home.run();
    assert_eq!(relay.command_end(&waiting).await["state"], "acked");
}

#[tokio::test]
async fn a_relay_that_restarts_finds_its_camera_again() {
    let Some(mut relay) = Relay::start().await else { return };
    let (home, _agent, camera) = online(&relay).await;
    relay.crash_and_restart().await;
    relay.carried_out(&camera, json!({"kind": "disarm", "expires_in_ms": 60_000})).await;
    relay.until_online(&camera).await;
    assert_eq!(home.log().matches("connected to the relay").count(), 2, "{}", home.log());
}

#[tokio::test]
async fn snapshots_and_recordings_become_clips_at_the_relay() {
    let Some(relay) = Relay::start().await else { return };
    let (home, _agent, camera) = online(&relay).await;
    home.wait_for_log("the camera sees");
    let snapshot = relay.carried_out(&camera, json!({"kind": "snapshot"})).await;
    relay.until_clip(snapshot["result"]["clip_id"].as_str().unwrap(), "ready").await;

    let begun = relay.carried_out(&camera, json!({"kind": "record_start"})).await;
    let twice = relay.command(&camera, json!({"kind": "record_start"})).await;
    let twice = relay.command_end(&twice).await;
    assert_eq!(twice["state"], "rejected");
    assert!(twice["reason"].as_str().unwrap().starts_with("already_recording"), "{twice}");
    let ended = relay.carried_out(&camera, json!({"kind": "record_stop"})).await;
    assert_eq!(ended["result"]["clip_id"], begun["result"]["clip_id"]);
    relay.until_clip(begun["result"]["clip_id"].as_str().unwrap(), "ready").await;
}

#[tokio::test]
async fn what_happened_without_the_relay_is_told_once_it_is_there() {
    let Some(relay) = Relay::start().await else { return };
    let home = Home::synthetic();
    let _agent = home.run();
    home.wait_for_log("a clip is complete");
    let camera = pair_with_file(&home, &relay.open_pairing().await);
    relay.until_event(&camera, "ended").await;
}

/// What the camera says that it goes by, once `key` has that value.
async fn until_configured(relay: &Relay, camera: &str, key: &str, value: Value) {
    until(&format!("{key} = {value} in the configuration"), async || {
        (relay.configuration(camera).await[key] == value).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_configuration_is_taken_told_and_kept_until_the_camera_is_reset() {
    let Some(relay) = Relay::start().await else { return };
    let (home, mut agent, camera) = online(&relay).await;
    until_configured(&relay, &camera, "motion_zones", json!([])).await;
    let half = json!([[0.0, 0.0], [0.5, 0.0], [0.5, 1.0], [0.0, 1.0]]);
    let zones = json!([{"name": "drive", "kind": "include", "points": half}]);
    let night = json!({"day": "monday", "from_minute": 0, "until_minute": 360});
    let schedule = json!({"time_zone": "Europe/Zurich", "armed": [night]});
    let settings = json!({"motion_sensitivity": 0.75, "motion_zones": zones, "schedule": schedule});
    relay.carried_out(&camera, json!({"kind": "configure", "arguments": settings})).await;
    until_configured(&relay, &camera, "motion_zones", zones.clone()).await;
    until_configured(&relay, &camera, "schedule", schedule.clone()).await;

    agent.signal(Signal::TERM);
    assert_eq!(agent.wait(), Some(0));
    let mut agent = home.run();
    relay.until_online(&camera).await;
    relay.carried_out(&camera, json!({"kind": "configure", "arguments": {"pre_roll_s": 3}})).await;
    until_configured(&relay, &camera, "pre_roll_s", json!(3)).await;
    until_configured(&relay, &camera, "motion_zones", zones).await;

    // The camera lost its settings, and the relay does not believe that it still goes by them.
    agent.signal(Signal::TERM);
    assert_eq!(agent.wait(), Some(0));
    for file in ["agent.db", "agent.db-wal", "agent.db-shm", "owner.json"] {
        drop(fs::remove_file(home.data_dir().join(file)));
    }
    let _agent = home.run();
    until_configured(&relay, &camera, "motion_zones", json!([])).await;
}

#[tokio::test]
async fn a_time_zone_that_the_camera_does_not_know_is_refused_by_name() {
    let Some(relay) = Relay::start().await else { return };
    let (_home, _agent, camera) = online(&relay).await;
    let schedule = json!({"time_zone": "Europe/Atlantis", "armed": []});
    let settings = json!({"motion_sensitivity": 0.1, "schedule": schedule});
    let id = relay.command(&camera, json!({"kind": "configure", "arguments": settings})).await;
    let ended = relay.command_end(&id).await;
    assert_eq!(ended["state"], "rejected");
    let reason = ended["reason"].as_str().unwrap();
    assert!(reason.contains("schedule.time_zone = Europe/Atlantis"), "{reason}");
    until_configured(&relay, &camera, "motion_sensitivity", json!(0.5)).await;
}

/// The settings that the camera tells, once they are so.
async fn told(relay: &Relay, camera: &str, is_told: impl Fn(&Value) -> bool) -> Value {
    until("the camera to tell its settings", async || {
        let configuration = relay.configuration(camera).await;
        is_told(&configuration).then_some(configuration)
    })
    .await
}

#[tokio::test]
async fn a_picture_that_is_turned_takes_its_masks_with_it_over_a_restart_too() {
    let Some(relay) = Relay::start().await else { return };
    let (home, mut agent, camera) = online(&relay).await;
    let corner = json!([{"name": "", "points": [[0.0, 0.0], [0.25, 0.0], [0.25, 0.5]]}]);
    let configure = |arguments: Value| json!({"kind": "configure", "arguments": arguments});
    relay.carried_out(&camera, configure(json!({"privacy_masks": corner}))).await;
    relay.carried_out(&camera, configure(json!({"image": {"rotation": 180}}))).await;
    let is_turned = |told: &Value| told["privacy_masks"][0]["points"][1] == json!([0.75, 1.0]);
    let settings = told(&relay, &camera, is_turned).await;
    assert_eq!(settings["image"]["rotation"], 180);
    // A mask that comes with a turn is of the picture as it was before.
    let both = json!({"image": {"mirror": true}, "privacy_masks": corner});
    relay.carried_out(&camera, configure(both)).await;
    let is_turned = |told: &Value| told["privacy_masks"][0]["points"][1] == json!([0.25, 1.0]);
    told(&relay, &camera, is_turned).await;
    agent.signal(Signal::TERM);
    assert_eq!(agent.wait(), Some(0));
    let _agent = home.run();
    relay.until_online(&camera).await;
    told(&relay, &camera, is_turned).await;
}

#[tokio::test]
async fn a_picture_that_the_camera_cannot_make_is_refused_by_name() {
    let Some(relay) = Relay::start().await else { return };
    let (home, _agent, camera) = online(&relay).await;
    home.wait_for_log("the camera sees");
    told(&relay, &camera, |told| told["image_controls"] == json!([])).await;
    let gain = json!({"kind": "configure", "arguments": {"image": {"gain": 64.0}}});
    let ended = relay.command_end(&relay.command(&camera, gain).await).await;
    assert_eq!(ended["state"], "rejected", "{ended}");
    let reason = ended["reason"].as_str().unwrap();
    assert!(reason.contains("image.gain: this camera has no such control"), "{reason}");
    assert_eq!(relay.configuration(&camera).await["image"]["gain"], Value::Null);
}
