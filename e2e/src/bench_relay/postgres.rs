//! A PostgreSQL server of the bench's own, with the settings that it ships with: a commit waits for the disk.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use crate::{process::Process, wait};

const START_LIMIT: Duration = Duration::from_mins(1);

pub(super) struct Postgres {
    directory: PathBuf,
    server: Process,
}

impl Postgres {
    /// Starts one; nothing where it is not installed.
    pub(super) async fn start() -> Result<Option<Self>> {
        let Some(binaries) = binaries() else { return Ok(None) };
        // It runs as a user who may not read the target directory.
        let directory = std::env::temp_dir().join(format!("nightjar-bench-{}", std::process::id()));
        fs::create_dir_all(&directory).context("cannot make the server's directory")?;
        let data = directory.join("data");
        let is_root = rustix::process::geteuid().is_root();
        if is_root {
            let given = Command::new("chown").arg("postgres").arg(&directory).status()?;
            ensure!(given.success(), "there is no user postgres");
        }
        let made = as_its_user(is_root, &binaries.join("initdb"))
            .args(["-U", "nightjar", "-A", "trust", "-E", "UTF8", "--no-locale", "-D"])
            .arg(&data)
            .current_dir(&directory)
            .output()
            .context("cannot run initdb")?;
        ensure!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let server = as_its_user(is_root, &binaries.join("postgres"));
        let arguments = server.get_args().map(ToOwned::to_owned).chain(
            ["-c", "listen_addresses=", "-k"].map(Into::into).into_iter().chain([
                directory.clone().into_os_string(),
                "-D".into(),
                data.into_os_string(),
            ]),
        );
        let program = PathBuf::from(server.get_program());
        let log = std::env::temp_dir().join(format!("nightjar-bench-{}.log", std::process::id()));
        let server = Process::start(&program, arguments, &log)?;
        let postgres = Self { directory, server };
        wait::until("PostgreSQL answers", START_LIMIT, async || {
            let answer = postgres.psql().args(["-c", "select 1"]).output()?;
            Ok(answer.status.success().then_some(()))
        })
        .await?;
        fs::remove_file(log).ok();
        Ok(Some(postgres))
    }

    /// The section `[database]` of a relay's configuration.
    pub(super) fn section(&self) -> String {
        format!(
            "[database]\nurl = \"postgres://nightjar@/postgres?host={}\"\n",
            self.directory.display()
        )
    }

    pub(super) fn psql(&self) -> Command {
        let mut psql = Command::new("psql");
        psql.args(["-q", "-v", "ON_ERROR_STOP=1", "-U", "nightjar", "-d", "postgres", "-h"])
            .arg(&self.directory);
        psql
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.server.kill();
        fs::remove_dir_all(&self.directory).ok();
    }
}

/// PostgreSQL refuses to run as root; its package made a user for it.
fn as_its_user(is_root: bool, program: &Path) -> Command {
    if !is_root {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
    command
}

fn binaries() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let found = versions.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    found.filter(|path| path.join("initdb").is_file()).max()
}
