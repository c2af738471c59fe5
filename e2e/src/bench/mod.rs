//! `make bench`: the figures of docs/benchmarks.md, measured through the doors.

mod machine;
mod measure;
mod report;

use std::{fs, io::Write, path::Path};

use anyhow::{Context, Result, ensure};

use self::report::{Figure, table};
use crate::programs;

const BEGIN: &str = "<!-- make bench writes below this line -->";
const END: &str = "<!-- make bench writes above this line -->";

/// Measures, prints the table and writes it into `document`, between its two marks.
pub async fn run(document: &Path) -> Result<()> {
    let text = fs::read_to_string(document)
        .with_context(|| format!("cannot read {}", document.display()))?;
    let (before, rest) = text.split_once(BEGIN).context("the document has no begin mark")?;
    let (_, after) = rest.split_once(END).context("the document has no end mark")?;

    let directory = programs::target()?.join("bench");
    if directory.exists() {
        fs::remove_dir_all(&directory).context("cannot clear target/bench")?;
    }
    let release = programs::directory()?.ends_with("release");
    if !release {
        say("These are debug programs: the figures say little. Use `make bench`.\n");
    }

    let mut figures: Vec<Figure> = Vec::new();
    figures.extend(measure::live(&directory.join("live")).await?);
    figures.extend(measure::motion(&directory.join("motion")).await?);
    figures.extend(measure::load(&directory.join("load")).await?);
    let table = table(&figures);
    say(&table);

    ensure!(release, "the document is left as it was: these were debug programs");
    let machine = machine::describe()?;
    let text = format!("{before}{BEGIN}\n\n{machine}\n\n{table}\n{END}{after}");
    fs::write(document, text).with_context(|| format!("cannot write {}", document.display()))
}

fn say(text: &str) {
    writeln!(std::io::stdout().lock(), "{text}").ok();
}
