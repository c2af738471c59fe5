//! Footage on its way: how old it is when it can be played at the relay, and how much of it a camera
//! takes with it that is smashed at the worst moment.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{
    machine::unix_millis,
    measure::start_with,
    report::{Figure, percentile},
};
use crate::{
    agent::{Scene, Settings, Source},
    api::text,
    feed::Feed,
};

/// Segments that are waited for: a minute and a half of footage.
const SEGMENTS: usize = 40;
const SEGMENT_LIMIT: Duration = Duration::from_secs(20);

/// A moment at which the relay told that more of the clip plays.
struct Arrival {
    at_ms: f64,
    /// When the last frame that plays was captured.
    until_ms: f64,
}

pub(super) async fn uploads(directory: &Path) -> Result<Vec<Figure>> {
    let scene = Scene { width: 1280, height: 720, fps: 30, quiet_s: 3_600, walk_s: 4, stamp: true };
    let settings = Settings::new(Source::Synthetic(scene));
    let settings = Settings { pre_roll_s: 2, post_roll_s: 2, ..settings };
    let stack = start_with(directory, settings).await?;
    let mut feed = Feed::open(&stack.owner).await?;
    let begun = stack.owner.command_done(&stack.camera_id, "record_start", json!({})).await?;
    let clip_id = text(&begun, "clip_id").context("a recording without its clip")?;
    let (first, _) = feed
        .next("the recording", SEGMENT_LIMIT, |message| message["clip"]["clip_id"] == clip_id)
        .await?;
    let event_id = text(&first["clip"], "event_id").context("a recording without its event")?;

    let mut arrivals: Vec<Arrival> = Vec::new();
    while arrivals.len() < SEGMENTS {
        let (message, _) = feed
            .next("a further segment", SEGMENT_LIMIT, |message| is_of(message, &event_id))
            .await?;
        let clip = &message["clip"];
        let Some(played_ms) = clip["duration_ms"].as_f64() else { continue };
        let began_at = clip["started_at"].as_f64().context("a clip without a beginning")?;
        let arrival = Arrival { at_ms: unix_millis()?, until_ms: began_at + played_ms };
        // The same news comes with the picture of the clip, too.
        if arrivals.last().is_none_or(|last| arrival.until_ms > last.until_ms) {
            arrivals.push(arrival);
        }
    }
    let lags: Vec<f64> = arrivals.iter().map(|it| (it.at_ms - it.until_ms) / 1_000.0).collect();
    let losses: Vec<f64> =
        arrivals.windows(2).map(|pair| (pair[1].at_ms - pair[0].until_ms) / 1_000.0).collect();
    Ok(vec![
        Figure::new(
            "segment captured to playable at the relay, p50 of 40",
            percentile(&lags, 50),
            "s",
        ),
        Figure::new("segment captured to playable at the relay, p95", percentile(&lags, 95), "s"),
        Figure::new(
            "footage that a smashed camera takes with it, worst",
            percentile(&losses, 100),
            "s",
        )
        .at_most(5.0),
    ])
}

/// A long recording is one event with a clip for each minute.
fn is_of(message: &Value, event_id: &str) -> bool {
    message["type"] == "clip" && message["clip"]["event_id"] == event_id
}
