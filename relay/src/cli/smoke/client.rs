//! The relay's doors, as a program knocks at them.

use std::{error::Error as _, time::Duration};

use anyhow::Context as _;
use http::{Method, StatusCode, header};
use serde_json::Value;

use super::Failure;

/// Of an answer: what is larger is none of a relay's.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

#[derive(Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    origin: String,
    token: Option<String>,
}

pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Returns the body, if the door answered as it should.
    pub(super) fn expect(
        &self,
        status: StatusCode,
        remedy: &'static str,
    ) -> Result<Value, Failure> {
        if self.status == status {
            return Ok(self.json());
        }
        let problem = self.json();
        let code = problem["code"].as_str().unwrap_or("without a code");
        let title = problem["title"].as_str().unwrap_or_default();
        Err(Failure::new(format!("answered {} {code}: {title}", self.status.as_u16()), remedy))
    }
}

impl Client {
    pub(super) fn new(
        origin: &str,
        ca_pem: Option<&str>,
        within: Duration,
    ) -> anyhow::Result<Self> {
        let mut builder = reqwest::Client::builder()
            .timeout(within)
            .redirect(reqwest::redirect::Policy::none())
            // A socket begins as a request of HTTP/1.1.
            .http1_only()
            .no_proxy()
            .user_agent(concat!("nightjar-relay-smoke/", env!("CARGO_PKG_VERSION")));
        if let Some(pem) = ca_pem {
            let certificates = reqwest::Certificate::from_pem_bundle(pem.as_bytes())
                .context("--ca-file: it is no PEM file")?;
            anyhow::ensure!(!certificates.is_empty(), "--ca-file: it holds no certificate");
            builder = builder.tls_certs_only(certificates);
        }
        let http = builder.build().context("the HTTPS client does not start")?;
        Ok(Self { http, origin: origin.to_owned(), token: None })
    }

    #[must_use]
    pub(super) fn with_token(&self, token: Option<String>) -> Self {
        Self { token, ..self.clone() }
    }

    pub(super) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    pub(super) async fn get(&self, path: &str) -> Result<Answer, Failure> {
        self.send(Method::GET, path, None).await
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Result<Answer, Failure> {
        self.send(Method::POST, path, Some(body)).await
    }

    pub(super) async fn delete(&self, path: &str) -> Result<Answer, Failure> {
        self.send(Method::DELETE, path, None).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Answer, Failure> {
        let request = self.request(method, path);
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        receive(request).await
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let root = if path.starts_with('/') { "" } else { "/api/v1/" };
        let request = self.http.request(method, format!("{}{root}{path}", self.origin));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Asks at a presigned address.
    pub(super) async fn signed(
        &self,
        method: Method,
        permission: &Value,
        body: Vec<u8>,
    ) -> Result<Answer, Failure> {
        let url = permission["url"].as_str().unwrap_or_default();
        let mut request = self.http.request(method, url).body(body);
        for (name, value) in permission["headers"].as_object().into_iter().flatten() {
            request = request.header(name, value.as_str().unwrap_or_default());
        }
        receive(request).await
    }

    /// Opens a WebSocket.
    pub(super) async fn upgrade(&self, path: &str) -> Result<reqwest::Upgraded, Failure> {
        let request = self
            .with_token(None)
            .request(Method::GET, path)
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            // Nobody looks at what it is answered with: TLS or loopback is below it.
            .header(header::SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ==");
        let answer = request.send().await.map_err(unreached)?;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(Failure::new(
                format!("answered {} instead of a socket", answer.status().as_u16()),
                "have the proxy in front pass WebSockets on: docs/proxies.md",
            ));
        }
        answer.upgrade().await.map_err(unreached)
    }
}

async fn receive(request: reqwest::RequestBuilder) -> Result<Answer, Failure> {
    let mut answer = request.send().await.map_err(unreached)?;
    let status = answer.status();
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(unreached)? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(Failure::new("the answer is too long for a relay's", OTHER_SERVER));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, body })
}

pub(super) const OTHER_SERVER: &str =
    "see what answers at this address: it must be the relay, or a proxy in front of it";

/// Says why there was no answer, without the address, which may be presigned.
fn unreached(error: reqwest::Error) -> Failure {
    let is_timeout = error.is_timeout();
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(current) = cause {
        text.push_str(": ");
        text.push_str(&current.to_string());
        cause = current.source();
    }
    if is_timeout {
        return Failure::new("no answer in time", "see whether the relay is overloaded: its log");
    }
    if text.contains("certificate") {
        return Failure::new(
            text,
            "trust the authority of this certificate by --ca-file (a store or proxy may have another)",
        );
    }
    Failure::new(text, "start what should answer there, and let its port in")
}
