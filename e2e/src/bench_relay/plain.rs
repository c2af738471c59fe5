//! An axum server with nothing behind it and axum's own settings, in a process of its own: what any server
//! on this machine costs at least.

use std::{
    io::Write as _,
    net::{Ipv4Addr, TcpListener},
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result};
use axum::{Json, Router, extract::WebSocketUpgrade, routing::get};
use serde_json::json;

use crate::{process::Process, wait};

const START_LIMIT: Duration = Duration::from_secs(10);

pub(super) struct Plain {
    pub(super) port: u16,
    process: Process,
}

impl Plain {
    pub(super) async fn start(directory: &Path) -> Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let program = std::env::current_exe().context("this program has no path")?;
        let arguments = ["serve-plain".to_owned(), port.to_string()];
        let process = Process::start(&program, arguments, &directory.join("plain.log"))?;
        wait::until("the plain server listens", START_LIMIT, async || {
            Ok(tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok())
        })
        .await?;
        Ok(Self { port, process })
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.pid()
    }
}

/// Serves a short answer and sockets on loopback until it is killed.
pub async fn serve(port: u16) -> Result<()> {
    let listen = async |upgrade: WebSocketUpgrade| {
        upgrade.on_upgrade(async |mut socket| while let Some(Ok(_)) = socket.recv().await {})
    };
    let router = Router::new()
        .route("/api/v1/me", get(async || Json(json!({ "account_id": "somebody" }))))
        .route("/api/v1/ws", get(listen));
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    writeln!(std::io::stdout(), "listening").ok();
    Ok(axum::serve(listener, router).await?)
}
