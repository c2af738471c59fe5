//! HTTP to an ACME server: bounded in time and in what is read, without redirects, and attentive to what the
//! server says of the time.

use std::{
    future::Future,
    io,
    path::PathBuf,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use nightjar_shared::time::UnixMillis;
use reqwest::{Certificate, Client, redirect};

use super::super::{http_date, trouble::Trouble};
use crate::blocking::blocking;

const CONNECT_MAX: Duration = Duration::from_secs(5);
const EXCHANGE_MAX: Duration = Duration::from_secs(30);
/// A chain of certificates has some KB.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// A client. Clones share what was heard.
#[derive(Clone)]
pub(super) struct Http {
    client: Client,
    heard: Arc<Mutex<Heard>>,
}

/// What answers said beside their content.
#[derive(Debug, Clone, Copy, Default)]
struct Heard {
    server_time: Option<UnixMillis>,
    retry_after: Option<Duration>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum NoAnswer {
    #[error("{0}")]
    Unreachable(String),
    #[error("{0}")]
    Untrusted(String),
    #[error("no answer in time")]
    InTime,
    #[error("the answer is too long")]
    TooLong,
}

impl Http {
    pub(super) async fn new(ca_file: Option<PathBuf>) -> Result<Self, Trouble> {
        // Reading the system's authorities takes its time.
        let made = blocking(move || client(ca_file)).await;
        let client = made.map_err(|error| Trouble::Unreachable(error.to_string()))??;
        Ok(Self { client, heard: Arc::default() })
    }

    /// Returns how long the server asked to wait, in its last answer that asked so.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        self.heard().retry_after
    }

    /// Returns the time that the server said last.
    pub(super) fn server_time(&self) -> Option<UnixMillis> {
        self.heard().server_time
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self, headers: &HeaderMap) {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let mut heard = self.heard();
        if let Some(time) = text(header::DATE).and_then(http_date) {
            heard.server_time = Some(time);
        }
        heard.retry_after = text(header::RETRY_AFTER).and_then(|text| {
            let seconds = text.trim().parse().map(Duration::from_secs);
            seconds.ok().or_else(|| Some(http_date(text)?.since(heard.server_time?)))
        });
    }

    async fn exchange(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Result<Response<Full<Bytes>>, NoAnswer> {
        let (parts, body) = request.into_parts();
        let body =
            body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let request = reqwest::Request::try_from(Request::from_parts(parts, body))
            .map_err(|error| NoAnswer::Unreachable(error.to_string()))?;
        let mut answer = self.client.execute(request).await.map_err(no_answer)?;
        self.hear(answer.headers());
        let mut response = Response::builder().status(answer.status());
        if let Some(headers) = response.headers_mut() {
            headers.clone_from(answer.headers());
        }
        let mut content = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(no_answer)? {
            if content.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(NoAnswer::TooLong);
            }
            content.extend_from_slice(&chunk);
        }
        response
            .body(Full::new(content.freeze()))
            .map_err(|error| NoAnswer::Unreachable(error.to_string()))
    }
}

impl HttpClient for Http {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let http = self.clone();
        Box::pin(async move {
            let answered = http.exchange(request).await;
            answered.map(BytesResponse::from).map_err(|error| Error::Other(Box::new(error)))
        })
    }
}

fn client(ca_file: Option<PathBuf>) -> Result<Client, Trouble> {
    let mut builder = Client::builder()
        .connect_timeout(CONNECT_MAX)
        .timeout(EXCHANGE_MAX)
        .redirect(redirect::Policy::none())
        .https_only(true)
        .user_agent(concat!("nightjar-relay/", env!("CARGO_PKG_VERSION")));
    if let Some(path) = ca_file {
        let unreadable = |cause: String| Trouble::Unreadable { path: path.clone(), cause };
        let pem = std::fs::read(&path).map_err(|error| unreadable(error.to_string()))?;
        let certificates =
            Certificate::from_pem_bundle(&pem).map_err(|error| unreadable(error.to_string()))?;
        if certificates.is_empty() {
            return Err(Trouble::NoCertificate(path.display().to_string()));
        }
        builder = builder.tls_certs_merge(certificates);
    }
    builder.build().map_err(|error| Trouble::Unreachable(error.to_string()))
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
fn no_answer(error: reqwest::Error) -> NoAnswer {
    if error.is_timeout() {
        return NoAnswer::InTime;
    }
    let mut text = String::new();
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(current) = cause {
        if let Some(found @ rustls::Error::InvalidCertificate(_)) = current.downcast_ref() {
            return NoAnswer::Untrusted(found.to_string());
        }
        text = current.to_string();
        // The source of an I/O error skips the error that it wraps.
        let wrapped = current.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => current.source(),
        };
    }
    NoAnswer::Unreachable(text)
}

/// Says what an error of the client's means, if it is one of ours.
pub(super) fn trouble_of(error: &(dyn std::error::Error + 'static)) -> Option<Trouble> {
    Some(match error.downcast_ref::<NoAnswer>()? {
        NoAnswer::Unreachable(cause) => Trouble::Unreachable(cause.clone()),
        NoAnswer::Untrusted(cause) => Trouble::Untrusted(cause.clone()),
        NoAnswer::InTime => Trouble::NoAnswer,
        NoAnswer::TooLong => Trouble::Nonsense(NoAnswer::TooLong.to_string()),
    })
}
