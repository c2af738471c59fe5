//! The main job: a camera is paired, someone watches it live, something moves, the clip is
//! recorded, uploaded and played.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{
    agent::{Agent, Scene, Settings, Source},
    api::text,
    browser::Browser,
    feed::Feed,
    footage, programs,
    radosgw::Radosgw,
    relay::{Place, Ports},
    stack::{EMAIL, PASSWORD, Scenario, Stack},
    viewer::Viewer,
    wait,
};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_street_is_watched_live_in_a_browser() -> Result<()> {
    Scenario::run("live_street", |directory| async move {
        let settings = Settings::new(Source::File(programs::street_scene()?));
        let stack = Stack::start(&directory, &settings).await?;
        let browser = Browser::start(&directory).await?;
        let viewer = Viewer::sign_in(&browser, &stack.relay.url(), EMAIL, PASSWORD).await?;

        let watched = viewer.watch(&stack.camera_id).await?;
        viewer.frames_flow(watched.session, 20, SOON).await?;

        let first = wait::until("the street is seen", SOON, async || {
            let picture = viewer.picture(watched.session).await?;
            Ok(((picture.width, picture.height) == (768, 576)).then_some(picture))
        })
        .await?;
        ensure!(first.mean() > 40 && first.spread() > 15, "a black or plain picture: {first:?}");
        wait::until_true("people walk", SOON, async || {
            Ok(viewer.picture(watched.session).await?.differences(&first) > 10)
        })
        .await?;
        viewer.page.screenshot("street").await?;

        let location = watched.location.context("a session without a location")?;
        let session = stack.owner.get(&location).await?.expect(200)?.json();
        ensure!(session["state"] == "streaming", "{session}");
        viewer.stop(watched.session).await?;
        wait::until_true("the session is completed", SOON, async || {
            Ok(stack.owner.get(&location).await?.expect(200)?.json()["state"] == "completed")
        })
        .await
    })
    .await
}

/// A scene whose walker comes late enough for everything to be listening.
fn walker() -> Settings {
    let scene = Scene { quiet_s: 12, walk_s: 4, ..Scene::default() };
    Settings { pre_roll_s: 2, post_roll_s: 2, ..Settings::new(Source::Synthetic(scene)) }
}

fn is_motion(message: &Value, state: &str) -> bool {
    message["type"] == "event"
        && message["event"]["kind"] == "motion"
        && message["event"]["state"] == state
}

#[tokio::test]
async fn a_walker_is_told_of_at_once_and_the_clip_plays_to_its_end() -> Result<()> {
    Scenario::run("walker", |directory| async move {
        a_walker_is_filmed(&directory, Place::loopback(Ports::free()?)).await
    })
    .await
}

/// The same with a store that others wrote, prepared as an operator does it.
#[tokio::test]
#[ignore = "needs radosgw: make test-suites"]
async fn a_walkers_clip_is_kept_by_radosgw_and_plays_to_its_end() -> Result<()> {
    Scenario::run("walker_radosgw", |directory| async move {
        let radosgw = Radosgw::start(&directory)?;
        let mut place = Place::loopback(Ports::free()?);
        place.store = Some(radosgw.section());
        let said = radosgw.prepare(&directory, &place.web_url())?;
        ensure!(said.contains("bucket nightjar: made"), "{said}");
        a_walker_is_filmed(&directory, place).await
    })
    .await
}

async fn a_walker_is_filmed(directory: &Path, place: Place) -> Result<()> {
    let begin = Instant::now();
    let agent = Agent::prepare(directory, &walker())?;
    let stack = Stack::start_with(directory, place, agent, PASSWORD).await?;
    let mut feed = Feed::open(&stack.owner).await?;
    let minute = Duration::from_mins(1);

    let (started, told_at) =
        feed.next("motion starts", minute, |message| is_motion(message, "started")).await?;
    ensure!(
        told_at - begin >= Duration::from_secs(12),
        "motion was reported in a quiet scene: {started}"
    );
    let event_id = text(&started["event"], "event_id").context("an event without an id")?;
    let (ended, _) =
        feed.next("motion ends", minute, |message| is_motion(message, "ended")).await?;
    ensure!(ended["event"]["event_id"] == *event_id, "another event ended: {ended}");
    let of_event = |message: &Value| {
        message["type"] == "clip"
            && message["clip"]["event_id"] == *event_id
            && message["clip"]["state"] == "ready"
    };
    let (ready, _) = feed.next("the clip is ready", minute, of_event).await?;
    let clip_id = text(&ready["clip"], "clip_id").context("a clip without an id")?;

    let event = stack.owner.get(&format!("events/{event_id}")).await?.expect(200)?.json();
    ensure!(event["clip_id"] == *clip_id, "the event does not name its clip: {event}");

    let facts = footage::examine(&stack.owner, &clip_id, directory).await?;
    ensure!(facts.codec == "h264" && (facts.width, facts.height) == (640, 360), "{facts:?}");
    // The walk, the pre-roll and the post-roll.
    ensure!((6.0..14.0).contains(&facts.duration_s), "{facts:?}");
    ensure!(facts.longest_gap_s < 1.5, "frames are missing: {facts:?}");

    let thumbnail = text(&event, "thumbnail_url").context("an event without a picture")?;
    let (content_type, thumbnail) = footage::fetch(&thumbnail).await?;
    ensure!(content_type == "image/jpeg" && thumbnail.starts_with(&[0xff, 0xd8]), "no JPEG");
    ensure!(thumbnail.len() <= 15_000, "{} bytes are too many for a list", thumbnail.len());
    let still = text(&event, "still_url").context("an event without a still")?;
    let (content_type, still) = footage::fetch(&still).await?;
    ensure!(content_type == "image/jpeg" && still.len() > thumbnail.len(), "no larger JPEG");

    let browser = Browser::start(directory).await?;
    let viewer = Viewer::sign_in(&browser, &stack.relay.url(), EMAIL, PASSWORD).await?;
    let played = viewer.play(&clip_id, minute).await?;
    ensure!(played.outcome == "ended", "{played:?}");
    ensure!(played.frames > 60 && played.width == 640, "{played:?}");
    Ok(())
}

#[tokio::test]
async fn commands_are_carried_out_and_acknowledged() -> Result<()> {
    Scenario::run("commands", |directory| async move {
        let stack = Stack::start(&directory, &Settings::still()).await?;
        let Stack { owner, camera_id, .. } = &stack;

        let started = owner.command_done(camera_id, "record_start", json!({})).await?;
        let again = owner.command(camera_id, "record_start", json!({})).await?;
        let reason = again["reason"].as_str().unwrap_or_default();
        ensure!(again["state"] == "rejected" && reason.starts_with("already_recording"), "{again}");
        let stopped = owner.command_done(camera_id, "record_stop", json!({})).await?;
        ensure!(started["clip_id"] == stopped["clip_id"], "{started} is not {stopped}");
        let clip_id = text(&started, "clip_id").context("a recording without its clip")?;
        let clip = footage::ready(owner, &clip_id).await?;
        ensure!(clip["kind"] == "clip", "{clip}");
        footage::examine(owner, &clip_id, &directory).await?;

        let snapshot = owner.command_done(camera_id, "snapshot", json!({})).await?;
        let clip_id = text(&snapshot, "clip_id").context("a snapshot without its clip")?;
        let clip = footage::ready(owner, &clip_id).await?;
        ensure!(clip["kind"] == "snapshot", "{clip}");
        let url = footage::part_url(owner, &clip_id, "snapshot").await?;
        let (content_type, picture) = footage::fetch(&url).await?;
        ensure!(content_type == "image/jpeg" && picture.starts_with(&[0xff, 0xd8]), "no JPEG");

        for (kind, armed) in [("disarm", false), ("arm", true)] {
            owner.command_done(camera_id, kind, json!({})).await?;
            wait::until_true("the camera says so", SOON, async || {
                let camera = owner.get(&format!("cameras/{camera_id}")).await?.expect(200)?;
                Ok(camera.json()["armed"] == armed)
            })
            .await?;
        }

        let settings = json!({ "protocol": 1, "motion_sensitivity": 0.7, "bitrate_kbps": 900 });
        owner.command_done(camera_id, "configure", settings).await?;

        let path = stack.camera_path("commands");
        let unknown = owner.post(&path, json!({ "kind": "self_destruct" })).await?.expect(422)?;
        ensure!(unknown.code() == "unknown_kind", "{unknown:?}");
        let out_of_range = json!({ "kind": "configure", "arguments": { "bitrate_kbps": 1 } });
        let out_of_range = owner.post(&path, out_of_range).await?.expect(422)?;
        ensure!(out_of_range.code() == "invalid_arguments", "{out_of_range:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn privacy_mode_shows_nothing_and_ends_what_is_shown() -> Result<()> {
    Scenario::run("privacy", |directory| async move {
        let settings = Settings::new(Source::Synthetic(Scene::default()));
        let stack = Stack::start(&directory, &settings).await?;
        let Stack { owner, camera_id, .. } = &stack;
        let browser = Browser::start(&directory).await?;
        let viewer = Viewer::sign_in(&browser, &stack.relay.url(), EMAIL, PASSWORD).await?;
        let watched = viewer.watch(camera_id).await?;
        let location = watched.location.context("a session without a location")?;

        owner.command_done(camera_id, "privacy_on", json!({})).await?;
        wait::until_true("the running session ends", SOON, async || {
            let session = owner.get(&location).await?.expect(200)?.json();
            Ok(matches!(session["state"].as_str(), Some("completed" | "failed")))
        })
        .await?;
        let refused = viewer.try_watch(camera_id).await?;
        ensure!(refused.status == 409, "{refused:?}");
        ensure!(refused.problem.contains("privacy_mode"), "{refused:?}");

        owner.command_done(camera_id, "privacy_off", json!({})).await?;
        let watched = viewer.watch(camera_id).await?;
        viewer.frames_flow(watched.session, 5, SOON).await
    })
    .await
}

#[tokio::test]
async fn a_camera_pairs_by_a_typed_code() -> Result<()> {
    use nightjar_e2e::{
        agent::Agent,
        relay::{Place, Ports, Relay},
    };
    Scenario::run("pair_by_code", |directory| async move {
        let relay = Relay::start(&directory, Place::loopback(Ports::free()?)).await?;
        let (owner, site_id) = relay.api()?.register(EMAIL, PASSWORD).await?;
        let settings = Settings::new(Source::Synthetic(Scene::default()));
        let mut agent = Agent::prepare(&directory, &settings)?;
        let opened = owner.post(&format!("sites/{site_id}/pairings"), json!({})).await?;
        let pairing = opened.expect(201)?.json();
        let code = text(&pairing, "code").context("a pairing without a code")?;

        // As people type it.
        agent.pair_with_code(&relay.url(), &code.to_lowercase())?;

        agent.start()?;
        let cameras = owner.list("cameras").await?;
        let camera_id = text(&cameras[0], "camera_id").context("no camera after pairing")?;
        owner.camera_is(&camera_id, "online", Duration::from_secs(20)).await?;
        Ok(())
    })
    .await
}
