//! The agents of this board: which systemd runs, how to start them anew, and what they say of
//! themselves.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    process::{Command, Stdio},
};

use nightjar_core::{
    monotonic::MonotonicNanos,
    update::{Expectation, Sighting},
};
use rustix::time::{ClockId, clock_gettime};

use crate::{
    Failure, Layout, files,
    handover::{VITALS_BYTES_MAX, VITALS_FILE, Vitals},
};

/// What an agent said longer ago than this it does not say any more.
const VITALS_AGE_MS_MAX: u64 = 10_000;
const UNITS: [&str; 2] = ["nightjar-agent.service", "nightjar-agent@*.service"];

/// What systemd says of a unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Process {
    /// Zero while none runs.
    pub(crate) pid: u32,
    /// How often systemd had to start it again by itself.
    pub(crate) restarts: u32,
}

/// Lists the units that are to run, and what each says of itself.
pub(crate) fn expectations(layout: &Layout) -> BTreeMap<String, Expectation> {
    let expected = |unit: String| {
        let seen = sighting(layout, &unit, process(&unit));
        (unit, seen.map(|seen| seen.does).unwrap_or_default())
    };
    units().into_iter().map(expected).collect()
}

fn units() -> Vec<String> {
    let mut list = systemctl();
    list.args(["list-units", "--plain", "--no-legend", "--state=active,activating"]).args(UNITS);
    let Ok(output) = list.output() else { return Vec::new() };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

pub(crate) fn process(unit: &str) -> Process {
    let mut show = systemctl();
    show.args(["show", "--property=MainPID,NRestarts", unit]);
    let Ok(output) = show.output() else { return Process::default() };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
    };
    Process { pid: value("MainPID"), restarts: value("NRestarts") }
}

/// Starts agents anew whose process is still that of before, and those that do not run.
pub(crate) fn restart(before: &BTreeMap<String, Process>) -> Result<(), Failure> {
    for (unit, before) in before {
        let now = process(unit);
        if now.pid != 0 && now.pid != before.pid {
            continue;
        }
        let done = systemctl().args(["restart", "--no-block", unit]).status();
        if !done.is_ok_and(|status| status.success()) {
            return Err(Failure::new(
                nightjar_shared::release::UpdateProblem::Failed,
                format!("systemd does not start {unit}"),
            ));
        }
    }
    Ok(())
}

/// Lets systemd read unit files that came or went. Without a systemd there is nothing to read.
pub(crate) fn reload_units() {
    drop(systemctl().arg("daemon-reload").status());
}

fn systemctl() -> Command {
    let mut command = Command::new("systemctl");
    command.stdin(Stdio::null()).stderr(Stdio::null());
    command
}

/// Reads what the agent of a unit says of itself. It is believed while it is fresh and of the process
/// that systemd started.
pub(crate) fn sighting(layout: &Layout, unit: &str, process: Process) -> Option<Sighting> {
    let vitals = read_vitals(layout, unit).ok()?;
    let age_ms = uptime_ms().saturating_sub(vitals.uptime_ms);
    let is_current = vitals.pid == process.pid && age_ms <= VITALS_AGE_MS_MAX;
    is_current.then_some(Sighting { pid: vitals.pid, does: vitals.does })
}

fn read_vitals(layout: &Layout, unit: &str) -> io::Result<Vitals> {
    let runtime = File::open(layout.below("run"))?;
    let directory = files::open_directory(&runtime, &runtime_directory(unit))?;
    let file = files::open_regular(&directory, VITALS_FILE)?;
    Ok(serde_json::from_slice(&files::read_bounded(file, VITALS_BYTES_MAX)?)?)
}

/// `nightjar-agent@door.service` has `/run/nightjar-agent-door`, as its unit file says.
fn runtime_directory(unit: &str) -> String {
    unit.trim_end_matches(".service").replace('@', "-")
}

/// Names the data directories below `/var/lib` that agents of this board may have.
pub(crate) fn data_directories(layout: &Layout) -> Vec<String> {
    let Ok(entries) = fs::read_dir(layout.below("var/lib")) else { return Vec::new() };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let is_agents = |name: &String| name == "nightjar-agent" || name.starts_with("nightjar-agent-");
    let mut names: Vec<String> = names.filter(is_agents).collect();
    names.sort();
    names
}

pub(crate) fn now() -> MonotonicNanos {
    let time = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    MonotonicNanos(seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0))
}

fn uptime_ms() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1_000 + u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_s_runtime_directory_is_that_of_its_file() {
        assert_eq!(runtime_directory("nightjar-agent.service"), "nightjar-agent");
        assert_eq!(runtime_directory("nightjar-agent@door.service"), "nightjar-agent-door");
    }
}
