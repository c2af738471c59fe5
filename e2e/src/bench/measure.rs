//! The measurements. Each starts a relay and a camera of its own: a drawn scene, 1280 x 720 at
//! 30 frames a second.

use std::{collections::HashSet, fs, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{
    machine::{processor_time, resident_mb, unix_millis},
    report::{Figure, percentile},
};
use crate::{
    agent::{Agent, Scene, Settings, Source},
    browser::Browser,
    feed::Feed,
    relay::{Place, Ports},
    stack::{EMAIL, PASSWORD, Stack},
    turn::Coturn,
    viewer::Viewer,
};

pub(super) const JOINS: usize = 20;
pub(super) const WATCH: Duration = Duration::from_secs(15);
const EVENTS: usize = 20;
/// Longer than a scene's turn and all that follows a motion's end.
const EVENT_LIMIT: Duration = Duration::from_secs(30);
const LOAD: Duration = Duration::from_secs(15);
const VIEWERS: [u32; 5] = [0, 1, 2, 4, 8];

/// What the cameras of the bench look at.
pub fn scene() -> Scene {
    Scene { width: 1280, height: 720, fps: 30, quiet_s: 3_600, walk_s: 4, stamp: true }
}

/// A relay and a camera that sees `scene`.
pub async fn start(directory: &Path, scene: Scene) -> Result<Stack> {
    let settings = Settings::new(Source::Synthetic(scene));
    start_with(directory, Settings { pre_roll_s: 2, post_roll_s: 2, ..settings }).await
}

pub(super) async fn start_with(directory: &Path, settings: Settings) -> Result<Stack> {
    fs::create_dir_all(directory).context("cannot make the bench's directory")?;
    Stack::start(directory, &settings).await
}

pub(super) async fn viewer(directory: &Path, stack: &Stack) -> Result<(Browser, Viewer)> {
    let browser = Browser::start(directory).await?;
    let viewer = Viewer::sign_in(&browser, &stack.relay.url(), EMAIL, PASSWORD).await?;
    Ok((browser, viewer))
}

/// WHEP POST to the first frame, and how old frames are when the browser shows them.
pub(super) async fn live(directory: &Path) -> Result<Vec<Figure>> {
    let stack = start(directory, scene()).await?;
    let (_browser, viewer) = viewer(directory, &stack).await?;
    stack.agent.live_worker_after(None, WATCH).await?;
    let (mut joins, mut answers) = (Vec::new(), Vec::new());
    for _ in 0..JOINS {
        let watched = viewer.try_watch(&stack.camera_id).await?;
        ensure!(watched.status == 201, "no live session: {watched:?}");
        answers.push(watched.answered_ms);
        joins.push(watched.first_frame_ms.context("a live session without a frame")?);
        viewer.stop(watched.session).await?;
    }
    let session = viewer.watch(&stack.camera_id).await?.session;
    viewer.frames_flow(session, 60, WATCH).await?;
    let ages = viewer.latencies(session, WATCH).await?;
    ensure!(ages.len() > 100, "too few stamps could be read: {}", ages.len());
    Ok(vec![
        Figure::new("WHEP POST to first frame, first viewer", joins[0], "ms"),
        Figure::new("WHEP POST to first frame, p50 of 20", percentile(&joins, 50), "ms")
            .at_most(60.0),
        Figure::new("WHEP POST to first frame, p95 of 20", percentile(&joins, 95), "ms")
            .at_most(150.0),
        Figure::new("WHEP POST to answer, first viewer", answers[0], "ms"),
        Figure::new("WHEP POST to answer, p50 of 20", percentile(&answers, 50), "ms"),
        Figure::new("glass to glass, p50", percentile(&ages, 50), "ms"),
        Figure::new("glass to glass, p95", percentile(&ages, 95), "ms").at_most(80.0),
    ])
}

/// The app's player to its first frame, through coturn alone.
pub(super) async fn turn(directory: &Path) -> Result<Vec<Figure>> {
    fs::create_dir_all(directory).context("cannot make the bench's directory")?;
    let coturn = Coturn::start_on_loopback(directory)?;
    let coturn = coturn.context("coturn is missing: build/install-packages test")?;
    let place = Place { turn: coturn.section(), ..Place::loopback(Ports::free()?) };
    let agent = Agent::prepare(directory, &Settings::new(Source::Synthetic(scene())))?;
    let stack = Stack::start_with(directory, place, agent, PASSWORD).await?;
    let (_browser, viewer) = viewer(directory, &stack).await?;
    stack.agent.live_worker_after(None, WATCH).await?;
    let mut joins = Vec::new();
    for _ in 0..JOINS {
        let relayed = viewer.watch_relayed(&stack.camera_id).await?;
        ensure!(relayed.route == "relayed", "not through coturn: {relayed:?}");
        joins.push(relayed.first_frame_ms.context("a live session without a frame")?);
    }
    Ok(vec![
        Figure::new(
            "through coturn, start to first frame, p50 of 20",
            percentile(&joins, 50),
            "ms",
        ),
        Figure::new(
            "through coturn, start to first frame, p95 of 20",
            percentile(&joins, 95),
            "ms",
        )
        .at_most(500.0),
    ])
}

/// Motion to a WebSocket client, and the end of the post-roll to a clip that plays.
pub(super) async fn motion(directory: &Path) -> Result<Vec<Figure>> {
    // Without the stamp: its flicker is motion too.
    let walker = Scene { quiet_s: 8, walk_s: 3, stamp: false, ..scene() };
    let stack = start(directory, walker).await?;
    let mut feed = Feed::open(&stack.owner).await?;
    let (mut told, mut playable) = (Vec::new(), Vec::new());
    let mut heard_of = HashSet::new();
    while told.len() < EVENTS || playable.len() < EVENTS {
        let (message, _) = feed.next("an event or its clip", EVENT_LIMIT, is_news).await?;
        let now = unix_millis()?;
        let age = |at: &Value| at.as_f64().map(|at| now - at).context("news without a time");
        if message["type"] == "event" {
            // The same news comes again with the picture.
            if !heard_of.insert(message["event"]["event_id"].to_string()) {
                continue;
            }
            told.push(age(&message["event"]["started_at"])?);
        } else {
            playable.push(age(&message["clip"]["ended_at"])? / 1_000.0);
        }
    }
    Ok(vec![
        Figure::new("motion started to WebSocket client, p50", percentile(&told, 50), "ms"),
        Figure::new("motion started to WebSocket client, p95", percentile(&told, 95), "ms")
            .at_most(100.0),
        Figure::new("end of post-roll to clip playable, p50", percentile(&playable, 50), "s"),
        Figure::new("end of post-roll to clip playable, p95", percentile(&playable, 95), "s")
            .at_most(2.0),
    ])
}

/// The news of a motion's start, or of its clip being ready.
fn is_news(message: &Value) -> bool {
    let started = message["type"] == "event" && message["event"]["state"] == "started";
    started || (message["type"] == "clip" && message["clip"]["state"] == "ready")
}

/// Processor time and memory with 0 to 8 viewers.
pub(super) async fn load(directory: &Path) -> Result<Vec<Figure>> {
    let stack = start(directory, scene()).await?;
    let pids = [stack.agent.pid()?, stack.agent.live_worker_after(None, LOAD).await?];
    // At rest: nothing but the camera is connected.
    tokio::time::sleep(LOAD).await;
    let relay_mb = resident_mb(stack.relay.pid())?;

    let (_browser, viewer) = viewer(directory, &stack).await?;
    let (mut figures, mut sessions, mut used) = (Vec::new(), Vec::new(), Vec::new());
    for viewers in VIEWERS {
        while sessions.len() < usize::try_from(viewers)? {
            sessions.push(viewer.watch(&stack.camera_id).await?.session);
        }
        let shown = frames(&viewer, &sessions).await?;
        let (cores, seconds) = cores_used(&pids).await?;
        let fps = frames(&viewer, &sessions).await?.saturating_sub(shown);
        let fps = f64::from(u32::try_from(fps)?) / seconds;
        let at_rest = used.first().map_or(cores, |(_, cores, _)| *cores);
        used.push((viewers, cores, fps));
        let goal = match viewers {
            4 => Some(at_rest * 1.4),
            8 => Some(at_rest * 1.7),
            _ => None,
        };
        let what = format!("agent and live worker, {viewers} viewers");
        let figure = Figure::new(what, cores, "cores");
        figures.push(if let Some(goal) = goal { figure.at_most(goal) } else { figure });
    }
    // All must still be watching, or the figures mean nothing.
    for session in &sessions {
        viewer.frames_flow(*session, 30, WATCH).await?;
    }
    let memory = pids.iter().map(|pid| resident_mb(*pid)).sum::<Result<f64>>()?;
    if let [(_, at_rest, _), .., (viewers, most, fps)] = used.as_slice() {
        let more_ms = (most - at_rest) * 1_000.0;
        let each = more_ms / f64::from(*viewers);
        figures.push(Figure::new("each of 8 viewers, per second", each, "core-ms"));
        // Says something on a busy machine, too, where frames are left out.
        let each = more_ms * 1_000.0 / fps;
        figures.push(Figure::new("each frame that one of 8 viewers got", each, "core-µs"));
        let fps = fps / f64::from(*viewers);
        figures.push(Figure::new("frames that each of 8 viewers got", fps, "/s"));
    }
    figures.extend([
        Figure::new("agent and live worker, RSS with 8 viewers", memory, "MB").at_most(140.0),
        Figure::new("relay, RSS idle", relay_mb, "MB").at_most(60.0),
    ]);
    Ok(figures)
}

/// How many frames all these sessions have shown so far.
async fn frames(viewer: &Viewer, sessions: &[u32]) -> Result<u64> {
    let mut frames = 0;
    for session in sessions {
        frames += viewer.frames_decoded(*session).await?;
    }
    Ok(frames)
}

/// The processor time of some processes over a while, in cores, and how long it was.
pub async fn cores_used(pids: &[u32]) -> Result<(f64, f64)> {
    let used = || pids.iter().map(|pid| processor_time(*pid)).sum::<Result<Duration>>();
    let (before, begin) = (used()?, std::time::Instant::now());
    tokio::time::sleep(LOAD).await;
    let (after, seconds) = (used()?, begin.elapsed().as_secs_f64());
    Ok((after.saturating_sub(before).as_secs_f64() / seconds, seconds))
}
