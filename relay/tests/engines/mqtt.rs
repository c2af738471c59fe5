//! The embedded broker against cameras that keep to their place and cameras that do not. The
//! clients are rumqttc, over TLS.

mod front;
mod relay;

use std::time::Duration;

use futures::future::join_all;
use nightjar_relay::engines::broker::{Delivery, Handled};
use nightjar_shared::{
    ids::CameraId,
    topic::{self, Channel, Topic},
};
use rumqttc::v5::mqttbytes::{
    QoS,
    v5::{PubAckReason, SubscribeReasonCode},
};

use self::relay::{Relay, token_of};
use crate::{
    mqtt_client::{Connection, last_will, presence, up_event},
    support::PATIENCE,
};

#[tokio::test]
async fn what_a_camera_says_reaches_the_relay_in_order() {
    let relay = Relay::start().await;
    let id = CameraId::generate();
    let mut camera = relay.connect(id).await;
    let granted = camera.subscribe(&topic::down_filter(id)).await;
    assert_eq!(granted, SubscribeReasonCode::Success(QoS::AtLeastOnce));
    for payload in ["first", "second"] {
        let reason = camera.publish(&up_event(id), false, payload).await;
        assert_eq!(reason, PubAckReason::Success);
    }
    assert!(relay.broker.online(id));
    camera.client.disconnect().await.unwrap();
    relay.until_logged(&format!("{id} disconnected")).await;
    let expected = ["connected", "ready", "UpEvent first", "UpEvent second", "disconnected"]
        .map(|line| format!("{id} {line}"));
    assert_eq!(relay.log(), expected);
    assert!(!relay.broker.online(id));
    relay.stop().await;
}

#[tokio::test]
async fn subscriptions_beyond_ones_own_down_topics_are_refused_and_hear_nothing() {
    let relay = Relay::start().await;
    let (spy, victim) = (CameraId::generate(), CameraId::generate());
    let mut spying = relay.connect(spy).await;
    let mut camera = relay.connect(victim).await;
    camera.subscribe(&topic::down_filter(victim)).await;
    let own = topic::down_filter(spy);
    for filter in [
        "#",
        "+/#",
        "$SYS/#",
        "nightjar/#",
        "nightjar/v1/+/down/#",
        "nightjar/v1/+/up/#",
        &topic::down_filter(victim),
        &up_event(victim),
        &up_event(spy),
        &format!("$share/group/{}", topic::down_filter(victim)),
        &format!("$share/group/{own}"),
        "$share/group/#",
        "$share/#",
        &format!("$exclusive/{}", topic::down_filter(victim)),
        &format!("$limit/9/{}", topic::down_filter(victim)),
        &format!("/{own}"),
        &format!("{own}/"),
    ] {
        let code = spying.subscribe(filter).await;
        assert!(!matches!(code, SubscribeReasonCode::Success(_)), "{filter}: {code:?}");
    }
    let command = Topic::new(victim, Channel::DownCommand);
    let sent = relay.broker.publish(&command, "secret".into(), PATIENCE).await.unwrap();
    assert_eq!(sent, Delivery::Sent);
    camera.publish(&up_event(victim), false, "secret").await;
    assert_eq!(camera.message().await.payload, "secret");
    assert!(spying.heard_nothing(&up_event(spy)).await);
    assert!(relay.refused("subscribe"));
    relay.stop().await;
}

#[tokio::test]
async fn messages_to_topics_of_others_and_to_down_topics_go_nowhere() {
    let relay = Relay::start().await;
    let (rogue, victim) = (CameraId::generate(), CameraId::generate());
    let mut attacker = relay.connect(rogue).await;
    let mut camera = relay.connect(victim).await;
    camera.subscribe(&topic::down_filter(victim)).await;
    attacker.subscribe(&topic::down_filter(rogue)).await;
    for topic in [
        up_event(victim),
        presence(victim),
        Topic::new(victim, Channel::DownCommand).to_string(),
        Topic::new(rogue, Channel::DownCommand).to_string(),
        format!("nightjar/v1/{rogue}/up/unheard-of"),
        format!("nightjar/v1/{rogue}/up/event/deeper"),
        format!("nightjar/v1/{rogue}/up/signal/"),
        "$SYS/brokers".to_owned(),
        "anything".to_owned(),
    ] {
        let reason = attacker.publish(&topic, false, "forged").await;
        assert_eq!(reason, PubAckReason::NotAuthorized, "{topic}");
    }
    assert_eq!(
        attacker.publish(&up_event(rogue), true, "forged").await,
        PubAckReason::NotAuthorized
    );
    assert_eq!(attacker.publish(&presence(rogue), true, "here").await, PubAckReason::Success);
    assert!(attacker.heard_nothing(&up_event(rogue)).await);
    assert!(camera.heard_nothing(&up_event(victim)).await);
    assert!(!relay.log().iter().any(|line| line.contains("forged")), "{:?}", relay.log());
    assert!(relay.refused("publish"));
    relay.stop().await;
}

#[tokio::test]
async fn a_last_will_that_speaks_for_others_is_refused_at_connection() {
    let relay = Relay::start().await;
    let (rogue, victim) = (CameraId::generate(), CameraId::generate());
    let down = Topic::new(victim, Channel::DownCommand).to_string();
    for topic in [presence(victim), down, up_event(rogue), "#".to_owned(), "$SYS/x".to_owned()] {
        let mut connection = relay.connection(rogue);
        connection.last_will = Some(last_will(&topic));
        assert!(connection.open().await.is_err(), "{topic}");
    }
    assert_eq!(relay.log(), Vec::<String>::new());
    assert!(relay.refused("last_will"));
    relay.stop().await;
}

#[tokio::test]
async fn the_last_will_of_a_camera_that_vanishes_is_heard() {
    let relay = Relay::start().await;
    let id = CameraId::generate();
    let mut connection = relay.connection(id);
    connection.last_will = Some(last_will(&presence(id)));
    connection.open().await.unwrap().vanish();
    relay.until_logged(&format!("{id} disconnected")).await;
    let expected =
        ["connected", "UpPresence gone", "disconnected"].map(|line| format!("{id} {line}"));
    assert_eq!(relay.log(), expected);
    relay.stop().await;
}

#[tokio::test]
async fn wrong_missing_and_borrowed_credentials_are_refused() {
    let relay = Relay::start().await;
    let (own, other) = (CameraId::generate(), CameraId::generate());
    let change = |change: fn(&mut Connection, CameraId)| {
        let mut connection = relay.connection(own);
        change(&mut connection, other);
        connection
    };
    let attempts = [
        ("wrong token", change(|connection, _| connection.token = "guess".to_owned())),
        ("empty token", change(|connection, _| connection.token.clear())),
        ("huge token", change(|connection, _| connection.token = "x".repeat(60_000))),
        ("token of another", change(|connection, other| connection.token = token_of(other))),
        (
            "client id of another",
            change(|connection, other| connection.client_id = other.to_string()),
        ),
        (
            "user name of another",
            change(|connection, other| connection.user_name = other.to_string()),
        ),
        ("no client id", change(|connection, _| connection.client_id.clear())),
        (
            "no camera",
            change(|connection, _| {
                connection.client_id = "relay".to_owned();
                connection.user_name = "relay".to_owned();
            }),
        ),
        (
            "other spelling",
            change(|connection, _| {
                connection.client_id = connection.client_id.to_uppercase();
                connection.user_name = connection.client_id.clone();
            }),
        ),
    ];
    for (what, connection) in attempts {
        assert!(connection.open().await.is_err(), "{what}");
    }
    assert_eq!(relay.log(), Vec::<String>::new());
    assert!(relay.refused("credential") && relay.refused("identity"));
    relay.stop().await;
}

#[tokio::test]
async fn a_session_cannot_be_taken_over_with_another_credential() {
    let relay = Relay::start().await;
    let (victim, thief) = (CameraId::generate(), CameraId::generate());
    let mut camera = relay.connect(victim).await;
    camera.subscribe(&topic::down_filter(victim)).await;
    let mut with_own_name = relay.connection(thief);
    with_own_name.client_id = victim.to_string();
    assert!(with_own_name.open().await.is_err());
    let mut with_borrowed_name = relay.connection(victim);
    with_borrowed_name.token = token_of(thief);
    assert!(with_borrowed_name.open().await.is_err());
    let command = Topic::new(victim, Channel::DownCommand);
    relay.broker.publish(&command, "still here?".into(), PATIENCE).await.unwrap();
    assert_eq!(camera.message().await.payload, "still here?");
    assert_eq!(relay.log(), ["connected", "ready"].map(|line| format!("{victim} {line}")));
    relay.stop().await;
}

#[tokio::test]
async fn a_camera_that_comes_back_takes_over_its_own_session_without_being_called_gone() {
    let relay = Relay::start().await;
    let id = CameraId::generate();
    for _ in 0..5 {
        let mut connection = relay.connection(id);
        connection.last_will = Some(last_will(&presence(id)));
        // The one before is still connected, as after a change of network.
        std::mem::forget(connection.open().await.unwrap());
    }
    let mut last = relay.connect(id).await;
    last.subscribe(&topic::down_filter(id)).await;
    last.publish(&up_event(id), false, "back").await;
    relay.until_logged(&format!("{id} UpEvent back")).await;
    assert!(relay.broker.online(id));
    // Whatever the old sessions still said came before the new connection.
    let log = relay.log();
    let connected =
        log.iter().rposition(|line| line.ends_with("connected") && !line.ends_with("disconnected"));
    let gone =
        log.iter().rposition(|line| line.ends_with("gone") || line.ends_with("disconnected"));
    assert!(gone < connected, "{log:?}");
    relay.stop().await;
}

#[tokio::test]
async fn a_message_to_a_camera_carries_its_expiry_and_is_not_kept_for_absent_ones() {
    let relay = Relay::start().await;
    let id = CameraId::generate();
    let command = Topic::new(id, Channel::DownCommand);
    let expiry = Duration::from_millis(14_500);
    let early = relay.broker.publish(&command, "too early".into(), expiry).await.unwrap();
    assert_eq!(early, Delivery::NotConnected);
    let mut camera = relay.connect(id).await;
    camera.subscribe(&topic::down_filter(id)).await;
    relay.broker.publish(&command, "in time".into(), expiry).await.unwrap();
    let message = camera.message().await;
    assert_eq!(message.payload, "in time");
    let remaining = message.properties.and_then(|properties| properties.message_expiry_interval);
    assert!(remaining.is_some_and(|seconds| (1..=15).contains(&seconds)), "{remaining:?}");
    let up = Topic::new(id, Channel::UpEvent);
    assert!(relay.broker.publish(&up, "wrong way".into(), expiry).await.is_err());
    relay.stop().await;
}

#[tokio::test]
async fn a_kicked_camera_is_disconnected_and_may_come_back() {
    let relay = Relay::start().await;
    let id = CameraId::generate();
    let mut camera = relay.connect(id).await;
    relay.broker.kick(id).await;
    camera.until_closed().await;
    relay.until_logged(&format!("{id} disconnected")).await;
    assert!(!relay.broker.online(id));
    relay.connect(id).await;
    relay.stop().await;
}

#[tokio::test]
async fn a_kicked_camera_hears_first_what_was_sent_to_it_before() {
    let relay = Relay::start().await;
    let id = CameraId::generate();
    let mut camera = relay.connect(id).await;
    camera.subscribe(&topic::down_filter(id)).await;
    let signal = Topic::new(id, Channel::DownSignal);
    // More than are on their way at once, and the kick right behind them.
    let sent = (0..60).map(|number| {
        let broker = relay.broker.clone();
        let signal = signal.clone();
        async move { broker.publish(&signal, number.to_string().into(), PATIENCE).await }
    });
    let (sent, ()) = tokio::join!(join_all(sent), relay.broker.kick(id));
    assert!(sent.iter().all(|sent| matches!(sent, Ok(Delivery::Sent))), "{sent:?}");
    for number in 0..60 {
        assert_eq!(camera.message().await.payload, number.to_string());
    }
    camera.until_closed().await;
    relay.stop().await;
}

#[tokio::test]
async fn a_message_that_could_not_be_stored_is_not_acknowledged() {
    let relay = Relay::start().await;
    let id = CameraId::generate();
    let mut camera = relay.connect(id).await;
    *relay.verdict.lock().unwrap() = Handled::TryAgain;
    camera.client.publish(up_event(id), QoS::AtLeastOnce, false, "precious").await.unwrap();
    camera.until_closed().await;
    *relay.verdict.lock().unwrap() = Handled::Done;
    let mut camera = relay.connect(id).await;
    assert_eq!(camera.publish(&up_event(id), false, "precious").await, PubAckReason::Success);
    relay.stop().await;
}

#[tokio::test]
async fn the_broker_can_be_started_again_on_its_port_while_cameras_are_connected() {
    let relay = Relay::start().await;
    let id = CameraId::generate();
    let mut camera = relay.connect(id).await;
    let (address, directory) = relay.stop().await;
    camera.until_closed().await;
    let relay = Relay::start_on(address, directory).await;
    let mut camera = relay.connect(id).await;
    assert_eq!(camera.publish(&up_event(id), false, "again").await, PubAckReason::Success);
    relay.stop().await;
}

#[tokio::test]
async fn a_packet_that_is_too_large_ends_its_own_connection_only() {
    let relay = Relay::start().await;
    let (large, small) = (CameraId::generate(), CameraId::generate());
    let mut bystander = relay.connect(small).await;
    let mut camera = relay.connect(large).await;
    let payload = vec![b'x'; 300 * 1024];
    // rumqttc keeps to the broker's limit by itself, and gives up the connection.
    camera.client.publish(up_event(large), QoS::AtLeastOnce, false, payload).await.unwrap();
    camera.until_closed().await;
    assert_eq!(camera.connack.properties.and_then(|p| p.max_packet_size), Some(256 * 1024));
    let reason = bystander.publish(&up_event(small), false, "unharmed").await;
    assert_eq!(reason, PubAckReason::Success);
    relay.stop().await;
}

#[tokio::test]
async fn the_broker_says_what_it_does_not_offer() {
    let relay = Relay::start().await;
    let camera = relay.connect(CameraId::generate()).await;
    let offered = camera.connack.properties.clone().unwrap();
    assert_eq!(offered.shared_subscription_available, Some(0));
    assert_eq!(offered.server_keep_alive, Some(15));
    assert_eq!(offered.max_qos, Some(1));
    relay.stop().await;
}
