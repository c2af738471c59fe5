//! An HLS player that others wrote: ffmpeg, which plays a clip's playlist as Safari does where there
//! is no Media Source. It is signed in by the app's cookie and fetches the parts from where the
//! playlist says.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use tokio::{process::Command, time::timeout};

use crate::{api::Api, footage};

/// A player that has not come to the end by then never will.
const PATIENCE: Duration = Duration::from_mins(2);

/// Plays a clip from its first frame until its playlist ends, which is not before the clip is
/// complete. Gives a checksum of each picture that was decoded.
pub async fn play(owner: &Api, cookie: &str, clip_id: &str) -> Result<Vec<String>> {
    let playlist = format!("{}/api/v1/clips/{clip_id}/playback.m3u8", owner.base());
    let headers = format!("Cookie: {cookie}\r\n");
    let input = ["-live_start_index", "0", "-headers", &headers, "-i", &playlist];
    decode(&input).await.with_context(|| format!("playing {playlist}"))
}

/// Decodes every picture of a clip as a download has it, which is written below `directory`.
pub async fn pictures_of(owner: &Api, clip_id: &str, directory: &Path) -> Result<Vec<String>> {
    let file = directory.join(format!("{clip_id}.mp4"));
    fs::write(&file, footage::joined(owner, clip_id).await?).context("cannot write a clip")?;
    let file = file.to_str().context("a file whose name is no text")?;
    decode(&["-i", file]).await.with_context(|| format!("decoding {file}"))
}

async fn decode(input: &[&str]) -> Result<Vec<String>> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-xerror", "-nostdin"])
        .args(input)
        .args(["-map", "0:v", "-fps_mode", "passthrough", "-f", "framecrc", "-"])
        .kill_on_drop(true)
        .output();
    let output = timeout(PATIENCE, output).await.context("ffmpeg comes to no end")?;
    let output = output.context("cannot start ffmpeg")?;
    let complaints = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && complaints.is_empty(), "ffmpeg: {complaints}");
    let lines = String::from_utf8(output.stdout).context("ffmpeg's list is no text")?;
    let pictures = lines.lines().filter(|line| !line.starts_with('#'));
    Ok(pictures.filter_map(|line| Some(line.rsplit(',').next()?.trim().to_owned())).collect())
}
