//! Clients with time-outs, and answers of limited size.

use std::{net::IpAddr, time::Duration};

use reqwest::{Client, RequestBuilder, Response, Url, header::RETRY_AFTER, redirect};
use serde::de::DeserializeOwned;

use super::{CloudError, simulated::Wire};
use crate::tls::{TimeFloor, Trust, client_config};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest silence before or within an answer. It counts from a request's first byte, so it
/// does not suit requests with long bodies.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// The longest exchange with the relay; uploads have a limit by their length.
pub(super) const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_ANSWER_BYTES: usize = 256 * 1024;
/// The longest that an answer may ask to wait: a proxy that says a year does not know better.
const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(1);

/// Makes an HTTP client that trusts only `trust`.
pub(super) fn client(
    trust: &Trust,
    floor: &TimeFloor,
    idle_timeout: Option<Duration>,
) -> Result<Client, CloudError> {
    let broken = |cause: String| CloudError::unavailable("HTTPS client", cause);
    let tls = client_config(trust, floor).map_err(|error| broken(error.to_string()))?;
    let builder = Client::builder()
        .tls_backend_preconfigured(tls)
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(redirect::Policy::none())
        // A camera talks to its relay and its store, never to a proxy that an environment variable
        // names.
        .no_proxy()
        .user_agent(concat!("nightjar-agent/", env!("CARGO_PKG_VERSION")));
    let builder = match idle_timeout {
        Some(timeout) => builder.read_timeout(timeout),
        None => builder,
    };
    builder.build().map_err(|error| broken(error.to_string()))
}

/// Checks that a URL may be asked: https anywhere, http on loopback.
pub(super) fn checked_url(text: &str) -> Result<Url, CloudError> {
    let refused = |reason| CloudError::Address {
        // A query may be a signature.
        url: text.split(['?', '#']).next().unwrap_or_default().chars().take(200).collect(),
        reason,
    };
    let url = Url::parse(text).map_err(|_| {
        refused(if text.contains("://[") && text.contains('%') {
            "an address with a zone (%eth0) means something on one machine alone; use another \
             address, or a name"
        } else {
            "not a URL such as https://relay.example"
        })
    })?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("it carries a user name; leave that out"));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err(refused("http is for this machine alone; use https")),
        _ => Err(refused("it must begin with https://")),
    }
}

fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let address = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    })
}

/// A client, and how its requests travel. A cheap clone.
#[derive(Clone)]
pub(super) struct Http {
    client: Client,
    /// None for the network.
    wire: Option<Wire>,
}

impl Http {
    pub(super) fn new(
        trust: &Trust,
        floor: &TimeFloor,
        idle_timeout: Option<Duration>,
        wire: Option<Wire>,
    ) -> Result<Self, CloudError> {
        Ok(Self { client: client(trust, floor, idle_timeout)?, wire })
    }

    pub(super) fn get(&self, url: Url) -> RequestBuilder {
        self.client.get(url)
    }

    pub(super) fn post(&self, url: Url) -> RequestBuilder {
        self.client.post(url)
    }

    pub(super) fn put(&self, url: Url) -> RequestBuilder {
        self.client.put(url)
    }

    /// Whether bodies are handed over whole instead of as streams.
    pub(super) fn is_simulated(&self) -> bool {
        self.wire.is_some()
    }

    /// Sends a request; any HTTP status is an answer.
    pub(super) async fn send(
        &self,
        door: &str,
        request: RequestBuilder,
    ) -> Result<Response, CloudError> {
        match &self.wire {
            None => send(door, request).await,
            Some(wire) => wire.carry(door, request, EXCHANGE_TIMEOUT).await,
        }
    }
}

/// Sends a request; any HTTP status is an answer.
pub(super) async fn send(door: &str, request: RequestBuilder) -> Result<Response, CloudError> {
    request.send().await.map_err(|error| CloudError::from_transport(door, error))
}

/// Reads the body of a successful answer; any other status becomes an error.
pub(super) async fn body(door: &str, mut response: Response) -> Result<Vec<u8>, CloudError> {
    let status = response.status();
    let retry_after = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map(|seconds| Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER));
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= MAX_ANSWER_BYTES => {
                body.extend_from_slice(&chunk);
            }
            Ok(Some(_)) => {
                return Err(CloudError::unavailable(door, "answered with too large a body"));
            }
            Ok(None) => break,
            Err(error) => return Err(CloudError::from_transport(door, error)),
        }
    }
    if status.is_success() {
        Ok(body)
    } else {
        Err(CloudError::from_answer(door, status.as_u16(), retry_after, &body))
    }
}

/// Reads the JSON of a successful answer.
pub(super) async fn json<T: DeserializeOwned>(
    door: &str,
    response: Response,
) -> Result<T, CloudError> {
    let body = body(door, response).await?;
    serde_json::from_slice(&body).map_err(|error| {
        CloudError::unavailable(door, format!("answered something unexpected: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_stays_on_this_machine() {
        for allowed in [
            "https://relay.example",
            "http://localhost:8080",
            "http://127.0.0.9:1/x?y=z",
            "http://[::1]:8080",
            "HTTPS://Relay.EXAMPLE.:8443/",
            "https://[2001:DB8::1]",
            "HTTP://LOCALHOST:8080",
        ] {
            assert!(checked_url(allowed).is_ok(), "{allowed}");
        }
        for refused in [
            "http://relay.example",
            "http://localhost.example",
            "http://10.0.0.1",
            "ftp://localhost",
            "relay.example",
            "https://user:secret@relay.example",
            "",
        ] {
            assert!(checked_url(refused).is_err(), "{refused}");
        }
        for zoned in ["https://[fe80::1%eth0]:8443", "https://[fe80::1%25eth0]/"] {
            let error = checked_url(zoned).unwrap_err().to_string();
            assert!(error.contains("zone"), "{error}");
        }
    }

    #[test]
    fn an_error_never_shows_a_signature() {
        let error = checked_url("http://store.example/clip?X-Amz-Signature=abc").unwrap_err();
        assert!(!error.to_string().contains("abc"), "{error}");
    }
}
