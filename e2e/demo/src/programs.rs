//! Where the programs under test are: beside this one, in cargo's target directory.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// `target/debug` or `target/release`: the directory of this program. Cargo puts test programs
/// one level further down, into `deps`.
pub fn directory() -> Result<PathBuf> {
    let own = std::env::current_exe().context("cannot tell where this program lies")?;
    let directory = own.parent().context("this program lies in no directory")?;
    let directory = if directory.ends_with("deps") {
        directory.parent().context("the directory `deps` has no parent")?
    } else {
        directory
    };
    Ok(directory.to_owned())
}

/// Cargo's target directory.
pub fn target() -> Result<PathBuf> {
    let directory = directory()?;
    Ok(directory.parent().context("cargo's profile directory has no parent")?.to_owned())
}

/// One of the workspace's programs.
pub fn find(name: &str) -> Result<PathBuf> {
    let path = directory()?.join(name);
    ensure!(
        path.is_file(),
        "{} is missing; build the programs first: cargo build --workspace --bins",
        path.display()
    );
    Ok(path)
}

/// The street scene that `build/fetch-street-scene` fetched.
pub fn street_scene() -> Result<PathBuf> {
    let path = target()?.join("media/vtest.avi");
    ensure!(
        path.is_file(),
        "{} is missing; fetch it: build/fetch-street-scene {}",
        path.display(),
        path.parent().unwrap_or(Path::new("")).display()
    );
    Ok(path)
}
