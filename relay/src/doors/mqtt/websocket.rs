//! MQTT within a WebSocket, for cameras whose network lets nothing but https out.
//!
//! Nothing of MQTT is understood here: bytes are carried to the broker, which asks for the same
//! credential and keeps the same limits as at its own door. The connection counts as one of the
//! broker's, by the address of the client behind trusted proxies.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{
        FromRequestParts, Request, State,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code},
    },
    response::Response,
};
use bytes::Bytes;
use futures::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use http::header;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::tcp::{OwnedReadHalf, OwnedWriteHalf},
    time::timeout,
};
use tracing::Instrument as _;

use crate::{
    app::App,
    doors::{
        principal::{Peer, cross_origin},
        server::Place,
    },
    engines::broker::Entrance,
    error::{Error, ProblemCode, Result},
    request,
};

/// The subprotocol (MQTT 5, 6).
const MQTT: &str = "mqtt";
/// Of one message. A packet of MQTT may be cut into several; the agent's clients put a packet, and
/// what was written with it, into one.
const MESSAGE_BYTES_MAX: usize = 320 * 1024;
/// Of each direction: messages are short, and there are thousands of connections.
const BUFFER_BYTES: usize = 4 * 1024;
/// How long one message may wait for a camera that does not read.
const SEND_MAX: Duration = Duration::from_secs(10);
/// How long a goodbye may take.
const CLOSE_MAX: Duration = Duration::from_secs(2);
/// When a camera may come again where there are too many.
const RETRY_S: u64 = 30;

/// Opens a WebSocket that speaks MQTT.
#[utoipa::path(get, path = "/mqtt", tag = "camera", responses((status = 101)))]
pub(in crate::doors) async fn connect(
    State(app): State<Arc<App>>,
    Peer(address): Peer,
    request: Request,
) -> Result<Response> {
    let (mut parts, _) = request.into_parts();
    // Cameras have no origin. Browsers name theirs, and none of them has business here.
    if parts.headers.contains_key(header::ORIGIN) {
        return Err(cross_origin());
    }
    let place = parts.extensions.remove::<Place>();
    let no_websocket = |detail: String| {
        Error::refused(400, ProblemCode::NotAWebsocket, "Here begins a WebSocket.")
            .with_detail(detail)
    };
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &app)
        .await
        .map_err(|error| no_websocket(error.body_text()))?
        .protocols([MQTT]);
    if upgrade.selected_protocol().is_none() {
        return Err(no_websocket("its subprotocol is `mqtt`".to_owned()));
    }
    let entrance = app.broker.admit(address).await.ok_or_else(|| Error::rate_limited(RETRY_S))?;
    let span = request::aftermath("mqtt");
    Ok(upgrade
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(0)
        .max_frame_size(MESSAGE_BYTES_MAX)
        .max_message_size(MESSAGE_BYTES_MAX)
        .on_upgrade(async move |socket| {
            if let Some(place) = place {
                place.give_up();
            }
            carry(socket, entrance).instrument(span).await;
        }))
}

/// Carries bytes both ways until one end is gone, or the broker has stopped.
async fn carry(socket: WebSocket, entrance: Entrance) {
    let inner = match entrance.connect().await {
        Ok(inner) => inner,
        Err(error) => {
            // It listens anew at this moment: the camera comes again.
            tracing::debug!(%error, "a WebSocket did not reach the broker");
            return;
        }
    };
    let (from_broker, to_broker) = inner.into_split();
    let (mut to_camera, from_camera) = socket.split();
    let goodbye = tokio::select! {
        goodbye = up(from_camera, to_broker) => goodbye,
        goodbye = down(from_broker, &mut to_camera, entrance.patience) => goodbye,
        () = entrance.over() => Some((close_code::RESTART, "the relay restarts")),
    };
    if let Some((code, reason)) = goodbye {
        let frame = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
        // A camera that does not read hears no goodbye; the rest is TCP's.
        let _ = timeout(CLOSE_MAX, to_camera.send(frame)).await;
    }
}

/// Why a camera's socket is closed, where there is somebody to tell.
type Goodbye = Option<(u16, &'static str)>;

/// It refused the camera, or had enough of it.
const BROKER_ENDED: (u16, &str) = (close_code::NORMAL, "the broker has ended the connection");

async fn up(mut camera: SplitStream<WebSocket>, mut broker: OwnedWriteHalf) -> Goodbye {
    loop {
        match camera.next().await {
            // Without a word, as TCP is closed: the broker then publishes the last will.
            None | Some(Ok(Message::Close(_))) => return None,
            Some(Err(_)) => return Some((close_code::PROTOCOL, "unreadable frame")),
            Some(Ok(Message::Text(_))) => {
                return Some((close_code::UNSUPPORTED, "MQTT is binary"));
            }
            Some(Ok(Message::Binary(bytes))) => {
                // A broker that takes nothing holds the camera back.
                if broker.write_all(&bytes).await.is_err() {
                    return Some(BROKER_ENDED);
                }
            }
            // Pings are answered below this. They are no sign of life to the broker.
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
        }
    }
}

async fn down(
    mut broker: OwnedReadHalf,
    camera: &mut SplitSink<WebSocket, Message>,
    patience: Duration,
) -> Goodbye {
    let mut buffer = vec![0; BUFFER_BYTES];
    let Ok(mut read) = timeout(patience, broker.read(&mut buffer)).await else {
        return Some((close_code::POLICY, "no CONNECT in time"));
    };
    loop {
        let length = match read {
            Ok(0) | Err(_) => return Some(BROKER_ENDED),
            Ok(length) => length,
        };
        let message = Message::Binary(Bytes::copy_from_slice(&buffer[..length]));
        // One that does not read hears no goodbye.
        timeout(SEND_MAX, camera.send(message)).await.ok()?.ok()?;
        read = broker.read(&mut buffer).await;
    }
}
