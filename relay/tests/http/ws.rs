use futures::{SinkExt as _, StreamExt as _};
use nightjar_shared::ids::{ClipId, EventId};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest as _},
};

use crate::{
    auth::tokens,
    device::{announcement, event, health},
    person::Person,
    relay::{TestRelay, on_every_database, on_sqlite},
    support::{PATIENCE, within},
};

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub(crate) async fn open(
    person: &Person,
    query: &str,
    headers: &[(&'static str, &str)],
) -> Result<Socket, u16> {
    let url = person.url(&format!("ws{query}")).replace("http://", "ws://");
    let mut request = url.into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    match connect_async(request).await {
        Ok((socket, _)) => Ok(socket),
        Err(tokio_tungstenite::tungstenite::Error::Http(response)) => {
            Err(response.status().as_u16())
        }
        Err(error) => panic!("{error}"),
    }
}

pub(crate) async fn with_ticket(person: &Person) -> Socket {
    let ticket = person.post("ws/tickets", Value::Null).await.body(200);
    assert_eq!(ticket["expires_in_s"], 30);
    let query = format!("?ticket={}", ticket["ticket"].as_str().unwrap());
    let mut socket = open(person, &query, &[]).await.unwrap();
    assert_eq!(next(&mut socket).await["type"], "hello");
    assert_eq!(open(person, &query, &[]).await.unwrap_err(), 401);
    socket
}

pub(crate) async fn next(socket: &mut Socket) -> Value {
    loop {
        match within(PATIENCE, socket.next()).await.unwrap().unwrap() {
            Message::Text(text) => return serde_json::from_str(&text).unwrap(),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// The next message of a kind; what a camera does makes several.
pub(crate) async fn next_of(socket: &mut Socket, kind: &str) -> Value {
    loop {
        let message = next(socket).await;
        if message["type"] == kind {
            return message[kind].clone();
        }
    }
}

/// The next message that is no notification: those come a moment after what they are about.
pub(crate) async fn next_but_notifications(socket: &mut Socket) -> Value {
    loop {
        let message = next(socket).await;
        if message["type"] != "notification" {
            return message;
        }
    }
}

#[tokio::test]
async fn a_socket_tells_what_happens() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let camera = relay.camera_of(&alice).await;
        let mut socket = with_ticket(&alice).await;
        camera.beat(relay, health()).await;
        assert_eq!(next_of(&mut socket, "camera").await["status"], "online");
        let event_id = EventId::generate();
        camera.report(relay, event(event_id, "started", 5)).await;
        assert_eq!(next_of(&mut socket, "event").await["event_id"], json!(event_id));
        let announced = announcement(ClipId::generate(), Some(event_id), 1);
        camera.caller.post("agent/clips", announced).await.body(200);
        assert_eq!(next_of(&mut socket, "clip").await["state"], "announced");
        let path = format!("cameras/{}/commands", camera.id());
        alice.post(&path, json!({"kind": "arm"})).await.body(202);
        assert_eq!(next_of(&mut socket, "command").await["state"], "queued");
    })
    .await;
}

#[tokio::test]
async fn a_socket_tells_nothing_of_other_tenants() {
    on_every_database(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let (hers, his) = (relay.camera_of(&alice).await, relay.camera_of(&bob).await);
        let mut socket = with_ticket(&bob).await;
        hers.beat(relay, health()).await;
        hers.report(relay, event(EventId::generate(), "started", 5)).await;
        his.beat(relay, health()).await;
        // What he hears first is his own.
        let first = next_but_notifications(&mut socket).await;
        assert_eq!(first["camera"]["camera_id"], json!(his.id()), "{first}");
    })
    .await;
}

#[tokio::test]
async fn a_browser_needs_no_ticket_but_its_own_page() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let cookie = alice.cookie.clone().unwrap();
        let own = [("cookie", cookie.as_str()), ("origin", relay.origin())];
        let mut socket = open(&alice, "", &own).await.unwrap();
        assert_eq!(next(&mut socket).await["type"], "hello");
        let foreign = [("cookie", cookie.as_str()), ("origin", "https://evil.example")];
        assert_eq!(open(&alice, "", &foreign).await.unwrap_err(), 403);
        assert_eq!(open(&alice, "", &[("cookie", &cookie)]).await.unwrap_err(), 403);
        assert_eq!(open(&alice, "", &[]).await.unwrap_err(), 401);
        assert_eq!(open(&alice, "?ticket=made-up", &own).await.unwrap_err(), 401);
    })
    .await;
}

#[tokio::test]
async fn a_ticket_runs_out_after_half_a_minute() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let ticket = alice.post("ws/tickets", Value::Null).await.body(200);
        relay.pass(std::time::Duration::from_secs(31));
        let query = format!("?ticket={}", ticket["ticket"].as_str().unwrap());
        assert_eq!(open(&alice, &query, &[]).await.unwrap_err(), 401);
    })
    .await;
}

#[tokio::test]
async fn signing_out_closes_the_sockets() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let mut socket = with_ticket(&alice).await;
        socket.send(Message::text(r#"{"type":"ping"}"#)).await.unwrap();
        assert_eq!(next(&mut socket).await["type"], "pong");
        alice.post("auth/logout", Value::Null).await.body(204);
        let ended = async {
            loop {
                let message = socket.next().await.unwrap().unwrap();
                if !message.is_text() {
                    return message;
                }
            }
        };
        let ended = within(PATIENCE, ended).await;
        assert!(matches!(ended, Message::Close(_)), "{ended:?}");
    })
    .await;
}

#[tokio::test]
async fn a_copied_refresh_token_closes_the_sockets_too() {
    on_every_database(async |relay: &TestRelay| {
        relay.person("alice").await;
        let (script, refresh) = tokens(relay).await;
        let mut socket = with_ticket(&script).await;
        let refresh = json!({"refresh_token": refresh});
        script.post("auth/refresh", refresh.clone()).await.body(200);
        socket.send(Message::text(r#"{"type":"ping"}"#)).await.unwrap();
        // News of the sign-in may come first.
        while next(&mut socket).await["type"] != "pong" {}
        let copied = script.post("auth/refresh", refresh).await;
        copied.is_problem(401, "invalid_refresh_token");
        let ended = async {
            loop {
                let message = socket.next().await.unwrap().unwrap();
                if !message.is_text() {
                    return message;
                }
            }
        };
        let ended = within(PATIENCE, ended).await;
        assert!(matches!(ended, Message::Close(_)), "{ended:?}");
    })
    .await;
}
