//! What cameras say over MQTT, and what the relay makes of it.

use std::time::Duration;

use nightjar_shared::{
    ids::{EventId, SessionId},
    signal::{Signal, SignalKind},
    topic::{Channel, Topic},
};
use serde_json::json;

use crate::{
    device::{boot_id, event, health},
    mqtt_client,
    relay::{TestRelay, eventually, on_every_database, on_sqlite},
};

#[tokio::test]
async fn garbage_is_counted_and_does_no_harm() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let mut online = camera.connect(relay).await;
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let garbage = ["", "{", "null", "[]", "{}", "\u{0}", "\"x\"", r#"{"online":"yes"}"#, &deep];
        for channel in [
            Channel::UpEvent,
            Channel::UpHealth,
            Channel::UpAck,
            Channel::UpPresence,
            Channel::UpSignal { replica: relay.app().replica.clone() },
        ] {
            let topic = Topic::new(online.id, channel).to_string();
            for payload in garbage {
                // Taken, so that the camera does not send it for ever.
                let reason = online.mqtt.publish(&topic, false, payload).await;
                assert_eq!(reason, rumqttc::v5::mqttbytes::v5::PubAckReason::Success);
            }
        }
        let counted = relay.app().metrics.render();
        assert!(counted.contains(r#"{channel="event",outcome="malformed"} 9"#), "{counted}");
        let event_id = EventId::generate();
        online.say(Channel::UpEvent, &event(event_id, "started", 5)).await;
        alice.get(&format!("events/{event_id}")).await.body(200);
    })
    .await;
}

#[tokio::test]
async fn a_message_of_a_newer_protocol_is_refused_by_name() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let mut online = relay.camera_of(&alice).await.connect(relay).await;
        let event_id = EventId::generate();
        let mut message = event(event_id, "started", 5);
        message["protocol"] = json!(99);
        online.say(Channel::UpEvent, &message).await;
        let counted = relay.app().metrics.render();
        assert!(counted.contains(r#"outcome="unsupported_protocol"} 1"#), "{counted}");
        alice.get(&format!("events/{event_id}")).await.is_problem(404, "not_found");
    })
    .await;
}

#[tokio::test]
async fn a_signal_for_another_replica_is_left_to_it() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let mut online = relay.camera_of(&alice).await.connect(relay).await;
        let answer = Signal::new(SessionId::generate(), SignalKind::Answer);
        let elsewhere = Channel::UpSignal { replica: "another-replica".to_owned() };
        online.say(elsewhere, &serde_json::to_value(&answer).unwrap()).await;
        let counted = relay.app().metrics.render();
        assert!(counted.contains(r#"{channel="signal",outcome="ok"} 1"#), "{counted}");
    })
    .await;
}

#[tokio::test]
async fn what_a_camera_says_over_mqtt_is_what_its_owner_sees() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let mut online = camera.connect(relay).await;
        let mut unwell = health();
        unwell["errors"] = json!(["The lens is covered."]);
        online.say(Channel::UpHealth, &unwell).await;
        let path = format!("cameras/{}", camera.id());
        assert_eq!(alice.get(&path).await.body(200)["status"], "degraded");
        // Its own account of its end is believed at once; the debounce is the domain's.
        let gone = json!({"online": false, "boot_id": boot_id()}).to_string();
        online.mqtt.publish(&mqtt_client::presence(camera.id()), true, &gone).await;
        drop(online);
        relay.pass(Duration::from_secs(31));
        eventually(
            async || alice.get(&path).await.body(200),
            |camera| camera["status"] == "offline",
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn an_expired_token_and_a_removed_camera_are_kept_out() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let mut camera = relay.camera_of(&alice).await;
        let mut online = camera.connect(relay).await;
        relay.pass(Duration::from_secs(3601));
        let stale = connection(relay, &camera);
        assert!(stale.open().await.is_err(), "an expired token opened a connection");
        camera.get_token().await;
        let good = connection(relay, &camera).open().await;
        assert!(good.is_ok(), "a fresh token was refused");
        // That took the place of the first connection.
        online.mqtt.until_closed().await;
        let mut online = good.unwrap();
        alice.delete(&format!("cameras/{}", camera.id())).await.body(204);
        online.until_closed().await;
        let removed = connection(relay, &camera);
        assert!(removed.open().await.is_err(), "a removed camera came back");
    })
    .await;
}

fn connection(relay: &TestRelay, camera: &crate::device::Device) -> mqtt_client::Connection {
    let id = camera.id();
    mqtt_client::Connection {
        address: relay.app().broker.address(),
        ca_pem: relay.app().certificates.ca_pem(),
        client_id: id.to_string(),
        user_name: id.to_string(),
        token: camera.caller.token.clone().unwrap(),
        last_will: None,
        websocket: None,
    }
}
