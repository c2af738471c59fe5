//! Who is calling. Identity comes from what was proven (a cookie, a token), never from a field
//! of the request.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use axum::extract::{ConnectInfo, FromRequestParts, MatchedPath};
use http::{HeaderMap, HeaderName, Method, header, request::Parts};
use uuid::Uuid;

use super::{
    extract::text_of,
    server::{Asker, ByProxy},
};
use crate::{
    app::App,
    config::Config,
    domain::{
        access::{self, Caller},
        accounts::{self, Client, Credential},
        api_keys,
        devices::{self, Device},
    },
    error::{Error, ProblemCode, Result},
};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// A person, by the cookie of a browser or the access token of a program; or a program, by an API key.
pub struct SignedIn {
    pub caller: Caller,
    /// What else hangs on it.
    pub session: accounts::SignedIn,
    pub credential: Credential,
}

impl FromRequestParts<Arc<App>> for SignedIn {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self> {
        let signed_in = Self::identify(parts, app).await?;
        if signed_in.session.lacks_factor {
            return Err(access::second_factor_required());
        }
        // What an account is, its people change themselves, whatever the door forgets to ask.
        let route = parts.extensions.get::<MatchedPath>();
        if route.is_some_and(|route| route.as_str().starts_with(OWN_AFFAIRS)) {
            access::in_person(signed_in.caller)?;
        }
        Ok(signed_in)
    }
}

/// Doors to what is an account's own.
const OWN_AFFAIRS: &str = "/api/v1/auth/";

/// A person, and no API key; also one who must set up a second factor before anything else.
pub struct Person(pub SignedIn);

impl FromRequestParts<Arc<App>> for Person {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self> {
        let signed_in = SignedIn::identify(parts, app).await?;
        access::in_person(signed_in.caller)?;
        Ok(Self(signed_in))
    }
}

impl SignedIn {
    async fn identify(parts: &mut Parts, app: &Arc<App>) -> Result<Self> {
        let credential = credential_of(&parts.headers, &app.config).ok_or_else(unauthenticated)?;
        // A browser sends its cookie wherever it is led; only our own pages may act with it.
        if matches!(credential, Credential::Session(_))
            && !is_safe(&parts.method)
            && !is_same_origin(&parts.headers, &app.config)
        {
            return Err(cross_origin());
        }
        let session = accounts::authenticate(app, &credential, peer_of(parts)).await?;
        let mut session = session.ok_or_else(unauthenticated)?;
        session.caller.address = app.known_address(peer_of(parts));
        let account_id = session.caller.account_id;
        tell_asker(parts, account_id.as_uuid());
        let (limits, now) = (&app.limits, app.now());
        if matches!(credential, Credential::ApiKey(_)) {
            // A program that asks too often stops nobody but itself.
            limits.key_requests.take(&session.sign_in.to_string(), now)?;
        } else {
            let limit =
                if is_safe(&parts.method) { &limits.account_reads } else { &limits.account_writes };
            limit.take(&account_id.to_string(), now)?;
        }
        Ok(Self { caller: session.caller, session, credential })
    }
}

/// Who reads metrics.
pub enum MetricsReader {
    /// A program on the relay's own machine.
    Local,
    SignedIn(Box<SignedIn>),
}

impl FromRequestParts<Arc<App>> for MetricsReader {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self> {
        if is_local(parts, app) {
            return Ok(Self::Local);
        }
        SignedIn::from_request_parts(parts, app).await.map(Box::new).map(Self::SignedIn)
    }
}

/// Returns whether a request comes from the relay's own machine. What a proxy there passes on does not, whether
/// it says for whom or not; and where one is not named, nothing does.
fn is_local(parts: &Parts, app: &App) -> bool {
    let is_by_proxy = parts.extensions.get::<ByProxy>().is_none_or(|by| by.0);
    !is_by_proxy && app.known_address(peer_of(parts)).is_some_and(|peer| peer.is_loopback())
}

/// A camera, by its device token.
pub struct FromCamera(pub Device);

impl FromRequestParts<Arc<App>> for FromCamera {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self> {
        let token = bearer(&parts.headers).ok_or_else(unauthenticated)?;
        let device = devices::verify_token(app, token).await?.ok_or_else(unauthenticated)?;
        tell_asker(parts, device.camera_id.as_uuid());
        app.limits.camera_requests.take(&device.camera_id.to_string(), app.now())?;
        Ok(Self(device))
    }
}

/// Tells the listener whose answers count together.
fn tell_asker(parts: &Parts, id: Uuid) {
    if let Some(asker) = parts.extensions.get::<Asker>() {
        asker.is(id);
    }
}

/// Anybody, but no foreign page: a browser must not be led to sign in, or up, as somebody else.
pub struct SamePage;

impl FromRequestParts<Arc<App>> for SamePage {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self> {
        let headers = &parts.headers;
        let by_browser =
            headers.contains_key(header::ORIGIN) || headers.contains_key(SEC_FETCH_SITE);
        if by_browser && !is_same_origin(headers, &app.config) {
            return Err(cross_origin());
        }
        Ok(Self)
    }
}

/// The address of the client: of the other end of the connection, or what a trusted proxy there says
/// of its own other end. No other header of a proxy's is asked: scheme and host are configured, because
/// who can set them would choose what links, cookies and the same-origin check say.
pub struct Peer(pub IpAddr);

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        Ok(Self(peer_of(parts)))
    }
}

/// What signs in, as far as it is kept.
pub struct SignsIn(pub Client);

impl<S: Sync> FromRequestParts<S> for SignsIn {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let user_agent = text_of(&parts.headers, &header::USER_AGENT);
        Ok(Self(Client::new(peer_of(parts), user_agent)))
    }
}

fn peer_of(parts: &Parts) -> IpAddr {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip())
}

/// Returns what a caller shows: a token before a cookie, because only programs send tokens.
fn credential_of(headers: &HeaderMap, config: &Config) -> Option<Credential> {
    if headers.contains_key(header::AUTHORIZATION) {
        return bearer(headers).map(|token| {
            let kind =
                if api_keys::is_key(token) { Credential::ApiKey } else { Credential::AccessToken };
            kind(token.to_owned())
        });
    }
    cookie(headers, config.cookie_name()).map(|token| Credential::Session(token.to_owned()))
}

/// Returns what a browser kept of an earlier sign-in.
pub(super) fn known_device(headers: &HeaderMap, config: &Config) -> Option<String> {
    cookie(headers, config.known_device_cookie_name()).map(str::to_owned)
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = text_of(headers, &header::AUTHORIZATION)?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Returns whether a browser says that the request came from one of our own pages.
pub(super) fn is_same_origin(headers: &HeaderMap, config: &Config) -> bool {
    text_of(headers, &SEC_FETCH_SITE) == Some("same-origin")
        || text_of(headers, &header::ORIGIN).is_some_and(|origin| config.is_own_origin(origin))
}

fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

pub(super) fn unauthenticated() -> Error {
    Error::unauthorized(ProblemCode::Unauthenticated, "Sign in first.")
}

pub(super) fn cross_origin() -> Error {
    Error::forbidden(ProblemCode::CrossOrigin, "A page of another origin must not do this.")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    fn session(headers: &HeaderMap) -> Option<String> {
        match credential_of(headers, &Config::default()) {
            Some(Credential::Session(token)) => Some(token),
            _ => None,
        }
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let cookie = headers(&[(header::COOKIE, "theme=dark; session=abc; sessions=x")]);
        assert_eq!(session(&cookie).as_deref(), Some("abc"));
        assert_eq!(session(&headers(&[(header::COOKIE, "notsession=abc")])), None);
    }

    #[test]
    fn a_token_goes_before_the_cookie_even_when_it_is_no_good() {
        let both = headers(&[(header::COOKIE, "session=abc"), (header::AUTHORIZATION, "Basic x")]);
        assert!(credential_of(&both, &Config::default()).is_none());
    }

    #[test]
    fn only_our_own_origin_is_the_same() {
        let config = Config::default();
        let from = |origin| is_same_origin(&headers(&[(header::ORIGIN, origin)]), &config);
        assert!(from("http://localhost:8080") && from("HTTP://LocalHost:8080"));
        for foreign in ["http://localhost:8081", "https://localhost:8080", "null", ""] {
            assert!(!from(foreign), "{foreign}");
        }
        assert!(!is_same_origin(&HeaderMap::new(), &config));
        assert!(is_same_origin(&headers(&[(SEC_FETCH_SITE, "same-origin")]), &config));
        assert!(!is_same_origin(&headers(&[(SEC_FETCH_SITE, "same-site")]), &config));
    }
}
