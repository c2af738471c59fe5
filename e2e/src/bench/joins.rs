//! A thousand viewers that come, see a frame and go: what they leave behind in the live worker.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, ensure};

use super::{
    machine::{holdings, resident_mb},
    measure::{WATCH, scene, start, viewer},
    report::Figure,
};
use crate::{
    stack::Stack,
    viewer::{Viewer, Watched},
    wait,
};

const JOINS: u32 = 1_000;
/// What the first ones leave are pools that are used again.
const SETTLING: u32 = 100;
/// Memory is looked at after so many joins each time.
const SAMPLE: u32 = 20;
/// The relay lets an account begin a session a second, once it has used up what is let through at
/// once: nobody waits longer for the next one.
const TURN: Duration = Duration::from_secs(30);
const REFILL: Duration = Duration::from_millis(500);
const TOO_MANY_REQUESTS: u16 = 429;
/// The last connection is closed within this time.
const CLOSING: Duration = Duration::from_secs(6);

/// Takes about a quarter of an hour, most of which is waiting for the relay's limit.
pub(super) async fn churn(directory: &Path) -> Result<Vec<Figure>> {
    let stack = start(directory, scene()).await?;
    let worker = stack.agent.live_worker_after(None, WATCH).await?;
    let (_browser, viewer) = viewer(directory, &stack).await?;
    let (mut failures, mut samples, mut settled) = (0.0, Vec::new(), holdings(worker)?);
    for join in 0..JOINS {
        if join == SETTLING {
            tokio::time::sleep(CLOSING).await;
            settled = holdings(worker)?;
        }
        if join >= SETTLING && join % SAMPLE == 0 {
            samples.push((f64::from(join), resident_mb(worker)? * 1_024.0));
        }
        let watched =
            join_in_turn(&stack, &viewer).await.with_context(|| format!("join {join}"))?;
        if watched.status != 201 || watched.first_frame_ms.is_none() {
            failures += 1.0;
        }
        if watched.status == 201 {
            viewer.stop(watched.session).await?;
        }
    }
    tokio::time::sleep(CLOSING).await;
    samples.push((f64::from(JOINS), resident_mb(worker)? * 1_024.0));
    let held = holdings(worker)?;
    ensure!(stack.agent.live_worker()? == Some(worker), "the live worker was replaced");
    let more = |now: usize, before: usize| {
        f64::from(u32::try_from(now.saturating_sub(before)).unwrap_or(u32::MAX))
    };
    Ok(vec![
        Figure::new(format!("{JOINS} joins and leaves, failures"), failures, "").at_most(0.0),
        Figure::new("live worker, RSS for each of them", slope(&samples), "KB").at_most(2.0),
        Figure::new("live worker, more descriptors", more(held.0, settled.0), "").at_most(0.0),
        Figure::new("live worker, more threads", more(held.1, settled.1), "").at_most(2.0),
    ])
}

async fn join_in_turn(stack: &Stack, viewer: &Viewer) -> Result<Watched> {
    wait::until("the relay lets a viewer in", TURN, async || {
        let watched = viewer.try_watch(&stack.camera_id).await?;
        if watched.status != TOO_MANY_REQUESTS {
            return Ok(Some(watched));
        }
        tokio::time::sleep(REFILL).await;
        Ok(None)
    })
    .await
}

/// By how much the second values grow with the first ones, by least squares.
fn slope(samples: &[(f64, f64)]) -> f64 {
    let count = samples.iter().map(|_| 1.0).sum::<f64>();
    let mean = |of: fn(&(f64, f64)) -> f64| samples.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|sample| sample.0), mean(|sample| sample.1));
    let together: f64 = samples.iter().map(|sample| (sample.0 - x) * (sample.1 - y)).sum();
    together / samples.iter().map(|sample| (sample.0 - x).powi(2)).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::slope;

    #[test]
    fn the_slope_is_that_of_the_line_through_all_samples() {
        let line: Vec<_> = (0..50).map(|at| (f64::from(at), 7.0 + 0.5 * f64::from(at))).collect();
        assert!((slope(&line) - 0.5).abs() < 1e-9);
        let steps = [(0.0, 10.0), (1.0, 14.0), (2.0, 10.0), (3.0, 14.0)];
        assert!((slope(&steps) - 0.8).abs() < 1e-9);
    }
}
