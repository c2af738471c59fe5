//! MQTT within https: the same broker, the same rules, by another door.

use futures::{SinkExt as _, StreamExt as _};
use http::{HeaderValue, StatusCode, header};
use nightjar_shared::{
    ids::CameraId,
    topic::{Channel, Topic, down_filter},
};
use rumqttc::v5::mqttbytes::v5::{PubAckReason, SubscribeReasonCode};
use serde_json::json;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{
        self, Message, client::IntoClientRequest as _, handshake::client::Response,
        protocol::frame::coding::CloseCode,
    },
};

use crate::{
    mqtt_client::Connection,
    relay::{TestRelay, eventually, on_sqlite},
    support::{PATIENCE, within},
};

type Socket = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

fn address(relay: &TestRelay) -> String {
    format!("{}/mqtt", relay.app().config.public_url.replacen("http", "ws", 1))
}

/// Opens a socket that offers this subprotocol, with one more header.
async fn open(
    relay: &TestRelay,
    subprotocol: Option<&'static str>,
    extra: Option<(header::HeaderName, &'static str)>,
) -> Result<(Socket, Response), tungstenite::Error> {
    let mut request = address(relay).into_client_request().unwrap();
    let headers = request.headers_mut();
    if let Some(subprotocol) = subprotocol {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol));
    }
    if let Some((name, value)) = extra {
        headers.insert(name, HeaderValue::from_static(value));
    }
    within(PATIENCE, tokio_tungstenite::connect_async(request)).await
}

fn refusal(opened: Result<(Socket, Response), tungstenite::Error>) -> StatusCode {
    match opened {
        Err(tungstenite::Error::Http(response)) => response.status(),
        other => panic!("{other:?}"),
    }
}

async fn close_code(socket: &mut Socket) -> Option<CloseCode> {
    loop {
        match within(PATIENCE, socket.next()).await? {
            Ok(Message::Close(frame)) => return frame.map(|frame| frame.code),
            Ok(_) => {}
            Err(_) => return None,
        }
    }
}

#[tokio::test]
async fn a_camera_within_http_is_online_hears_commands_and_stays_within_its_own_topics() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let device = relay.camera_of(&alice).await;
        let mut online = device.connect_within_http(relay, "").await;
        let door = format!("cameras/{}", online.id);
        let status = async || alice.get(&door).await.body(200)["status"].clone();
        eventually(status, |status| status == "online").await;

        let issued =
            alice.post(&format!("{door}/commands"), json!({"kind": "arm"})).await.body(202);
        let heard = online.command().await;
        assert_eq!(json!(heard.command_id), issued["command_id"]);

        let stranger = CameraId::generate();
        let granted = online.mqtt.subscribe(&down_filter(stranger)).await;
        assert_eq!(granted, SubscribeReasonCode::NotAuthorized);
        let theirs = Topic::new(stranger, Channel::UpEvent).to_string();
        let taken = online.mqtt.publish(&theirs, false, "{}").await;
        assert_eq!(taken, PubAckReason::NotAuthorized);
    })
    .await;
}

#[tokio::test]
async fn who_has_no_token_of_the_camera_is_refused_there_as_well() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let device = relay.camera_of(&alice).await;
        let id = device.id();
        let connection = Connection {
            address: relay.app().broker.address(),
            ca_pem: String::new(),
            client_id: id.to_string(),
            user_name: id.to_string(),
            token: "another".to_owned(),
            last_will: None,
            websocket: Some(address(relay)),
        };
        assert!(connection.open().await.is_err());
    })
    .await;
}

#[tokio::test]
async fn pages_of_any_origin_are_refused_and_so_is_what_offers_no_mqtt() {
    on_sqlite(async |relay: &TestRelay| {
        for origin in ["https://elsewhere.example", "null"] {
            let opened = open(relay, Some("mqtt"), Some((header::ORIGIN, origin))).await;
            assert_eq!(refusal(opened), StatusCode::FORBIDDEN, "{origin}");
        }
        for subprotocol in [None, Some("chat")] {
            assert_eq!(refusal(open(relay, subprotocol, None).await), StatusCode::BAD_REQUEST);
        }
        let (_, response) = open(relay, Some("chat, mqtt"), None).await.unwrap();
        assert_eq!(response.headers()[header::SEC_WEBSOCKET_PROTOCOL], "mqtt");
    })
    .await;
}

#[tokio::test]
async fn text_and_frames_that_are_too_large_end_the_socket_and_nonsense_ends_at_the_broker() {
    on_sqlite(async |relay: &TestRelay| {
        let (mut socket, _) = open(relay, Some("mqtt"), None).await.unwrap();
        socket.send(Message::text("CONNECT")).await.unwrap();
        assert_eq!(close_code(&mut socket).await, Some(CloseCode::Unsupported));

        let (mut socket, _) = open(relay, Some("mqtt"), None).await.unwrap();
        let _ = socket.send(Message::binary(vec![0x10; 400 * 1024])).await;
        let code = close_code(&mut socket).await;
        assert!(matches!(code, None | Some(CloseCode::Protocol)), "{code:?}");

        let (mut socket, _) = open(relay, Some("mqtt"), None).await.unwrap();
        socket.send(Message::binary(vec![0xff; 64])).await.unwrap();
        let code = close_code(&mut socket).await;
        assert!(matches!(code, None | Some(CloseCode::Normal)), "{code:?}");
    })
    .await;
}
