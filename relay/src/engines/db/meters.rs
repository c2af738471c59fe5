//! How long statements take, and what they are called where that is told.

use std::{future::Future, time::Instant};

use tracing::Instrument as _;

use crate::{
    engines::metrics::{Counter, Histogram, Metrics},
    telemetry,
};

/// What is counted of statements.
#[derive(Clone)]
pub(super) struct Meters {
    pub(super) unreadable: Counter,
    durations: Histogram,
}

impl Meters {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let unreadable = metrics.counter(
            "nightjar_unreadable_rows_total",
            "Damaged rows of the database that were left out of an answer.",
            &[],
        );
        let durations = metrics.histogram(
            "nightjar_database_statement_duration_seconds",
            "How long statements took, the wait for a connection included.",
            &[],
        );
        Self { unreadable, durations }
    }

    /// Runs a statement.
    pub(super) async fn measure<T>(
        &self,
        sql: &'static str,
        statement: impl Future<Output = T>,
    ) -> T {
        let began = Instant::now();
        let answer = statement.instrument(telemetry::statement(|| summary(sql))).await;
        self.durations.observe(began.elapsed());
        answer
    }
}

/// The words before the name of a table.
const BEFORE_TABLE: [&str; 3] = ["from", "into", "update"];

/// Returns what a statement does, and to which table.
fn summary(sql: &'static str) -> String {
    let mut words = sql.split_whitespace().peekable();
    let verb = words.peek().copied().unwrap_or("?");
    // What stands in brackets is a question within the question.
    let mut depth = 0;
    let is_before_table = |word: &str| {
        let is_outside = depth == 0;
        depth += word.matches('(').count();
        depth -= word.matches(')').count().min(depth);
        is_outside && BEFORE_TABLE.contains(&word)
    };
    let table = words.position(is_before_table).and_then(|_| words.next());
    let table = table.unwrap_or_default().trim_matches(|letter: char| !letter.is_alphanumeric());
    format!("{verb} {table}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_named_by_its_verb_and_table() {
        for (sql, name) in [
            ("select a, (select 1 from b) from c", "select c"),
            ("insert into commands (a) values ($1)", "insert commands"),
            ("update commands set a = $1", "update commands"),
            ("delete from parts\n where a = 'x'", "delete parts"),
            ("select count(*)", "select"),
            ("", "?"),
        ] {
            assert_eq!(summary(sql), name);
        }
    }
}
