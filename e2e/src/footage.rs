//! What an independent tool says of a clip.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    api::{Api, text},
    stack::Stack,
    wait,
};

/// A camera closes, announces and uploads a clip within this time.
const READY_LIMIT: Duration = Duration::from_secs(30);
/// What was recorded is at the relay within this time.
const ARRIVAL_LIMIT: Duration = Duration::from_mins(1);

/// ffprobe's findings.
#[derive(Debug)]
pub struct Footage {
    pub codec: String,
    pub width: u64,
    pub height: u64,
    pub frames: usize,
    /// From the first to the last frame.
    pub duration_s: f64,
    /// The longest time between two frames.
    pub longest_gap_s: f64,
}

impl Footage {
    /// Reads every frame's time.
    pub fn probe(file: &Path) -> Result<Self> {
        let output = Command::new("ffprobe")
            .args(["-v", "error", "-select_streams", "v:0", "-of", "json", "-show_entries"])
            .arg("stream=codec_name,width,height:packet=pts_time")
            .arg(file)
            .output()
            .context("cannot start ffprobe")?;
        let complaints = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success() && complaints.is_empty(), "ffprobe: {complaints}");
        let findings: Value = serde_json::from_slice(&output.stdout)?;
        let stream = &findings["streams"][0];
        let packets = findings["packets"].as_array().context("a clip without packets")?;
        let mut times: Vec<f64> =
            packets.iter().filter_map(|packet| packet["pts_time"].as_str()?.parse().ok()).collect();
        times.sort_by(f64::total_cmp);
        let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
        Ok(Self {
            codec: text(stream, "codec_name").context("a clip without a video stream")?,
            width: stream["width"].as_u64().unwrap_or_default(),
            height: stream["height"].as_u64().unwrap_or_default(),
            frames: times.len(),
            duration_s: times.last().zip(times.first()).map_or(0.0, |(last, first)| last - first),
            longest_gap_s: gaps.fold(0.0, f64::max),
        })
    }
}

/// The clips on a camera's disk, open ones included.
pub fn on_disk(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let found = entries.flat_map(|entry| {
        let path = entry.path();
        if path.is_dir() { on_disk(&path) } else { vec![path] }
    });
    found.filter(|path| path.to_string_lossy().contains(".mp4")).collect()
}

/// Begins a recording on a person's command and returns its clip.
pub async fn begin(stack: &Stack) -> Result<String> {
    let begun = stack.owner.command_done(&stack.camera_id, "record_start", json!({})).await?;
    text(&begun, "clip_id").context("a recording without its clip")
}

/// Ends the recording and returns the clip that is complete.
pub async fn end(stack: &Stack, clip_id: &str) -> Result<Value> {
    stack.owner.command_done(&stack.camera_id, "record_stop", json!({})).await?;
    ready(&stack.owner, clip_id).await
}

/// Waits until this much of a clip can be played at the relay.
pub async fn has_arrived(api: &Api, clip_id: &str, milliseconds: u64) -> Result<()> {
    wait::until_true(&format!("{milliseconds} ms of the clip"), ARRIVAL_LIMIT, async || {
        let clip = api.get(&format!("clips/{clip_id}")).await?.expect(200)?.json();
        Ok(clip["duration_ms"].as_u64().is_some_and(|there| there >= milliseconds))
    })
    .await
}

/// Waits until a clip has been uploaded; gives it.
pub async fn ready(api: &Api, clip_id: &str) -> Result<Value> {
    wait::until(&format!("clip {clip_id} is ready"), READY_LIMIT, async || {
        let clip = api.get(&format!("clips/{clip_id}")).await?.expect(200)?.json();
        ensure!(clip["state"] == "ready", "the clip is {}", clip["state"]);
        Ok(Some(clip))
    })
    .await
}

/// The presigned address of one part of a clip.
pub async fn part_url(api: &Api, clip_id: &str, kind: &str) -> Result<String> {
    let playback = api.get(&format!("clips/{clip_id}/playback")).await?.expect(200)?.json();
    let parts = playback["parts"].as_array().context("a playback without parts")?;
    let part = parts.iter().find(|part| part["kind"] == kind);
    let part = part.with_context(|| format!("the clip has no part of kind {kind}: {playback}"))?;
    text(part, "url").context("a part without an address")
}

/// Fetches a presigned address, as a player would: without any credentials.
pub async fn fetch(url: &str) -> Result<(String, Vec<u8>)> {
    let response = reqwest::Client::new().get(url).send().await?.error_for_status()?;
    let content_type = response.headers().get("content-type");
    let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
    Ok((content_type.to_owned(), response.bytes().await?.to_vec()))
}

/// Everything of a clip that can be played now, joined as the app's "Download" does.
pub async fn joined(api: &Api, clip_id: &str) -> Result<Vec<u8>> {
    let playback = api.get(&format!("clips/{clip_id}/playback")).await?.expect(200)?.json();
    let mut content = Vec::new();
    for part in playback["parts"].as_array().context("a playback without parts")? {
        let url = text(part, "url").context("a part without an address")?;
        let (_, bytes) = fetch(&url).await?;
        ensure!(part["length"] == bytes.len(), "a part of another length: {part}");
        let sha256 = hex::encode(Sha256::digest(&bytes));
        ensure!(part["sha256"] == sha256.as_str(), "other bytes than were announced: {part}");
        content.extend(bytes);
    }
    Ok(content)
}

/// Downloads a clip as far as it is there and examines it.
pub async fn examine(api: &Api, clip_id: &str, directory: &Path) -> Result<Footage> {
    let content = joined(api, clip_id).await?;
    let file: PathBuf = directory.join(format!("{clip_id}.mp4"));
    fs::write(&file, content).with_context(|| format!("cannot write {}", file.display()))?;
    Footage::probe(&file)
}
