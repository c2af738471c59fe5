//! An existing IP camera beside an agent: watched and recorded as it encodes, hidden where masks hide,
//! and told of when it is gone.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{
    agent::{Settings, Source},
    browser::Browser,
    footage,
    ip_camera::IpCamera,
    players::skipped,
    stack::{EMAIL, PASSWORD, Scenario, Stack},
    viewer::Viewer,
    wait,
};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(20);

/// Our own encoder makes baseline; this one does not.
const CAMERA: &str = "/main=videotestsrc is-live=true pattern=white ! \
    video/x-raw,format=I420,width=640,height=360,framerate=15/1 ! \
    x264enc tune=zerolatency speed-preset=superfast threads=1 key-int-max=15 ! \
    video/x-h264,profile=high ! rtph264pay name=pay0 pt=96";

#[tokio::test]
async fn an_ip_camera_is_watched_and_recorded_as_it_encodes_and_hidden_by_masks() -> Result<()> {
    Scenario::run("ip_camera", |directory| async move {
        let Some(mut camera) = IpCamera::start(&directory, &[CAMERA.to_owned()]).await? else {
            skipped("there is no gst-rtsp-server: build/install-packages test");
            return Ok(());
        };
        let source = Source::IpCamera { url: camera.url("/main"), small_url: None };
        let settings = Settings { pre_roll_s: 1, post_roll_s: 1, ..Settings::new(source) };
        let stack = Stack::start(&directory, &settings).await?;
        stack.owner.camera_sees(&stack.camera_id, SOON).await?;
        capture_is(&stack, "passthrough", |capture| {
            capture["encoder"] == "passthrough" && capture["transcoded"].is_null()
        })
        .await?;

        let browser = Browser::start(&directory).await?;
        let viewer = Viewer::sign_in(&browser, &stack.relay.url(), EMAIL, PASSWORD).await?;
        let watched = viewer.watch(&stack.camera_id).await?;
        viewer.frames_flow(watched.session, 20, SOON).await?;
        let picture = viewer.picture(watched.session).await?;
        ensure!((picture.width, picture.height) == (640, 360), "{picture:?}");
        ensure!(picture.mean() > 200, "a white picture: {picture:?}");

        let clip = footage::begin(&stack).await?;
        footage::has_arrived(&stack.owner, &clip, 2_000).await?;
        footage::end(&stack, &clip).await?;
        let facts = footage::examine(&stack.owner, &clip, &directory).await?;
        ensure!(facts.codec == "h264" && (facts.width, facts.height) == (640, 360), "{facts:?}");
        ensure!(facts.longest_gap_s < 0.5, "{facts:?}");
        let bytes = footage::joined(&stack.owner, &clip).await?;
        let entry = bytes.windows(4).position(|kind| kind == b"avcC").context("no H.264")?;
        ensure!(bytes[entry + 5] == 100, "profile {} is not the camera's", bytes[entry + 5]);

        // All of the picture is hidden: the viewer, who goes on watching, sees nothing of it.
        let corners = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)];
        let masks = json!({ "privacy_masks": [{ "name": "all", "points": corners }] });
        stack.owner.command_done(&stack.camera_id, "configure", masks).await?;
        wait::until_true("the viewer sees black", SOON, async || {
            Ok(viewer.picture(watched.session).await?.mean() < 40)
        })
        .await?;
        capture_is(&stack, "masks", |capture| capture["transcoded"] == "masks").await?;

        camera.end();
        capture_is(&stack, "that the camera is gone", |capture| {
            let problem = capture["problem"].as_str().unwrap_or_default();
            problem.contains("127.0.0.1") && capture["running"] == false
        })
        .await?;
        stack.owner.camera_is(&stack.camera_id, "degraded", SOON).await?;
        let mounts = [CAMERA.to_owned()];
        let _camera = camera.again(&directory, &mounts).await?;
        stack.owner.camera_sees(&stack.camera_id, SOON).await
    })
    .await
}

async fn capture_is(stack: &Stack, what: &str, holds: impl Fn(&Value) -> bool) -> Result<()> {
    wait::until_true(&format!("health says {what}"), SOON, async || {
        let health = stack.owner.get(&stack.camera_path("health")).await?.expect(200)?.json();
        ensure!(holds(&health["capture"]), "health says {}", health["capture"]);
        Ok(true)
    })
    .await
}
