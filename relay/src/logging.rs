//! Log lines on standard error.

use std::io::IsTerminal as _;

use tracing::Metadata;
use tracing_subscriber::{
    EnvFilter, Layer as _,
    filter::{FilterExt as _, filter_fn},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

/// Crates that are silent at every level, whatever `RUST_LOG` says. The store's crate writes whole
/// addresses, which open an object to whoever reads them, and errors for each bad request of a
/// stranger; those of TURN write about single packets of strangers.
const SILENT: [&str; 5] = ["s3s", "stun_proto", "stun_types", "turn_server_proto", "turn_types"];

/// Begins logging; once per process. `RUST_LOG` chooses other lines than `info` and above.
pub fn start() {
    let chosen = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_filter(chosen.and(filter_fn(may_speak)));
    tracing_subscriber::registry().with(lines).init();
}

fn may_speak(metadata: &Metadata<'_>) -> bool {
    let crate_name = metadata.target().split("::").next().unwrap_or_default();
    !SILENT.contains(&crate_name)
}
