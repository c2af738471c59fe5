//! One camera that fills the relay's disk, and everybody else who wants to end something.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use nightjar_shared::{ids::ClipId, topic::Channel};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::target::{Target, account, sign_in};
use crate::{
    api::Api,
    bench::Figure,
    fake_camera::{FakeCamera, large_event},
    small_disk::SmallDisk,
};

const DISK_MB: u32 = 64;
const PART_BYTES: usize = 1_000_000;
/// More than the disk has, so that an end of it is reached or refused.
const CLIPS_MAX: usize = 100;
const FLOOD: Duration = Duration::from_secs(15);
/// In which everything that ends something must be done.
const END_GOAL_MS: f64 = 2_000.0;

pub(super) async fn all(directory: &Path) -> Result<Vec<Figure>> {
    if !SmallDisk::may_mount() {
        super::say("SKIPPED: a small disk to fill can be mounted by root only");
        return Ok(Vec::new());
    }
    let disk = SmallDisk::mount(directory.join("relay"), DISK_MB)?;
    let target = Target::start(directory).await?;
    let (bob, bobs_site) = account(&target.relay, "bob").await?;
    let bobs_camera = FakeCamera::pair(&bob, &bobs_site).await?;
    let bobs_clip = ClipId::generate();
    let body = json!({ "clip_id": bobs_clip, "started_at": 1_000 });
    bobs_camera.api.post("agent/clips", body).await?.expect(200)?;

    let camera = target.hostile_camera().await?;
    let uploaded = upload_all(&camera.api).await?;
    let events = report_all(&camera).await?;
    let left_mb = f64::from(u32::try_from(disk.free_bytes()?)?) / 1e6;
    // What else writes to the disk takes the rest, to the last byte.
    disk.fill_entirely()?;

    let mut figures = vec![
        Figure::count("full disk: clips of 1 MB that one camera stored", uploaded),
        Figure::count("full disk: events that it stored", events),
        Figure::new("full disk: what it left of 64 MB", left_mb, "MB"),
    ];
    let ends = [
        ("others delete a clip", ms(delete(&bob, &format!("clips/{bobs_clip}"))).await),
        ("others unpair", ms(delete(&bob, &format!("cameras/{}", bobs_camera.id))).await),
        ("others sign out", ms(sign_out(&bob)).await),
    ];
    figures.extend(ends.map(|(what, ms)| {
        Figure::new(format!("full disk: {what}"), ms, "ms").at_most(END_GOAL_MS)
    }));
    // It adds to the disk, so nothing is promised; that the refusal is quick is.
    let signed_in = ms(async { sign_in(&target.relay, "bob").await.map(|_| ()) }).await;
    figures.push(Figure::new("full disk: others sign in", signed_in, "ms"));
    Ok(figures)
}

/// Uploads clips until the relay or the store refuses; gives how many were taken.
async fn upload_all(camera: &Api) -> Result<usize> {
    for taken in 0..CLIPS_MAX {
        if !upload(camera, taken).await? {
            return Ok(taken);
        }
    }
    Ok(CLIPS_MAX)
}

/// Returns whether the clip was taken.
async fn upload(camera: &Api, number: usize) -> Result<bool> {
    let clip = ClipId::generate();
    let body = json!({ "clip_id": clip, "started_at": number + 1 });
    if !camera.post("agent/clips", body).await?.status.is_success() {
        return Ok(false);
    }
    let content = vec![u8::try_from(number).unwrap_or_default(); PART_BYTES];
    let part = json!([{
        "index": 0, "kind": "file", "length": content.len(),
        "sha256": hex::encode(Sha256::digest(&content)), "content_type": "video/mp4",
    }]);
    let permitted = camera.post(&format!("agent/clips/{clip}/parts"), part).await?;
    if !permitted.status.is_success() {
        return Ok(false);
    }
    Ok(camera.put(&permitted.json()[0], content).await?.status.is_success())
}

/// Reports events until the time is up; a refusal ends nothing. Gives how many were taken.
async fn report_all(camera: &FakeCamera) -> Result<usize> {
    let (until, mut taken) = (Instant::now() + FLOOD, 0);
    while Instant::now() < until {
        let mut connected = camera.connect().await?;
        // What finds no room is not acknowledged, and ends the connection.
        while Instant::now() < until {
            let at = i64::try_from(taken).context("a time")? + 1;
            if connected.say(Channel::UpEvent, &large_event(at)).await.is_err() {
                break;
            }
            taken += 1;
        }
    }
    Ok(taken)
}

/// Returns how long something took; infinite when it failed.
async fn ms(what: impl Future<Output = Result<()>>) -> f64 {
    let began = Instant::now();
    match what.await {
        Ok(()) => began.elapsed().as_secs_f64() * 1_000.0,
        Err(error) => {
            super::say(&format!("  failed: {error:#}"));
            f64::INFINITY
        }
    }
}

async fn delete(api: &Api, path: &str) -> Result<()> {
    api.delete(path).await?.expect(204).map(|_| ())
}

async fn sign_out(api: &Api) -> Result<()> {
    api.post("auth/logout", json!({})).await?.expect(204).map(|_| ())
}
