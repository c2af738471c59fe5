//! What many sign-ins at once cost everybody else, and how soon the end of one counts.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;

use super::report::{Figure, percentile};
use crate::{
    api::{Api, text},
    feed::Feed,
    relay::{Place, Ports, Relay},
};

const AT_ONCE: u8 = 50;
const ROUNDS: usize = 10;
/// Requests of somebody else, in each round once alone and once beside the sign-ins.
const REQUESTS: usize = 100;
/// A person's app asks about so often at its busiest.
const PAUSE: Duration = Duration::from_millis(5);
const ENDS: usize = 100;
const PASSWORD: &str = "twelve purple ladders";
const SOON: Duration = Duration::from_secs(20);

/// Measures how soon the end of a sign-in counts.
pub(super) async fn sign_ins(directory: &Path) -> Result<Vec<Figure>> {
    std::fs::create_dir_all(directory).context("cannot make the bench's directory")?;
    let relay = Relay::start(directory, Place::loopback(Ports::free()?)).await?;
    relay.api()?.register("witness@example.org", PASSWORD).await?;
    ends(&relay.api()?, "witness@example.org").await
}

/// Measures what many sign-ins at once cost somebody else.
pub(crate) async fn beside_others(directory: &Path) -> Result<Vec<Figure>> {
    let relay = Relay::start(directory, Place::loopback(Ports::free()?)).await?;
    let mut people = Vec::new();
    for number in 1..=AT_ONCE {
        // Each from a network of its own, as it is in the field.
        let address = IpAddr::V4(Ipv4Addr::new(127, 0, 1, number));
        let api = Api::calling_from(&relay.url(), address)?;
        let email = format!("person{number}@example.org");
        api.register(&email, PASSWORD).await?;
        people.push((api, email));
    }
    let (witness, _) = relay.api()?.register("witness@example.org", PASSWORD).await?;
    disturbance(&witness, &people).await
}

async fn disturbance(witness: &Api, people: &[(Api, String)]) -> Result<Vec<Figure>> {
    let (mut alone, mut beside, mut all_ms) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.extend(ask(witness, REQUESTS).await?);
        let begin = Instant::now();
        let sign_ins = async {
            try_join_all(people.iter().map(|(api, email)| api.login(email, PASSWORD))).await?;
            Ok::<_, anyhow::Error>(milliseconds(begin))
        };
        let (took, asked) = tokio::try_join!(sign_ins, ask(witness, REQUESTS))?;
        all_ms.push(took);
        beside.extend(asked);
        // Right passwords of an account are limited, too.
        tokio::time::sleep(Duration::from_secs(6)).await;
    }
    let (quiet, busy) = (percentile(&alone, 99), percentile(&beside, 99));
    Ok(vec![
        Figure::new(
            "50 sign-ins at once, until the last is in, p50 of 10",
            percentile(&all_ms, 50),
            "ms",
        ),
        Figure::new("somebody else's request, p99 alone", quiet, "ms"),
        Figure::new("somebody else's request, p99 beside 50 sign-ins", busy, "ms"),
        Figure::new("p99 beside 50 sign-ins to alone", busy / quiet, "").at_most(1.2),
    ])
}

/// Asks for what every page asks for, again and again; returns how long each answer took.
async fn ask(witness: &Api, count: usize) -> Result<Vec<f64>> {
    let mut took = Vec::new();
    for _ in 0..count {
        let begin = Instant::now();
        witness.get("auth/me").await?.expect(200)?;
        took.push(milliseconds(begin));
        tokio::time::sleep(PAUSE).await;
    }
    Ok(took)
}

/// Ends a sign-in from another one, and looks when it opens nothing more and when its socket closes.
async fn ends(api: &Api, email: &str) -> Result<Vec<Figure>> {
    let (mut at_api, mut at_socket) = (Vec::new(), Vec::new());
    let own = api.login(email, PASSWORD).await?;
    for _ in 0..ENDS {
        // Right passwords of an account are limited to one in six seconds.
        let phone = if let Ok(phone) = api.login(email, PASSWORD).await {
            phone
        } else {
            tokio::time::sleep(Duration::from_secs(6)).await;
            api.login(email, PASSWORD).await?
        };
        let mut feed = Feed::open(&phone).await?;
        let list = own.get("auth/sessions").await?.expect(200)?.json();
        let newest = list["items"].as_array().into_iter().flatten();
        let newest = newest
            .filter(|one| one["current"] == false)
            .max_by_key(|one| one["signed_in_at"].as_i64());
        let id = text(newest.context("no other sign-in")?, "sign_in_id").context("no id")?;
        let begin = Instant::now();
        own.delete(&format!("auth/sessions/{id}")).await?.expect(204)?;
        loop {
            let status = phone.get("auth/me").await?.status.as_u16();
            if status == 401 {
                break;
            }
            ensure!(begin.elapsed() < SOON, "an ended sign-in answers {status}");
        }
        at_api.push(milliseconds(begin));
        feed.next("nothing", SOON, |_| false).await.err().context("the socket stays open")?;
        at_socket.push(milliseconds(begin));
    }
    Ok(vec![
        Figure::new("end of a sign-in at the API, p99 of 100", percentile(&at_api, 99), "ms")
            .at_most(1_000.0),
        Figure::new("end of a sign-in at its socket, p99 of 100", percentile(&at_socket, 99), "ms")
            .at_most(5_000.0),
    ])
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1_000.0
}
