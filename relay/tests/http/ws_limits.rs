//! What a socket takes, and when it is closed.

use std::sync::Arc;

use futures::{SinkExt as _, StreamExt as _};
use nightjar_relay::engines::realtime::Subject;
use nightjar_shared::{ids::SiteId, role::Right};
use serde_json::json;
use tokio_tungstenite::tungstenite::{Message, protocol::frame::coding::CloseCode};

use crate::{
    relay::{TestRelay, on_sqlite},
    support::{PATIENCE, within},
    ws::{Socket, next, with_ticket},
};

/// The code with which the relay closes; what it had still to say is skipped.
async fn close_code(socket: &mut Socket) -> Option<CloseCode> {
    loop {
        match within(PATIENCE, socket.next()).await? {
            Ok(Message::Close(frame)) => return frame.map(|frame| frame.code),
            Ok(_) => {}
            // A client that is still sending may see a reset instead.
            Err(_) => return None,
        }
    }
}

#[tokio::test]
async fn what_the_relay_does_not_know_is_answered_by_name() {
    on_sqlite(async |relay: &TestRelay| {
        let mut socket = with_ticket(&relay.person("alice").await).await;
        for (sent, expected) in [
            (Message::text(r#"{"type":"ping","more":1}"#), json!({"type": "pong"})),
            (
                Message::text(r#"{"type":"self_destruct"}"#),
                json!({"type": "error", "code": "unknown_kind"}),
            ),
            (Message::binary(vec![1, 2, 3]), json!({"type": "error", "code": "unknown_kind"})),
            (Message::text("{"), json!({"type": "error", "code": "malformed"})),
            (Message::text(r#""ping""#), json!({"type": "error", "code": "malformed"})),
        ] {
            socket.send(sent.clone()).await.unwrap();
            assert_eq!(next(&mut socket).await, expected, "{sent}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_frame_that_is_too_large_ends_the_socket() {
    on_sqlite(async |relay: &TestRelay| {
        let mut socket = with_ticket(&relay.person("alice").await).await;
        let _ = socket.send(Message::text("x".repeat(65 * 1024))).await;
        let code = close_code(&mut socket).await;
        assert!(matches!(code, None | Some(CloseCode::Protocol)), "{code:?}");
    })
    .await;
}

#[tokio::test]
async fn a_flood_of_frames_or_pings_ends_the_socket() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        for flood in [Message::text(r#"{"type":"ping"}"#), Message::Ping("are you there".into())] {
            let mut socket = with_ticket(&alice).await;
            for _ in 0..200 {
                if socket.send(flood.clone()).await.is_err() {
                    break;
                }
            }
            let code = close_code(&mut socket).await;
            assert!(matches!(code, None | Some(CloseCode::Policy)), "{code:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_account_has_eight_sockets_and_others_are_not_concerned() {
    on_sqlite(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let mut sockets = Vec::new();
        for _ in 0..8 {
            sockets.push(with_ticket(&alice).await);
        }
        let ticket = alice.post("ws/tickets", json!({})).await.body(200);
        let query = format!("?ticket={}", ticket["ticket"].as_str().unwrap());
        assert_eq!(crate::ws::open(&alice, &query, &[]).await.unwrap_err(), 429);
        with_ticket(&bob).await;
    })
    .await;
}

#[tokio::test]
async fn a_socket_that_does_not_read_is_closed_as_too_slow() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let me = alice.get("auth/me").await.body(200);
        let account_id = me["account"]["account_id"].as_str().unwrap().parse().unwrap();
        let mut socket = with_ticket(&alice).await;
        // More than the queue and all buffers between the two ends hold.
        let subject = Some(Subject { site_id: SiteId::generate(), right: Right::SeeCameras });
        let update: Arc<str> =
            json!({"type": "event", "event": "x".repeat(64 * 1024)}).to_string().into();
        for _ in 0..1000 {
            relay.app().realtime.send(&[account_id], subject, &update);
            tokio::task::yield_now().await;
        }
        assert!(!relay.app().realtime.has_sockets(account_id));
        assert_eq!(close_code(&mut socket).await, Some(CloseCode::Again));
    })
    .await;
}
