//! Every HTTP call that the relay makes. Bounded in time, and it follows no redirect: whoever
//! answers may not send the relay elsewhere.

use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};
use reqwest::{Client, redirect};

const CONNECT: Duration = Duration::from_secs(5);
const TOTAL: Duration = Duration::from_secs(10);

/// The relay as a client. Cheap to clone.
#[derive(Clone)]
pub struct Outgoing(Client);

/// Why there is no answer. The text never holds the URL, which may be presigned.
#[derive(Debug, thiserror::Error)]
#[error("no answer: {0}")]
pub struct OutgoingError(reqwest::Error);

/// The head of an answer; no caller needs a body.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
}

impl Outgoing {
    /// Needs the binary's cryptography, which `tls` installs with the certificates.
    pub fn new() -> anyhow::Result<Self> {
        let client = Client::builder()
            .connect_timeout(CONNECT)
            .timeout(TOTAL)
            .redirect(redirect::Policy::none())
            .build()?;
        Ok(Self(client))
    }

    /// Sends a request without a body.
    pub async fn send(&self, method: Method, url: &str) -> Result<Answer, OutgoingError> {
        let answer = self.0.request(method, url).send().await;
        let answer = answer.map_err(|error| OutgoingError(error.without_url()))?;
        Ok(Answer { status: answer.status(), headers: answer.headers().clone() })
    }
}
