//! For which request something is done: its name follows it into logs, and to cameras.

use std::future::Future;

use nightjar_shared::request_id::RequestId;
use tracing::{Instrument as _, Span};

tokio::task_local! {
    static CURRENT: RequestId;
}

/// Does what a request asks for; what is logged meanwhile has its name.
pub async fn within<F: Future>(id: RequestId, route: &str, work: F) -> F::Output {
    // Within that of the collector, if there is one: what is done for it belongs to both.
    let span = tracing::info_span!("request", request_id = %id, route);
    CURRENT.scope(id, work.instrument(span)).await
}

/// Returns the name of the request that is being answered; nothing where the relay acts by itself.
pub fn current() -> Option<RequestId> {
    CURRENT.try_with(Clone::clone).ok()
}

/// The span of what goes on after the answer to a request: it has its name, and does not keep it open.
pub fn aftermath(what: &'static str) -> Span {
    match current() {
        Some(id) => tracing::info_span!(parent: None, "after", what, request_id = %id),
        None => Span::none(),
    }
}
