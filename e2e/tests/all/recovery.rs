//! Parts die; the rest goes on, and they come back.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{
    agent::Settings,
    api::text,
    browser::Browser,
    feed::Feed,
    footage, process,
    stack::{EMAIL, PASSWORD, Scenario, Stack},
    viewer::Viewer,
    wait,
};
use serde_json::json;

const SOON: Duration = Duration::from_secs(10);
const ONLINE_LIMIT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_killed_live_worker_comes_back_and_the_recording_never_notices() -> Result<()> {
    Scenario::run("worker_killed", |directory| async move {
        let stack = Stack::start(&directory, &Settings::brief()).await?;
        let Stack { agent, owner, camera_id, .. } = &stack;
        let browser = Browser::start(&directory).await?;
        let viewer = Viewer::sign_in(&browser, &stack.relay.url(), EMAIL, PASSWORD).await?;
        let recording = owner.command_done(camera_id, "record_start", json!({})).await?;
        let watched = viewer.watch(camera_id).await?;
        let location = watched.location.context("a session without a location")?;

        let worker = agent.live_worker_after(None, SOON).await?;
        process::kill(worker)?;
        agent.live_worker_after(Some(worker), SOON).await?;

        wait::until_true("the session of the killed worker ends", SOON, async || {
            let session = owner.get(&location).await?.expect(200)?.json();
            Ok(matches!(session["state"].as_str(), Some("completed" | "failed")))
        })
        .await?;
        let watched = viewer.watch(camera_id).await?;
        viewer.frames_flow(watched.session, 15, SOON).await?;

        owner.command_done(camera_id, "record_stop", json!({})).await?;
        let clip_id = text(&recording, "clip_id").context("a recording without its clip")?;
        footage::ready(owner, &clip_id).await?;
        let facts = footage::examine(owner, &clip_id, &directory).await?;
        ensure!(facts.longest_gap_s < 1.5, "the recording has a hole: {facts:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_killed_agent_is_offline_within_30_s_and_comes_back() -> Result<()> {
    Scenario::run("agent_killed", |directory| async move {
        let mut stack = Stack::start(&directory, &Settings::brief()).await?;
        let mut feed = Feed::open(&stack.owner).await?;
        let recording = stack.owner.command_done(&stack.camera_id, "record_start", json!({}));
        let recording = recording.await?;
        let worker = stack.agent.live_worker_after(None, SOON).await?;
        let recordings = stack.agent.data_dir().join("recordings");
        let mut sizes = BTreeSet::new();
        wait::until_true("some fragments are on the disk", SOON, async || {
            for clip in footage::on_disk(&recordings) {
                sizes.insert(clip.metadata()?.len());
            }
            Ok(sizes.len() > 4)
        })
        .await?;

        stack.agent.kill();

        let id = stack.camera_id.clone();
        let offline = |message: &serde_json::Value| {
            message["type"] == "camera"
                && message["camera"]["camera_id"] == *id
                && message["camera"]["status"] == "offline"
        };
        feed.next("the camera is told to be offline", Duration::from_secs(30), offline).await?;
        stack.owner.camera_is(&stack.camera_id, "offline", SOON).await?;
        ensure!(!process::is_running(worker), "the live worker outlived its agent");
        let path = stack.camera_path("whep");
        let refused = stack.owner.post_text(&path, "application/sdp", OFFER.to_owned()).await?;
        ensure!(refused.expect(409)?.code() == "camera_offline", "live view of a dead camera");

        stack.agent.start()?;
        stack.owner.camera_is(&stack.camera_id, "online", ONLINE_LIMIT).await?;
        // What it was recording when it died is not lost.
        let clip_id = text(&recording, "clip_id").context("a recording without its clip")?;
        footage::ready(&stack.owner, &clip_id).await?;
        footage::examine(&stack.owner, &clip_id, &directory).await?;
        let browser = Browser::start(&directory).await?;
        let viewer = Viewer::sign_in(&browser, &stack.relay.url(), EMAIL, PASSWORD).await?;
        let watched = viewer.watch(&stack.camera_id).await?;
        viewer.frames_flow(watched.session, 15, SOON).await
    })
    .await
}

/// Enough of an offer to reach the question whether the camera is there.
const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
    a=group:BUNDLE 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\n\
    a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\n\
    a=fingerprint:sha-256 \
    00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n\
    a=setup:actpass\r\na=mid:0\r\na=recvonly\r\na=rtcp-mux\r\na=rtpmap:96 H264/90000\r\n\
    a=fmtp:96 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n";

#[tokio::test]
async fn a_restarted_relay_is_found_again_by_all() -> Result<()> {
    Scenario::run("relay_restarted", |directory| async move {
        let mut stack = Stack::start(&directory, &Settings::brief()).await?;
        let recording = stack.owner.command_done(&stack.camera_id, "record_start", json!({}));
        let recording = recording.await?;
        let browser = Browser::start(&directory).await?;
        let viewer = Viewer::sign_in(&browser, &stack.relay.url(), EMAIL, PASSWORD).await?;
        let watched = viewer.watch(&stack.camera_id).await?;

        stack.relay.crash_and_restart().await?;

        // Media goes from peer to peer: the picture does not need the relay.
        viewer.frames_flow(watched.session, 15, SOON).await?;
        let Stack { owner, camera_id, .. } = &stack;
        owner.camera_is(camera_id, "online", ONLINE_LIMIT).await?;
        Feed::open(owner).await?;
        owner.command_done(camera_id, "record_stop", json!({})).await?;
        let clip_id = text(&recording, "clip_id").context("a recording without its clip")?;
        footage::ready(owner, &clip_id).await?;
        footage::examine(owner, &clip_id, &directory).await?;
        let watched = viewer.watch(camera_id).await?;
        viewer.frames_flow(watched.session, 15, SOON).await
    })
    .await
}

#[tokio::test]
async fn a_vanished_viewer_gives_its_place_back() -> Result<()> {
    Scenario::run("viewer_vanished", |directory| async move {
        let stack = Stack::start(&directory, &Settings::brief()).await?;
        let mut browser = Browser::start(&directory).await?;
        let viewer = Viewer::sign_in(&browser, &stack.relay.url(), EMAIL, PASSWORD).await?;
        let watched = viewer.watch(&stack.camera_id).await?;
        let location = watched.location.context("a session without a location")?;

        browser.kill();

        wait::until_true("the session ends", Duration::from_secs(15), async || {
            let session = stack.owner.get(&location).await?.expect(200)?.json();
            Ok(matches!(session["state"].as_str(), Some("completed" | "failed")))
        })
        .await
    })
    .await
}
