//! What the command line answers: JSON for programs, aligned columns for people.

use std::{fmt::Write as _, io::Write as _};

use anyhow::Context as _;
use serde::Serialize;
use serde_json::Value;

#[derive(Clone, Copy)]
pub(super) struct Output {
    pub(super) json: bool,
}

impl Output {
    /// Writes a list: its items, and the cursor of what follows.
    pub(super) fn list(self, list: &impl Serialize, columns: &[&str]) -> anyhow::Result<()> {
        self.parts(list, "items", columns)
    }

    /// Writes what has a list in the field `items` beside others.
    pub(super) fn parts(
        self,
        found: &impl Serialize,
        items: &str,
        columns: &[&str],
    ) -> anyhow::Result<()> {
        let value = serde_json::to_value(found).context("the answer cannot be written")?;
        if self.json {
            return print(&pretty(&value)?);
        }
        let mut others = value.clone();
        let rows = others.as_object_mut().and_then(|fields| fields.remove(items));
        let rows = rows.as_ref().and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        print(&(table(rows, columns) + &facts(&others)))
    }

    /// Writes one thing.
    pub(super) fn one(self, found: &impl Serialize) -> anyhow::Result<()> {
        let value = serde_json::to_value(found).context("the answer cannot be written")?;
        print(&if self.json { pretty(&value)? } else { facts(&value) })
    }

    /// Says that it is done.
    pub(super) fn done(self, text: &str) -> anyhow::Result<()> {
        if self.json {
            return print(&pretty(&serde_json::json!({ "done": text }))?);
        }
        print(&format!("{text}\n"))
    }
}

/// Whoever closed the pipe has read enough.
fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to the standard output"),
    }
}

fn pretty(value: &Value) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

/// Writes rows below the names of their columns. Names that people chose stay on their line.
fn table(rows: &[Value], columns: &[&str]) -> String {
    let mut lines: Vec<Vec<String>> = vec![columns.iter().map(|&name| name.to_owned()).collect()];
    lines.extend(rows.iter().map(|row| columns.iter().map(|name| cell(&row[*name])).collect()));
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    let widths: Vec<usize> = (0..columns.len()).map(|it| width(it).unwrap_or(0)).collect();
    let mut text = String::new();
    for line in &lines {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}

/// Writes each field on a line of its own.
fn facts(value: &Value) -> String {
    let Some(fields) = value.as_object() else { return format!("{}\n", cell(value)) };
    fields.iter().fold(String::new(), |mut text, (name, value)| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name}: {}", cell(value));
        text
    })
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.chars().filter(|letter| !letter.is_control()).collect(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::table;

    #[test]
    fn columns_stand_below_their_names_and_a_name_stays_on_its_line() {
        let rows = [json!({"id": 7, "name": "a\nb"}), json!({"id": 12_345})];
        assert_eq!(table(&rows, &["id", "name"]), "id     name\n7      ab\n12345  -\n");
    }
}
