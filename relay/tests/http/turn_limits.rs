//! What the embedded TURN server does not do: for whom it stops, whom it refuses, whom it does not
//! reach.

use std::{net::SocketAddr, time::Duration};

use nightjar_shared::signal::SignalKind;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, UdpSocket},
    time::timeout,
};

use crate::{
    device::{Device, Online},
    live::{OFFER, answer, online, watch},
    live_limits::report,
    person::{Answer, Person},
    relay::{TestRelay, eventually},
    support::{PATIENCE, until, within},
    turn::{Credentials, credentials, credentials_of, metric, relay_with_turn},
    turn_client::{
        ALLOCATION_MISMATCH, FORBIDDEN, INSUFFICIENT_CAPACITY, TurnClient, UNAUTHORIZED, binding,
        is_answered, socket,
    },
};

async fn client(credentials: &Credentials) -> TurnClient {
    TurnClient::new(&credentials.port, &credentials.user, &credentials.password).await
}

async fn watched(person: &Person, device: &Device, camera: &mut Online) -> (Answer, String) {
    let (opened, _) = tokio::join!(watch(person, device, OFFER), answer(camera));
    let location = opened.headers["location"].to_str().unwrap().to_owned();
    (opened, location)
}

async fn has_allocations(relay: &TestRelay, expected: u64) {
    let counted = async || metric(relay, "nightjar_turn_allocations").await;
    eventually(counted, |found| *found == expected).await;
}

#[tokio::test]
async fn what_was_allocated_ends_with_its_session_and_nothing_follows() {
    let relay = relay_with_turn(&[]).await;
    let alice = relay.person("alice").await;
    let (device, mut camera) = online(&relay, &alice).await;
    let (opened, location) = watched(&alice, &device, &mut camera).await;
    let credentials = credentials_of(&opened);
    let held = client(&credentials).await;
    held.allocate().await.unwrap();
    // This one lets go before the end: nothing of the session is allocated any more for a while.
    let early = client(&credentials).await;
    early.allocate().await.unwrap();
    early.refresh(0).await.unwrap();
    has_allocations(&relay, 1).await;

    alice.delete(&location).await.body(200);
    has_allocations(&relay, 0).await;
    assert_eq!(early.allocate().await, Err(INSUFFICIENT_CAPACITY));
    assert_eq!(client(&credentials).await.allocate().await, Err(INSUFFICIENT_CAPACITY));

    // Also when nothing was allocated at the end.
    assert_eq!(camera.heard_signal().await.kind, SignalKind::Bye);
    let (opened, location) = watched(&alice, &device, &mut camera).await;
    alice.delete(&location).await.body(200);
    let late = client(&credentials_of(&opened)).await;
    assert_eq!(late.allocate().await, Err(INSUFFICIENT_CAPACITY));
    relay.stop().await;
}

#[tokio::test]
async fn a_session_that_streams_keeps_its_allocation_and_a_spent_credential_makes_no_new_one() {
    let relay = relay_with_turn(&[]).await;
    let alice = relay.person("alice").await;
    let (device, mut camera) = online(&relay, &alice).await;
    let (opened, offer) = tokio::join!(watch(&alice, &device, OFFER), answer(&mut camera));
    let credentials = credentials_of(&opened);
    let held = client(&credentials).await;
    held.allocate().await.unwrap();
    let spent = client(&credentials).await;
    spent.allocate().await.unwrap();
    spent.refresh(0).await.unwrap();

    for _ in 0..24 {
        relay.pass(Duration::from_secs(30));
        camera.signal(&report(offer.session_id)).await;
    }
    held.refresh(600).await.unwrap();
    assert_eq!(held.allocate().await, Err(ALLOCATION_MISMATCH));
    // This one is known to the server from before.
    assert_eq!(spent.allocate().await, Err(INSUFFICIENT_CAPACITY));
    assert_eq!(client(&credentials).await.allocate().await, Err(UNAUTHORIZED));
    has_allocations(&relay, 1).await;
    relay.stop().await;
}

#[tokio::test]
async fn what_is_allocated_before_the_offer_lasts_as_long_as_its_viewer_watches() {
    let relay = relay_with_turn(&[]).await;
    let alice = relay.person("alice").await;
    let (device, mut camera) = online(&relay, &alice).await;
    let held = client(&credentials(&alice, &device).await).await;
    held.allocate().await.unwrap();
    let (opened, offer) = tokio::join!(watch(&alice, &device, OFFER), answer(&mut camera));
    let own = client(&credentials_of(&opened)).await;
    own.allocate().await.unwrap();
    for _ in 0..24 {
        relay.pass(Duration::from_secs(30));
        camera.signal(&report(offer.session_id)).await;
    }
    relay.sweep().await;
    held.refresh(600).await.unwrap();
    has_allocations(&relay, 2).await;

    alice.delete(opened.headers["location"].to_str().unwrap()).await.body(200);
    has_allocations(&relay, 1).await;
    relay.pass(Duration::from_secs(30));
    has_allocations(&relay, 0).await;
    relay.stop().await;
}

#[tokio::test]
async fn media_is_relayed_on_while_the_camera_is_lost_but_not_for_ever() {
    let relay = relay_with_turn(&[]).await;
    let alice = relay.person("alice").await;
    let (device, mut camera) = online(&relay, &alice).await;
    let (opened, location) = watched(&alice, &device, &mut camera).await;
    let held = client(&credentials_of(&opened)).await;
    held.allocate().await.unwrap();

    camera.mqtt.vanish();
    until("its end is noticed", || !relay.app().broker.online(device.id())).await;
    relay.pass(Duration::from_secs(31));
    let state = async || alice.get(&location).await.body(200)["reason"].clone();
    eventually(state, |reason| reason == "camera_offline").await;
    // What a neighbour allocated for no session ends when it is looked at: so was this one. The
    // second look begins after the first has ended.
    for name in ["bob", "carol"] {
        let neighbour = relay.person(name).await;
        let theirs = relay.camera_of(&neighbour).await;
        let idle = client(&credentials(&neighbour, &theirs).await).await;
        idle.allocate().await.unwrap();
        relay.pass(Duration::from_mins(29));
        has_allocations(&relay, 1).await;
    }
    held.refresh(600).await.unwrap();

    relay.pass(Duration::from_mins(2));
    has_allocations(&relay, 0).await;
    relay.stop().await;
}

#[tokio::test]
async fn an_account_has_so_many_allocations_and_its_neighbour_is_not_concerned() {
    let relay = relay_with_turn(&[]).await;
    let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
    let (hers, his) = (relay.camera_of(&alice).await, relay.camera_of(&bob).await);
    let mut held = Vec::new();
    for _ in 0..3 {
        let credentials = credentials(&alice, &hers).await;
        for _ in 0..32 {
            let client = client(&credentials).await;
            client.allocate().await.unwrap();
            held.push(client);
        }
    }
    let more = client(&credentials(&alice, &hers).await).await;
    assert_eq!(more.allocate().await, Err(INSUFFICIENT_CAPACITY));
    // Both keep their ports, at which the server knows them by their credentials.
    let neighbour = client(&credentials(&bob, &his).await).await;
    neighbour.allocate().await.unwrap();
    held.last().unwrap().refresh(0).await.unwrap();
    has_allocations(&relay, 96).await;
    let again = client(&credentials(&alice, &hers).await).await;
    again.allocate().await.unwrap();
    relay.stop().await;
}

/// Sends to a peer, and says whether that counted as relayed.
async fn relays_to(relay: &TestRelay, client: &TurnClient, peer: SocketAddr) -> bool {
    let relayed = async || {
        // Metrics are as they were within five seconds.
        relay.pass(Duration::from_secs(6));
        metric(relay, "nightjar_turn_relayed_bytes_total").await
    };
    let before = relayed().await;
    // Whether it is permitted or not: what is sent all the same must not arrive either.
    let _ = client.permit(peer).await;
    client.send(peer, b"are you there?").await;
    // The answer comes after what was sent before the question.
    assert!(client.is_heard().await);
    relayed().await > before
}

#[tokio::test]
async fn peers_that_are_near_the_relay_hear_nothing_unless_they_are_allowed() {
    let near = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut buffer = [0; 64];
    let peer = near.local_addr().unwrap();
    for allowed in [&[][..], &["127.0.0.1"]] {
        let relay = relay_with_turn(allowed).await;
        let alice = relay.person("alice").await;
        let device = relay.camera_of(&alice).await;
        let client = client(&credentials(&alice, &device).await).await;
        let own = client.allocate().await.unwrap();
        assert_eq!(relays_to(&relay, &client, peer).await, !allowed.is_empty());
        for denied in [
            "10.0.0.1:80",
            "172.16.0.1:80",
            "192.168.1.1:80",
            "169.254.169.254:80",
            "100.100.100.200:80",
            "127.0.0.2:80",
            "[::ffff:10.0.0.1]:80",
            "[::ffff:169.254.169.254]:80",
            "[fd00:ec2::254]:80",
            "[::1]:80",
        ] {
            let denied: SocketAddr = denied.parse().unwrap();
            assert!(!relays_to(&relay, &client, denied).await, "{denied}");
            if denied.is_ipv4() {
                assert_eq!(client.permit(denied).await, Err(FORBIDDEN), "{denied}");
                assert_eq!(client.bind(denied).await, Err(FORBIDDEN), "{denied}");
            }
        }
        let answer = timeout(Duration::from_millis(200), near.recv_from(&mut buffer)).await;
        assert_eq!(answer.is_ok(), !allowed.is_empty());
        // Nor does the client hear what such a peer sends: only ours are let through.
        assert!(relays_to(&relay, &client, own).await, "a socket of the relay's own");
        client.bind(own).await.unwrap();
        relay.stop().await;
    }
}

#[tokio::test]
async fn a_network_that_asks_too_much_is_not_answered_and_others_are() {
    let relay = relay_with_turn(&[]).await;
    let alice = relay.person("alice").await;
    let device = relay.camera_of(&alice).await;
    let credentials = credentials(&alice, &device).await;
    // A client with an allocation counts no more.
    let held = client(&credentials).await;
    held.allocate().await.unwrap();
    // 256 of them, and some more where the first are forgotten before the last has come.
    let mut crowd = Vec::new();
    loop {
        let socket = socket("127.0.0.7", &credentials.port).await;
        if !is_answered(&socket).await {
            break;
        }
        crowd.push(socket);
        assert!(crowd.len() < 2_000, "no limit");
    }
    assert!(crowd.len() >= 256, "{}", crowd.len());
    assert!(is_answered(&socket("127.0.0.8", &credentials.port).await).await);

    // Networks enough to fill all places: the next one comes in all the same.
    for network in 10..28 {
        let from = format!("127.0.0.{network}");
        let sockets: Vec<UdpSocket> =
            futures::future::join_all((0..256).map(|_| socket(&from, &credentials.port))).await;
        for socket in &sockets {
            assert!(is_answered(socket).await, "{from}");
        }
    }
    held.refresh(600).await.unwrap();
    client(&credentials).await.allocate().await.unwrap();
    relay.stop().await;
}

#[tokio::test]
async fn a_network_that_connects_too_often_is_let_go_and_others_are_not() {
    let relay = relay_with_turn(&[]).await;
    let alice = relay.person("alice").await;
    let device = relay.camera_of(&alice).await;
    let port = credentials(&alice, &device).await.port;
    let mut crowd = Vec::new();
    while let Some(stream) = connected("127.0.0.7", &port).await {
        crowd.push(stream);
        assert!(crowd.len() < 2_000, "no limit");
    }
    assert!(crowd.len() >= 256, "{}", crowd.len());
    assert!(connected("127.0.0.8", &port).await.is_some());
    drop(crowd);
    let again = async || connected("127.0.0.7", &port).await.is_some();
    eventually(again, |is_in| *is_in).await;
    relay.stop().await;
}

/// A connection of this address, if the server answers there.
async fn connected(from: &str, port: &str) -> Option<tokio::net::TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
    let server = format!("127.0.0.1:{port}").parse().unwrap();
    let mut stream = within(PATIENCE, socket.connect(server)).await.unwrap();
    stream.write_all(&binding()).await.ok()?;
    let mut answer = [0; 20];
    within(PATIENCE, stream.read_exact(&mut answer)).await.ok().map(|_| stream)
}
