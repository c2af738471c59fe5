//! Live over bad networks: frames shown in spite of loss, and a viewer on a narrow link beside
//! one on a good one. Real pictures, which fill their bitrate.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{
    measure::{start_with, viewer},
    report::Figure,
};
use crate::{
    agent::{Settings, Source},
    programs,
    shaper::Conditions,
    viewer::{Shown, ViewerStatistics},
    wait,
};

const WATCH: Duration = Duration::from_secs(20);
const LIMIT: Duration = Duration::from_mins(1);

/// Of the street scene.
const FRAMES_PER_SECOND: f64 = 10.0;
const MAIN_WIDTH: u32 = 768;

/// Shown frames and freezes at 5 and 20 % loss, both ways.
pub(super) async fn loss(directory: &Path) -> Result<Vec<Figure>> {
    let stack = start_with(directory, street()?).await?;
    let (_browser, viewer) = viewer(directory, &stack).await?;
    let clean = Conditions { delay: Duration::from_millis(10), ..Conditions::default() };
    let (watched, network) = viewer.watch_through(&stack.camera_id, clean).await?;
    viewer.frames_flow(watched.session, 20, LIMIT).await?;
    let mut figures = Vec::new();
    for (loss_permille, least, freeze) in
        [(0, None, None), (50, Some(99.0), None), (200, Some(95.0), Some(500.0))]
    {
        network.set(Conditions { loss_permille, ..clean });
        let before = viewer.statistics(watched.session).await?;
        let shown = viewer.shown(watched.session, WATCH).await?;
        let after = viewer.statistics(watched.session).await?;
        let name = format!("{} % loss, 20 ms round trip", loss_permille / 10);
        let row =
            |what: &str, value: f64, unit| Figure::new(format!("{name}, {what}"), value, unit);
        let share = row("frames shown", share_shown(&shown), "%");
        figures.push(if let Some(least) = least { share.at_least(least) } else { share });
        let gap = row("longest gap between frames", shown.longest_gap_ms(), "ms");
        figures.push(if let Some(freeze) = freeze { gap.at_most(freeze) } else { gap });
        figures.push(row("a frame's first packet to its last", assembly_ms(&before, &after), "ms"));
    }
    Ok(figures)
}

/// How fast a viewer on a link of 400 kbit/s gets the low layer, and what the others notice.
pub(super) async fn narrow(directory: &Path) -> Result<Vec<Figure>> {
    let stack = start_with(directory, street()?).await?;
    let (_browser, viewer) = viewer(directory, &stack).await?;
    let other = viewer.watch(&stack.camera_id).await?.session;
    viewer.frames_flow(other, 20, LIMIT).await?;
    let wide = Conditions { delay: Duration::from_millis(10), ..Conditions::default() };
    let (watched, network) = viewer.watch_through(&stack.camera_id, wide).await?;
    viewer.frames_flow(watched.session, 20, LIMIT).await?;

    network.set(Conditions { rate_kbps: Some(400), ..wide });
    let begin = Instant::now();
    wait::until_true("the low layer is shown", LIMIT, async || {
        Ok(viewer.picture(watched.session).await?.width < MAIN_WIDTH)
    })
    .await?;
    let changed_s = begin.elapsed().as_secs_f64();
    let shown = viewer.shown(watched.session, WATCH).await?;
    let shown_other = viewer.shown(other, WATCH).await?;
    let full = viewer.picture(other).await?.width == MAIN_WIDTH;
    Ok(vec![
        Figure::new("viewer capped at 400 kbit/s, to the low layer", changed_s, "s").at_most(2.0),
        Figure::new("viewer capped at 400 kbit/s, frames then shown", share_shown(&shown), "%"),
        Figure::new("its neighbour, frames shown", share_shown(&shown_other), "%").at_least(99.0),
        Figure::new("its neighbour, picture in full size", f64::from(u8::from(full)), "(1 = yes)")
            .at_least(1.0),
    ])
}

fn street() -> Result<Settings> {
    Ok(Settings::new(Source::File(programs::street_scene()?)))
}

/// Percent of the frames that the camera made in the meantime.
fn share_shown(shown: &Shown) -> f64 {
    let frames = f64::from(shown.frames.saturating_sub(1));
    if frames == 0.0 {
        return 0.0;
    }
    (frames / (shown.seconds() * FRAMES_PER_SECOND) * 100.0).min(100.0)
}

/// How long it took for all packets of a frame to arrive, retransmissions included, on average.
fn assembly_ms(before: &ViewerStatistics, after: &ViewerStatistics) -> f64 {
    let frames = after.frames_assembled_from_multiple_packets
        - before.frames_assembled_from_multiple_packets;
    let seconds = after.total_assembly_time - before.total_assembly_time;
    seconds * 1_000.0 / f64::from(u32::try_from(frames.max(1)).unwrap_or(u32::MAX))
}
