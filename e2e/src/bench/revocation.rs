//! How long somebody still gets what is not theirs any more: at the API, on a socket, of a live picture.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use nightjar_shared::{
    signal::{Signal, SignalKind},
    topic::Channel,
};
use serde_json::{Value, json};

use super::{
    machine::unix_millis,
    report::{Figure, percentile},
};
use crate::{
    api::{Api, text},
    fake_camera::{Connected, FakeCamera},
    feed::Feed,
    relay::{Place, Ports, Relay},
    stack::{EMAIL, PASSWORD},
    wait,
};

const RUNS: usize = 100;
/// Of one link; an account makes thirty at once.
const USES: usize = 20;
const TOO_MANY_REQUESTS: u16 = 429;
/// A relay signs an account in 20 times at once.
const SIGN_INS: usize = 20;
const LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(2);
/// From now to the end of a guest's time: long enough to begin to watch.
const GUEST_MS: f64 = 1_000.0;

const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
    m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=ice-ufrag:abcd\r\n\
    a=ice-pwd:0123456789012345678901\r\na=fingerprint:sha-256 00:11:22\r\na=recvonly\r\n";
const ANSWER: &str = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=sendonly\r\n";

/// A relay with a camera that answers, at its owner's site.
struct Household {
    _relay: Relay,
    stranger: Api,
    owner: Api,
    site_id: String,
    camera_path: String,
    camera: Connected,
    link: Value,
    uses_left: usize,
}

/// Milliseconds from the end of a right to the end of what hangs on it.
#[derive(Default)]
struct Milliseconds {
    api: Vec<f64>,
    socket: Vec<f64>,
    live: Vec<f64>,
}

pub(super) async fn revocation(directory: &Path) -> Result<Vec<Figure>> {
    let mut household = Household::start(directory).await?;
    let removed = household.removals().await.context("members that are removed")?;
    let ended = household.ends().await.context("guests whose time is over")?;
    let signed_out = household.sign_outs().await.context("sign-ins that end")?;
    Ok(removed
        .figures("member removed")
        .chain(ended.figures("guest's time over"))
        .chain(signed_out.figures("signed out"))
        .collect())
}

impl Milliseconds {
    fn figures(&self, what: &str) -> impl Iterator<Item = Figure> + use<> {
        [("API", &self.api, 1.0), ("socket", &self.socket, 5.0), ("live picture", &self.live, 5.0)]
            .into_iter()
            .filter(|(_, samples, _)| !samples.is_empty())
            .map(|(part, samples, goal_s)| {
                let name = format!("{what}, {part} ends, p99 of {}", samples.len());
                Figure::new(name, percentile(samples, 99) / 1_000.0, "s").at_most(goal_s)
            })
            .collect::<Vec<_>>()
            .into_iter()
    }
}

impl Household {
    async fn start(directory: &Path) -> Result<Self> {
        let relay = Relay::start(directory, Place::loopback(Ports::free()?)).await?;
        let stranger = relay.api()?;
        let (owner, site_id) = stranger.register(EMAIL, PASSWORD).await?;
        let fake = FakeCamera::pair(&owner, &site_id).await?;
        let mut camera = fake.connect().await?;
        camera.listen().await?;
        let presence = json!({"online": true, "boot_id": uuid::Uuid::nil()});
        camera.say(Channel::UpPresence, &presence).await?;
        let camera_id = fake.id.to_string();
        owner.camera_is(&camera_id, "online", LIMIT).await?;
        Ok(Self {
            _relay: relay,
            stranger,
            owner,
            site_id,
            camera_path: format!("cameras/{camera_id}"),
            camera,
            link: Value::Null,
            uses_left: 0,
        })
    }

    async fn let_in(&mut self, guest: &Api) -> Result<()> {
        if self.uses_left == 0 {
            let path = format!("sites/{}/invitations", self.site_id);
            let request = json!({"role": "viewer", "uses": USES});
            self.link = self.owner.post(&path, request).await?.expect(201)?.json();
            self.uses_left = USES;
        }
        self.uses_left -= 1;
        let token = json!({"token": self.link["token"]});
        // An address takes sixty at once, then one a second.
        wait::until("somebody is let in", LIMIT, async || {
            let answer = guest.post("invitations/accept", token.clone()).await?;
            if answer.status == TOO_MANY_REQUESTS {
                return Ok(None);
            }
            answer.expect(200).map(Some)
        })
        .await
        .map(drop)
    }

    /// Lets somebody watch, in their turn.
    async fn watch(&mut self, guest: &Api) -> Result<Signal> {
        let path = format!("{}/whep", self.camera_path);
        loop {
            let asked = guest.post_text(&path, "application/sdp", OFFER.to_owned());
            let answered = self.camera.answer(ANSWER, LIMIT);
            tokio::pin!(asked, answered);
            tokio::select! {
                answer = &mut asked => {
                    let answer = answer?;
                    // The relay has what the camera said before the camera knows.
                    if answer.status == 201 {
                        return answered.await;
                    }
                    ensure!(answer.status == TOO_MANY_REQUESTS, "nobody watches: {}", answer.text);
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                offer = &mut answered => {
                    let offer = offer?;
                    asked.await?.expect(201)?;
                    return Ok(offer);
                }
            }
        }
    }

    async fn bye(&mut self, offer: &Signal) -> Result<Instant> {
        loop {
            let (signal, at) = self.camera.signal(LIMIT).await?;
            if signal.kind == SignalKind::Bye && signal.session_id == offer.session_id {
                return Ok(at);
            }
        }
    }

    async fn removals(&mut self) -> Result<Milliseconds> {
        let (guest, _) = self.stranger.register("guest@example.org", PASSWORD).await?;
        let member = self.member(&guest).await?;
        let mut feed = Feed::open(&guest).await?;
        let mut taken = Milliseconds::default();
        for _ in 0..RUNS {
            self.let_in(&guest).await?;
            let offer = self.watch(&guest).await?;
            let began = Instant::now();
            self.owner.delete(&member).await?.expect(204)?;
            taken.api.push(since(began, refused(&guest, &self.camera_path).await?));
            taken.live.push(since(began, self.bye(&offer).await?));
            let is_told = |message: &Value| {
                message["type"] == "membership" && message["membership"]["role"].is_null()
            };
            let (_, at) = feed.next("the end of the membership", LIMIT, is_told).await?;
            taken.socket.push(since(began, at));
        }
        Ok(taken)
    }

    async fn ends(&mut self) -> Result<Milliseconds> {
        let (guest, _) = self.stranger.register("visitor@example.org", PASSWORD).await?;
        let member = self.member(&guest).await?;
        let mut taken = Milliseconds::default();
        for _ in 0..RUNS {
            self.let_in(&guest).await?;
            let offer = self.watch(&guest).await?;
            let ends_at = unix_millis()?.round() + GUEST_MS;
            let terms = json!({"ends_at": whole(ends_at)});
            self.owner.patch(&member, terms).await?.expect(200)?;
            let left = Duration::from_secs_f64((ends_at - unix_millis()?).max(0.0) / 1_000.0);
            let began = Instant::now() + left;
            tokio::time::sleep(left).await;
            taken.api.push(since(began, refused(&guest, &self.camera_path).await?));
            taken.live.push(since(began, self.bye(&offer).await?));
        }
        Ok(taken)
    }

    async fn sign_outs(&mut self) -> Result<Milliseconds> {
        let mut taken = Milliseconds::default();
        for account in 0..RUNS / SIGN_INS {
            let email = format!("resident{account}@example.org");
            let (first, _) = self.stranger.register(&email, PASSWORD).await?;
            self.let_in(&first).await?;
            for _ in 0..SIGN_INS {
                let phone = wait::until("somebody is let sign in", LIMIT, async || {
                    Ok(self.stranger.login(&email, PASSWORD).await.ok())
                })
                .await?;
                let mut feed = Feed::open(&phone).await?;
                let offer = self.watch(&phone).await?;
                let began = Instant::now();
                phone.post("auth/logout", Value::Null).await?.expect(204)?;
                taken.api.push(since(began, refused(&phone, &self.camera_path).await?));
                taken.live.push(since(began, self.bye(&offer).await?));
                let closed = feed.next("its end", LIMIT, |_| false).await.is_err();
                ensure!(closed, "a socket outlives its sign-in");
                taken.socket.push(since(began, Instant::now()));
            }
        }
        Ok(taken)
    }

    async fn member(&self, guest: &Api) -> Result<String> {
        let me = guest.get("auth/me").await?.expect(200)?.json();
        let account_id = text(&me["account"], "account_id").context("an account without an id")?;
        Ok(format!("sites/{}/members/{account_id}", self.site_id))
    }
}

fn since(began: Instant, at: Instant) -> f64 {
    at.saturating_duration_since(began).as_secs_f64() * 1_000.0
}

/// Asks until the answer is that there is nothing, or nobody: gives when that came.
async fn refused(guest: &Api, path: &str) -> Result<Instant> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let status = guest.get(path).await?.status.as_u16();
        if [401, 404].contains(&status) {
            return Ok(Instant::now());
        }
        ensure!(Instant::now() < deadline, "what was taken away is still there: {status}");
        tokio::time::sleep(POLL).await;
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a time of this century, in milliseconds")]
fn whole(ms: f64) -> i64 {
    ms as i64
}
