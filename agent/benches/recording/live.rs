//! Recording beside a running encoder: 1280 x 720 at 30 frames a second.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use anyhow::{Context, Result};
use nightjar_agent::{
    clock::{Clock, monotonic_now},
    config::{RecordingConfig, RecordingMode, SourceConfig, SourceKind},
    encode::Media,
    record::{self, Recorder, recordings_dir},
    store::{INDEX_FILE, Store},
};
use nightjar_core::monotonic::MonotonicNanos;
use tokio::{sync::broadcast, time::sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::table::Figure;

const EVENTS: usize = 20;
const PREROLL_S: u32 = 10;
const WHILE: Duration = Duration::from_secs(20);
/// Longer than the encoder needs between two groups of pictures.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) async fn measure() -> Result<Vec<Figure>> {
    let directory = tempfile::tempdir()?;
    let (tracker, cancel) = (TaskTracker::new(), CancellationToken::new());
    let source = SourceConfig {
        kind: SourceKind::Synthetic,
        fps: 30,
        bitrate_kbps: 4_000,
        ..SourceConfig::default()
    };
    let media = Media::start(&source, None, &tracker, cancel.clone())?;
    let (motion, changes) = broadcast::channel(1);
    let store = Store::open(&directory.path().join(INDEX_FILE))?;
    let config =
        RecordingConfig { pre_roll_s: PREROLL_S, max_clip_s: 3_600, ..RecordingConfig::default() };
    let path = directory.path();
    let input = record::Input {
        frames: media.frames(),
        stills: media.stills(),
        motion: changes,
        tampering: broadcast::channel(1).1,
    };
    let recorder =
        record::start(input, store, &config, path, Clock::default(), &tracker, cancel.clone())
            .await?;
    sleep(Duration::from_secs(u64::from(PREROLL_S) + 2)).await;

    let mut figures = first_bytes(&recorder).await?;
    figures.push(processor_time(&recorder).await?);
    recorder.configure(RecordingConfig { mode: RecordingMode::Continuous, ..config });
    figures.push(wear(path).await?);
    cancel.cancel();
    tracker.close();
    tracker.wait().await;
    drop(motion);
    Ok(figures)
}

/// From the request to record until the initialisation segment, and until the pre-roll, is safe.
async fn first_bytes(recorder: &Recorder) -> Result<Vec<Figure>> {
    let (mut first, mut preroll) = (Vec::new(), Vec::new());
    for _ in 0..EVENTS {
        let asked = monotonic_now();
        recorder.start_manual().await?;
        let mut seen = BTreeSet::new();
        while seen.len() < 2 && monotonic_now().since(asked) < PATIENCE {
            let written = recorder.last_written_at();
            if written > asked {
                seen.insert(written);
            }
            sleep(Duration::from_micros(200)).await;
        }
        recorder.stop_manual().await?;
        let milliseconds = |at: &MonotonicNanos| at.since(asked).as_secs_f64() * 1e3;
        first.push(seen.first().map(milliseconds).context("nothing was written")?);
        preroll.push(seen.last().map(milliseconds).context("nothing was written")?);
    }
    let worst = |samples: &[f64]| samples.iter().copied().fold(0.0, f64::max);
    Ok(vec![
        Figure::new("event to first bytes durable, worst of 20", worst(&first), "ms").at_most(50.0),
        Figure::new("event to 10 s of pre-roll durable, worst of 20", worst(&preroll), "ms"),
    ])
}

/// The share of recording in the processor time of the encoder's threads.
async fn processor_time(recorder: &Recorder) -> Result<Figure> {
    let idle = threads_over(WHILE).await?;
    recorder.start_manual().await?;
    let recording = threads_over(WHILE).await?;
    recorder.stop_manual().await?;
    // Runtime threads read frames in both; what they do more is recording.
    let more = (recording.runtime - idle.runtime).max(0.0);
    let share = more / recording.others * 100.0;
    Ok(Figure::new("recording, of the encoder's processor time", share, "%").at_most(5.0))
}

/// Processor time in clock ticks.
struct Ticks {
    runtime: f64,
    others: f64,
}

async fn threads_over(time: Duration) -> Result<Ticks> {
    let before = threads()?;
    sleep(time).await;
    let after = threads()?;
    Ok(Ticks { runtime: after.runtime - before.runtime, others: after.others - before.others })
}

fn threads() -> Result<Ticks> {
    let mut ticks = Ticks { runtime: 0.0, others: 0.0 };
    for thread in fs::read_dir("/proc/self/task")? {
        let stat = fs::read_to_string(thread?.path().join("stat")).unwrap_or_default();
        let Some((name, fields)) = stat.rsplit_once(") ") else { continue };
        let used: u32 =
            fields.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u32>().ok()).sum();
        let sum = if name.contains("tokio") { &mut ticks.runtime } else { &mut ticks.others };
        *sum += f64::from(used);
    }
    Ok(ticks)
}

/// Bytes that continuous footage sends to the disk, for each byte of media.
async fn wear(directory: &Path) -> Result<Figure> {
    let recordings = recordings_dir(directory);
    sleep(Duration::from_secs(2)).await;
    let (media, written) = (media_bytes(&recordings)?, written_bytes()?);
    sleep(Duration::from_secs(61)).await;
    let (media, written) = (media_bytes(&recordings)? - media, written_bytes()? - written);
    Ok(Figure::new("bytes written for each byte of continuous footage", written / media, "x")
        .at_most(1.1))
}

fn media_bytes(recordings: &Path) -> Result<f64> {
    let mut bytes = 0;
    for entry in fs::read_dir(recordings)? {
        bytes += entry?.metadata().map_or(0, |metadata| metadata.len());
    }
    Ok(bytes as f64)
}

/// Sent to the storage layer by this process.
fn written_bytes() -> Result<f64> {
    let text = fs::read_to_string("/proc/self/io")?;
    let line = text.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    let bytes: u64 = line.context("this kernel counts no bytes")?.parse()?;
    Ok(bytes as f64)
}
