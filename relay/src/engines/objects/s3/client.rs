//! The relay as the store's HTTP client: bounded in time and in what it reads, and it follows no
//! redirect, as whoever answers may not send the relay elsewhere.

use std::{collections::BTreeMap, error::Error as _, time::Duration};

use anyhow::Context as _;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode};
use reqwest::{Body, Certificate, RequestBuilder, redirect};

use super::ObjectsError;

/// Of an answer: errors are short, and no object passes through here but the probe's.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

pub(super) struct ClientConfig<'a> {
    pub(super) ca_pem: Option<&'a [u8]>,
    pub(super) connect_timeout: Duration,
    pub(super) timeout: Duration,
}

#[derive(Clone)]
pub(super) struct Client(reqwest::Client);

pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    /// Makes an error that says what was refused, and the store's own word for why.
    pub(super) fn refused(&self, what: &'static str) -> ObjectsError {
        let code = self.code().unwrap_or("without saying why").to_owned();
        ObjectsError::Refused { what, status: self.status.as_u16(), code }
    }

    /// Returns the `Code` of an S3 error. An answer to HEAD has none.
    pub(super) fn code(&self) -> Option<&str> {
        let text = std::str::from_utf8(&self.body).ok()?;
        let (_, rest) = text.split_once("<Code>")?;
        let (code, _) = rest.split_once("</Code>")?;
        code.bytes().all(|byte| byte.is_ascii_alphanumeric()).then_some(code)
    }
}

impl Client {
    pub(super) fn new(config: &ClientConfig<'_>) -> anyhow::Result<Self> {
        let mut builder = reqwest::Client::builder()
            .connect_timeout(config.connect_timeout)
            .timeout(config.timeout)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("nightjar-relay/", env!("CARGO_PKG_VERSION")));
        if let Some(pem) = config.ca_pem {
            let certificates =
                Certificate::from_pem_bundle(pem).context("store.ca_file: it is no PEM file")?;
            anyhow::ensure!(!certificates.is_empty(), "store.ca_file: it holds no certificate");
            builder = builder.tls_certs_merge(certificates);
        }
        Ok(Self(builder.build().context("the object store's HTTPS client does not start")?))
    }

    /// Sends something large, for which it waits longer.
    pub(super) async fn send_large(
        &self,
        method: Method,
        url: &str,
        headers: &BTreeMap<String, String>,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Answer, ObjectsError> {
        let request = self.0.request(method, url).timeout(timeout);
        Self::receive(request, headers, Some(body)).await
    }

    /// Sends a request; any HTTP status is an answer. The error never holds the URL, which is
    /// presigned.
    pub(super) async fn send(
        &self,
        method: Method,
        url: &str,
        headers: &BTreeMap<String, String>,
        body: Option<Bytes>,
    ) -> Result<Answer, ObjectsError> {
        Self::receive(self.0.request(method, url), headers, body).await
    }

    async fn receive(
        mut request: RequestBuilder,
        headers: &BTreeMap<String, String>,
        body: Option<Bytes>,
    ) -> Result<Answer, ObjectsError> {
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if let Some(body) = body {
            request = request.body(Body::from(body));
        }
        let mut answer = request.send().await.map_err(away)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let mut body = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(away)? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(ObjectsError::Away("its answer is too long".to_owned()));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, headers, body: body.freeze() })
    }
}

fn away(error: reqwest::Error) -> ObjectsError {
    let error = error.without_url();
    if error.is_timeout() {
        return ObjectsError::Away("no answer in time".to_owned());
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(current) = cause {
        text.push_str(": ");
        text.push_str(&current.to_string());
        cause = current.source();
    }
    ObjectsError::Away(text)
}
