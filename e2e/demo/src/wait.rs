//! Waiting for a condition, never for a length of time.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

const PROBE_INTERVAL: Duration = Duration::from_millis(50);

/// Probes until there is a value. An error counts as "not yet": a relay that is just restarting
/// refuses connections. After `within`, the last error says what was missing.
pub async fn until<T>(
    what: &str,
    within: Duration,
    mut probe: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + within;
    loop {
        let last = match probe().await {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        if Instant::now() >= deadline {
            let seconds = within.as_secs_f32();
            let error = last.unwrap_or_else(|| anyhow!("it did not come true"));
            return Err(error.context(format!("waited {seconds} s for this: {what}")));
        }
        tokio::time::sleep(PROBE_INTERVAL).await;
    }
}

/// [`until`] for a condition without a value.
pub async fn until_true(
    what: &str,
    within: Duration,
    mut probe: impl AsyncFnMut() -> Result<bool>,
) -> Result<()> {
    until(what, within, async || Ok(probe().await?.then_some(()))).await
}
