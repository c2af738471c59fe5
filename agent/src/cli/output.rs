//! What a person reads. A closed pipe ends the output, not the program.

use std::io::{self, Write};

/// Writes a line to standard output.
pub(super) fn say(line: impl std::fmt::Display) {
    drop(writeln!(io::stdout().lock(), "{line}"));
}

/// Asks a question on standard error, so that standard output stays clean for programs.
pub(super) fn ask(question: &str) {
    let mut stderr = io::stderr().lock();
    drop(write!(stderr, "{question}"));
    drop(stderr.flush());
}

/// Writes a line to standard error.
pub(super) fn complain(error: impl std::fmt::Display) {
    let line = error.to_string().replace('\n', " ");
    drop(writeln!(io::stderr().lock(), "nightjar-agent: {line}"));
}
