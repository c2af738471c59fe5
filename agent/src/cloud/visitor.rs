//! What anyone may ask of a relay, and how it is known that it is the right one.

use nightjar_shared::{
    api::{Challenge, ClaimRequest, ClaimResponse, TokenRequest, TokenResponse},
    introduction::{Introduction, IntroductionAnswer, IntroductionRequest},
    pairing::{
        AnnouncementAnswer, AnnouncementQuestion, AnnouncementRequest, AnnouncementStatus, JoinCode,
    },
};
use reqwest::Url;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    error::CloudError,
    simulated::Wire,
    transport::{EXCHANGE_TIMEOUT, Http, IDLE_TIMEOUT, body, checked_url, client, json, send},
};
use crate::tls::{CaCertificate, TimeFloor, Trust};

/// What anyone may ask of a relay: a challenge, and to claim a pairing.
#[derive(Clone)]
pub struct Visitor {
    pub(super) http: Http,
    relay: Url,
    ca: Option<CaCertificate>,
    pub(super) floor: TimeFloor,
}

impl Visitor {
    /// Prepares to talk to a relay that is not known yet. With `ca_sha256`, the relay's certificate authority is
    /// fetched first and must have that hash; nothing is sent before. Without, https trusts the
    /// system's authorities.
    pub async fn meet(
        relay_url: &str,
        ca_sha256: Option<&str>,
        floor: TimeFloor,
    ) -> Result<Self, CloudError> {
        let relay = checked_url(relay_url)?;
        let ca = match ca_sha256 {
            Some(expected) => Some(fetch_ca(&relay, expected, &floor).await?),
            None => None,
        };
        Self::new(relay, ca, floor, None)
    }

    /// Prepares to talk to a relay of which a code is all that is known. It proves that it knows the code, too,
    /// and with that vouches for its certificate authority; neither is trusted before, and the code is not
    /// sent.
    pub async fn meet_by_code(
        relay_url: &str,
        code: &JoinCode,
        floor: TimeFloor,
    ) -> Result<Self, CloudError> {
        let relay = checked_url(relay_url)?;
        if relay.scheme() != "https" {
            return Self::new(relay, None, floor, None);
        }
        let http = Http::new(&Trust::Anyone, &floor, Some(IDLE_TIMEOUT), None)?;
        let stranger = Self { http, relay: relay.clone(), ca: None, floor: floor.clone() };
        let (introduction, question) = Introduction::begin(code);
        let answer = match stranger.introduce(&question).await {
            Ok(answer) => answer,
            // A relay from before there was this door: it needs a certificate that the system knows.
            Err(error) if error.is_missing_door() => return Self::new(relay, None, floor, None),
            Err(error) => return Err(error),
        };
        let ca_sha256 = introduction.check(&answer).map_err(|_| CloudError::NotIntroduced)?;
        Self::meet(relay_url, ca_sha256.as_deref(), floor).await
    }

    /// For a relay that is simulated too, behind `wire`.
    pub fn simulated(relay_url: &str, floor: TimeFloor, wire: Wire) -> Result<Self, CloudError> {
        let relay = checked_url(relay_url)?;
        let http = Http::new(&Trust::Anyone, &floor, Some(IDLE_TIMEOUT), Some(wire))?;
        Ok(Self { http, relay, ca: None, floor })
    }

    fn new(
        relay: Url,
        ca: Option<CaCertificate>,
        floor: TimeFloor,
        wire: Option<Wire>,
    ) -> Result<Self, CloudError> {
        let trust = ca.clone().map_or(Trust::Public, Trust::Pinned);
        let http = Http::new(&trust, &floor, Some(IDLE_TIMEOUT), wire)?;
        Ok(Self { http, relay, ca, floor })
    }

    /// Talks to a relay whose certificate `http` judges.
    pub(super) fn known(relay: Url, http: Http, floor: TimeFloor) -> Self {
        Self { http, relay, ca: None, floor }
    }

    /// Returns the certificate authority that HTTPS is pinned to.
    pub fn ca(&self) -> Option<&CaCertificate> {
        self.ca.as_ref()
    }

    pub async fn challenge(&self) -> Result<Challenge, CloudError> {
        let door = "GET agent/challenge";
        let request = self.http.get(self.door("agent/challenge")?).timeout(EXCHANGE_TIMEOUT);
        let challenge: Challenge = json(door, self.http.send(door, request).await?).await?;
        self.floor.hear(challenge.server_time);
        Ok(challenge)
    }

    pub async fn claim(&self, claim: &ClaimRequest) -> Result<ClaimResponse, CloudError> {
        self.post("pairings/claim", claim).await
    }

    async fn introduce(
        &self,
        question: &IntroductionRequest,
    ) -> Result<IntroductionAnswer, CloudError> {
        self.post("pairings/introduce", question).await
    }

    /// Says that this camera is there and belongs to nobody.
    pub async fn announce(
        &self,
        announcement: &AnnouncementRequest,
    ) -> Result<AnnouncementAnswer, CloudError> {
        self.post("agent/announcement", announcement).await
    }

    /// Asks whether somebody has taken the camera.
    pub async fn announcement_state(
        &self,
        question: &AnnouncementQuestion,
    ) -> Result<AnnouncementStatus, CloudError> {
        self.post("agent/announcement/state", question).await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        message: &impl Serialize,
    ) -> Result<T, CloudError> {
        let door = format!("POST {path}");
        let request = self.http.post(self.door(path)?).timeout(EXCHANGE_TIMEOUT);
        json(&door, self.http.send(&door, request.json(message)).await?).await
    }

    pub(super) async fn token(&self, request: &TokenRequest) -> Result<TokenResponse, CloudError> {
        let door = "POST agent/token";
        let post = self.http.post(self.door("agent/token")?).timeout(EXCHANGE_TIMEOUT);
        let response = self.http.send(door, post.json(request)).await?;
        if response.status().as_u16() == 401 {
            return Err(CloudError::Unauthorized { door: door.to_owned() });
        }
        let token: TokenResponse = json(door, response).await?;
        self.floor.hear(token.server_time);
        Ok(token)
    }

    pub(super) fn door(&self, path: &str) -> Result<Url, CloudError> {
        self.relay.join(&format!("/api/v1/{path}")).map_err(|_| CloudError::Address {
            url: self.relay.to_string(),
            reason: "not the address of a relay",
        })
    }
}

/// Asks a server that is not trusted yet for its certificate authority, and trusts the answer
/// only for its hash.
async fn fetch_ca(
    relay: &Url,
    expected: &str,
    floor: &TimeFloor,
) -> Result<CaCertificate, CloudError> {
    let door = "GET ca.pem";
    let url = relay.join("/ca.pem").map_err(|_| CloudError::Address {
        url: relay.to_string(),
        reason: "not the address of a relay",
    })?;
    let request =
        client(&Trust::Anyone, floor, Some(IDLE_TIMEOUT))?.get(url).timeout(EXCHANGE_TIMEOUT);
    let text = body(door, send(door, request).await?).await?;
    let ca = std::str::from_utf8(&text)
        .ok()
        .and_then(|pem| CaCertificate::from_pem(pem).ok())
        .ok_or_else(|| CloudError::unavailable(door, "answered no certificate"))?;
    let found = ca.sha256();
    if found == expected.to_ascii_lowercase() {
        Ok(ca)
    } else {
        Err(CloudError::ForeignCa { expected: expected.to_owned(), found })
    }
}
