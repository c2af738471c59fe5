//! `make bench`: the figures of docs/benchmarks.md, measured through the doors.

mod joins;
mod machine;
mod measure;
mod networks;
mod report;
mod uploads;

use std::{fs, io::Write, path::Path};

use anyhow::{Context, Result, bail, ensure};

use self::report::{Figure, table};
use crate::programs;

const BEGIN: &str = "<!-- make bench writes below this line -->";
const END: &str = "<!-- make bench writes above this line -->";

/// In the order of the table.
const MEASUREMENTS: &[&str] = &["live", "motion", "uploads", "load", "loss", "narrow", "churn"];

/// Measures, prints the table and writes it into `document`, between its two marks. With `only`,
/// one measurement is made and nothing is written.
pub async fn run(document: &Path, only: Option<&str>) -> Result<()> {
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
    for name in MEASUREMENTS {
        if only.is_none_or(|only| only == *name) {
            figures.extend(measure(name, &directory.join(name)).await?);
        }
    }
    let table = table(&figures);
    say(&table);

    if only.is_some() {
        return Ok(());
    }
    ensure!(release, "the document is left as it was: these were debug programs");
    let machine = machine::describe()?;
    let text = format!("{before}{BEGIN}\n\n{machine}\n\n{table}\n{END}{after}");
    fs::write(document, text).with_context(|| format!("cannot write {}", document.display()))
}

async fn measure(name: &str, directory: &Path) -> Result<Vec<Figure>> {
    match name {
        "live" => measure::live(directory).await,
        "motion" => measure::motion(directory).await,
        "uploads" => uploads::uploads(directory).await,
        "load" => measure::load(directory).await,
        "loss" => networks::loss(directory).await,
        "narrow" => networks::narrow(directory).await,
        "churn" => joins::churn(directory).await,
        _ => bail!("no such measurement: {name}"),
    }
}

fn say(text: &str) {
    writeln!(std::io::stdout().lock(), "{text}").ok();
}
