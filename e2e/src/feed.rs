//! The relay's WebSocket, as a browser hears it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

use crate::api::{Api, text};

/// An open socket, and all that came through it.
#[derive(Debug)]
pub struct Feed {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    heard: Vec<Value>,
}

impl Feed {
    /// Opens a socket with a ticket and waits for the relay's hello.
    pub async fn open(api: &Api) -> Result<Self> {
        let ticket = api.post("ws/tickets", json!({})).await?.expect(200)?.json();
        let ticket = text(&ticket, "ticket").context("a ticket without a ticket")?;
        let base = api.base().replacen("http", "ws", 1);
        let (socket, _) = connect_async(format!("{base}/api/v1/ws?ticket={ticket}"))
            .await
            .context("cannot open the WebSocket")?;
        let mut feed = Self { socket, heard: Vec::new() };
        let hello = |message: &Value| message["type"] == "hello";
        feed.next("the relay's hello", Duration::from_secs(5), hello).await?;
        Ok(feed)
    }

    /// Reads on until a message fits; gives it and the time of its arrival.
    pub async fn next(
        &mut self,
        what: &str,
        within: Duration,
        fits: impl Fn(&Value) -> bool,
    ) -> Result<(Value, Instant)> {
        let begin = self.heard.len();
        let found = tokio::time::timeout(within, async {
            loop {
                let message = self.receive().await?;
                let arrived = Instant::now();
                self.heard.push(message.clone());
                if fits(&message) {
                    return Ok((message, arrived));
                }
            }
        })
        .await;
        found.unwrap_or_else(|_| {
            let heard: Vec<String> = self.heard[begin..].iter().map(Value::to_string).collect();
            Err(anyhow!("waited {within:?} for {what}; heard only:\n{}", heard.join("\n")))
        })
    }

    /// Waits for the answer to a ping: all that the relay had sent before has then been heard.
    pub async fn ping(&mut self) -> Result<()> {
        self.socket.send(Message::text(json!({ "type": "ping" }).to_string())).await?;
        let pong = |message: &Value| message["type"] == "pong";
        self.next("the relay's pong", Duration::from_secs(5), pong).await?;
        Ok(())
    }

    /// Everything that came so far, the hello included.
    pub fn heard(&self) -> &[Value] {
        &self.heard
    }

    async fn receive(&mut self) -> Result<Value> {
        loop {
            match self.socket.next().await.context("the relay closed the WebSocket")?? {
                Message::Text(text) => return Ok(serde_json::from_str(text.as_str())?),
                Message::Ping(payload) => self.socket.send(Message::Pong(payload)).await?,
                Message::Close(frame) => return Err(anyhow!("the relay closed: {frame:?}")),
                _ => {}
            }
        }
    }
}
