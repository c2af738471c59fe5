//! The embedded TURN server, as coturn's own test client uses it.

use std::time::Duration;

use reqwest::Method;
use tokio::{process::Command, time::timeout};

use nightjar_relay::config::{Config, TurnEngine};

use crate::{
    databases::Engine,
    device::Device,
    person::{Answer, Person},
    relay::{TestRelay, eventually},
};

const PATIENCE: Duration = Duration::from_mins(1);

/// TURN by UDP, TCP and TLS.
pub(crate) fn with_turn(config: &mut Config) {
    config.turn.engine = Some(TurnEngine::Embedded);
    config.turn.listen = Some("127.0.0.1:0".parse().unwrap());
    config.turn.tls = Some(true);
    config.turn.tls_listen = config.turn.listen;
}

pub(crate) async fn relay_with_turn(allowed: &[&str]) -> TestRelay {
    TestRelay::start(Engine::Sqlite, |config| {
        with_turn(config);
        config.turn.site_megabytes_per_day = 1;
        config.turn.allow_peers = allowed.iter().map(|text| (*text).to_owned()).collect();
    })
    .await
}

pub(crate) struct Credentials {
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) port: String,
    pub(crate) tls_port: String,
}

/// The ICE servers that a player is told of before it offers, as they stand in `Link`.
pub(crate) async fn links(person: &Person, device: &Device) -> Vec<String> {
    let whep = format!("cameras/{}/whep", device.id());
    let described = Answer::of(person.request(Method::OPTIONS, &whep)).await;
    assert_eq!(described.status, 204);
    links_of(&described)
}

fn links_of(answer: &Answer) -> Vec<String> {
    let links = answer.headers.get_all("link").iter();
    links.map(|link| link.to_str().unwrap().to_owned()).collect()
}

async fn offers_turn(person: &Person, device: &Device) -> bool {
    links(person, device).await.iter().any(|link| link.starts_with("<turn"))
}

pub(crate) async fn metric(relay: &TestRelay, name: &str) -> u64 {
    let metrics = relay.stranger().get("/metrics").await.text;
    let line = metrics.lines().find(|line| line.starts_with(name)).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// What a player is told before it offers.
pub(crate) async fn credentials(person: &Person, device: &Device) -> Credentials {
    credentials_in(&links(person, device).await)
}

/// What a player is told with its answer.
pub(crate) fn credentials_of(answer: &Answer) -> Credentials {
    credentials_in(&links_of(answer))
}

fn credentials_in(links: &[String]) -> Credentials {
    let schemes: Vec<&str> = links.iter().map(|link| link.split(':').next().unwrap()).collect();
    assert_eq!(schemes, ["<stun", "<turn", "<turn", "<turns"], "{links:?}");
    let transports: Vec<bool> = links.iter().map(|link| link.contains("transport=tcp")).collect();
    assert_eq!(transports, [false, false, true, true], "{links:?}");
    let quoted = |name: &str| {
        let (_, rest) = links[1].split_once(&format!("{name}=\"")).unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    let port = |link: &String| link.split([':', '?']).nth(2).unwrap().to_owned();
    Credentials {
        user: quoted("username"),
        password: quoted("credential"),
        port: port(&links[1]),
        tls_port: port(&links[3]),
    }
}

/// Two allocations that send to each other: what coturn's client says of it. `None` where coturn
/// is not installed.
#[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
async fn exchange(credentials: &Credentials, more: &[&str]) -> Option<String> {
    let Credentials { user, password, port, tls_port } = credentials;
    let port = if more.contains(&"-S") { tls_port } else { port };
    let mut client = Command::new("turnutils_uclient");
    client.args(["-u", user, "-w", password, "-p", port, "-n", "20", "-y"]);
    client.args(more).arg("127.0.0.1").kill_on_drop(true);
    let output = match timeout(PATIENCE, client.output()).await.unwrap() {
        Ok(output) => output,
        Err(error) => {
            eprintln!("SKIPPED: coturn's turnutils_uclient cannot be run: {error}");
            return None;
        }
    };
    let said = [output.stdout, output.stderr].concat();
    Some(String::from_utf8_lossy(&said).into_owned())
}

fn lost_nothing(said: &str) -> bool {
    // Four allocations send twenty messages each.
    said.contains("tot_send_msgs=80, tot_recv_msgs=80")
}

#[tokio::test]
async fn another_servers_client_relays_over_udp_tcp_and_tls_and_it_is_counted() {
    let relay = relay_with_turn(&[]).await;
    let alice = relay.person("alice").await;
    let device = relay.camera_of(&alice).await;
    let credentials = credentials(&alice, &device).await;
    // Peers are sockets of ours, and so are allowed although they are on loopback.
    for transport in [&[][..], &["-t"], &["-t", "-S"]] {
        let Some(said) = exchange(&credentials, transport).await else { return };
        assert!(lost_nothing(&said), "{transport:?}: {said}");
    }
    let relayed = metric(&relay, "nightjar_turn_relayed_bytes_total").await;
    assert!(relayed > 2_000, "{relayed}");

    // Ten minutes later nothing new is given out for these.
    relay.pass(Duration::from_mins(10));
    let said = exchange(&credentials, &[]).await.unwrap();
    assert!(!lost_nothing(&said) && said.contains("Cannot complete Allocation"), "{said}");
    let wrong =
        Credentials { password: "wrong".to_owned(), ..self::credentials(&alice, &device).await };
    let said = exchange(&wrong, &[]).await.unwrap();
    assert!(said.contains("Cannot complete Allocation"), "{said}");
    relay.stop().await;
}

#[tokio::test]
async fn a_site_that_has_used_up_its_day_relays_nothing_more_until_the_next() {
    let relay = relay_with_turn(&[]).await;
    let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
    let (hers, his) = (relay.camera_of(&alice).await, relay.camera_of(&bob).await);
    let credentials = credentials(&alice, &hers).await;
    // A megabyte a day: four allocations send four times as much to each other.
    let much = ["-n", "1000", "-l", "1000", "-z", "2"];
    let Some(said) = exchange(&credentials, &much).await else { return };
    assert!(!said.contains("tot_send_msgs=4000, tot_recv_msgs=4000"), "{said}");
    // What was relayed is counted when it is looked at.
    let offered = async || {
        relay.pass(Duration::from_secs(1));
        offers_turn(&alice, &hers).await
    };
    eventually(offered, |is_offered| !is_offered).await;
    assert_eq!(links(&alice, &hers).await.len(), 1, "STUN costs nothing");
    eventually(async || metric(&relay, "nightjar_turn_allocations").await, |left| *left == 0).await;
    let relayed = metric(&relay, "nightjar_turn_relayed_bytes_total").await;
    assert!(relayed >= 1_000_000, "{relayed}");
    assert!(offers_turn(&bob, &his).await, "another site has a day of its own");
    relay.pass(Duration::from_hours(24));
    assert!(offers_turn(&alice, &hers).await, "the next day");
    relay.stop().await;
}

#[tokio::test]
async fn a_session_has_so_many_allocations_and_no_more() {
    let relay = relay_with_turn(&[]).await;
    let alice = relay.person("alice").await;
    let device = relay.camera_of(&alice).await;
    let credentials = credentials(&alice, &device).await;
    let Some(said) = exchange(&credentials, &["-m", "40", "-c", "-n", "1"]).await else { return };
    assert!(!lost_nothing(&said), "{said}");
    assert!(metric(&relay, "nightjar_turn_refused_total").await > 0, "{said}");
    // Another session of the same site is not the one to suffer.
    let other = self::credentials(&alice, &device).await;
    let said = exchange(&other, &[]).await.unwrap();
    assert!(lost_nothing(&said), "{said}");
    relay.stop().await;
}
