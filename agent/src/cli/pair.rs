//! `pair`: the code comes from standard input, never from the command line, where every process
//! of the machine could read it.

use std::{
    io::{self, BufRead, IsTerminal, Read, Write as _},
    path::{Path, PathBuf},
    process::{Command, ExitCode, ExitStatus, Stdio},
};

use anyhow::Context;
use clap::Args;
use nightjar_shared::pairing::JoinCode;

use super::{
    ConfigFile, DataDir, Failure,
    output::{ask, complain, say},
    owner, small_runtime,
};
use crate::{
    config::Config,
    data_dir,
    identity::Identity,
    pairing::Pairing,
    uplink::claim::{Introduction, PairingFile, Ticket, claim, claim_as_provisioned},
};

/// How much of a typed line is read; a longer one holds no code.
const LONGEST_LINE: u64 = 256;
/// In the place of a file's name.
const STANDARD_INPUT: &str = "-";

#[derive(Args)]
pub(super) struct PairArguments {
    /// The relay's address, like cam.example.org; the code from the app is asked for
    #[arg(long, value_name = "URL", required_unless_present = "file", conflicts_with = "file")]
    relay: Option<String>,
    /// The file that the app made for this camera; - for standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// With --relay: SHA-256 of the relay's own certificate authority. Without it, the relay must show
    /// that it knows the code
    #[arg(long, value_name = "HEX", conflicts_with = "file", value_parser = parse_sha256)]
    ca_sha256: Option<String>,
    #[command(flatten)]
    config: ConfigFile,
    #[command(flatten)]
    data: DataDir,
}

pub(super) fn pair(arguments: &PairArguments) -> Result<ExitCode, Failure> {
    let data_dir = &arguments.data.path;
    match &arguments.file {
        Some(path) if path != Path::new(STANDARD_INPUT) => pair_by_file(arguments, path),
        Some(_) => {
            let file = PairingFile::of_standard_input().map_err(anyhow::Error::new)?;
            pair_with(arguments, &file)
        }
        None => {
            owner::become_owner_of(data_dir)?;
            data_dir::prepare(data_dir)?;
            let introduction = Introduction::of_this_machine(name(arguments)?);
            let relay = address(arguments.relay.as_deref().unwrap_or_default());
            let ticket = Ticket::Code(read_code()?);
            let ca_sha256 = arguments.ca_sha256.as_deref();
            let claimed = claim(data_dir, &relay, ca_sha256, ticket, introduction, None);
            let pairing = small_runtime()?.block_on(claimed).map_err(anyhow::Error::new)?;
            tell(data_dir, &pairing)
        }
    }
}

/// Pairs by a file, which root alone may be able to read and to wipe; what is done with it in the data
/// directory is done as the directory's owner.
fn pair_by_file(arguments: &PairArguments, path: &Path) -> Result<ExitCode, Failure> {
    let data_dir = &arguments.data.path;
    let file = PairingFile::read(path).map_err(anyhow::Error::new)?;
    let ended = match owner::command_as_owner_of(data_dir) {
        None => pair_with(arguments, &file)?,
        Some(mut command) => {
            command.args(["pair", "--file", STANDARD_INPUT, "--config"]);
            command.arg(&arguments.config.path).arg("--data-dir").arg(data_dir);
            let ended = feed(&mut command, file.text());
            owner::ended_as(ended.map_err(|error| owner::unable(data_dir, &error))?)?
        }
    };
    if ended == ExitCode::SUCCESS && file.wipe(path).is_err() {
        complain(format_args!(
            "the used secret could not be wiped from {}; remove the file",
            path.display()
        ));
    }
    Ok(ended)
}

fn pair_with(arguments: &PairArguments, file: &PairingFile) -> Result<ExitCode, Failure> {
    let data_dir = &arguments.data.path;
    data_dir::prepare(data_dir)?;
    let introduction = Introduction::of_this_machine(name(arguments)?);
    let claimed = claim_as_provisioned(data_dir, file.content(), introduction);
    let pairing = small_runtime()?.block_on(claimed).map_err(anyhow::Error::new)?;
    tell(data_dir, &pairing)
}

/// Runs a command to its end with a text on its standard input.
fn feed(command: &mut Command, text: &[u8]) -> io::Result<ExitStatus> {
    let mut child = command.stdin(Stdio::piped()).spawn()?;
    // One that did not want it says why itself.
    drop(child.stdin.take().map(|mut input| input.write_all(text)));
    child.wait()
}

/// Reads an address as people type it: https, unless they say otherwise.
fn address(text: &str) -> String {
    let text = text.trim().trim_end_matches('/');
    if text.contains("://") { text.to_owned() } else { format!("https://{text}") }
}

/// Brings a hash into the usual form: people copy it with colons, spaces and capital letters.
fn parse_sha256(text: &str) -> Result<String, String> {
    let digits: String = text.chars().filter(|it| !matches!(it, ':' | ' ')).collect();
    let complete = digits.len() == 64 && digits.bytes().all(|it| it.is_ascii_hexdigit());
    complete
        .then(|| digits.to_ascii_lowercase())
        .ok_or_else(|| "a SHA-256 has 64 hexadecimal digits; copy it from the app".to_owned())
}

/// Returns the configured name; before there is a configuration, the default one.
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

fn tell(data_dir: &Path, pairing: &Pairing) -> Result<ExitCode, Failure> {
    say(format_args!("paired with {} as camera {}", pairing.relay_url, pairing.camera_id));
    say("a running agent connects within seconds; otherwise start it with `nightjar-agent run`");
    let identity = Identity::open(data_dir).map_err(anyhow::Error::new)?;
    say(format_args!("the camera's key, as the app must show it: {}", identity.public_key()));
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_needs_no_scheme() {
        for text in ["cam.example.org", "https://cam.example.org/", " cam.example.org "] {
            assert_eq!(address(text), "https://cam.example.org");
        }
        assert_eq!(address("http://localhost:8080"), "http://localhost:8080");
        assert_eq!(address("cam:8443"), "https://cam:8443");
    }

    #[test]
    fn a_hash_is_read_as_people_copy_it() {
        let plain = "0a".repeat(32);
        let spaced = vec!["0A"; 32].join(":");
        assert_eq!(parse_sha256(&plain), Ok(plain.clone()));
        assert_eq!(parse_sha256(&spaced), Ok(plain));
        assert!(parse_sha256("0a").is_err() && parse_sha256(&"g".repeat(64)).is_err());
    }
}
