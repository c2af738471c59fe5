//! Publishing to an SFU by WHIP (RFC 9725).

use std::{
    fmt,
    fs::File,
    io::{self, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use nightjar_shared::{signal::IceServer, text_file, time::UnixMillis};
use reqwest::{
    Client, Method, RequestBuilder, Response, StatusCode, Url,
    header::{CONTENT_TYPE, ETAG, HeaderMap, IF_MATCH, LINK, LOCATION},
};

use super::{
    CloudError,
    ice_link::ice_servers,
    transport::{EXCHANGE_TIMEOUT, IDLE_TIMEOUT, body, checked_url, client, send},
};
use crate::{
    clock::Clock,
    private_file::is_credential,
    tls::{TimeFloor, Trust},
};

const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

/// How many redirects are followed. An SFU sends a publisher on to one of its machines, hardly to
/// more.
const MAX_REDIRECTS: usize = 3;

/// How much of a token file is read; tokens are shorter.
const MAX_TOKEN_BYTES: u64 = 8 * 1024;

/// How many ICE servers are taken; more help nobody.
const MAX_ICE_SERVERS: usize = 8;

/// Why nothing is published.
#[derive(Debug, thiserror::Error)]
pub enum WhipError {
    #[error("live.sfu.token_file = {path}: {problem}")]
    Token { path: PathBuf, problem: String },
    #[error("the SFU refuses the camera ({status}): {remedy}")]
    Unauthorized { status: u16, remedy: &'static str },
    #[error("the SFU answered {0}")]
    Unusable(&'static str),
    #[error(transparent)]
    Cloud(#[from] CloudError),
}

/// A camera's way into an SFU.
#[derive(Clone)]
pub struct WhipClient {
    http: Client,
    endpoint: Url,
    token_file: Option<PathBuf>,
}

/// A publication that the SFU has taken.
#[derive(Debug)]
pub struct Resource {
    url: Url,
    etag: Option<String>,
    token: Option<Token>,
    /// The SFU's description.
    pub answer: String,
    pub ice_servers: Vec<IceServer>,
}

impl WhipClient {
    pub fn new(whip_url: &str, token_file: Option<PathBuf>) -> Result<Self, CloudError> {
        let floor = TimeFloor::new(Clock::default(), UnixMillis(0));
        let http = client(&Trust::Public, &floor, Some(IDLE_TIMEOUT))?;
        Ok(Self { http, endpoint: checked_url(whip_url)?, token_file })
    }

    /// Offers a publication. The token is read each time, so that it can be replaced while the agent
    /// runs.
    pub async fn publish(&self, offer: String) -> Result<Resource, WhipError> {
        let door = "POST to the WHIP endpoint";
        let token = self.token_file.as_deref().map(Token::read).transpose()?;
        let mut url = self.endpoint.clone();
        for _ in 0..=MAX_REDIRECTS {
            // Another host is another party: it does not get the token.
            let token = token.clone().filter(|_| same_origin(&url, &self.endpoint));
            let request = self.request(Method::POST, &url, token.as_ref());
            let request = request.header(CONTENT_TYPE, SDP).body(offer.clone());
            let response = send(door, request).await?;
            match response.status() {
                StatusCode::CREATED => return accepted(url, token, response).await,
                StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => {
                    url = location(&url, response.headers())
                        .ok_or(WhipError::Unusable("with a redirect to nowhere"))?;
                }
                _ => return Err(refused(door, token.is_some(), response).await),
            }
        }
        Err(WhipError::Unusable("with one redirect after the other"))
    }

    /// Sends more candidates of the camera. Not every SFU takes them.
    pub async fn trickle(&self, resource: &Resource, fragment: String) -> Result<(), WhipError> {
        let door = "PATCH to the WHIP session";
        let request = self.request(Method::PATCH, &resource.url, resource.token.as_ref());
        let request = request.header(CONTENT_TYPE, FRAGMENT).body(fragment);
        let request = match &resource.etag {
            Some(etag) => request.header(IF_MATCH, etag),
            None => request,
        };
        let response = send(door, request).await?;
        match response.status() {
            status if status.is_success() => Ok(()),
            _ => Err(refused(door, resource.token.is_some(), response).await),
        }
    }

    /// Ends a publication. One that the SFU has forgotten is ended as well.
    pub async fn end(&self, resource: &Resource) -> Result<(), WhipError> {
        let door = "DELETE of the WHIP session";
        let request = self.request(Method::DELETE, &resource.url, resource.token.as_ref());
        let response = send(door, request).await?;
        match response.status() {
            status if status.is_success() || status == StatusCode::NOT_FOUND => Ok(()),
            _ => Err(refused(door, resource.token.is_some(), response).await),
        }
    }

    fn request(&self, method: Method, url: &Url, token: Option<&Token>) -> RequestBuilder {
        let request = self.http.request(method, url.clone()).timeout(EXCHANGE_TIMEOUT);
        match token {
            Some(token) => request.bearer_auth(&token.0),
            None => request,
        }
    }
}

async fn accepted(
    endpoint: Url,
    token: Option<Token>,
    response: Response,
) -> Result<Resource, WhipError> {
    let door = "POST to the WHIP endpoint";
    let headers = response.headers().clone();
    let url = location(&endpoint, &headers).ok_or(WhipError::Unusable("201 without a Location"))?;
    let token = token.filter(|_| same_origin(&url, &endpoint));
    let etag = headers.get(ETAG).and_then(|etag| Some(etag.to_str().ok()?.to_owned()));
    let servers = headers
        .get_all(LINK)
        .iter()
        .filter_map(|link| link.to_str().ok())
        .flat_map(ice_servers)
        .take(MAX_ICE_SERVERS)
        .collect();
    let answer = String::from_utf8(body(door, response).await?)
        .map_err(|_| WhipError::Unusable("with a description that is no text"))?;
    Ok(Resource { url, etag, token, answer, ice_servers: servers })
}

/// Resolves where an answer points to, relative to where it came from.
fn location(from: &Url, headers: &HeaderMap) -> Option<Url> {
    let text = headers.get(LOCATION)?.to_str().ok()?;
    let url = from.join(text).ok()?;
    checked_url(url.as_str()).ok()
}

fn same_origin(one: &Url, other: &Url) -> bool {
    one.origin() == other.origin()
}

async fn refused(door: &str, with_token: bool, response: Response) -> WhipError {
    let status = response.status().as_u16();
    if status == 401 || status == 403 {
        let remedy = if with_token {
            "put a token that it takes into live.sfu.token_file"
        } else {
            "it wants a token: name a file with one as live.sfu.token_file"
        };
        return WhipError::Unauthorized { status, remedy };
    }
    match body(door, response).await {
        Ok(_) => WhipError::Unusable("with another success than 201"),
        Err(error) => error.into(),
    }
}

/// What proves to the SFU who publishes.
#[derive(Clone, PartialEq, Eq)]
struct Token(String);

impl Token {
    fn read(path: &Path) -> Result<Self, WhipError> {
        let bad = |problem: String| WhipError::Token { path: path.to_owned(), problem };
        let unreadable = |error: io::Error| bad(format!("cannot be read: {error}"));
        let file = File::open(path).map_err(unreadable)?;
        let mode = file.metadata().map_err(unreadable)?.permissions().mode();
        if mode & 0o077 != 0 && !is_credential(path) {
            return Err(bad("others may read it: chmod 600".to_owned()));
        }
        let mut bytes = Vec::new();
        file.take(MAX_TOKEN_BYTES).read_to_end(&mut bytes).map_err(unreadable)?;
        let token = text_file::decode_word(&bytes).map_err(|problem| bad(problem.to_string()))?;
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(bad("holds no token: one line of plain characters".to_owned()));
        }
        Ok(Self(token))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    fn file(content: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (directory, path)
    }

    #[test]
    fn a_token_is_the_one_line_of_a_private_file_and_is_never_shown() {
        let (_directory, path) = file("s3cret\n", 0o600);
        let token = Token::read(&path).unwrap();
        assert_eq!(token.0, "s3cret");
        assert!(!format!("{token:?}").contains("s3cret"));
    }

    #[test]
    fn a_file_that_holds_no_token_or_that_others_may_read_is_refused_without_its_content() {
        for (content, mode, why) in [
            ("s3cret\n", 0o644, "chmod 600"),
            ("\n", 0o600, "holds no token"),
            ("s3cret s3cret", 0o600, "holds no token"),
        ] {
            let (_directory, path) = file(content, mode);
            let message = Token::read(&path).unwrap_err().to_string();
            assert!(message.contains(why) && message.contains("live.sfu.token_file"), "{message}");
            assert!(!message.contains("s3cret"), "{message}");
        }
        assert!(Token::read(Path::new("/nowhere/token")).is_err());
    }

    #[test]
    fn a_location_is_relative_to_the_endpoint_and_leaves_https_never() {
        let endpoint = Url::parse("https://sfu.example/whip/porch?app=live").unwrap();
        let to = |text: &'static str| {
            let headers = HeaderMap::from_iter([(LOCATION, text.parse().unwrap())]);
            location(&endpoint, &headers).map(String::from)
        };
        assert_eq!(to("/whip/1").as_deref(), Some("https://sfu.example/whip/1"));
        assert_eq!(to("https://two.example/1").as_deref(), Some("https://two.example/1"));
        assert_eq!(to("http://sfu.example/1"), None);
        assert_eq!(to("https://me:secret@sfu.example/1"), None);
    }
}
