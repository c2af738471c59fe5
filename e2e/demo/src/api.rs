//! The relay's HTTP doors, as a script knocks at them.

use std::{net::IpAddr, path::Path, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use reqwest::{Certificate, Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::wait;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// Passwords are hashed one after the other, behind all else that the machine does.
const SIGN_IN_TIMEOUT: Duration = Duration::from_mins(2);

/// What a door answered.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub content_type: String,
    pub location: Option<String>,
    /// The name by which logs know the request.
    pub request_id: Option<String>,
    pub text: String,
}

impl Answer {
    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// The problem's stable code; empty when the answer is not a problem.
    pub fn code(&self) -> String {
        if self.content_type.starts_with("application/problem+json") {
            text(&self.json(), "code").unwrap_or_default()
        } else {
            String::new()
        }
    }

    /// Fails unless the door said `status`.
    pub fn expect(self, status: u16) -> Result<Self> {
        ensure!(self.status.as_u16() == status, "expected {status}, got {self:?}");
        Ok(self)
    }
}

/// One caller: an account with its access token, or nobody yet.
#[derive(Debug, Clone)]
pub struct Api {
    client: Client,
    base: String,
    token: Option<String>,
}

impl Api {
    /// `ca`: the relay's own authority, where it is reached by https.
    pub fn new(base: &str, ca: Option<&Path>) -> Result<Self> {
        Self::build(base, ca, None)
    }

    /// One that calls from an address of its own: the relay counts each of 127.0.0.0/8 as a network.
    pub fn calling_from(base: &str, address: IpAddr) -> Result<Self> {
        Self::build(base, None, Some(address))
    }

    fn build(base: &str, ca: Option<&Path>, from: Option<IpAddr>) -> Result<Self> {
        install_crypto();
        let mut builder = Client::builder().timeout(REQUEST_TIMEOUT).no_proxy().local_address(from);
        if let Some(path) = ca {
            let pem = std::fs::read(path)
                .with_context(|| format!("cannot read the relay's CA, {}", path.display()))?;
            let certificate = Certificate::from_pem(&pem).context("the relay's CA is not PEM")?;
            builder = builder.tls_certs_only([certificate]);
        }
        let client = builder.build().context("cannot make an HTTP client")?;
        Ok(Self { client, base: base.to_owned(), token: None })
    }

    pub fn base(&self) -> &str {
        &self.base
    }

    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// The same relay, with another token.
    #[must_use]
    pub fn with_token(&self, token: String) -> Self {
        Self { token: Some(token), ..self.clone() }
    }

    /// The same relay, without an account.
    #[must_use]
    pub fn anonymous(&self) -> Self {
        Self { token: None, ..self.clone() }
    }

    /// Makes an account and signs it in. Gives the caller and its site's id.
    pub async fn register(&self, email: &str, password: &str) -> Result<(Self, String)> {
        let body = json!({ "email": email, "password": password });
        let request = self.request(Method::POST, "auth/register").timeout(SIGN_IN_TIMEOUT);
        self.send(request.json(&body)).await?.expect(201)?;
        let signed_in = self.login(email, password).await?;
        let me = signed_in.get("auth/me").await?.expect(200)?.json();
        let site = text(&me["sites"][0], "site_id").context("a new account has no site")?;
        Ok((signed_in, site))
    }

    pub async fn login(&self, email: &str, password: &str) -> Result<Self> {
        let body = json!({ "email": email, "password": password, "tokens": true });
        let request = self.request(Method::POST, "auth/login").timeout(SIGN_IN_TIMEOUT);
        let answer = self.send(request.json(&body)).await?.expect(200)?.json();
        let token = text(&answer, "access_token").context("login gave no access token")?;
        Ok(Self { token: Some(token), ..self.clone() })
    }

    /// Signs in as a browser does; gives its cookie, `name=value`.
    pub async fn session_cookie(&self, email: &str, password: &str) -> Result<String> {
        let body = json!({ "email": email, "password": password });
        let request = self.anonymous().request(Method::POST, "auth/login").json(&body);
        let response = request.send().await.context("the relay cannot be reached")?;
        let cookie = response.headers().get("set-cookie").context("login gave no cookie")?;
        let cookie = cookie.to_str().context("a cookie that is no text")?;
        Ok(cookie.split(';').next().unwrap_or_default().to_owned())
    }

    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.send(self.request(Method::GET, path)).await
    }

    /// Puts an object where the relay said: `upload` has its `url` and `headers`.
    pub async fn put(&self, upload: &Value, content: Vec<u8>) -> Result<Answer> {
        let url = text(upload, "url").context("an upload without its URL")?;
        let mut request = self.client.put(url).body(content);
        for (name, value) in upload["headers"].as_object().into_iter().flatten() {
            request = request.header(name, value.as_str().unwrap_or_default());
        }
        self.send(request).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Result<Answer> {
        self.send(self.request(Method::POST, path).json(&body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Result<Answer> {
        self.send(self.request(Method::PATCH, path).json(&body)).await
    }

    pub async fn delete(&self, path: &str) -> Result<Answer> {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// Posts a body of any type.
    pub async fn post_text(&self, path: &str, content_type: &str, body: String) -> Result<Answer> {
        let request = self.request(Method::POST, path).header("content-type", content_type);
        self.send(request.body(body)).await
    }

    pub async fn patch_text(&self, path: &str, content_type: &str, body: String) -> Result<Answer> {
        let request = self.request(Method::PATCH, path).header("content-type", content_type);
        self.send(request.body(body)).await
    }

    /// A request below `/api/v1`, or at `path` when it begins with a slash.
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = if path.starts_with('/') {
            format!("{}{path}", self.base)
        } else {
            format!("{}/api/v1/{path}", self.base)
        };
        let request = self.client.request(method, url);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn send(&self, request: RequestBuilder) -> Result<Answer> {
        let response = request.send().await.context("the relay cannot be reached")?;
        let header = |name: &str| {
            response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        let (content_type, location) =
            (header("content-type").unwrap_or_default(), header("location"));
        let request_id = header("x-request-id");
        let status = response.status();
        let text = response.text().await.context("the relay's answer broke off")?;
        Ok(Answer { status, content_type, location, request_id, text })
    }

    /// Waits until a camera has this status.
    pub async fn camera_is(&self, camera: &str, status: &str, within: Duration) -> Result<Value> {
        wait::until(&format!("camera is {status}"), within, async || {
            let camera = self.get(&format!("cameras/{camera}")).await?.expect(200)?.json();
            ensure!(camera["status"] == status, "the camera is {}", camera["status"]);
            Ok(Some(camera))
        })
        .await
    }

    /// Waits until a camera is online and captures.
    pub async fn camera_sees(&self, camera: &str, within: Duration) -> Result<()> {
        wait::until("the camera captures", within, async || {
            let health = self.get(&format!("cameras/{camera}/health")).await?.expect(200)?.json();
            let capture = &health["capture"];
            ensure!(capture["running"] == true, "the camera says {capture}");
            Ok(Some(()))
        })
        .await?;
        self.camera_is(camera, "online", within).await?;
        Ok(())
    }

    /// Sends a command and waits for its end.
    pub async fn command(&self, camera: &str, kind: &str, arguments: Value) -> Result<Value> {
        let body = json!({ "kind": kind, "arguments": arguments });
        let issued = self.post(&format!("cameras/{camera}/commands"), body).await?.expect(202)?;
        let id = text(&issued.json(), "command_id").context("a command without an id")?;
        wait::until(&format!("command {kind} ends"), Duration::from_secs(30), async || {
            let command = self.get(&format!("commands/{id}")).await?.expect(200)?.json();
            let state = text(&command, "state").unwrap_or_default();
            ensure!(!matches!(state.as_str(), "queued" | "sent"), "the command is {state}");
            Ok(Some(command))
        })
        .await
    }

    /// Sends a command that the camera must carry out; gives its result.
    pub async fn command_done(&self, camera: &str, kind: &str, arguments: Value) -> Result<Value> {
        let command = self.command(camera, kind, arguments).await?;
        if command["state"] != "acked" {
            bail!("command {kind} was not carried out: {command}");
        }
        Ok(command["result"].clone())
    }

    /// The items of a list.
    pub async fn list(&self, path: &str) -> Result<Vec<Value>> {
        let answer = self.get(path).await?.expect(200)?.json();
        answer["items"].as_array().cloned().with_context(|| format!("{path} is no list: {answer}"))
    }
}

/// A text field of an object.
pub fn text(object: &Value, field: &str) -> Option<String> {
    object[field].as_str().map(str::to_owned)
}

/// TLS needs a provider of cryptography, chosen once for the process.
pub fn install_crypto() {
    // Fails when another part was first, and then all is well.
    rustls::crypto::ring::default_provider().install_default().ok();
}
