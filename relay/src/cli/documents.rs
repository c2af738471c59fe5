//! `documents`: man pages and completions, made of the command line itself. The package is built with it.

use std::{fs, path::Path};

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_complete::Shell;

use super::Arguments;

pub(super) fn write(directory: &Path) -> anyhow::Result<()> {
    let command = Arguments::command();
    let failed = || format!("cannot write documents into {}", directory.display());
    fs::create_dir_all(directory).with_context(failed)?;
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        let name = command.get_name().to_owned();
        clap_complete::generate_to(shell, &mut command.clone(), name, directory)
            .with_context(failed)?;
    }
    clap_mangen::generate_to(command, directory).with_context(failed)
}
