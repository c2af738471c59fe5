//! What the kernel knows: processor time and memory of processes, and the machine itself.

use std::{
    fs,
    process::Command,
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result};

/// Processor time that a process has used so far, user and kernel together.
pub fn processor_time(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("the process is gone")?;
    let (_, fields) = stat.rsplit_once(") ").context("/proc/PID/stat is not as it should be")?;
    let ticks: u64 =
        fields.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    let per_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_millis(ticks * 1_000 / per_second))
}

/// Resident memory of a process, in MB.
pub fn resident_mb(pid: u32) -> Result<f64> {
    let status =
        fs::read_to_string(format!("/proc/{pid}/status")).context("the process is gone")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kilobytes: f64 = kilobytes.context("a process without memory")?.parse()?;
    Ok(kilobytes / 1_024.0)
}

/// Open descriptors and threads of a process.
pub fn holdings(pid: u32) -> Result<(usize, usize)> {
    let entries = |name: &str| fs::read_dir(format!("/proc/{pid}/{name}"));
    let open = entries("fd").context("the process is gone")?.count();
    Ok((open, entries("task").context("the process is gone")?.count()))
}

/// Now, in Unix milliseconds: the cameras' and the browser's clock, for all run on this machine.
pub fn unix_millis() -> Result<f64> {
    Ok(since_1970()?.as_secs_f64() * 1_000.0)
}

/// The same in whole milliseconds.
pub fn whole_unix_millis() -> Result<i64> {
    Ok(i64::try_from(since_1970()?.as_millis())?)
}

#[expect(clippy::disallowed_methods, reason = "compared with a time that the camera reported")]
fn since_1970() -> Result<Duration> {
    Ok(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?)
}

/// The machine and the day, in a sentence.
pub fn describe() -> Result<String> {
    let processors = fs::read_to_string("/proc/cpuinfo")?;
    let model = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("an unnamed processor", |(_, model)| model);
    let cores = std::thread::available_parallelism()?;
    let release = fs::read_to_string("/etc/os-release")?;
    let system = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let system = system.unwrap_or("an unnamed system").trim_matches('"');
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let date = Command::new("date").args(["--utc", "+%Y-%m-%d"]).output()?;
    let date = String::from_utf8(date.stdout)?;
    let revision = Command::new("git").args(["describe", "--always", "--dirty"]).output();
    let revision = revision.ok().and_then(|output| String::from_utf8(output.stdout).ok());
    Ok(format!(
        "Measured on {} at revision {}: {cores} cores of {model}, {system}, Linux {}.",
        date.trim(),
        revision.as_deref().map_or("unknown", str::trim),
        kernel.trim()
    ))
}
