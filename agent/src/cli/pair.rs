//! `pair`: the code comes from standard input, never from the command line, where every process
//! of the machine could read it.

use std::{
    io::{self, BufRead, IsTerminal, Read},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context;
use clap::Args;
use nightjar_shared::pairing::JoinCode;

use super::{
    ConfigFile, DataDir, Failure,
    output::{ask, complain, say},
    small_runtime,
};
use crate::{
    config::Config,
    data_dir,
    pairing::Pairing,
    uplink::claim::{Introduction, Ticket, claim, claim_with_file},
};

/// A typed line that is longer holds no code.
const LONGEST_LINE: u64 = 256;

#[derive(Args)]
pub(super) struct PairArguments {
    /// The relay's address; the code from the app is asked for
    #[arg(long, value_name = "URL", required_unless_present = "file", conflicts_with = "file")]
    relay: Option<String>,
    /// The file that the app made for this camera
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// With --relay: SHA-256 of the relay's own certificate authority, as the app shows it
    #[arg(long, value_name = "HEX", conflicts_with = "file")]
    ca_sha256: Option<String>,
    #[command(flatten)]
    config: ConfigFile,
    #[command(flatten)]
    data: DataDir,
}

pub(super) fn pair(arguments: &PairArguments) -> Result<ExitCode, Failure> {
    let data_dir = &arguments.data.path;
    data_dir::prepare(data_dir)?;
    let introduction = Introduction::of_this_machine(name(arguments)?);
    let runtime = small_runtime()?;
    let pairing = match (&arguments.file, &arguments.relay) {
        (Some(file), _) => {
            let claimed = runtime.block_on(claim_with_file(data_dir, file, introduction));
            let (pairing, wiped) = claimed.map_err(anyhow::Error::new)?;
            if !wiped {
                complain(format_args!(
                    "the used secret could not be wiped from {}; remove the file",
                    file.display()
                ));
            }
            pairing
        }
        (None, relay) => {
            let relay = relay.as_deref().unwrap_or_default();
            let ticket = Ticket::Code(read_code()?);
            let ca_sha256 = arguments.ca_sha256.as_deref();
            let claimed = claim(data_dir, relay, ca_sha256, ticket, introduction);
            runtime.block_on(claimed).map_err(anyhow::Error::new)?
        }
    };
    tell(&pairing);
    Ok(ExitCode::SUCCESS)
}

/// The configured name; before there is a configuration, the default one.
fn name(arguments: &PairArguments) -> Result<String, Failure> {
    let path = &arguments.config.path;
    Ok(if path.exists() { Config::load(path)?.name } else { Config::default().name })
}

fn read_code() -> Result<JoinCode, Failure> {
    if io::stdin().is_terminal() {
        ask("Code from the app: ");
    }
    let mut line = String::new();
    io::stdin()
        .lock()
        .take(LONGEST_LINE)
        .read_line(&mut line)
        .context("cannot read the code from standard input")?;
    Ok(line.parse().map_err(anyhow::Error::new)?)
}

fn tell(pairing: &Pairing) {
    say(format_args!("paired with {} as camera {}", pairing.relay_url, pairing.camera_id));
    say("a running agent connects within seconds; otherwise start it with `nightjar-agent run`");
}
