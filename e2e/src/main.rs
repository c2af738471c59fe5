//! What `make bench` runs.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};
use nightjar_e2e::bench;

/// Runs the whole of Nightjar on this machine.
#[derive(Parser)]
#[command(version)]
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
        /// One of: live, motion, load, loss, narrow, churn. Writes nothing.
        #[arg(long)]
        only: Option<String>,
    },
    /// Draws the charts from the document's tables.
    Charts {
        #[arg(default_value = "docs/benchmarks.md")]
        document: PathBuf,
        #[arg(default_value = "docs/pictures")]
        pictures: PathBuf,
    },
}

// One thread: the kernel kills a child when the thread that started it ends.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    match Arguments::parse().task {
        Task::Bench { document, only } => bench::run(&document, only.as_deref()).await,
        Task::Charts { document, pictures } => bench::charts::write(&document, &pictures),
    }
}
