//! Measures the agent beside webrtcsink and Janus in one run, all fed with the same scene. Its
//! other tasks are the processes of that run: the peers' senders, and the viewers.

mod bench;
mod scene;
mod senders;
mod table;
mod viewers;
mod webrtc;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Measures, prints a table and writes it into the document.
    Bench {
        #[arg(default_value = "docs/benchmarks.md")]
        document: PathBuf,
        /// One of the senders' names; then nothing is written.
        #[arg(long)]
        only: Option<String>,
    },
    /// Serves the scene by webrtcsink's own WHEP server, until it is killed.
    Webrtcsink {
        /// The server's port on loopback.
        port: u16,
        /// Gives it encoded frames; it encodes for each viewer otherwise.
        #[arg(long)]
        encoded: bool,
    },
    /// Sends the scene to a mountpoint of Janus, until it is killed.
    Rtp {
        /// Where Janus takes packets on loopback.
        port: u16,
        /// Where Janus takes, and whence it sends, reports.
        rtcp_port: u16,
    },
    /// Viewers that do what standard input says, a line of JSON for each order.
    Viewers,
}

// One thread: the kernel kills a child when the thread that started it ends.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    nightjar_e2e::api::install_crypto();
    match Arguments::parse().task {
        Task::Bench { document, only } => bench::run(&document, only.as_deref()).await,
        Task::Webrtcsink { port, encoded } => senders::webrtcsink(port, encoded),
        Task::Rtp { port, rtcp_port } => senders::rtp(port, rtcp_port),
        Task::Viewers => viewers::obey().await,
    }
}
