//! Before a connection speaks MQTT: who is let in, for how long, by which certificate.

use std::time::Duration;

use futures::future::join_all;
use nightjar_relay::engines::broker::BrokerLimits;
use nightjar_shared::ids::CameraId;
use rumqttc::v5::mqttbytes::v5::PubAckReason;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use super::relay::Relay;
use crate::{
    mqtt_client::{Connection, up_event},
    support::{PATIENCE, until, within},
};

/// A connection from an address of loopback that sends nothing, once it was let in or closed.
async fn idle(relay: &Relay, from: &str) -> (TcpStream, bool) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(from.parse().unwrap()).unwrap();
    let mut stream = socket.connect(relay.broker.address()).await.unwrap();
    // The broker says nothing by itself: who is refused is closed at once, others after 2 s.
    let said = timeout(Duration::from_secs(1), stream.read(&mut [0])).await;
    (stream, said.is_err())
}

#[tokio::test]
async fn one_network_takes_its_share_of_connections_and_cameras_elsewhere_connect() {
    let few = BrokerLimits { connections_per_network: 3, ..BrokerLimits::default() };
    let relay = Relay::start_within(few).await;
    let opened = join_all((0..5).map(|_| idle(&relay, "127.0.0.2:0"))).await;
    assert_eq!(opened.iter().filter(|(_, held)| *held).count(), 3);
    let camera = relay.connect(CameraId::generate()).await;
    drop(opened);
    until("their places are free again", || relay.connections() == 1).await;
    camera.client.disconnect().await.unwrap();
    until("the camera's is, too", || relay.connections() == 0).await;
    assert!(idle(&relay, "127.0.0.2:0").await.1);
    relay.stop().await;
}

#[tokio::test]
async fn all_networks_together_take_no_more_than_there_are() {
    let few = BrokerLimits { sessions: 2, ..BrokerLimits::default() };
    let relay = Relay::start_within(few).await;
    let opened =
        join_all((2..6).map(async |number| idle(&relay, &format!("127.0.0.{number}:0")).await))
            .await;
    assert_eq!(opened.iter().filter(|(_, held)| *held).count(), 2);
    relay.stop().await;
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_at_once_and_who_is_connected_stays() {
    let relay = Relay::start().await;
    let id = CameraId::generate();
    let mut camera = relay.connect(id).await;
    let before = relay.shown().await;
    relay.renew();
    assert_ne!(relay.shown().await, before);
    let newcomer = CameraId::generate();
    let mut other = relay.connect(newcomer).await;
    assert_eq!(other.publish(&up_event(newcomer), false, "new").await, PubAckReason::Success);
    assert_eq!(camera.publish(&up_event(id), false, "old").await, PubAckReason::Success);
    assert!(!relay.log().iter().any(|line| line == &format!("{id} disconnected")));
    relay.stop().await;
}

#[tokio::test]
async fn who_shakes_hands_and_says_nothing_loses_its_place_and_a_quiet_camera_does_not() {
    let hasty = BrokerLimits { authentication: Duration::from_secs(1), ..BrokerLimits::default() };
    let relay = Relay::start_within(hasty).await;
    let id = CameraId::generate();
    let mut camera = relay.connect(id).await;
    let silent = relay.shake_hands().await;
    let mut hesitant = relay.shake_hands().await;
    // Of a CONNECT that never ends.
    hesitant.write_all(&[0x10]).await.unwrap();
    for mut stream in [silent, hesitant] {
        // However it is closed.
        let _ = within(PATIENCE, stream.read_to_end(&mut Vec::new())).await;
    }
    until("their places are free again", || relay.connections() == 1).await;
    assert_eq!(relay.timed_out(), 2);
    assert_eq!(camera.publish(&up_event(id), false, "here").await, PubAckReason::Success);
    relay.stop().await;
}

#[tokio::test]
async fn who_is_refused_and_does_not_hang_up_keeps_no_place() {
    let relay = Relay::start().await;
    let mut stranger = relay.shake_hands().await;
    // A CONNECT of MQTT 5 with a client id `x`, which is no camera's.
    stranger.write_all(b"\x10\x0e\0\x04MQTT\x05\x02\0\x0f\0\0\x01x").await.unwrap();
    let mut answer = [0];
    within(PATIENCE, stranger.read_exact(&mut answer)).await.unwrap();
    assert_eq!(answer, [0x20], "it is told that it is refused");
    until("its place is free again", || relay.connections() == 0).await;
    drop(stranger);
    relay.stop().await;
}

#[tokio::test]
async fn behind_the_proxy_protocol_each_network_has_its_share_and_strangers_stay_outside() {
    let few = BrokerLimits { connections_per_network: 2, ..BrokerLimits::default() };
    let relay = Relay::start_behind("127.0.0.1".parse().unwrap(), few).await;
    let line = |client: &str| format!("PROXY TCP4 {client} 127.0.0.1 4711 8883\r\n").into_bytes();
    let second = "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".bytes();
    let second = second.chain([198, 51, 100, 2, 127, 0, 0, 1, 18, 103, 34, 179]).collect();
    let first = relay.proxy(line("198.51.100.1")).await;
    let second = relay.proxy(second).await;
    let connect = async |address| {
        let id = CameraId::generate();
        let camera = Connection { address, ..relay.connection(id) }.open().await.ok()?;
        Some((id, camera))
    };
    let (one, other) = (connect(first).await, connect(first).await);
    assert!(one.is_some() && other.is_some());
    assert!(connect(first).await.is_none(), "a network took more than its share");
    let (id, mut elsewhere) = connect(second).await.unwrap();
    assert_eq!(elsewhere.publish(&up_event(id), false, "here").await, PubAckReason::Success);

    assert!(connect(relay.broker.address()).await.is_none(), "without a header");
    let nonsense = relay.proxy(line("somewhere")).await;
    assert!(connect(nonsense).await.is_none());
    assert!(!idle(&relay, "127.0.0.2:0").await.1, "who is no proxy was let in");
    one.unwrap().1.vanish();
    until("a place is free again", || relay.connections() == 2).await;
    assert!(connect(first).await.is_some());
    relay.stop().await;
}

#[tokio::test]
async fn strangers_that_speak_no_mqtt_do_no_harm() {
    let relay = Relay::start().await;
    let address = relay.broker.address();
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0x16, 3, 1, 0xff, 0xff], &vec![0; 70_000]] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let _ = stream.write_all(garbage).await;
        let mut answer = Vec::new();
        // A reset is an answer as well.
        let _ = within(PATIENCE, stream.read_to_end(&mut answer)).await;
    }
    let id = CameraId::generate();
    let mut camera = relay.connect(id).await;
    assert_eq!(camera.publish(&up_event(id), false, "fine").await, PubAckReason::Success);
    relay.stop().await;
}
