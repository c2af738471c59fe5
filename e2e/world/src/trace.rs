//! What happened, line by line: the same seed gives the same lines.

use std::{
    collections::HashMap,
    fmt::Write as _,
    hash::{DefaultHasher, Hash, Hasher},
};

use tokio::time::Instant;

/// Lines of a failing seed that are shown.
const SHOWN: usize = 80;

pub(crate) struct Trace {
    began: Instant,
    lines: Vec<String>,
    /// Random identifiers, and the names that stand for them here.
    names: HashMap<String, String>,
}

impl Trace {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), lines: Vec::new(), names: HashMap::new() }
    }

    /// Gives an identifier a name that is the same in every run.
    pub(crate) fn name(&mut self, id: &impl ToString, name: String) {
        self.names.insert(id.to_string(), name);
    }

    /// The name of an identifier.
    pub(crate) fn named(&self, id: &impl ToString) -> String {
        let id = id.to_string();
        self.names.get(&id).cloned().unwrap_or_else(|| "?".to_owned())
    }

    pub(crate) fn line(&mut self, text: &str) {
        let at = self.began.elapsed();
        self.lines.push(format!("{:>4}.{:03} {text}", at.as_secs(), at.subsec_millis()));
    }

    /// A number that two runs share only when all their lines are the same.
    pub(crate) fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.lines.hash(&mut hasher);
        hasher.finish()
    }

    /// The last lines.
    pub(crate) fn tail(&self) -> String {
        let skipped = self.lines.len().saturating_sub(SHOWN);
        let mut text = format!("({skipped} lines before)\n");
        for line in &self.lines[skipped..] {
            let _ = writeln!(text, "{line}");
        }
        text
    }
}
