//! What is said on a WebSocket, by everybody.

use std::collections::BTreeSet;

use nightjar_relay::doors::websocket::MESSAGES;
use serde_json::{Value, json};

use super::{
    table::{self, Outcome},
    world::{Principal, Things, World},
};
use crate::{
    live::OFFER,
    live_socket::say,
    relay::{TestRelay, on_sqlite},
    ws::{Socket, next, with_ticket},
};

fn message(kind: &str, things: &Things) -> Value {
    let (camera, session) = (things.named("camera_id"), things.named("session_id"));
    json!({"type": kind, "camera_id": camera, "session_id": session, "sdp": OFFER,
        "candidate": "candidate:1 1 udp 1 192.0.2.7 7000 typ host"})
}

/// What a message is answered with; one that is done and has no answer is followed by a ping's.
async fn answered(socket: &mut Socket, message: &Value) -> Value {
    say(socket, message.clone()).await;
    say(socket, json!({"type": "of_the_future"})).await;
    let mut last = Value::Null;
    loop {
        let heard = next(socket).await;
        match heard["type"].as_str().unwrap() {
            "error" if heard["code"] == "unknown_kind" && !last.is_null() => return last,
            "error" if message["type"] == "ping" => return last,
            "error" if heard["code"] == "unknown_kind" => {}
            "joined" | "answer" | "refused" | "pong" | "bye" | "redirected" => {
                if !last.is_null() || message["type"] != "ping" {
                    return heard;
                }
                last = heard;
            }
            _ => {}
        }
    }
}

#[test]
fn every_message_of_the_socket_has_a_row_and_every_row_a_message() {
    let rows = table::read("## Messages on a WebSocket");
    let rows: BTreeSet<String> = rows.into_iter().map(|row| row.name).collect();
    let messages: BTreeSet<String> = MESSAGES.iter().map(|it| (*it).to_owned()).collect();
    assert_eq!(
        rows, messages,
        "docs/authorization.md and relay/src/doors/websocket.rs do not name the same messages: add a row \
         to the table \"Messages on a WebSocket\""
    );
}

#[tokio::test]
async fn messages_do_for_each_what_the_table_says() {
    on_sqlite(async |relay: &TestRelay| {
        let world = World::new(relay, 0).await;
        for row in table::read("## Messages on a WebSocket") {
            for principal in [
                Principal::Manager,
                Principal::Viewer,
                Principal::Installer,
                Principal::Former,
                Principal::Other,
                Principal::Admin,
                // Last: a goodbye of the owner's ends the session.
                Principal::Owner,
            ] {
                let name = &row.name;
                // These have an answer only when they are refused.
                let is_silent = matches!(name.as_str(), "candidate" | "bye");
                let outcome = row.outcome(principal);
                if is_silent && outcome == Outcome::Yes {
                    continue;
                }
                let mut socket = with_ticket(world.person(principal)).await;
                let heard = answered(&mut socket, &message(name, &world.things)).await;
                let is_hidden = heard["code"] == "not_found";
                assert_eq!(
                    is_hidden,
                    outcome == Outcome::NotFound,
                    "{name} as {principal}: {heard}"
                );
                if is_hidden {
                    let mut missing = answered(&mut socket, &message(name, &world.missing)).await;
                    for id in ["camera_id", "session_id"] {
                        if missing.get(id).is_some() {
                            missing[id] = heard[id].clone();
                        }
                    }
                    assert_eq!(missing, heard, "{name} as {principal}");
                }
            }
        }
        world.assert_untouched().await;
    })
    .await;
}
