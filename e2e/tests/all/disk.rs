//! The camera's disk: full, and with footage gone behind the agent's back.

use std::{fs, io::Write, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{
    agent::{Agent, Settings},
    api::text,
    footage,
    relay::{Place, Ports},
    small_disk::SmallDisk,
    stack::{PASSWORD, Scenario, Stack},
    wait,
};
use serde_json::{Value, json};

/// Health comes every 30 s, and at once when something changes.
const HEALTH_LIMIT: Duration = Duration::from_secs(45);

fn quiet() -> Settings {
    Settings { min_free_percent: 5, ..Settings::brief() }
}

/// Says so where it may not.
fn may_mount() -> Result<bool> {
    let is_root = SmallDisk::may_mount();
    if !is_root {
        writeln!(std::io::stderr(), "SKIPPED: a small disk to fill can be mounted by root only")?;
    }
    Ok(is_root)
}

/// A camera whose data lie on a disk of 64 MB.
async fn with_small_disk(directory: &Path) -> Result<(SmallDisk, Stack)> {
    let disk = SmallDisk::mount(directory.join("disk"), 64)?;
    let agent = Agent::prepare_with_data(directory, &quiet(), disk.path().join("agent"))?;
    let place = Place::loopback(Ports::free()?);
    let stack = Stack::start_with(directory, place, agent, PASSWORD).await?;
    Ok((disk, stack))
}

#[tokio::test]
async fn a_full_disk_stops_recording_is_said_and_recording_resumes() -> Result<()> {
    if !may_mount()? {
        return Ok(());
    }
    Scenario::run("disk_full", |directory| async move {
        let (disk, mut stack) = with_small_disk(&directory).await?;

        let filler = disk.fill(256 * 1024)?;
        // Refused at once or stopped soon after: both are clean.
        stack.owner.command(&stack.camera_id, "record_start", json!({})).await?;
        health(&stack, "health names the full disk", |health| {
            let errors = health["errors"].to_string().to_lowercase();
            errors.contains("disk") || errors.contains("space")
        })
        .await?;
        health(&stack, "recording has stopped", |health| health["recording"] == false).await?;
        stack.agent.check_running()?;
        wait::until_true("the camera is there", HEALTH_LIMIT, async || {
            let camera = stack.owner.get(&format!("cameras/{}", stack.camera_id)).await?;
            let camera = camera.expect(200)?.json();
            // One that cannot record is degraded.
            Ok(camera["status"] == "online" || camera["status"] == "degraded")
        })
        .await?;
        let clips = stack.owner.get("clips").await?.expect(200)?.json();
        ensure!(clips["items"] == json!([]), "clips that were never begun: {clips}");

        fs::remove_file(filler)?;
        health(&stack, "the error is gone", |health| health["errors"] == json!([])).await?;
        let Stack { owner, camera_id, .. } = &stack;
        // A recording that waited for space may have begun again by itself.
        owner.command(camera_id, "record_stop", json!({})).await?;
        let recording = owner.command_done(camera_id, "record_start", json!({})).await?;
        owner.command_done(camera_id, "record_stop", json!({})).await?;
        let clip_id = text(&recording, "clip_id").context("a recording without its clip")?;
        footage::ready(owner, &clip_id).await?;
        footage::examine(owner, &clip_id, &directory).await?;
        // Before the disk goes away under it.
        stack.stop().await;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_agent_starts_on_a_disk_that_was_filled_to_the_last_byte() -> Result<()> {
    if !may_mount()? {
        return Ok(());
    }
    Scenario::run("disk_full_at_start", |directory| async move {
        let (disk, mut stack) = with_small_disk(&directory).await?;

        stack.agent.stop(Duration::from_secs(10)).await?;
        let filler = disk.fill_entirely()?;
        ensure!(disk.free_bytes()? == 0, "the disk is not full");
        stack.agent.start()?;
        health(&stack, "health names the full disk", |health| {
            health["errors"].to_string().contains("disk")
        })
        .await?;

        fs::remove_file(filler)?;
        health(&stack, "the error is gone", |health| health["errors"] == json!([])).await?;
        let Stack { owner, camera_id, .. } = &stack;
        let recording = owner.command_done(camera_id, "record_start", json!({})).await?;
        owner.command_done(camera_id, "record_stop", json!({})).await?;
        let clip_id = text(&recording, "clip_id").context("a recording without its clip")?;
        footage::ready(owner, &clip_id).await?;
        // Before the disk goes away under it.
        stack.stop().await;
        Ok(())
    })
    .await
}

async fn health(stack: &Stack, what: &str, fits: impl Fn(&Value) -> bool) -> Result<()> {
    let path = stack.camera_path("health");
    wait::until_true(what, HEALTH_LIMIT, async || {
        let health = stack.owner.get(&path).await?.expect(200)?.json();
        ensure!(fits(&health), "health says {health}");
        Ok(true)
    })
    .await
}

#[tokio::test]
async fn a_clip_deleted_behind_the_agents_back_is_noticed_and_reported() -> Result<()> {
    Scenario::run("clip_deleted", |directory| async move {
        let settings = Settings { max_clip_s: 15, ..quiet() };
        let mut stack = Stack::start(&directory, &settings).await?;
        let recording = stack.owner.command_done(&stack.camera_id, "record_start", json!({}));
        let clip_id = text(&recording.await?, "clip_id").context("a recording without its clip")?;

        // Without the relay nothing is uploaded; the first clip closes, the next one begins.
        let recordings = stack.agent.data_dir().join("recordings");
        stack.relay.stop(Duration::from_secs(5)).await?;
        wait::until_true("the next clip begins", Duration::from_secs(30), async || {
            Ok(footage::on_disk(&recordings).len() > 1)
        })
        .await?;
        let mut lost = footage::on_disk(&recordings);
        lost.retain(|path| path.to_string_lossy().contains(&clip_id));
        ensure!(!lost.is_empty(), "the clip's file is not below {}", recordings.display());
        for file in lost {
            fs::remove_file(file)?;
        }

        stack.relay.crash_and_restart().await?;
        let path = format!("clips/{clip_id}");
        wait::until_true("the clip is reported lost", Duration::from_mins(1), async || {
            let clip = stack.owner.get(&path).await?.expect(200)?.json();
            ensure!(clip["state"] == "failed", "the clip is {}", clip["state"]);
            Ok(true)
        })
        .await?;
        stack.agent.check_running()?;
        stack.owner.camera_is(&stack.camera_id, "online", HEALTH_LIMIT).await?;
        // What came after it is not held up. After 15 s without a relay the camera may wait for
        // longer than a command waits for it.
        let stopped = wait::until("the recording stops", HEALTH_LIMIT, async || {
            stack.owner.command_done(&stack.camera_id, "record_stop", json!({})).await.map(Some)
        })
        .await?;
        let next = text(&stopped, "clip_id").context("a recording without its clip")?;
        footage::ready(&stack.owner, &next).await?;
        Ok(())
    })
    .await
}
