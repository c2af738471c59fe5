//! How long something took, in steps.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::text::Text;

/// Upper ends of the steps, in milliseconds: around the relay's own figures (1 to 15 ms), and up to
/// what people give up at.
const STEPS_MS: [(u64, &str); 13] = [
    (1, "0.001"),
    (3, "0.003"),
    (5, "0.005"),
    (10, "0.01"),
    (25, "0.025"),
    (50, "0.05"),
    (100, "0.1"),
    (250, "0.25"),
    (500, "0.5"),
    (1_000, "1"),
    (2_500, "2.5"),
    (5_000, "5"),
    (10_000, "10"),
];

/// Counts durations by their step.
#[derive(Clone, Default)]
pub struct Histogram(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// The last is for what took longer than all steps.
    counts: [AtomicU64; STEPS_MS.len() + 1],
    sum_micros: AtomicU64,
}

impl Histogram {
    pub fn observe(&self, took: Duration) {
        let step = STEPS_MS.iter().position(|(ms, _)| took <= Duration::from_millis(*ms));
        self.0.counts[step.unwrap_or(STEPS_MS.len())].fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.0.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }

    pub(super) fn write(&self, text: &mut Text, name: &str, labels: &str) {
        let before_le =
            labels.strip_suffix('}').map_or_else(|| "{".to_owned(), |it| format!("{it},"));
        let bucket = format!("{name}_bucket");
        let ends = STEPS_MS.iter().map(|(_, end)| *end).chain(["+Inf"]);
        let mut total = 0;
        for (count, end) in self.0.counts.iter().zip(ends) {
            total += count.load(Ordering::Relaxed);
            text.line(&bucket, &format!("{before_le}le=\"{end}\"}}"), total);
        }
        let micros = self.0.sum_micros.load(Ordering::Relaxed);
        let sum = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
        text.line(&format!("{name}_sum"), labels, sum);
        text.line(&format!("{name}_count"), labels, total);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_hold_what_took_no_longer() {
        let histogram = Histogram::default();
        for ms in [0, 1, 2, 30_000] {
            histogram.observe(Duration::from_millis(ms));
        }
        let mut text = Text::default();
        histogram.write(&mut text, "a_seconds", "{route=\"/\"}");
        let text = text.finish();
        for line in [
            "a_seconds_bucket{route=\"/\",le=\"0.001\"} 2",
            "a_seconds_bucket{route=\"/\",le=\"0.003\"} 3",
            "a_seconds_bucket{route=\"/\",le=\"10\"} 3",
            "a_seconds_bucket{route=\"/\",le=\"+Inf\"} 4",
            "a_seconds_sum{route=\"/\"} 30.003000",
            "a_seconds_count{route=\"/\"} 4",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
    }
}
