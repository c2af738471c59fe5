//! What it costs to use an IP camera's own H.264 as it is, against encoding the same pictures.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result};

use super::{machine::resident_mb, measure::cores_used, report::Figure};
use crate::{
    agent::{Agent, Settings, Source},
    ip_camera::IpCamera,
    programs, wait,
};

/// Until the agent is at rest: its pipeline runs, and the recorder keeps its pre-roll.
const REST: Duration = Duration::from_secs(8);
const START_LIMIT: Duration = Duration::from_secs(30);

/// Of the cost of encoding, what passing the same frames on may cost.
const SHARE_MAX: f64 = 0.10;

/// Hides a corner, so that the camera's own frames may not leave.
const MASK: &str =
    "[[source.masks]]\npoints = [[0.0, 0.0], [0.05, 0.0], [0.05, 0.05], [0.0, 0.05]]\n";

pub(super) async fn passthrough(directory: &Path) -> Result<Vec<Figure>> {
    fs::create_dir_all(directory).context("cannot make the bench's directory")?;
    let mounts = [mount("/large", (1_280, 720), 2_000)?, mount("/small", (640, 360), 500)?];
    let camera = IpCamera::start(directory, &mounts).await?;
    let camera = camera.context("gst-rtsp-server is missing: build/install-packages test")?;
    let (large, small) = (camera.url("/large"), camera.url("/small"));

    let alone = cost(&directory.join("alone"), &large, None, "").await?;
    let encoded = cost(&directory.join("encoded"), &large, None, MASK).await?;
    let both = cost(&directory.join("both"), &large, Some(&small), "").await?;
    let looked_at = cost(&directory.join("looked-at"), &small, None, "").await?;
    // The same is decoded and looked at in each pair: what differs is what is done with the frames.
    let encoding = encoded.cores - alone.cores;
    let passing = both.cores - looked_at.cores;
    let cores = |what: &str, cores: f64| Figure::new(what, cores, "cores");
    Ok(vec![
        cores("agent, IP camera 1280x720, with a small stream", both.cores),
        cores("agent, the same, the large one decoded", alone.cores),
        cores("agent, the same, decoded and encoded again", encoded.cores),
        cores("of these, encoding", encoding),
        cores("passing the camera's own frames on", passing),
        Figure::new("passing on, of the cost of encoding", passing / encoding * 100.0, "%")
            .at_most(SHARE_MAX * 100.0),
        Figure::new("agent, RSS, with a small stream", both.resident_mb, "MB"),
    ])
}

/// A street, thirty pictures a second, as a camera would encode it.
fn mount(path: &str, (width, height): (u32, u32), kbps: u32) -> Result<String> {
    let street = programs::street_scene()?;
    Ok(format!(
        "{path}=filesrc location={} ! decodebin ! videorate ! videoscale ! \
         video/x-raw,format=I420,width={width},height={height},framerate=30/1,\
         pixel-aspect-ratio=1/1 ! identity sync=true ! \
         x264enc tune=zerolatency speed-preset=superfast threads=1 bitrate={kbps} key-int-max=30 ! \
         video/x-h264,profile=high ! rtph264pay name=pay0 pt=96",
        street.display()
    ))
}

struct Cost {
    cores: f64,
    resident_mb: f64,
}

async fn cost(directory: &Path, url: &str, small_url: Option<&str>, mask: &str) -> Result<Cost> {
    fs::create_dir_all(directory).context("cannot make the bench's directory")?;
    let source = Source::IpCamera { url: url.to_owned(), small_url: small_url.map(str::to_owned) };
    let mut agent = Agent::prepare(directory, &Settings::new(source))?;
    let config = directory.join("agent.toml");
    let text = fs::read_to_string(&config)?;
    // Nothing is recorded: writing costs the same, whoever encoded.
    let text = text.replace("[recording]\n", &format!("{mask}[recording]\nmode = \"off\"\n"));
    fs::write(&config, text)?;
    agent.start()?;
    wait::until_true("the camera sees", START_LIMIT, async || {
        Ok(agent.log_text().contains("the camera sees"))
    })
    .await?;
    tokio::time::sleep(REST).await;
    let pid = agent.pid()?;
    let (cores, _) = cores_used(&[pid]).await?;
    let resident_mb = resident_mb(pid)?;
    agent.stop(START_LIMIT).await?;
    Ok(Cost { cores, resident_mb })
}
