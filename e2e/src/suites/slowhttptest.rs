//! slowhttptest holds a thousand connections open: slow heads, slow bodies, slow readers. Somebody else's
//! requests must not feel it, and the relay must close what is slow.

use std::{
    io::Write as _,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::{process::Command, time::sleep};

use crate::{
    api::Api,
    bench::percentile,
    relay::{Place, Ports, Relay},
    stack::{EMAIL, PASSWORD, Scenario},
};

const CONNECTIONS: &str = "1000";
/// It opens 500 a second and goes on for so long; with its own start and end a little longer.
const LASTS_S: &str = "45";
const RUN_LIMIT: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(20);
const P99_MAX_MS: f64 = 500.0;

/// What is slow, where, and the options that make it so.
const MANNERS: [(&str, &str, &[&str]); 3] = [
    ("heads", "/", &["-H", "-i", "10", "-x", "24"]),
    (
        "bodies",
        "/api/v1/auth/login",
        &["-B", "-i", "10", "-s", "8192", "-x", "10", "-f", "application/json"],
    ),
    ("readers", "/style.css", &["-X", "-w", "512", "-y", "1024", "-n", "5", "-z", "32", "-k", "3"]),
];

pub(super) async fn run(program: &Path) -> Result<()> {
    Scenario::run("slowhttptest", async |directory| {
        let relay = Relay::start(&directory, Place::loopback(Ports::free()?)).await?;
        let (person, _) = relay.api()?.register(EMAIL, PASSWORD).await?;
        for (what, path, options) in MANNERS {
            let took = beside(program, &format!("{}{path}", relay.url()), options, &person).await?;
            let p99 = percentile(&took, 99);
            let asked = took.len();
            writeln!(
                std::io::stdout(),
                "slow {what}: {asked} requests of somebody else, p99 {p99:.1} ms"
            )?;
            ensure!(p99 < P99_MAX_MS, "beside slow {what} somebody else waits for {p99:.0} ms");
            person.get("auth/me").await?.expect(200)?;
        }
        Ok(())
    })
    .await
}

/// Asks for what every page asks for until the program has ended; returns how long each answer took.
async fn beside(program: &Path, url: &str, options: &[&str], person: &Api) -> Result<Vec<f64>> {
    let mut running = Command::new(program)
        .args(["-c", CONNECTIONS, "-r", "500", "-l", LASTS_S, "-p", "3", "-u"])
        .arg(url)
        .args(options)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("cannot start slowhttptest")?;
    let begin = Instant::now();
    let mut took = Vec::new();
    loop {
        if let Some(status) = running.try_wait()? {
            ensure!(status.success(), "slowhttptest: {status}");
            return Ok(took);
        }
        if begin.elapsed() > RUN_LIMIT {
            bail!("slowhttptest did not end");
        }
        let asked = Instant::now();
        person.get("auth/me").await?.expect(200)?;
        took.push(asked.elapsed().as_secs_f64() * 1_000.0);
        sleep(PAUSE).await;
    }
}
