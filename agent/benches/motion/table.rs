//! Figures, and the machine that they are of.

use std::{fs, process::Command};

use anyhow::{Context, Result};

enum Goal {
    None,
    AtMost(f64),
    AtLeast(f64),
}

/// One measured value, and what it was meant to be.
pub(crate) struct Figure {
    what: String,
    value: f64,
    unit: &'static str,
    goal: Goal,
}

impl Figure {
    pub(crate) fn new(what: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { what: what.into(), value, unit, goal: Goal::None }
    }

    pub(crate) fn at_most(self, goal: f64) -> Self {
        Self { goal: Goal::AtMost(goal), ..self }
    }

    pub(crate) fn at_least(self, goal: f64) -> Self {
        Self { goal: Goal::AtLeast(goal), ..self }
    }

    fn row(&self) -> String {
        let Self { what, value, unit, goal } = self;
        let number = |value: f64| {
            let decimals = match value.abs() {
                size if size >= 10.0 || size.fract() == 0.0 => 0,
                size if size >= 1.0 => 1,
                _ => 3,
            };
            format!("{value:.decimals$} {unit}").trim().to_owned()
        };
        let (goal, met) = match goal {
            Goal::AtMost(goal) => (format!("≤ {}", number(*goal)), Some(value <= goal)),
            Goal::AtLeast(goal) => (format!("≥ {}", number(*goal)), Some(value >= goal)),
            Goal::None => ("–".to_owned(), None),
        };
        let met = met.map_or("–", |met| if met { "yes" } else { "**no**" });
        format!("| {what} | {} | {goal} | {met} |\n", number(*value))
    }
}

/// A Markdown table.
pub(crate) fn table(figures: &[Figure]) -> String {
    let rows: String = figures.iter().map(Figure::row).collect();
    format!("| figure | measured | goal | met |\n|---|---|---|---|\n{rows}")
}

/// The machine and the day, in a sentence.
pub(crate) fn describe_machine() -> Result<String> {
    let processors = fs::read_to_string("/proc/cpuinfo").context("/proc/cpuinfo")?;
    let model = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("an unnamed processor", |(_, model)| model);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").context("the kernel's name")?;
    let load = fs::read_to_string("/proc/loadavg").context("the load")?;
    let load = load.split(' ').next().unwrap_or_default();
    let told = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().ok()?;
        Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
    };
    let date = told("date", &["--utc", "+%Y-%m-%d"]).unwrap_or_default();
    let revision = told("git", &["describe", "--always", "--dirty"]).unwrap_or_default();
    Ok(format!(
        "Measured on {date} at revision {revision}: one thread of {model}, Linux {}, load {load}.",
        kernel.trim()
    ))
}
