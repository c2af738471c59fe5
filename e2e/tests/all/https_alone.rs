//! A camera in a network that lets nothing out but TCP to port 443 does all its work.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{
    agent::{Agent, Scene, Settings, Source},
    api::text,
    bench::https,
    browser::Browser,
    network::{Firewall, Networks, RELAY, within},
    stack::{EMAIL, PASSWORD, Scenario, Stack},
    viewer::Viewer,
    wait,
};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(20);
const A_WALK: Duration = Duration::from_mins(1);

#[tokio::test]
async fn where_nothing_but_https_gets_out_a_camera_is_paired_commanded_watched_and_its_clips_arrive()
-> Result<()> {
    Scenario::run("https_alone", |directory| async move {
        let Some(networks) = Networks::make(Firewall::HttpsAlone)? else { return Ok(()) };
        networks.name_relay(https::store())?;
        let homes = [networks.camera(), networks.viewer()];
        networks.on_the_internet(move || async move { works_whole(&directory, homes).await })
    })
    .await
}

async fn works_whole(directory: &Path, [camera, viewer]: [String; 2]) -> Result<()> {
    let scene = Scene { quiet_s: 10, walk_s: 4, ..Scene::default() };
    let settings =
        Settings { pre_roll_s: 1, post_roll_s: 1, ..Settings::new(Source::Synthetic(scene)) };
    let mut agent = Agent::prepare(directory, &settings)?;
    agent.live_in(&camera);
    // Paired and online when this returns.
    let stack = Stack::start_with(directory, https::place(), agent, PASSWORD).await?;

    a_command_is_done(&stack).await?;
    a_browser_sees_it(directory, &viewer, &stack).await?;
    a_clip_of_motion_arrives(&stack).await?;
    it_says_how_it_gets_through(&stack).await
}

async fn a_command_is_done(stack: &Stack) -> Result<()> {
    let command = json!({ "kind": "snapshot" });
    let issued =
        stack.owner.post(&stack.camera_path("commands"), command).await?.expect(202)?.json();
    let id = text(&issued, "command_id").context("a command without an id")?;
    wait::until_true("the command is done", SOON, async || {
        let now = stack.owner.get(&format!("commands/{id}")).await?.expect(200)?.json();
        ensure!(!["rejected", "failed", "expired"].iter().any(|end| now["state"] == *end), "{now}");
        Ok(now["state"] == "acked")
    })
    .await
}

async fn a_browser_sees_it(directory: &Path, viewer: &str, stack: &Stack) -> Result<()> {
    let names = format!("--host-resolver-rules=MAP {} {RELAY}", https::store());
    let arguments = ["--ignore-certificate-errors", &names];
    let browser = within(viewer, Browser::start_with(directory, &arguments)).await?;
    let viewer = Viewer::sign_in(&browser, &stack.relay.url(), EMAIL, PASSWORD).await?;
    let watched = viewer.watch_by_app(&stack.camera_id).await?;
    // Its firewall lets no UDP out, so this came by TURN over TCP.
    ensure!(watched.first_frame_ms.is_some(), "{watched:?}");
    Ok(())
}

/// What a person reads at the camera, and in the app.
async fn it_says_how_it_gets_through(stack: &Stack) -> Result<()> {
    let found = stack.agent.doctor()?;
    let has = |findings: &Value, code: &str| {
        findings.as_array().is_some_and(|all| all.iter().any(|it| it["code"] == *code))
    };
    for code in ["relay", "mqtt_within_https", "store", "turn", "trusted"] {
        ensure!(has(&found["checks"], code), "{code} is missing: {found:#}");
    }
    let door = stack.camera_path("health");
    wait::until_true("the app knows it, too", A_WALK, async || {
        let health = stack.owner.get(&door).await?.expect(200)?.json();
        Ok(has(&health["findings"], "mqtt_within_https"))
    })
    .await
}

async fn a_clip_of_motion_arrives(stack: &Stack) -> Result<()> {
    wait::until_true("a clip of motion is at the store", A_WALK, async || {
        let clips = stack.owner.get("clips").await?.expect(200)?.json();
        let is_whole = |clip: &Value| {
            clip["kind"] == "clip" && clip["state"] == "ready" && clip["truncated"] == false
        };
        Ok(clips["items"].as_array().is_some_and(|clips| clips.iter().any(is_whole)))
    })
    .await
}
