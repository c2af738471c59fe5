//! `make bench`: the figures of docs/benchmarks.md, measured through the doors.

pub mod charts;
pub mod https;
mod joins;
pub mod machine;
mod measure;
mod networks;
mod passthrough;
mod qr;
mod report;
mod revocation;
mod second;
mod section;
pub(crate) mod sign_ins;
mod svg;
mod tables;
mod told;
mod uploads;

use std::{fs, io::Write, path::Path};

use anyhow::{Context, Result, bail, ensure};

// For the bench that measures others beside us.
pub use self::{
    measure::{cores_used, scene, start},
    report::{Figure, percentile, table},
    section::Section,
};
use crate::programs;

/// In the order of the table.
const MEASUREMENTS: &[&str] = &[
    "live",
    "second",
    "turn",
    "motion",
    "uploads",
    "load",
    "passthrough",
    "loss",
    "narrow",
    "churn",
    "https",
    "qr",
    "revocation",
    "sign_ins",
    "told",
];

/// Measures, prints the table and writes it into `document`, between its two marks. With `only`,
/// one measurement is made and nothing is written.
pub async fn run(document: &Path, only: Option<&str>) -> Result<()> {
    let section = Section::open(document, "make bench")?;
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
    section.write(&format!("{machine}\n\n{table}"))?;
    let docs = document.parent().context("the document is in no folder")?;
    charts::write(document, &docs.join("pictures"))
}

async fn measure(name: &str, directory: &Path) -> Result<Vec<Figure>> {
    match name {
        "live" => measure::live(directory).await,
        "second" => second::second(directory).await,
        "turn" => measure::turn(directory).await,
        "motion" => measure::motion(directory).await,
        "uploads" => uploads::uploads(directory).await,
        "load" => measure::load(directory).await,
        "passthrough" => passthrough::passthrough(directory).await,
        "loss" => networks::loss(directory).await,
        "narrow" => networks::narrow(directory).await,
        "churn" => joins::churn(directory).await,
        "https" => https::https(directory),
        "qr" => qr::qr(directory).await,
        "revocation" => revocation::revocation(directory).await,
        "sign_ins" => sign_ins::sign_ins(directory).await,
        "told" => told::told(directory).await,
        _ => bail!("no such measurement: {name}"),
    }
}

fn say(text: &str) {
    writeln!(std::io::stdout().lock(), "{text}").ok();
}
