//! What the relay's tests share.

use std::time::Duration;

/// How long a condition may take to come true on a loaded machine before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The future's output; a panic when it takes longer than `limit`.
pub(crate) async fn within<F: Future>(limit: Duration, future: F) -> F::Output {
    tokio::time::timeout(limit, future).await.expect("it took too long")
}

/// Waits until `condition` holds; `what` says what was waited for in vain.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "waited in vain until {what}");
}
