//! `make attack`: what one hostile caller can take from everybody else, measured through the doors
//! of a relay of its own on loopback. Every loop is bounded in count and time.

mod bystanders;
mod floods;
mod full_disk;
mod slow;
mod target;
mod unread;

use std::{fs, io::Write, path::Path};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::{
    bench::{Figure, Section, machine, table},
    programs,
};

/// In the order of the table.
const ATTACKS: &[&str] = &["windows", "lists", "slow", "floods", "disk"];
/// Sockets of the longest attack, and some for everything else.
const DESCRIPTORS: u64 = 4_096;

/// Attacks, prints the table and writes it into `document`, between its two marks. With `only`, one
/// attack is made and nothing is written.
pub async fn run(document: &Path, only: Option<&str>) -> Result<()> {
    let section = Section::open(document, "make attack")?;
    let directory = programs::target()?.join("attack");
    if directory.exists() {
        fs::remove_dir_all(&directory).context("cannot clear target/attack")?;
    }
    raise_descriptor_limit()?;
    let release = programs::directory()?.ends_with("release");
    if !release {
        say("This is a debug relay: the figures say little. Use `make attack`.\n");
    }
    let mut figures: Vec<Figure> = Vec::new();
    for name in ATTACKS {
        if only.is_none_or(|only| only == *name) {
            say(&format!("{name} …"));
            figures.extend(Box::pin(attack(name, &directory.join(name))).await?);
        }
    }
    let table = table(&figures);
    say(&table);
    if only.is_some() {
        return Ok(());
    }
    ensure!(release, "the document is left as it was: this was a debug relay");
    section.write(&format!("{}\n\n{table}", machine::describe()?))?;
    let missed = figures.iter().filter(|figure| !figure.is_met()).count();
    ensure!(missed == 0, "{missed} goals were missed, see the table");
    Ok(())
}

async fn attack(name: &str, directory: &Path) -> Result<Vec<Figure>> {
    fs::create_dir_all(directory).context("cannot make the attack's directory")?;
    match name {
        "windows" => unread::windows(directory).await,
        "lists" => unread::lists(directory).await,
        "slow" => slow::all(directory).await,
        "floods" => Box::pin(floods::all(directory)).await,
        "disk" => full_disk::all(directory).await,
        _ => bail!("no such attack: {name}"),
    }
}

fn raise_descriptor_limit() -> Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= DESCRIPTORS) {
        return Ok(());
    }
    limit.current = Some(DESCRIPTORS);
    setrlimit(Resource::Nofile, limit).context("cannot open enough sockets: raise `ulimit -n`")
}

fn say(text: &str) {
    writeln!(std::io::stdout().lock(), "{text}").ok();
}
