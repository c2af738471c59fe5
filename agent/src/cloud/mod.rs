//! HTTP to the relay, the PUTs that it signs, and WHIP to an SFU.
//!
//! Plain http goes to loopback only. Every request has a time-out, every answer a size limit,
//! redirects are refused except by WHIP, and every error says whether trying again can help.

mod download;
mod error;
mod ice_link;
mod objects;
mod pace;
mod simulated;
mod transport;
mod visitor;
mod whip;

use std::{
    io::{self, SeekFrom},
    path::Path,
    sync::Arc,
    time::Duration,
};

use nightjar_core::monotonic::MonotonicNanos;
use nightjar_shared::{
    api::{
        Challenge, ClaimRequest, ClaimResponse, ClipAnnouncement, ClipCompletion, ClipFailure,
        NetworkMeans, PartRequest, PartUpload, PartsSent, PartsStored, TokenRequest,
    },
    ids::{CameraId, ClipId},
    pairing::token_proof,
};
use reqwest::{Body, Response, Url, header::CONTENT_LENGTH};
use serde::Serialize;
use tokio::{
    fs::File,
    io::{AsyncReadExt, AsyncSeekExt},
    sync::{Mutex, watch},
};
use tokio_util::codec::{BytesCodec, FramedRead};

pub use self::{
    error::{CloudError, Disposition},
    pace::Pace,
    simulated::{Exchange, Wire},
    visitor::Visitor,
    whip::{Resource, WhipClient, WhipError},
};
use self::{
    objects::Objects,
    pace::Paced,
    transport::{EXCHANGE_TIMEOUT, Http, IDLE_TIMEOUT, body, checked_url},
};
use crate::{
    clock::Clock,
    identity::Identity,
    machine::blocking,
    pairing::Pairing,
    tls::{InvalidCertificate, TimeFloor},
};

/// The slowest throughput that an upload is waited for.
const SLOWEST_UPLOAD_BYTES_PER_S: u64 = 16 * 1024;
/// How little of its life may be left of a token, or a tenth of it, before it is renewed.
const LEAST_TOKEN_LIFE: Duration = Duration::from_mins(1);

/// A device token, for HTTP and as MQTT password.
#[derive(Clone, PartialEq, Eq)]
pub struct DeviceToken {
    pub value: String,
    /// When a fresh one is asked for.
    pub renew_at: MonotonicNanos,
}

/// What a paired camera may ask of its relay. A cheap clone.
#[derive(Clone)]
pub struct Cloud {
    visitor: Visitor,
    /// The client for presigned URLs: the store may have another certificate than the relay.
    objects: Objects,
    camera_id: CameraId,
    identity: Arc<Identity>,
    token: Arc<Mutex<Option<DeviceToken>>>,
    /// SHA-256 of the relay's authority that is pinned; a simulated camera pins none.
    pinned: Option<String>,
    /// The authority that the relay wants to be pinned instead, in PEM.
    other_authority: watch::Sender<Option<String>>,
}

impl Cloud {
    pub fn new(
        pairing: &Pairing,
        identity: Arc<Identity>,
        floor: TimeFloor,
    ) -> Result<Self, CloudError> {
        let relay = checked_url(&pairing.relay_url)?;
        let broken =
            |error: InvalidCertificate| CloudError::unavailable("pairing", error.to_string());
        let (ca, https) = (pairing.ca().map_err(broken)?, pairing.https_trust().map_err(broken)?);
        let pinned = Some(ca.sha256());
        floor.hear(pairing.server_time);
        let objects = Objects::new(ca, &floor)?;
        let http = Http::new(&https, &floor, Some(IDLE_TIMEOUT), None)?;
        Ok(Self {
            visitor: Visitor::known(relay, http, floor),
            objects,
            camera_id: pairing.camera_id,
            identity,
            token: Arc::default(),
            pinned,
            other_authority: watch::Sender::default(),
        })
    }

    /// Makes what a simulated camera asks its relay and its store by.
    pub fn simulated(visitor: Visitor, camera_id: CameraId, identity: Arc<Identity>) -> Self {
        let objects = Objects::simulated(visitor.http.clone());
        let (token, other_authority) = (Arc::default(), watch::Sender::default());
        Self { visitor, objects, camera_id, identity, token, pinned: None, other_authority }
    }

    /// Follows which authority the relay wants to be pinned instead of the one that is, in PEM.
    pub fn other_authority(&self) -> watch::Receiver<Option<String>> {
        self.other_authority.subscribe()
    }

    /// Returns the time floor that the relay's answers raise.
    pub fn floor(&self) -> TimeFloor {
        self.visitor.floor.clone()
    }

    fn clock(&self) -> &Clock {
        self.visitor.floor.clock()
    }

    pub fn camera_id(&self) -> CameraId {
        self.camera_id
    }

    pub async fn challenge(&self) -> Result<Challenge, CloudError> {
        self.visitor.challenge().await
    }

    pub async fn claim(&self, claim: &ClaimRequest) -> Result<ClaimResponse, CloudError> {
        self.visitor.claim(claim).await
    }

    /// Returns the current token, or a fresh one near the end of its life. Callers that ask at the
    /// same time share one request.
    pub async fn token(&self) -> Result<DeviceToken, CloudError> {
        let mut current = self.token.lock().await;
        if let Some(token) = current.as_ref()
            && self.clock().monotonic() < token.renew_at
        {
            return Ok(token.clone());
        }
        let challenge = self.visitor.challenge().await?;
        let request = TokenRequest {
            camera_id: self.camera_id,
            signature: self.identity.sign(&token_proof(&challenge.nonce, self.camera_id)),
            nonce: challenge.nonce,
            ca_sha256: self.pinned.clone(),
        };
        let response = self.visitor.token(&request).await?;
        if response.ca_pem.is_some() {
            self.other_authority.send_replace(response.ca_pem);
        }
        let life = Duration::from_secs(response.expires_in_s);
        let good_for = life.saturating_sub((life / 10).max(LEAST_TOKEN_LIFE));
        let renew_at = self.clock().monotonic().plus(good_for);
        let token = DeviceToken { value: response.token, renew_at };
        *current = Some(token.clone());
        Ok(token)
    }

    /// Forgets a token that was refused: the next caller gets a fresh one.
    pub async fn forget_token(&self, token: &DeviceToken) {
        let mut current = self.token.lock().await;
        if current.as_ref() == Some(token) {
            *current = None;
        }
    }

    /// Asks for what it takes to try the network.
    pub async fn network(&self) -> Result<NetworkMeans, CloudError> {
        let door = "POST agent/network";
        let answer = self.post(door, "agent/network", &()).await?;
        serde_json::from_slice(&answer).map_err(|error| {
            CloudError::unavailable(door, format!("answered something unexpected: {error}"))
        })
    }

    /// Asks the store for nothing in particular, and returns the status of its answer: without a signature
    /// it refuses, which shows that uploads would reach it.
    pub async fn knock_at_store(&self, store_url: &str) -> Result<u16, CloudError> {
        let url = checked_url(store_url)?;
        let mut sent = self.knock(url.clone()).await;
        if let Err(CloudError::Untrusted { .. }) = &sent {
            sent = self.knock(url).await;
        }
        Ok(sent?.status().as_u16())
    }

    async fn knock(&self, url: Url) -> Result<Response, CloudError> {
        let request = self.objects.put(url).timeout(EXCHANGE_TIMEOUT);
        self.objects.send("PUT at the store", request).await
    }

    /// Announces a clip. Idempotent on the clip's id.
    pub async fn announce_clip(&self, clip: &ClipAnnouncement) -> Result<(), CloudError> {
        self.post("POST agent/clips", "agent/clips", clip).await.map(drop)
    }

    /// Asks where parts go. The answers come in the order of `parts`.
    pub async fn request_parts(
        &self,
        clip_id: ClipId,
        parts: &[PartRequest],
    ) -> Result<Vec<PartUpload>, CloudError> {
        let door = "POST agent/clips/{id}/parts";
        let answer = self.post(door, &format!("agent/clips/{clip_id}/parts"), &parts).await?;
        serde_json::from_slice(&answer).map_err(|error| {
            CloudError::unavailable(door, format!("answered something unexpected: {error}"))
        })
    }

    /// Sends a stretch of a file to where a part goes, no faster than `pace`.
    pub async fn put_part(
        &self,
        upload: &PartUpload,
        path: &Path,
        (offset, length): (u64, u64),
        pace: &Pace,
    ) -> Result<(), CloudError> {
        let door = "PUT of a part";
        let unreadable = |source| CloudError::File { path: path.to_owned(), source };
        let content = self.content(path, (offset, length), pace).await.map_err(unreadable)?;
        let slowest = pace.slowest(SLOWEST_UPLOAD_BYTES_PER_S).max(1);
        let longest = EXCHANGE_TIMEOUT + Duration::from_secs(length / slowest);
        let mut request = self.objects.put(checked_url(&upload.url)?).timeout(longest);
        for (name, value) in &upload.headers {
            request = request.header(name, value);
        }
        let is_length = |name: &String| name.eq_ignore_ascii_case(CONTENT_LENGTH.as_str());
        if !upload.headers.keys().any(is_length) {
            request = request.header(CONTENT_LENGTH, length);
        }
        let response = self.objects.send(door, request.body(content)).await?;
        body(door, response).await.map(drop)
    }

    /// A stretch of a file as a body: a paced stream, or whole for a simulation.
    async fn content(
        &self,
        path: &Path,
        (offset, length): (u64, u64),
        pace: &Pace,
    ) -> io::Result<Body> {
        if self.objects.is_simulated() {
            let path = path.to_owned();
            let read = blocking(move || {
                let mut file = std::fs::File::open(path)?;
                io::Seek::seek(&mut file, SeekFrom::Start(offset))?;
                let mut content = Vec::new();
                io::Read::read_to_end(&mut io::Read::take(file, length), &mut content)?;
                Ok(Body::from(content))
            });
            return read.await.map_err(io::Error::other)?;
        }
        let mut file = File::open(path).await?;
        file.seek(SeekFrom::Start(offset)).await?;
        let paced = Paced::new(file.take(length), pace.clone());
        let stream = FramedRead::with_capacity(paced, BytesCodec::new(), pace::CHUNK_BYTES);
        Ok(Body::wrap_stream(stream))
    }

    /// Reports that parts were sent; returns what the relay finds of them in the store.
    pub async fn confirm_parts(
        &self,
        clip_id: ClipId,
        parts: Vec<u32>,
    ) -> Result<PartsStored, CloudError> {
        let door = "POST agent/clips/{id}/stored";
        let path = format!("agent/clips/{clip_id}/stored");
        let answer = self.post(door, &path, &PartsSent { parts }).await?;
        serde_json::from_slice(&answer).map_err(|error| {
            CloudError::unavailable(door, format!("answered something unexpected: {error}"))
        })
    }

    pub async fn complete_clip(
        &self,
        clip_id: ClipId,
        completion: &ClipCompletion,
    ) -> Result<(), CloudError> {
        let path = format!("agent/clips/{clip_id}/complete");
        self.post("POST agent/clips/{id}/complete", &path, completion).await.map(drop)
    }

    pub async fn fail_clip(
        &self,
        clip_id: ClipId,
        failure: &ClipFailure,
    ) -> Result<(), CloudError> {
        let path = format!("agent/clips/{clip_id}/failed");
        self.post("POST agent/clips/{id}/failed", &path, failure).await.map(drop)
    }

    async fn post<B: Serialize>(
        &self,
        door: &str,
        path: &str,
        content: &B,
    ) -> Result<Vec<u8>, CloudError> {
        let response = self.authorized(door, path, content).await?;
        body(door, response).await
    }

    /// Sends a request with the token. It may have been revoked, or have expired while the board
    /// slept: one fresh token is tried.
    async fn authorized<B: Serialize>(
        &self,
        door: &str,
        path: &str,
        content: &B,
    ) -> Result<Response, CloudError> {
        let url = self.visitor.door(path)?;
        for _ in 0..2 {
            let token = self.token().await?;
            let request = self
                .visitor
                .http
                .post(url.clone())
                .timeout(EXCHANGE_TIMEOUT)
                .bearer_auth(&token.value)
                .json(content);
            let response = self.visitor.http.send(door, request).await?;
            if response.status().as_u16() != 401 {
                return Ok(response);
            }
            self.forget_token(&token).await;
        }
        Err(CloudError::Unauthorized { door: door.to_owned() })
    }
}
