//! The embedded TURN server, as coturn's own test client uses it.

use std::time::Duration;

use reqwest::Method;
use tokio::{process::Command, time::timeout};

use nightjar_relay::config::TurnEngine;

use crate::{
    database::Engine,
    device::Device,
    person::{Answer, Person},
    relay::TestRelay,
};

const PATIENCE: Duration = Duration::from_mins(1);

async fn relay_with_turn(allowed: &[&str]) -> TestRelay {
    TestRelay::start(Engine::Sqlite, |config| {
        config.turn.engine = Some(TurnEngine::Embedded);
        config.turn.listen = Some("127.0.0.1:0".parse().unwrap());
        config.turn.allow_peers = allowed.iter().map(|text| (*text).to_owned()).collect();
    })
    .await
}

struct Credentials {
    user: String,
    password: String,
    port: String,
}

/// What a player is told before it offers.
async fn credentials(person: &Person, device: &Device) -> Credentials {
    let whep = format!("cameras/{}/whep", device.id());
    let described = Answer::of(person.request(Method::OPTIONS, &whep)).await;
    assert_eq!(described.status, 204);
    let links: Vec<&str> =
        described.headers.get_all("link").iter().map(|link| link.to_str().unwrap()).collect();
    let kinds: Vec<&str> = links.iter().map(|link| &link[..5]).collect();
    assert_eq!(kinds, ["<stun", "<turn", "<turn"], "{links:?}");
    let quoted = |name: &str| {
        let (_, rest) = links[1].split_once(&format!("{name}=\"")).unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    let port = links[1].split([':', '?']).nth(2).unwrap().to_owned();
    Credentials { user: quoted("username"), password: quoted("credential"), port }
}

/// Two allocations that send to each other: what coturn's client says of it. `None` where coturn
/// is not installed.
#[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
async fn exchange(credentials: &Credentials, more: &[&str]) -> Option<String> {
    let Credentials { user, password, port } = credentials;
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
async fn another_servers_client_relays_over_udp_and_tcp_and_it_is_counted() {
    let relay = relay_with_turn(&[]).await;
    let alice = relay.person("alice").await;
    let device = relay.camera_of(&alice).await;
    let credentials = credentials(&alice, &device).await;
    // Peers are sockets of ours, and so are allowed although they are on loopback.
    for transport in [&[][..], &["-t"]] {
        let Some(said) = exchange(&credentials, transport).await else { return };
        assert!(lost_nothing(&said), "{transport:?}: {said}");
    }
    let metrics = relay.stranger().get("/metrics").await.text;
    let relayed = metrics.lines().find(|line| line.starts_with("nightjar_turn_relayed_bytes"));
    let relayed: u64 = relayed.unwrap().rsplit(' ').next().unwrap().parse().unwrap();
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
