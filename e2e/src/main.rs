//! What `make bench`, `make bench-relay`, `make attack` and `make test-suites` run.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use nightjar_e2e::{
    attack, bench, bench_relay,
    suites::{self, Suite},
};
use tokio::runtime::Builder;

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
        /// One of: live, second, turn, motion, uploads, load, loss, narrow, churn, https, qr, revocation. Writes nothing.
        #[arg(long)]
        only: Option<String>,
    },
    /// Measures the relay's doors, prints a table and writes it into the document.
    BenchRelay {
        #[arg(default_value = "docs/benchmarks.md")]
        document: PathBuf,
        /// One of: idle, `sign_ins`, commands, health, sockets, presign, events, herd. Writes nothing.
        #[arg(long)]
        only: Option<String>,
    },
    /// Serves next to nothing on loopback: the plain server that `bench-relay` measures beside the relay.
    #[command(hide = true)]
    ServePlain { port: u16 },
    /// Draws the charts from the document's tables.
    Charts {
        #[arg(default_value = "docs/benchmarks.md")]
        document: PathBuf,
        #[arg(default_value = "docs/pictures")]
        pictures: PathBuf,
    },
    /// Attacks a relay of its own on loopback, prints a table and writes it into the document.
    Attack {
        #[arg(default_value = "docs/benchmarks.md")]
        document: PathBuf,
        /// One of: windows, lists, slow, floods, disk. Writes nothing.
        #[arg(long)]
        only: Option<String>,
    },
    /// Holds a program or library that others wrote against a relay of its own.
    Suite {
        suite: Suite,
        /// It, or the Python that has it: `build/test-suites` knows.
        program: PathBuf,
    },
}

fn main() -> Result<()> {
    // The kernel kills a child when the thread that started it ends: this one starts them all.
    match Arguments::parse().task {
        Task::Bench { document, only } => Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(async { bench::run(&document, only.as_deref()).await }),
        // Thousands of clients must not wait for each other.
        Task::BenchRelay { document, only } => Builder::new_multi_thread()
            .enable_all()
            .build()
            .context("cannot start threads")?
            .block_on(bench_relay::run(&document, only.as_deref())),
        Task::ServePlain { port } => Builder::new_multi_thread()
            .enable_all()
            .build()
            .context("cannot start threads")?
            .block_on(bench_relay::serve_plain(port)),
        Task::Charts { document, pictures } => bench::charts::write(&document, &pictures),
        // Attackers on threads of their own do not delay what is measured beside them.
        Task::Attack { document, only } => Builder::new_multi_thread()
            .enable_all()
            .build()
            .context("cannot start threads")?
            .block_on(attack::run(&document, only.as_deref())),
        Task::Suite { suite, program } => Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(suites::run(suite, &program)),
    }
}
