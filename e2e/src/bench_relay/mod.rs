//! `make bench-relay`: what the relay's doors cost and how soon they answer, beside mosquitto and a plain
//! axum server in the same run. On loopback alone, every loop bounded in count and time.

mod commands;
mod connection;
mod health;
mod herd;
mod mosquitto;
mod pages;
mod people;
mod plain;
mod postgres;
mod sockets;
mod uploads;

use std::{fs, io::Write, path::Path, time::Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Resource, getrlimit, setrlimit};

pub use self::plain::serve as serve_plain;
use crate::{
    bench::{Figure, Section, machine, sign_ins, table},
    programs,
};

/// In the order of the table.
const MEASUREMENTS: &[&str] =
    &["idle", "sign_ins", "commands", "health", "sockets", "presign", "events", "herd"];

/// Measures, prints the table and writes it into `document`, between its two marks. With `only`, one
/// measurement is made and nothing is written.
pub async fn run(document: &Path, only: Option<&str>) -> Result<()> {
    let section = Section::open(document, "make bench-relay")?;
    let directory = programs::target()?.join("bench-relay");
    if directory.exists() {
        fs::remove_dir_all(&directory).context("cannot clear target/bench-relay")?;
    }
    raise_descriptor_limit()?;
    let release = programs::directory()?.ends_with("release");
    if !release {
        say("These are debug programs: the figures say little. Use `make bench-relay`.\n");
    }
    let mut figures: Vec<Figure> = Vec::new();
    for name in MEASUREMENTS {
        if only.is_none_or(|only| only == *name) {
            say(&format!("{name} …"));
            let directory = directory.join(name);
            fs::create_dir_all(&directory).context("cannot make the bench's directory")?;
            figures.extend(Box::pin(measure(name, &directory)).await?);
            // Some write hundreds of megabytes.
            fs::remove_dir_all(&directory).context("cannot clear the bench's directory")?;
        }
    }
    ensure!(!figures.is_empty(), "no such measurement; there are {}", MEASUREMENTS.join(", "));
    let table = table(&figures);
    say(&table);
    if only.is_some() {
        return Ok(());
    }
    ensure!(release, "the document is left as it was: these were debug programs");
    section.write(&format!("{}\n\n{table}", machine::describe()?))?;
    let missed = figures.iter().filter(|figure| !figure.is_met()).count();
    say(&format!("{missed} goals were missed"));
    Ok(())
}

async fn measure(name: &str, directory: &Path) -> Result<Vec<Figure>> {
    match name {
        "idle" => pages::idle(directory).await,
        "sign_ins" => sign_ins::beside_others(directory).await,
        "commands" => commands::commands(directory).await,
        "health" => health::health(directory).await,
        "sockets" => sockets::sockets(directory).await,
        "presign" => uploads::presign(directory).await,
        "events" => pages::events(directory).await,
        "herd" => herd::herd(directory).await,
        _ => bail!("no such measurement: {name}"),
    }
}

/// Lets this program, and all that it starts, have as many sockets as the system gives.
fn raise_descriptor_limit() -> Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).context("cannot raise the limit of open files")
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1_000.0
}

fn per_second(count: usize, since: Instant) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / since.elapsed().as_secs_f64()
}

fn say(text: &str) {
    writeln!(std::io::stdout().lock(), "{text}").ok();
}
