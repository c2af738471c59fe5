//! Packages of the programs that are tested anyway: what they hold, what Debian's judge of packages and
//! systemd's of units say, and whether apt takes them from a signed repository.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{guest::build, players::skipped, programs, stack::Scenario};

/// What systemd's own analysis may find, of 10: an agent must reach cameras and the network.
const EXPOSURE_MAX: &str = "15";

/// What each package must hold. A unit of one's own goes into `debian/nightjar-agent.install`, and here.
const AGENT: [&str; 21] = [
    "etc/nightjar/agent.toml",
    "etc/nightjar/update.toml",
    "usr/bin/nightjar-agent",
    "usr/libexec/nightjar-update",
    "usr/lib/systemd/journald@nightjar.conf.d/journald@nightjar.conf",
    "usr/lib/systemd/system/nightjar-agent.service",
    "usr/lib/systemd/system/nightjar-agent@.service",
    "usr/lib/systemd/system/nightjar-provision.path",
    "usr/lib/systemd/system/nightjar-provision.service",
    "usr/lib/systemd/system/nightjar-update.path",
    "usr/lib/systemd/system/nightjar-update.service",
    "usr/lib/systemd/system/nightjar-update@.path",
    "usr/lib/systemd/system/systemd-journald@nightjar.service.d/in-memory.conf",
    "usr/lib/sysusers.d/nightjar-agent.conf",
    "usr/lib/tmpfiles.d/nightjar-agent.conf",
    "usr/share/bash-completion/completions/nightjar-agent",
    "usr/share/doc/nightjar-agent/crates.tsv.gz",
    "usr/share/fish/vendor_completions.d/nightjar-agent.fish",
    "usr/share/man/man1/nightjar-agent-pair.1.gz",
    "usr/share/polkit-1/rules.d/50-nightjar-agent.rules",
    "usr/share/zsh/vendor-completions/_nightjar-agent",
];
const RELAY: [&str; 9] = [
    "etc/nightjar/relay.toml",
    "usr/bin/nightjar-relay",
    "usr/lib/systemd/system/nightjar-relay.service",
    "usr/lib/sysusers.d/nightjar-relay.conf",
    "usr/lib/tmpfiles.d/nightjar-relay.conf",
    "usr/share/bash-completion/completions/nightjar-relay",
    "usr/share/man/man1/nightjar-relay-admin-create-account.1.gz",
    "usr/share/nightjar-relay/grafana/nightjar-relay.json",
    "usr/share/nightjar-relay/prometheus/alerts.yml",
];

/// Runs a program of this machine and gives what it printed; fails when it does.
fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().display().to_string();
    let output = command.output().with_context(|| format!("cannot start {name}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name}: {}: {text}{error}", output.status);
    Ok(text)
}

fn is_missing(program: &str) -> bool {
    let missing = Command::new(program).arg("--version").output().is_err();
    if missing {
        skipped(&format!("there is no {program}: build/install-packages package"));
    }
    missing
}

/// Packs the programs, quickly rather than small.
fn pack(directory: &Path) -> Result<Vec<PathBuf>> {
    let made = output(
        Command::new(build("deb"))
            .arg(directory)
            .arg(output(Command::new("dpkg").arg("--print-architecture"))?.trim_end())
            .arg(programs::directory()?)
            .env("COMPRESSION", "gzip -z1"),
    )?;
    Ok(made.lines().map(PathBuf::from).collect())
}

#[tokio::test]
async fn packages_are_whole_and_without_errors_and_apt_takes_them_from_a_signed_repository()
-> Result<()> {
    if ["dh", "lintian", "reprepro"].into_iter().any(is_missing) {
        return Ok(());
    }
    Scenario::run("packages", |directory| async move {
        let packages = pack(&directory)?;
        ensure!(packages.len() == 2, "made were {packages:?}");
        for (package, expected) in packages.iter().zip([&AGENT[..], &RELAY]) {
            holds(package, expected, &directory)?;
        }
        output(
            Command::new("lintian").args(["--fail-on", "error", "--allow-root"]).args(&packages),
        )?;

        let key = directory.join("key.asc");
        publish(&directory.join("apt"), &key, &packages)?;
        let taken = fetch_by_apt(&directory, "apt/nightjar.gpg")?;
        ensure!(taken.contains("nightjar-agent_"), "apt took {taken}");
        // Another's key, and a package that was changed after it was signed.
        publish(&directory.join("foreign"), &directory.join("foreign.asc"), &packages)?;
        ensure!(
            fetch_by_apt(&directory, "foreign/nightjar.gpg").is_err(),
            "a foreign key is taken"
        );
        for package in find(&directory.join("apt/pool")) {
            let mut bytes = fs::read(&package)?;
            *bytes.last_mut().context("an empty package")? ^= 1;
            fs::write(&package, bytes)?;
        }
        ensure!(
            fetch_by_apt(&directory, "apt/nightjar.gpg").is_err(),
            "a changed package is taken"
        );
        Ok(())
    })
    .await
}

/// Unpacks a package and looks for what it must hold; reads its man pages as `man` does.
fn holds(package: &Path, expected: &[&str], directory: &Path) -> Result<()> {
    let root = directory.join("unpacked");
    output(Command::new("dpkg-deb").arg("--extract").arg(package).arg(&root))?;
    for file in expected {
        ensure!(root.join(file).is_file(), "{} lacks {file}", package.display());
    }
    for page in find(&root.join("usr/share/man")) {
        let text = output(Command::new("man").arg("--local-file").arg(&page))?;
        ensure!(text.contains("SYNOPSIS"), "{}: {text}", page.display());
    }
    Ok(())
}

fn publish(repository: &Path, key: &Path, packages: &[PathBuf]) -> Result<String> {
    output(Command::new(build("apt-repository")).arg(repository).arg(key).args(packages))
}

/// Downloads the agent's package by an apt that knows nothing but the repository in `directory`, and
/// trusts `key` in it.
fn fetch_by_apt(directory: &Path, key: &str) -> Result<String> {
    let own = directory.join("apt-of-a-board");
    if own.exists() {
        fs::remove_dir_all(&own)?;
    }
    for part in ["lists/partial", "archives/partial", "taken"] {
        fs::create_dir_all(own.join(part))?;
    }
    fs::write(own.join("status"), "")?;
    let here = directory.display();
    let source = format!("deb [signed-by={here}/{key}] copy:{here}/apt stable main\n");
    fs::write(own.join("sources.list"), source)?;
    let apt = || {
        let mut command = Command::new("apt-get");
        let settings = [
            format!("Dir::Etc::sourcelist={}", own.join("sources.list").display()),
            "Dir::Etc::sourceparts=/dev/null".to_owned(),
            format!("Dir::State::lists={}", own.join("lists").display()),
            format!("Dir::State::status={}", own.join("status").display()),
            format!("Dir::Cache={}", own.display()),
            "APT::Sandbox::User=root".to_owned(),
            // Else what cannot be trusted is a warning.
            "APT::Update::Error-Mode=any".to_owned(),
        ];
        for setting in settings {
            command.args(["-o", &setting]);
        }
        command.current_dir(own.join("taken"));
        command
    };
    output(apt().arg("update"))?;
    output(apt().args(["download", "nightjar-agent"]))?;
    Ok(find(&own.join("taken")).iter().map(|file| file.display().to_string()).collect())
}

fn find(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let found = entries.flat_map(|entry| {
        let path = entry.path();
        if path.is_dir() { find(&path) } else { vec![path] }
    });
    found.collect()
}

#[test]
fn systemd_finds_little_that_agent_and_relay_could_do_to_their_machine() -> Result<()> {
    if is_missing("systemd-analyze") {
        return Ok(());
    }
    let units = build("../systemd");
    for unit in [
        "nightjar-agent.service",
        "nightjar-agent@.service",
        "nightjar-provision.service",
        "nightjar-relay.service",
    ] {
        let unit = units.join(unit);
        let judged = output(
            Command::new("systemd-analyze")
                .args(["security", "--offline=true", "--no-pager", "--threshold", EXPOSURE_MAX])
                .arg(&unit),
        )?;
        ensure!(judged.contains("Overall exposure level"), "{judged}");
    }
    Ok(())
}

#[test]
fn a_package_for_32_bit_is_refused_with_a_way_out() -> Result<()> {
    let made = Command::new(build("deb"))
        .arg(programs::target()?)
        .arg("armhf")
        .arg(programs::directory()?)
        .output()
        .context("cannot start build/deb")?;
    let said = String::from_utf8_lossy(&made.stderr);
    ensure!(!made.status.success() && said.contains("the 64-bit system"), "{said}");
    Ok(())
}
