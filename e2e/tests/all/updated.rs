//! Updates on a board whose init is systemd, from the relay's offer to the trial's end: one that works, and
//! three that do not.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{guest::Architecture, programs, stack::Scenario, wait};
use serde_json::{Value, json};

use crate::installed::{APT, Board, EMULATED, STATE, configured, measured, pack};

/// From the command until the camera has judged: a trial lasts five minutes, and the board is emulated.
const JUDGED_WITHIN: Duration = Duration::from_mins(20);

const OLD: &str = "0.1.0~1";
const NEW: &str = "0.1.0~2";

/// Where the program lies behind a script that spoils it.
const REAL: &str = "/usr/lib/nightjar-agent/real";

/// Builds that do not work, each with the version that it has, what it does instead of running, and what
/// the camera says of it.
const BAD: [(&str, &str, &str); 3] = [
    ("0.1.0~3", "exit 1", "crashes"),
    (
        "0.1.0~4",
        "exec /usr/lib/nightjar-agent/real run --config /etc/nightjar/agent.toml \
         --data-dir /var/cache/nightjar-agent/nobodys",
        "not_connected",
    ),
    (
        "0.1.0~5",
        "sed s/continuous/off/ /etc/nightjar/agent.toml >/var/cache/nightjar-agent/off.toml\n\
         exec /usr/lib/nightjar-agent/real run --config /var/cache/nightjar-agent/off.toml \
         --data-dir /var/lib/nightjar-agent",
        "not_recording",
    ),
];

/// Runs a program to its end, and gives what it said.
fn run(program: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).output()?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    ensure!(output.status.success(), "{} {arguments:?}: {said}", program.display());
    Ok(said)
}

/// Makes of a good package one of a later version whose agent does something else when it is run.
fn spoil(package: &Path, version: &str, instead: &str) -> Result<PathBuf> {
    let work = package.with_extension(version);
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let dpkg_deb = Path::new("dpkg-deb");
    run(dpkg_deb, &["--raw-extract", &text(package), &text(&work)])?;
    let control = work.join("DEBIAN/control");
    let fields = fs::read_to_string(&control)?;
    let fields = fields.lines().map(|line| {
        if line.starts_with("Version:") {
            format!("Version: {version}\n")
        } else {
            format!("{line}\n")
        }
    });
    fs::write(&control, fields.collect::<String>())?;
    let (program, real) = (work.join("usr/bin/nightjar-agent"), work.join(&REAL[1..]));
    fs::create_dir_all(real.parent().context("a program in no directory")?)?;
    fs::rename(&program, &real)?;
    let script =
        format!("#!/bin/sh\nif [ \"$1\" = run ]; then\n{instead}\nfi\nexec {REAL} \"$@\"\n");
    fs::write(&program, script)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    let spoilt = package.with_file_name(format!("nightjar-agent_{version}_amd64.deb"));
    run(dpkg_deb, &["--root-owner-group", "-Znone", "--build", &text(&work), &text(&spoilt)])?;
    fs::remove_dir_all(&work)?;
    Ok(spoilt)
}

/// Who makes releases, and the relay that offers them.
struct Releases {
    program: PathBuf,
    config: String,
    key: String,
}

impl Releases {
    fn run(&self, arguments: &[&str]) -> Result<String> {
        let all = [&["--config", &self.config, "admin", "release"], arguments].concat();
        run(&self.program, &all)
    }

    fn offer(&self, package: &Path, version: &str) -> Result<()> {
        let path = package.to_string_lossy().into_owned();
        self.run(&["sign", &path, "--key", &self.key])?;
        self.run(&["add", &path])?;
        self.run(&["stage", version, "--percent", "100"]).map(drop)
    }
}

/// Asks for what is offered, and waits until the camera has judged it.
async fn update(board: &Board, version: &str) -> Result<Value> {
    let camera = format!("cameras/{}", board.camera_id);
    board.owner().await?.command_done(&board.camera_id, "update", json!({})).await?;
    wait::until(&format!("{version} is judged"), JUDGED_WITHIN, async || {
        let update =
            board.owner().await?.get(&format!("{camera}/update")).await?.expect(200)?.json();
        let state = update["state"].as_str().unwrap_or_default();
        let is_judged =
            update["target"] == version && ["installed", "rolled_back"].contains(&state);
        ensure!(is_judged, "{update}");
        Ok(Some(update))
    })
    .await
}

/// What is missing of the footage since a clip.
#[derive(serde::Deserialize)]
struct Missing {
    /// In all, and between two clips that follow each other at most.
    sum_ms: i64,
    most_ms: i64,
    /// The newest clip.
    last: i64,
}

/// Looks what is missing between the clips since one, as the camera's index has them.
async fn missing_since(board: &mut Board, clip: i64) -> Result<Missing> {
    let here = board.directory.display().to_string();
    let copy =
        format!("rm -rf {here}/index; mkdir {here}/index; cp {STATE}/agent.db* {here}/index/");
    board.guest.run(&copy).await?;
    let ask = "import json, sqlite3, sys\n\
               rows = sqlite3.connect(sys.argv[1]).execute(\"select started_at, ended_at, sequence from \
               clips where kind = 'continuous' and sequence >= ? order by sequence\", \
               sys.argv[2:]).fetchall()\n\
               gaps = [after[0] - before[1] for before, after in zip(rows, rows[1:]) if before[1]]\n\
               print(json.dumps({'sum_ms': sum(gaps), 'most_ms': max(gaps, default=0), \
               'last': rows[-1][2]}))";
    let output = Command::new("python3")
        .args(["-c", ask])
        .arg(board.directory.join("index/agent.db"))
        .arg(clip.to_string())
        .output()?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    serde_json::from_str(&said).with_context(|| format!("the index has no clips: {said}"))
}

/// Says what an update cost since a clip; gives the newest one.
async fn cost(board: &mut Board, clip: i64, what: &str) -> Result<i64> {
    let Missing { sum_ms, most_ms, last } = missing_since(board, clip).await?;
    measured(&format!("{what}: {sum_ms} ms of footage missing, {most_ms} at once"));
    ensure!(last > clip, "nothing new was recorded");
    Ok(last)
}

#[tokio::test]
#[ignore = "takes minutes in an emulated machine: make test-packages"]
async fn an_update_that_works_is_kept_and_three_that_do_not_are_taken_back() -> Result<()> {
    Scenario::run("updated", |directory| async move {
        let old = pack(&directory, Architecture::Amd64, OLD)?;
        let new = pack(&directory, Architecture::Amd64, NEW)?;
        let agent = |packages: &[PathBuf]| {
            let is_agents = |path: &&PathBuf| path.to_string_lossy().contains("nightjar-agent_");
            packages.iter().find(is_agents).cloned().context("no package of the agent")
        };
        let Some(mut board) = Board::boot(&directory, Architecture::Amd64).await? else {
            return Ok(());
        };
        let place = |name: &str| directory.join(name).to_string_lossy().into_owned();
        let releases = Releases {
            program: programs::find("nightjar-relay")?,
            config: place("relay.toml"),
            key: place("maker.pem"),
        };
        let keys = releases.run(&["keygen", &releases.key])?;
        board.publish(&old).await?;
        board.guest.run(&format!("{APT} -y install nightjar-agent")).await?;
        fs::write(
            directory.join("update.toml"),
            format!("{keys}\n[trial]\nmedia_s = 150\nsettle_s = 15\n"),
        )?;
        board
            .guest
            .run(&format!(
                "cp {} /etc/nightjar/update.toml && {}",
                place("update.toml"),
                configured(EMULATED)
            ))
            .await?;
        board.pair().await?;
        board.guest.run("systemctl restart nightjar-agent").await?;
        board.sees(true).await?;
        board.records().await?;

        let mut clip = missing_since(&mut board, 0).await?.last;
        let new = agent(&new)?;
        releases.offer(&new, NEW)?;
        let kept = update(&board, NEW).await?;
        ensure!(kept["state"] == "installed" && kept["version"] == NEW, "{kept}");
        board.records().await?;
        clip = cost(&mut board, clip, "update kept").await?;

        for (version, instead, problem) in BAD {
            releases.offer(&spoil(&new, version, instead)?, version)?;
            let judged = update(&board, version).await?;
            ensure!(judged["state"] == "rolled_back", "{judged}");
            ensure!(judged["problem"] == problem && judged["version"] == NEW, "{judged}");
            board.sees(true).await?;
            board.records().await?;
            clip = cost(&mut board, clip, &format!("update taken back, {problem}")).await?;
        }
        let said = board.guest.run("nightjar-agent update status").await?;
        ensure!(said.contains(NEW) && said.contains("not tried again: 0.1.0~5"), "{said}");
        board.footage_plays().await?;
        board.stop().await
    })
    .await
}
