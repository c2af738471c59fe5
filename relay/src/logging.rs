//! Log lines on standard error.

use std::{
    io::{self, IsTerminal as _, Write},
    sync::OnceLock,
};

use nightjar_shared::text::one_line;
use tracing::Metadata;
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{FilterExt as _, filter_fn},
    fmt::{
        format::Writer,
        time::{FormatTime as _, SystemTime},
    },
    layer::{Layered, SubscriberExt as _},
    reload,
    util::SubscriberInitExt as _,
};

use crate::config::{LogConfig, LogFormat};

/// Crates that are silent at every level, whatever `RUST_LOG` says. The store's crate writes whole
/// addresses, which open an object to whoever reads them, and errors for each bad request of a
/// stranger; those of TURN write about single packets of strangers; those of telemetry about the
/// collector, of which the relay itself says what matters.
const SILENT: [&str; 10] = [
    "opentelemetry",
    "opentelemetry-http",
    "opentelemetry-otlp",
    "opentelemetry_otlp",
    "opentelemetry_sdk",
    "s3s",
    "stun_proto",
    "stun_types",
    "turn_server_proto",
    "turn_types",
];

/// What else hears of spans.
pub type SpanLayer = Box<dyn Layer<Registry> + Send + Sync>;
type Below = Layered<Option<SpanLayer>, Registry>;

/// Begins logging; once per process. `RUST_LOG` chooses other lines than `config.level` and above.
pub fn start(config: LogConfig, spans: Option<SpanLayer>) {
    let at_start = move || {
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(config.level.as_str()))
    };
    let (chosen, handle) = reload::Layer::new(at_start());
    // Nobody sets it twice.
    let _ = LEVEL.set(Box::new(move |level| {
        let filter = level.map_or_else(at_start, EnvFilter::new);
        if let Err(error) = handle.reload(filter) {
            tracing::warn!(%error, "the log's level cannot be changed");
        }
    }));
    let lines = lines(config.format).with_filter(chosen.and(filter_fn(may_speak)));
    tracing_subscriber::registry().with(spans).with(lines).init();
}

/// Returns the time as lines have it.
pub fn timestamp() -> String {
    let mut text = String::new();
    // It writes into a text, which takes everything.
    let _ = SystemTime.format_time(&mut Writer::new(&mut text));
    text
}

type SetLevel = Box<dyn Fn(Option<&str>) + Send + Sync>;

/// Changes what is logged while the process runs. Where logging has not begun, nothing does.
static LEVEL: OnceLock<SetLevel> = OnceLock::new();

/// Logs this level and what is graver from now on, or what the process began with.
pub fn set_level(level: Option<&str>) {
    if let Some(set) = LEVEL.get() {
        set(level);
    }
}

fn lines(format: LogFormat) -> Box<dyn Layer<Below> + Send + Sync> {
    let layer = tracing_subscriber::fmt::layer();
    match format {
        LogFormat::Json => {
            let layer = layer.json().flatten_event(true).with_current_span(false);
            Box::new(layer.with_writer(io::stderr))
        }
        LogFormat::Text => {
            let is_terminal = io::stderr().is_terminal();
            Box::new(layer.with_ansi(is_terminal).with_writer(move || Lines { is_terminal }))
        }
    }
}

/// Where spans are made that are for a collector.
const SPANS: &str = "nightjar_relay::telemetry";

fn may_speak(metadata: &Metadata<'_>) -> bool {
    if metadata.is_span() && metadata.target() == SPANS {
        return false;
    }
    let crate_name = metadata.target().split("::").next().unwrap_or_default();
    !SILENT.contains(&crate_name)
}

/// Writes each line as one, whatever names and texts of strangers stand in it: the library writes some
/// values as they are.
struct Lines {
    is_terminal: bool,
}

impl Write for Lines {
    /// Takes a whole line: the library writes each with one call.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        // The library's own colours; it escapes those in values.
        let keeps: &[char] = if self.is_terminal { &['\u{1b}'] } else { &[] };
        let text = one_line(text.strip_suffix('\n').unwrap_or(&text), keeps);
        io::stderr().write_all(format!("{text}\n").as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
