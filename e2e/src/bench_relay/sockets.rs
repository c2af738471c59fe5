//! What an open WebSocket costs the relay, and a plain axum server.

use std::{net::Ipv4Addr, path::Path, time::Duration};

use anyhow::{Context, Result};
use futures::StreamExt as _;
use rumqttc::tokio_rustls::TlsConnector;
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpSocket, TcpStream},
    time::sleep,
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config, tungstenite::protocol::WebSocketConfig,
};

use super::{
    connection::trusting,
    people::{Owner, People, Rows},
    plain::Plain,
};
use crate::{
    api::text,
    bench::{Figure, machine::resident_mb},
    relay::{Place, Ports, Relay},
};

/// Of each of as many people as an account may have.
const SOCKETS_EACH: usize = 8;
const PEOPLE: u8 = 125;
const SETTLED: Duration = Duration::from_secs(3);

pub(super) async fn sockets(directory: &Path) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for scheme in ["http", "https"] {
        let directory = directory.join(scheme);
        std::fs::create_dir_all(&directory)?;
        let people = People::new(PEOPLE.into(), 1)?;
        let place = Place { scheme, ..Place::loopback(Ports::free()?) };
        let relay = people.move_in(&directory, place, Rows::Sqlite).await?;
        let kib = of_relay(&relay, &people, scheme == "https").await?;
        let name = format!("an open WebSocket by {scheme}, of 1000");
        figures.push(Figure::new(name, kib, "KiB").at_most(40.0));
    }
    let plain = Plain::start(directory).await?;
    let before = resident_mb(plain.pid())?;
    let mut open = Vec::new();
    for number in 0..usize::from(PEOPLE) * SOCKETS_EACH {
        let person = u8::try_from(number / SOCKETS_EACH)?;
        let stream = connect(plain.port, person).await?;
        open.push(upgrade(stream, &plain.url(), "nobody").await?);
    }
    sleep(SETTLED).await;
    let kib = each(resident_mb(plain.pid())? - before);
    figures.push(Figure::new("the same at a plain axum server, by http", kib, "KiB"));
    Ok(figures)
}

async fn of_relay(relay: &Relay, people: &People, is_https: bool) -> Result<f64> {
    let tls = is_https.then(|| trusting(&relay.ca())).transpose()?;
    // What the first of all costs once is no socket's.
    let first = people.owners.first().context("nobody")?;
    drop(open(relay, first, 0, tls.as_ref()).await?);
    sleep(SETTLED).await;
    let before = resident_mb(relay.pid())?;
    let mut sockets = Vec::new();
    for (person, owner) in (0_u8..).zip(&people.owners) {
        for _ in 0..SOCKETS_EACH {
            sockets.push(open(relay, owner, person, tls.as_ref()).await?);
        }
    }
    sleep(SETTLED).await;
    Ok(each(resident_mb(relay.pid())? - before))
}

/// Opens a person's socket, and waits for the relay's hello.
async fn open(
    relay: &Relay,
    owner: &Owner,
    person: u8,
    tls: Option<&TlsConnector>,
) -> Result<Box<dyn Send>> {
    let ticket = owner.api(relay)?.post("ws/tickets", json!({})).await?.expect(200)?;
    let ticket = text(&ticket.json(), "ticket").context("a ticket without a ticket")?;
    let stream = connect(relay.ports().web, person).await?;
    let Some(tls) = tls else {
        let mut socket = upgrade(stream, &relay.url(), &ticket).await?;
        socket.next().await.context("no hello")??;
        return Ok(Box::new(socket));
    };
    let stream = tls.connect("localhost".try_into()?, stream).await?;
    let mut socket = upgrade(stream, &relay.url(), &ticket).await?;
    socket.next().await.context("no hello")??;
    Ok(Box::new(socket))
}

/// Connects from an address of the person's own: the relay limits each.
async fn connect(port: u16, person: u8) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::new(127, 0, 2, person + 1), 0).into())?;
    Ok(socket.connect((Ipv4Addr::LOCALHOST, port).into()).await?)
}

async fn upgrade<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    url: &str,
    ticket: &str,
) -> Result<WebSocketStream<S>> {
    let url = format!("{}/api/v1/ws?ticket={ticket}", url.replacen("http", "ws", 1));
    // This program's own memory is not measured, and yet it is this machine's.
    let small = WebSocketConfig::default().read_buffer_size(1_024).write_buffer_size(0);
    let (socket, _) = client_async_with_config(url, stream, Some(small)).await?;
    Ok(socket)
}

fn each(megabytes: f64) -> f64 {
    megabytes * 1_024.0 / f64::from(u16::from(PEOPLE) * 8)
}
