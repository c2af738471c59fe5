//! Clips on devices without Media Source: the playlist of presigned addresses, played by ffmpeg.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{
    agent::{Scene, Settings, Source},
    api::text,
    footage, hls,
    stack::{EMAIL, PASSWORD, Scenario, Stack},
    wait,
};
use serde_json::json;

const MINUTE: Duration = Duration::from_mins(1);

fn quiet() -> Settings {
    let scene = Scene { quiet_s: 3_600, ..Scene::default() };
    Settings { pre_roll_s: 1, post_roll_s: 1, ..Settings::new(Source::Synthetic(scene)) }
}

async fn begin_recording(stack: &Stack) -> Result<String> {
    let begun = stack.owner.command_done(&stack.camera_id, "record_start", json!({})).await?;
    text(&begun, "clip_id").context("a recording without its clip")
}

async fn has_arrived(stack: &Stack, clip_id: &str, milliseconds: u64) -> Result<()> {
    wait::until_true(&format!("{milliseconds} ms of the clip"), MINUTE, async || {
        let clip = stack.owner.get(&format!("clips/{clip_id}")).await?.expect(200)?.json();
        Ok(clip["duration_ms"].as_u64().is_some_and(|there| there >= milliseconds))
    })
    .await
}

/// Each picture of a clip, as a download has them.
async fn all_pictures(stack: &Stack, clip_id: &str, directory: &Path) -> Result<Vec<String>> {
    let file = directory.join(format!("{clip_id}.mp4"));
    fs::write(&file, footage::joined(&stack.owner, clip_id).await?).context("cannot write")?;
    hls::pictures_of(&file).await
}

#[tokio::test]
async fn an_hls_player_plays_every_picture_of_a_clip_while_it_grows_and_afterwards() -> Result<()> {
    Scenario::run("hls", |directory| async move {
        let stack = Stack::start(&directory, &quiet()).await?;
        let cookie = stack.owner.session_cookie(EMAIL, PASSWORD).await?;
        let clip_id = begin_recording(&stack).await?;
        has_arrived(&stack, &clip_id, 4_000).await?;

        let growing = hls::play(&stack.owner, &cookie, &clip_id);
        let ending = async {
            has_arrived(&stack, &clip_id, 12_000).await?;
            stack.owner.command_done(&stack.camera_id, "record_stop", json!({})).await?;
            footage::ready(&stack.owner, &clip_id).await
        };
        let (growing, ready) = tokio::join!(growing, ending);
        let (growing, ready) = (growing?, ready?);
        let all = all_pictures(&stack, &clip_id, &directory).await?;
        let frames = footage::examine(&stack.owner, &clip_id, &directory).await?.frames;
        ensure!(all.len() == frames && frames > 100, "{} of {frames} decoded", all.len());
        ensure!(growing == all, "{} of {} pictures while it grew", growing.len(), all.len());

        let afterwards = hls::play(&stack.owner, &cookie, &clip_id).await?;
        ensure!(afterwards == all, "{} of {} pictures: {ready}", afterwards.len(), all.len());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_hls_player_plays_every_picture_of_a_clip_that_was_cut_off() -> Result<()> {
    Scenario::run("hls_cut_off", |directory| async move {
        let mut stack = Stack::start(&directory, &quiet()).await?;
        let cookie = stack.owner.session_cookie(EMAIL, PASSWORD).await?;
        let clip_id = begin_recording(&stack).await?;
        has_arrived(&stack, &clip_id, 6_000).await?;
        stack.agent.kill();
        let closed = wait::until("the relay closes the clip", MINUTE * 3, async || {
            let clip = stack.owner.get(&format!("clips/{clip_id}")).await?.expect(200)?.json();
            Ok((clip["state"] == "ready").then_some(clip))
        })
        .await?;
        ensure!(closed["truncated"] == true, "{closed}");
        let all = all_pictures(&stack, &clip_id, &directory).await?;
        let played = hls::play(&stack.owner, &cookie, &clip_id).await?;
        ensure!(played == all && all.len() > 80, "{} of {} pictures", played.len(), all.len());
        Ok(())
    })
    .await
}
