//! Reads the tables of docs/benchmarks.md back, so that charts show the figures that stand there.

/// One figure as a table has it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Measured {
    pub(super) value: f64,
    /// As the table writes it: `48 ms`.
    pub(super) text: String,
    pub(super) goal: Option<f64>,
    pub(super) is_missed: bool,
    /// When, at which revision and on which machine.
    pub(super) origin: String,
}

/// Finds the figure called `name`. `column` is a table's heading: `measured`, or the name of a
/// program. Goals are read from the tables that have them.
pub(super) fn figure(document: &str, name: &str, column: &str) -> Option<Measured> {
    let (mut origin, mut headings) = ("", Vec::new());
    for line in document.lines() {
        if line.starts_with("Measured on ") {
            origin = line.trim_end_matches([':', '.']);
        }
        let cells = cells(line);
        match cells.first() {
            Some(&"figure") => headings = cells,
            Some(first) if *first == name => {
                let cell = |heading: &str| {
                    let position = headings.iter().position(|it| *it == heading)?;
                    cells.get(position).copied()
                };
                // Two tables may have a figure of one name, and differ in their columns.
                if let Some(text) = cell(column) {
                    return measured(text, cell("goal"), cell("met"), origin.to_owned());
                }
            }
            _ => {}
        }
    }
    None
}

fn measured(text: &str, goal: Option<&str>, met: Option<&str>, origin: String) -> Option<Measured> {
    Some(Measured {
        value: number(text)?,
        text: text.to_owned(),
        goal: goal.and_then(number),
        is_missed: met == Some("**no**"),
        origin,
    })
}

fn cells(line: &str) -> Vec<&str> {
    match line.strip_prefix('|').and_then(|line| line.strip_suffix('|')) {
        Some(row) => row.split('|').map(str::trim).collect(),
        None => Vec::new(),
    }
}

/// The number in a cell like `≤ 60 ms`.
fn number(cell: &str) -> Option<f64> {
    cell.split_whitespace().find_map(|word| word.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "Measured on 2026-01-02 at revision abc: a board.\n\n\
        | figure | measured | goal | met |\n|---|---|---|---|\n\
        | first frame | 48 ms | ≤ 60 ms | yes |\n\
        | cost | 0.16 ns | ≤ 0.08 ns | **no** |\n\
        | 8 viewers | 0.28 cores | – | – |\n\n\
        Measured on 2026-02-03, on the same machine:\n\n\
        | figure | Nightjar | Janus | ours to theirs |\n|---|---|---|---|\n\
        | 8 viewers | 0.37 cores | 0.33 cores | 1.12 |\n";

    #[test]
    fn a_figure_comes_with_its_goal_and_with_where_it_was_measured() {
        let figure = figure(DOCUMENT, "first frame", "measured");
        let expected = Measured {
            value: 48.0,
            text: "48 ms".to_owned(),
            goal: Some(60.0),
            is_missed: false,
            origin: "Measured on 2026-01-02 at revision abc: a board".to_owned(),
        };
        assert_eq!(figure, Some(expected));
    }

    #[test]
    fn a_missed_goal_is_known_and_a_column_may_be_a_program() {
        assert!(figure(DOCUMENT, "cost", "measured").is_some_and(|it| it.is_missed));
        let janus = figure(DOCUMENT, "8 viewers", "Janus");
        assert!(janus.is_some_and(|it| it.text == "0.33 cores" && it.origin.contains("02-03")));
        assert_eq!(figure(DOCUMENT, "8 viewers", "Frigate"), None);
        assert_eq!(figure(DOCUMENT, "9 viewers", "Janus"), None);
    }
}
