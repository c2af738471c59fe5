//! What cameras say and hear at the broker, by everybody.

use std::collections::BTreeSet;

use nightjar_shared::topic::{Channel, Topic};
use rumqttc::v5::mqttbytes::v5::{PubAckReason, SubscribeReasonCode};

use super::table::{self, Outcome, Row};
use crate::{
    mqtt_client::{Camera, Connection},
    person::Person,
    relay::{TestRelay, on_sqlite},
};

const HEADING: &str = "## Topics of the broker";

fn channels() -> Vec<Channel> {
    Channel::all("replica")
}

fn name(channel: &Channel) -> String {
    let topic = Topic::new(nightjar_shared::ids::CameraId::generate(), channel.clone()).to_string();
    topic.splitn(4, '/').last().unwrap().replace("replica", "{replica}")
}

#[test]
fn every_channel_has_a_row_and_every_row_a_channel() {
    let rows: BTreeSet<String> = table::read(HEADING)
        .iter()
        .map(|row| row.name.split_once(' ').unwrap().1.to_owned())
        .collect();
    let channels: BTreeSet<String> = channels().iter().map(name).collect();
    assert_eq!(
        rows, channels,
        "docs/authorization.md and shared/src/topic.rs do not name the same channels: add rows to the \
         table \"Topics of the broker\""
    );
}

fn is_let(row: &Row, column: &str, happened: bool) {
    let expected = row.of(column);
    assert!(
        matches!(expected, Outcome::Yes | Outcome::NotFound | Outcome::Unauthenticated),
        "{}: a topic is `yes`, `404` (goes nowhere) or `401` (no connection)",
        row.name
    );
    assert_eq!(happened, expected == Outcome::Yes, "{} as {column}", row.name);
}

async fn does(camera: &mut Camera, deed: &str, topic: &str) -> bool {
    if deed == "publish" {
        return camera.publish(topic, false, "{}").await != PubAckReason::NotAuthorized;
    }
    matches!(camera.subscribe(topic).await, SubscribeReasonCode::Success(_))
}

#[tokio::test]
async fn topics_are_for_whom_the_table_says() {
    on_sqlite(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let own = relay.camera_of(&alice).await;
        let (sibling, foreign) = (relay.camera_of(&alice).await, relay.camera_of(&bob).await);
        let removed = relay.camera_of(&alice).await;
        alice.delete(&format!("cameras/{}", removed.id())).await.body(204);
        let mut cameras = Vec::new();
        for (column, device) in
            [("camera", &own), ("sibling", &sibling), ("other camera", &foreign)]
        {
            cameras.push((column, device.connection(relay).open().await.unwrap()));
        }
        for row in table::read(HEADING) {
            let (deed, named) = row.name.split_once(' ').unwrap();
            let channel = channels().into_iter().find(|channel| name(channel) == named).unwrap();
            let topic = Topic::new(own.id(), channel).to_string();
            for (column, camera) in &mut cameras {
                is_let(&row, column, does(camera, deed, &topic).await);
            }
            // Whoever has no connection says nothing.
            assert_eq!(row.of("removed camera"), Outcome::Unauthenticated);
            assert_eq!(row.of("person"), Outcome::Unauthenticated);
        }
        assert!(removed.connection(relay).open().await.is_err());
        let persons = token_of(&alice);
        let as_a_camera = Connection { token: persons, ..own.connection(relay) };
        assert!(as_a_camera.open().await.is_err());
    })
    .await;
}

/// What a person shows at the doors.
fn token_of(person: &Person) -> String {
    let (_, token) = person.cookie.as_ref().unwrap().split_once('=').unwrap();
    token.to_owned()
}
