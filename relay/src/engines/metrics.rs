//! Counters, gauges and histograms, written as Prometheus text.

mod histogram;
mod text;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

pub use self::{
    histogram::Histogram,
    text::{Kind, Text},
};

/// The relay's metrics. Cheap to clone; all clones are one registry.
#[derive(Clone, Default)]
pub struct Metrics {
    families: Arc<Mutex<BTreeMap<&'static str, Family>>>,
}

/// Goes up only.
#[derive(Clone, Default)]
pub struct Counter(Arc<AtomicU64>);

/// Goes up and down.
#[derive(Clone, Default)]
pub struct Gauge(Arc<AtomicI64>);

struct Family {
    help: &'static str,
    /// By label text, for instance `{reason="publish"}`, or empty.
    series: BTreeMap<String, Series>,
}

enum Series {
    Counter(Counter),
    Gauge(Gauge),
    Histogram(Histogram),
}

impl Series {
    fn kind(&self) -> Kind {
        match self {
            Self::Counter(_) => Kind::Counter,
            Self::Gauge(_) => Kind::Gauge,
            Self::Histogram(_) => Kind::Histogram,
        }
    }
}

/// Label names and values. Values come from the code, never from a caller: each is a series that
/// is kept for ever.
pub type Labels<'a> = &'a [(&'static str, &'a str)];

impl Metrics {
    /// Returns the counter of that name and labels, made on first use. By convention the name ends
    /// in `_total`.
    pub fn counter(&self, name: &'static str, help: &'static str, labels: Labels<'_>) -> Counter {
        self.series(
            name,
            help,
            labels,
            |series| match series {
                Series::Counter(counter) => Some(counter.clone()),
                _ => None,
            },
            || {
                let counter = Counter::default();
                (Series::Counter(counter.clone()), counter)
            },
        )
    }

    /// Returns the gauge of that name and labels, made on first use.
    pub fn gauge(&self, name: &'static str, help: &'static str, labels: Labels<'_>) -> Gauge {
        self.series(
            name,
            help,
            labels,
            |series| match series {
                Series::Gauge(gauge) => Some(gauge.clone()),
                _ => None,
            },
            || {
                let gauge = Gauge::default();
                (Series::Gauge(gauge.clone()), gauge)
            },
        )
    }

    /// Returns the histogram of that name and labels, made on first use. By convention the name ends in
    /// `_seconds`.
    pub fn histogram(
        &self,
        name: &'static str,
        help: &'static str,
        labels: Labels<'_>,
    ) -> Histogram {
        self.series(
            name,
            help,
            labels,
            |series| match series {
                Series::Histogram(histogram) => Some(histogram.clone()),
                _ => None,
            },
            || {
                let histogram = Histogram::default();
                (Series::Histogram(histogram.clone()), histogram)
            },
        )
    }

    /// Writes everything in the Prometheus text format 0.0.4.
    pub fn render(&self) -> String {
        let mut text = Text::default();
        self.write(&mut text);
        text.finish()
    }

    /// Writes everything below what is written already.
    pub fn write(&self, text: &mut Text) {
        let families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, family) in families.iter() {
            let Some(first) = family.series.values().next() else { continue };
            text.family(name, family.help, first.kind());
            for (labels, series) in &family.series {
                match series {
                    Series::Counter(counter) => text.line(name, labels, counter.get()),
                    Series::Gauge(gauge) => text.line(name, labels, gauge.get()),
                    Series::Histogram(histogram) => histogram.write(text, name, labels),
                }
            }
        }
    }

    fn series<T>(
        &self,
        name: &'static str,
        help: &'static str,
        labels: Labels<'_>,
        existing: impl FnOnce(&Series) -> Option<T>,
        make: impl FnOnce() -> (Series, T),
    ) -> T {
        let mut families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        let family =
            families.entry(name).or_insert_with(|| Family { help, series: BTreeMap::new() });
        let labels = text::labels(labels);
        if let Some(handle) = family.series.get(&labels).and_then(existing) {
            return handle;
        }
        let (series, handle) = make();
        family.series.insert(labels, series);
        handle
    }
}

impl Counter {
    pub fn increment(&self) {
        self.add(1);
    }

    pub fn add(&self, difference: u64) {
        self.0.fetch_add(difference, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Gauge {
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub fn add(&self, difference: i64) {
        self.0.fetch_add(difference, Ordering::Relaxed);
    }

    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_name_and_labels_are_the_same_series() {
        let metrics = Metrics::default();
        metrics.counter("refused_total", "Refusals.", &[("reason", "a")]).increment();
        metrics.counter("refused_total", "Refusals.", &[("reason", "a")]).increment();
        metrics.counter("refused_total", "Refusals.", &[("reason", "b\"\n")]).increment();
        metrics.gauge("open", "Open sockets.", &[]).add(-3);
        assert_eq!(
            metrics.render(),
            "# HELP open Open sockets.\n# TYPE open gauge\nopen -3\n\
             # HELP refused_total Refusals.\n# TYPE refused_total counter\n\
             refused_total{reason=\"a\"} 2\nrefused_total{reason=\"b\\\"\\n\"} 1\n"
        );
    }
}
