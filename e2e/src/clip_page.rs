//! The app's page of a clip, for members and for whoever has a link, as a person uses it.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{browser::Page, wait};

pub const VIDEO: &str = "[data-testid=\"clip-video\"]";

const SOON: Duration = Duration::from_secs(20);
const MINUTE: Duration = Duration::from_mins(1);

/// A property of the video, or what an expression on it gives.
pub async fn of_video<T: DeserializeOwned>(page: &Page, what: &str) -> Result<T> {
    page.evaluate(&format!("document.querySelector('{VIDEO}').{what}")).await
}

pub async fn play(page: &Page) -> Result<()> {
    of_video::<bool>(page, "muted = true").await?;
    of_video::<Value>(page, "play().then(() => null)").await.map(drop)
}

/// Waits until the page shows a clip of this length.
pub async fn is_long(page: &Page, seconds: f64) -> Result<()> {
    wait::until_true("the page knows how long it is", SOON, async || {
        let duration: Option<f64> = of_video(page, "duration").await?;
        Ok(duration.is_some_and(|duration| (duration - seconds).abs() < 0.5))
    })
    .await
}

/// Goes to a moment of the clip and waits for its picture.
pub async fn seek(page: &Page, to_s: f64) -> Result<()> {
    of_video::<f64>(page, &format!("currentTime = {to_s}")).await?;
    wait::until_true("the moment is there", SOON, async || {
        let at: f64 = of_video(page, "currentTime").await?;
        Ok((at - to_s).abs() < 0.5
            && !of_video::<bool>(page, "seeking").await?
            && of_video::<u8>(page, "readyState").await? >= 2)
    })
    .await
}

/// Downloads the clip into a directory of its own; gives the file.
pub async fn download(page: &Page, directory: &Path) -> Result<PathBuf> {
    fs::create_dir_all(directory)?;
    page.save_into(directory).await?;
    page.tap("[data-testid=\"clip-download\"]").await?;
    wait::until("the download is complete", MINUTE, async || {
        let entries = fs::read_dir(directory)?.flatten().map(|entry| entry.path());
        Ok(entries.into_iter().find(|path| path.extension().is_some_and(|it| it == "mp4")))
    })
    .await
}
