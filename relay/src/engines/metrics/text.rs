//! The Prometheus text format 0.0.4.

use std::fmt::{Display, Write as _};

use super::Labels;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Metrics, family by family.
#[derive(Default)]
pub struct Text(String);

impl Text {
    /// Begins a family; its lines follow.
    pub fn family(&mut self, name: &str, help: &str, kind: Kind) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {}", kind.as_str());
    }

    /// Writes a series of labels that were found just now.
    pub fn series(&mut self, name: &str, labels_of: Labels<'_>, value: impl Display) {
        self.line(name, &labels(labels_of), value);
    }

    /// Writes a family of one series.
    pub fn single(&mut self, name: &str, help: &str, kind: Kind, value: impl Display) {
        self.family(name, help, kind);
        self.line(name, "", value);
    }

    pub(super) fn line(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }

    pub fn finish(self) -> String {
        self.0
    }
}

pub(super) fn labels(labels: Labels<'_>) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let pairs: Vec<String> = labels
        .iter()
        .map(|(name, value)| {
            let value = value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
            format!("{name}=\"{value}\"")
        })
        .collect();
    format!("{{{}}}", pairs.join(","))
}
