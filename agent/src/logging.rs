//! Log lines on standard error. A full disk or a closed pipe behind it stops nothing.

use std::io::{self, IsTerminal, Write};

use tracing_subscriber::EnvFilter;

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

/// Begins logging; once per process. `RUST_LOG` chooses other lines than `info` and above.
pub fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Stderr)
        .with_ansi(io::stderr().is_terminal());
    // The journal has its own time stamps.
    let started = if std::env::var_os("JOURNAL_STREAM").is_some() {
        lines.without_time().try_init()
    } else {
        lines.try_init()
    };
    drop(started);
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
