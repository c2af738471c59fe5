//! Log lines on standard error. A full disk or a closed pipe behind it stops nothing.

use std::{
    env,
    io::{self, IsTerminal, Write},
    sync::OnceLock,
};

use nightjar_shared::text::one_line;
use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// Tells the agent's own children in which format they write. Set by the agent, not by people: they have
/// `[log]`.
const FORMAT_VARIABLE: &str = "NIGHTJAR_LOG_FORMAT";
const JSON: &str = "json";

struct Stderr;

impl Write for Stderr {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        // A line that cannot be written is lost; whoever logs must not notice.
        drop(io::stderr().write_all(buffer));
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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
        Stderr.write_all(format!("{text}\n").as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

static FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// Begins logging; once per process. `RUST_LOG` chooses other lines than `info` and above.
pub fn start(format: LogFormat) {
    let _ = FORMAT.set(format);
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter);
    if format == LogFormat::Json {
        let lines = lines.json().flatten_event(true).with_current_span(false);
        return drop(lines.with_writer(|| Stderr).try_init());
    }
    let is_terminal = io::stderr().is_terminal();
    let lines = lines.with_ansi(is_terminal).with_writer(move || Lines { is_terminal });
    // The journal has its own time stamps.
    let started = if env::var_os("JOURNAL_STREAM").is_some() {
        lines.without_time().try_init()
    } else {
        lines.try_init()
    };
    drop(started);
}

/// Begins logging in a child of the agent, as the agent does.
pub fn start_in_child() {
    let is_json = env::var(FORMAT_VARIABLE).is_ok_and(|format| format == JSON);
    start(if is_json { LogFormat::Json } else { LogFormat::Text });
}

/// Returns the variable by which a child writes as its agent does.
pub(crate) fn for_children() -> (&'static str, &'static str) {
    let is_json = FORMAT.get() == Some(&LogFormat::Json);
    (FORMAT_VARIABLE, if is_json { JSON } else { "text" })
}

/// A text from outside without what could write over a terminal or turn what is read around.
pub(crate) fn printable(text: String) -> String {
    let is_odd = |letter: char| letter.is_control() || turns(letter);
    if text.contains(is_odd) { text.replace(is_odd, " ") } else { text }
}

/// Whether a letter changes the direction in which those around it are read.
fn turns(letter: char) -> bool {
    matches!(
        letter,
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_camera_says_cannot_write_over_a_terminal() {
        let said = "it says \u{1b}[2J\u{202e}\r\nall is well".to_owned();
        assert_eq!(printable(said), "it says  [2J   all is well");
    }
}
