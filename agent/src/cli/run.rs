//! `run`: the agent itself, and its restart.

use std::{
    env,
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, ExitCode},
    time::Duration,
};

use anyhow::Context;

use super::Failure;
use crate::{app, board::SystemRoot, config::Config, data_dir::DataDir, logging, shutdown::Ending};

/// How many threads disk writes and pictures wait on; more would only wait for the same disk.
const BLOCKING_THREADS: usize = 8;
/// How long is waited for what still runs on them when all parts have stopped.
const LINGER: Duration = Duration::from_millis(300);

pub(super) fn run(config: &Path, data_dir: &Path, system: SystemRoot) -> Result<ExitCode, Failure> {
    // After an upgrade this path leads to the new program.
    let program = env::current_exe().context("cannot tell where the agent's program lies")?;
    let config = Config::load(config)?;
    logging::start(config.log.format);
    let data_dir = DataDir::open(data_dir, &app::FILES)?;
    data_dir.try_out()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()
        .context("cannot start the agent's threads")?;
    let ending = runtime.block_on(app::run(config, data_dir.path(), system));
    runtime.shutdown_timeout(LINGER);
    drop(data_dir);
    match ending? {
        Ending::Stopped => Ok(ExitCode::SUCCESS),
        Ending::Restart => Err(restart(&program).into()),
        Ending::Failed(reason) => Err(anyhow::anyhow!(reason).into()),
    }
}

/// Replaces this process by a new run of the program. An exit code for a supervisor would need
/// one that knows it; this works the same under systemd, in a container and in a shell, and the
/// process keeps its number. Returns only when it fails.
fn restart(program: &Path) -> anyhow::Error {
    tracing::info!("restarting");
    let error = Command::new(program).args(env::args_os().skip(1)).exec();
    anyhow::Error::new(error).context(format!("cannot start {} again", program.display()))
}
