//! Requests to the store, which may show the relay's own certificate or a public one.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use reqwest::{RequestBuilder, Response, Url};

use super::{CloudError, transport::Http};
use crate::tls::{CaCertificate, TimeFloor, Trust};

/// Two clients: one for stores of anybody, and one that asks for the relay's own certificate and takes no other. A
/// store of somebody else's need not know what to do with such a wish, so the second comes when the first is
/// shown a certificate that it does not trust: the relay has a public one that this system does not know, or one
/// that has ended. Clones share what worked.
#[derive(Clone)]
pub(super) struct Objects {
    any: Http,
    own: Http,
    asks_for_own: Arc<AtomicBool>,
}

impl Objects {
    pub(super) fn new(ca: CaCertificate, floor: &TimeFloor) -> Result<Self, CloudError> {
        Ok(Self {
            any: Http::new(&Trust::PublicOr(ca.clone()), floor, None, None)?,
            own: Http::new(&Trust::Pinned(ca), floor, None, None)?,
            asks_for_own: Arc::default(),
        })
    }

    /// Makes what a simulated camera asks its store by.
    pub(super) fn simulated(http: Http) -> Self {
        Self { any: http.clone(), own: http, asks_for_own: Arc::default() }
    }

    fn http(&self) -> &Http {
        if self.asks_for_own.load(Ordering::Relaxed) { &self.own } else { &self.any }
    }

    pub(super) fn get(&self, url: Url) -> RequestBuilder {
        self.http().get(url)
    }

    pub(super) fn put(&self, url: Url) -> RequestBuilder {
        self.http().put(url)
    }

    /// Whether bodies are handed over whole instead of as streams.
    pub(super) fn is_simulated(&self) -> bool {
        self.any.is_simulated()
    }

    /// Sends a request; any HTTP status is an answer. After a certificate that is not trusted the next request
    /// goes by the other client.
    pub(super) async fn send(
        &self,
        door: &str,
        request: RequestBuilder,
    ) -> Result<Response, CloudError> {
        let sent = self.http().send(door, request).await;
        if let Err(CloudError::Untrusted { .. }) = &sent {
            self.asks_for_own.fetch_not(Ordering::Relaxed);
        }
        sent
    }
}
