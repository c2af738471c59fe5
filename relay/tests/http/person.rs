//! Somebody with a browser, or with a script.

use http::header;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::client;

pub(crate) const PASSWORD: &str = "correct horse battery";

#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) client: Client,
    pub(crate) origin: String,
    pub(crate) cookie: Option<String>,
    pub(crate) token: Option<String>,
    /// What the browser says of the page that acts.
    pub(crate) page: Option<String>,
}

impl Person {
    pub(crate) fn new(origin: &str) -> Self {
        Self {
            client: client().build().unwrap(),
            origin: origin.to_owned(),
            cookie: None,
            token: None,
            page: Some(origin.to_owned()),
        }
    }

    /// A request below `/api/v1/`, as this person's browser or script would send it.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut request = self.client.request(method, self.url(path));
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(page) = &self.page {
            request = request.header(header::ORIGIN, page);
        }
        request
    }

    /// Paths that begin with a slash are not below `/api/v1/`.
    pub(crate) fn url(&self, path: &str) -> String {
        let root = if path.starts_with('/') { "" } else { "/api/v1/" };
        format!("{}{root}{path}", self.origin)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        Answer::of(self.request(Method::POST, path).json(&body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        Answer::of(self.request(Method::PATCH, path).json(&body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::DELETE, path)).await
    }

    pub(crate) async fn sign_up(&mut self, email: &str) {
        let answer =
            self.post("auth/register", json!({"email": email, "password": PASSWORD})).await;
        self.cookie = Some(answer.cookie());
        answer.body(201);
    }

    pub(crate) async fn home(&self) -> String {
        let me = self.get("auth/me").await.body(200);
        me["sites"][0]["site_id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn open_pairing(&self) -> Value {
        let home = self.home().await;
        self.post(&format!("sites/{home}/pairings"), json!({})).await.body(201)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, text: response.text().await.unwrap() }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// The body of an answer with this status.
    #[track_caller]
    pub(crate) fn body(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json()
    }

    /// A refusal as it should be: status, code, content type, and kept out of caches.
    #[track_caller]
    pub(crate) fn is_problem(&self, status: u16, code: &str) {
        let problem = self.json();
        assert_eq!((self.status, problem["code"].as_str()), (status, Some(code)), "{}", self.text);
        assert_eq!(problem["status"], status);
        assert!(problem["title"].is_string());
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/problem+json");
    }

    /// What a browser would send back.
    pub(crate) fn cookie(&self) -> String {
        let set = self.headers.get(header::SET_COOKIE).map(|value| value.to_str().unwrap());
        let set = set.unwrap_or_else(|| panic!("no cookie was set: {}", self.text));
        set.split(';').next().unwrap().to_owned()
    }
}
