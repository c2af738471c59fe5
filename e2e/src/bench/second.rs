//! The second frame after a join, by three players, one after the other: a first one alone may be
//! all that a player gets for a while.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::{
    measure::{WATCH, scene, start, viewer},
    report::{Figure, percentile},
};
use crate::{
    players::{Aiortc, Gstreamer, Seen, Watching},
    stack::Stack,
};

/// Key frames are a second apart: joins come at all ages of one, as their own length is no multiple.
const JOINS: usize = 20;

/// Of each player's joins, in milliseconds.
const P50_MAX: f64 = 80.0;
const P95_MAX: f64 = 120.0;

pub(super) async fn second(directory: &Path) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let stack = start(&directory.join("app"), scene()).await?;
    stack.agent.live_worker_after(None, WATCH).await?;
    let (_browser, viewer) = viewer(directory, &stack).await?;
    let mut joins = Vec::new();
    for _ in 0..JOINS {
        let joined = viewer.watch_by_app(&stack.camera_id).await?;
        ensure!(joined.first_frame_ms.is_some(), "no picture: {joined:?}");
        joins.push(joined.second_frame_ms.context("one frame alone")?);
    }
    figures.extend(of_player("the app", &joins));
    drop(stack);

    if let Some(aiortc) = Aiortc::install()? {
        let stack = start(&directory.join("aiortc"), scene()).await?;
        let how = Watching { quick: true, ..Watching::default() };
        let joins =
            by_process(&stack, || aiortc.watch(&stack.owner, &stack.camera_id, 2, how)).await?;
        figures.extend(of_player("aiortc", &joins));
    }
    if let Some(gstreamer) = Gstreamer::find()? {
        let stack = start(&directory.join("gstreamer"), scene()).await?;
        let joins = by_process(&stack, || gstreamer.join(&stack.owner, &stack.camera_id)).await?;
        figures.extend(of_player("webrtcbin", &joins));
    }
    Ok(figures)
}

/// The second frames of a player that is a process of its own each time.
async fn by_process(stack: &Stack, join: impl Fn() -> Result<Seen>) -> Result<Vec<f64>> {
    stack.agent.live_worker_after(None, WATCH).await?;
    let mut joins = Vec::new();
    for _ in 0..JOINS {
        joins.push(join()?.second_frame_s.context("one frame alone")? * 1_000.0);
    }
    Ok(joins)
}

fn of_player(name: &str, joins: &[f64]) -> [Figure; 3] {
    let what = |which: &str| format!("WHEP POST to second frame, {name}, {which}");
    [
        Figure::new(what("first viewer"), joins[0], "ms"),
        Figure::new(what("p50 of 20"), percentile(joins, 50), "ms").at_most(P50_MAX),
        Figure::new(what("p95 of 20"), percentile(joins, 95), "ms").at_most(P95_MAX),
    ]
}
