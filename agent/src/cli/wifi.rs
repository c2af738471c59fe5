//! `wifi`: joins a Wi-Fi network. The passphrase comes from standard input, never from the command line,
//! where every process of the machine could read it.

use std::{
    io::{self, BufRead as _, IsTerminal as _, Read as _},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::Args;
use nightjar_shared::wifi::{Country, Ssid, Wifi};

use super::{
    DataDir, Failure,
    output::{ask, say},
    small_runtime,
};
use crate::{lens::Told, wifi};

/// How much of a typed line is read; a longer one holds no passphrase.
const LONGEST_LINE: u64 = 256;

#[derive(Args)]
pub(super) struct WifiArguments {
    /// The network's name; its passphrase is asked for, and stays empty for an open network
    #[arg(long, value_name = "NAME")]
    ssid: Ssid,
    /// The network does not tell its name
    #[arg(long)]
    hidden: bool,
    /// Where the camera stands, as two letters
    #[arg(long, value_name = "COUNTRY")]
    country: Option<Country>,
    #[command(flatten)]
    data: DataDir,
}

pub(super) fn join(arguments: &WifiArguments) -> Result<ExitCode, Failure> {
    let WifiArguments { ssid, hidden, country, data } = arguments;
    let typed = read_line()?;
    let passphrase = match typed.trim_end_matches(['\n', '\r']) {
        "" => None,
        typed => Some(typed.parse().map_err(|error| Failure::Configuration(format!("{error}")))?),
    };
    let (ssid, hidden, country) = (ssid.clone(), *hidden, *country);
    let network = Wifi { ssid, passphrase, hidden, country };
    match small_runtime()?.block_on(wifi::join(&network)) {
        Ok(()) => {
            Told::forget(&data.path);
            say(format_args!("joined {}, now and at every start", network.ssid));
            Ok(ExitCode::SUCCESS)
        }
        Err(refusal) => Err(anyhow::anyhow!("{refusal}; {}", refusal.next_step()).into()),
    }
}

fn read_line() -> Result<String, Failure> {
    if io::stdin().is_terminal() {
        ask("Passphrase (shown as you type it; empty for an open network): ");
    }
    let mut line = String::new();
    io::stdin()
        .lock()
        .take(LONGEST_LINE)
        .read_line(&mut line)
        .context("cannot read the passphrase from standard input")?;
    Ok(line)
}
