//! The peers side by side, and the ratio of ours to each of theirs.

use std::fmt::Write as _;

/// What was measured of one sender, in the order of the rows.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) figures: Vec<Figure>,
}

/// One measured value. The same figure has the same name in each column.
pub(crate) struct Figure {
    pub(crate) what: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
}

impl Figure {
    pub(crate) fn new(what: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { what: what.into(), value, unit }
    }

    fn cell(&self) -> String {
        let decimals = if self.value.abs() < 10.0 { 2 } else { 0 };
        format!("{:.decimals$} {}", self.value, self.unit).trim().to_owned()
    }
}

/// A Markdown table. The first column is ours.
pub(crate) fn markdown(columns: &[Column]) -> String {
    let Some((ours, theirs)) = columns.split_first() else { return String::new() };
    let mut text = format!("| figure | {} |", ours.name);
    for column in theirs {
        write!(text, " {} | ours to theirs |", column.name).ok();
    }
    text += "\n|---|---|";
    text += &"---|---|".repeat(theirs.len());
    text += "\n";
    for (row, own) in ours.figures.iter().enumerate() {
        write!(text, "| {} | {} |", own.what, own.cell()).ok();
        for column in theirs {
            let cells =
                column.figures.get(row).map(|their| (their.cell(), own.value / their.value));
            match cells {
                Some((cell, ratio)) if ratio.is_finite() => {
                    write!(text, " {cell} | {ratio:.2} |").ok();
                }
                Some((cell, _)) => {
                    write!(text, " {cell} | – |").ok();
                }
                None => text += " – | – |",
            }
        }
        text += "\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_peer_has_its_ratio() {
        let column = |name, values: [f64; 2]| Column {
            name,
            figures: vec![
                Figure::new("8 viewers", values[0], "cores"),
                Figure::new("first frame", values[1], "ms"),
            ],
        };
        let text = markdown(&[column("ours", [0.5, 60.0]), column("theirs", [2.0, 0.0])]);
        let expected = "| figure | ours | theirs | ours to theirs |\n|---|---|---|---|\n\
            | 8 viewers | 0.50 cores | 2.00 cores | 0.25 |\n\
            | first frame | 60 ms | 0.00 ms | – |\n";
        assert_eq!(text, expected);
    }
}
