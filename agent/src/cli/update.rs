//! `update`: what there is, how the last one went, and installing a package that is at hand.

use std::{
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::Arc,
};

use clap::Subcommand;
use nightjar_shared::{release::Manifest, time::UnixMillis};
use nightjar_update::{
    KeyFile, Layout, check_signed,
    handover::{Status, failed_versions},
    installed,
};

use super::{DataDir, Failure, System, output::say, owner::become_owner_of, small_runtime};
use crate::{
    clock::Clock,
    cloud::Cloud,
    identity::Identity,
    pairing::Pairing,
    tls::TimeFloor,
    update::{ask, last_word},
};

/// Where the package has it.
const INSTALLER: &str = "/usr/libexec/nightjar-update";

#[derive(Subcommand)]
pub(super) enum UpdateVerb {
    /// Ask the relay what there is for this camera
    Check {
        #[command(flatten)]
        data: DataDir,
        #[command(flatten)]
        system: System,
    },
    /// Say what is installed, and how the last update went
    Status {
        #[command(flatten)]
        data: DataDir,
        #[command(flatten)]
        system: System,
    },
    /// Install a package file that has its .release.json beside it; needs root
    Install {
        #[arg(value_name = "FILE")]
        package: PathBuf,
        /// Also one that was tried here before and did not work
        #[arg(long)]
        again: bool,
    },
}

pub(super) fn update(verb: UpdateVerb) -> Result<ExitCode, Failure> {
    match verb {
        UpdateVerb::Check { data, system } => {
            become_owner_of(&data.path)?;
            check(&data.path, &Layout::at(system.path))
        }
        UpdateVerb::Status { data, system } => status(&data.path, &Layout::at(system.path)),
        UpdateVerb::Install { package, again } => Err(install(&package, again).into()),
    }
}

fn check(data_dir: &Path, layout: &Layout) -> Result<ExitCode, Failure> {
    let Some(pairing) = Pairing::load(data_dir).map_err(anyhow::Error::new)? else {
        return Err(Failure::Configuration(format!(
            "--data-dir = {}: this camera is not paired; run `nightjar-agent pair` first",
            data_dir.display()
        )));
    };
    let identity = Identity::open(data_dir).map_err(anyhow::Error::new)?;
    let floor = TimeFloor::new(Clock::default(), UnixMillis(0));
    let asked = small_runtime()?.block_on(async {
        let cloud = Cloud::new(&pairing, Arc::new(identity), floor)?;
        ask(&cloud, layout).await.map_err(anyhow::Error::new)
    })?;
    let (installed, answer) = asked;
    let Some(offer) = answer.offer else {
        say(format_args!("version {} is installed; there is nothing newer", installed.version));
        return Ok(ExitCode::SUCCESS);
    };
    let keys = KeyFile::read(&layout.keys()).map_err(anyhow::Error::new)?;
    let Manifest { version, size, .. } =
        check_signed(&offer.release, &keys).map_err(anyhow::Error::new)?;
    say(format_args!(
        "version {} is installed, {version} is there ({} MB, rightly signed)",
        installed.version,
        size / 1_000_000
    ));
    say("a running agent takes it within the hour; the app's \"Update now\" does at once");
    Ok(ExitCode::SUCCESS)
}

fn status(data_dir: &Path, layout: &Layout) -> Result<ExitCode, Failure> {
    match installed(layout).map_err(anyhow::Error::new)? {
        Some(installed) => {
            say(format_args!("installed: {} ({})", installed.version, installed.architecture));
        }
        None => say("installed: not as a package"),
    }
    match KeyFile::read(&layout.keys()) {
        Ok(_) => say(format_args!("keys: {}", layout.keys().display())),
        Err(failure) => say(format_args!("keys: {failure}")),
    }
    let status = Status::read(layout).map_err(anyhow::Error::new)?;
    let status = last_word(data_dir).unwrap_or(status);
    let target = status.target.map(|target| format!(" {target}")).unwrap_or_default();
    say(format_args!("last update: {}{target}", status.state));
    if let Some(detail) = status.detail {
        say(format_args!("  {detail}"));
    }
    for failed in failed_versions(layout).map_err(anyhow::Error::new)? {
        say(format_args!("not tried again: {} ({})", failed.version, failed.problem));
    }
    Ok(ExitCode::SUCCESS)
}

/// Becomes the installer. Returns only when it cannot.
fn install(package: &Path, again: bool) -> anyhow::Error {
    let mut installer = Command::new(INSTALLER);
    installer.arg("install").arg(package);
    if again {
        installer.arg("--again");
    }
    anyhow::Error::new(installer.exec())
        .context(format!("cannot run {INSTALLER}: install the agent as a package, and be root"))
}
