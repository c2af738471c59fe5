//! `trust`: an owner's key, brought to the camera by the owner and not by the relay.

use std::{path::Path, process::ExitCode};

use super::{Failure, output::say};
use crate::{identity, pairing::Pairing};

pub(super) fn trust(data_dir: &Path, owner_key: &str) -> Result<ExitCode, Failure> {
    if !identity::is_key(owner_key) {
        return Err(Failure::Configuration(
            "this is no key: copy it from the app, 44 letters and digits that end in =".to_owned(),
        ));
    }
    let paired = Pairing::load(data_dir).map_err(anyhow::Error::new)?;
    let Some(mut pairing) = paired else {
        return Err(Failure::Configuration(format!(
            "--data-dir = {}: this camera is not paired; run `nightjar-agent pair` first",
            data_dir.display()
        )));
    };
    pairing.trust(owner_key);
    pairing.save(data_dir).map_err(anyhow::Error::new)?;
    say(format_args!(
        "{} owner keys; a running agent takes it within seconds",
        pairing.owner_keys.len()
    ));
    Ok(ExitCode::SUCCESS)
}
