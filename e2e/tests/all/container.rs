//! The container's root, laid out as for the image: without a shell, read-only, as its own user. Compose files.

#![expect(clippy::print_stderr, reason = "a skipped test must be seen")]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{api::Api, process::Process, programs, relay::Ports, stack::Scenario, wait};

const SOON: Duration = Duration::from_secs(20);

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// `bwrap` with the root read-only, the volume, and nothing else of this machine but its network.
fn arguments(root: &Path, volume: &Path, config: &Path) -> Vec<String> {
    let texts = [
        "--unshare-user",
        "--uid",
        "10001",
        "--gid",
        "10001",
        "--unshare-pid",
        "--unshare-ipc",
        "--cap-drop",
        "ALL",
        "--die-with-parent",
        "--clearenv",
    ];
    let path = |path: &Path| path.display().to_string();
    let mounts = [
        ["--ro-bind".to_owned(), path(root), "/".to_owned()],
        ["--bind".to_owned(), path(volume), "/var/lib/nightjar-relay".to_owned()],
        ["--ro-bind".to_owned(), path(config), "/etc/nightjar/relay.toml".to_owned()],
    ];
    let rest = ["--proc", "/proc", "--dev", "/dev"].map(str::to_owned);
    texts.map(str::to_owned).into_iter().chain(mounts.into_iter().flatten()).chain(rest).collect()
}

fn inside(arguments: &[String], command: &[&str]) -> Result<std::process::Output> {
    let command =
        ["--".to_owned()].into_iter().chain(command.iter().map(|word| (*word).to_owned()));
    let all = arguments.iter().cloned().chain(command);
    Command::new("bwrap").args(all).output().context("bwrap does not start")
}

#[tokio::test]
async fn the_relay_serves_from_the_container_s_root_which_it_cannot_write() -> Result<()> {
    Scenario::run("container", |directory| async move {
        let root = directory.join("root");
        let script = repository().join("build/container-root");
        let laid =
            Command::new(script).arg(programs::find("nightjar-relay")?).arg(&root).output()?;
        ensure!(laid.status.success(), "{}", String::from_utf8_lossy(&laid.stderr));
        for missing in ["bin/sh", "usr/bin/sh", "usr/bin/env", "usr/bin/apt"] {
            ensure!(!root.join(missing).exists(), "{missing} is in the image");
        }
        let volume = directory.join("volume");
        fs::create_dir_all(&volume)?;
        fs::create_dir_all(root.join("var/lib/nightjar-relay"))?;
        fs::set_permissions(&volume, fs::Permissions::from_mode(0o700))?;
        let Ports { web, store, mqtt } = Ports::free()?;
        let config = directory.join("relay.toml");
        // As the image's own, on ports that are free here.
        let own = fs::read_to_string(repository().join("ops/container/relay.toml"))?;
        let operations = Ports::free()?.web;
        let own = own.replace("0.0.0.0:9464", &format!("127.0.0.1:{operations}"));
        let own = [("8080", web), ("8883", mqtt), ("8443", store)].into_iter().fold(
            own,
            |own, (port, free)| {
                own.replace(&format!("0.0.0.0:{port}"), &format!("127.0.0.1:{free}"))
                    .replace(&format!("localhost:{port}"), &format!("localhost:{free}"))
            },
        );
        fs::write(&config, own)?;
        let arguments = arguments(&root, &volume, &config);
        let probe = inside(&arguments, &["/usr/bin/nightjar-relay", "--version"])?;
        if !probe.status.success() {
            let why = String::from_utf8_lossy(&probe.stderr).into_owned();
            ensure!(why.contains("bwrap") || why.contains("ermi"), "{why}");
            eprintln!("SKIPPED: no namespace can be made here: {why}");
            return Ok(());
        }
        let unwell = inside(&arguments, &["/usr/bin/nightjar-relay", "healthcheck"])?;
        ensure!(unwell.status.code() == Some(1), "healthy before it runs");
        let serve = ["--", "/usr/bin/nightjar-relay", "serve"].map(str::to_owned);
        let all: Vec<String> = arguments.iter().cloned().chain(serve).collect();
        let log = directory.join("container.log");
        let mut relay = Process::start(Path::new("bwrap"), &all, &log)?;
        let api = Api::new(&format!("http://localhost:{web}"), None)?;
        wait::until("the relay in the container answers", SOON, async || {
            relay.check_running()?;
            Ok(api.get("/healthz").await.is_ok_and(|it| it.status.is_success()).then_some(()))
        })
        .await?;
        let healthy = inside(&arguments, &["/usr/bin/nightjar-relay", "healthcheck"])?;
        ensure!(healthy.status.success(), "{}", String::from_utf8_lossy(&healthy.stderr));
        ensure!(volume.join("relay.db").exists(), "nothing is in the volume");
        relay.stop(Duration::from_secs(10)).await?;
        for line in relay.log_text().lines() {
            serde_json::from_str::<serde_json::Value>(line).with_context(|| line.to_owned())?;
        }
        fs::remove_dir_all(&root)?;
        Ok(())
    })
    .await
}

/// What a compose file must have, by a reader of YAML that others wrote.
const LOOK: &str = r#"
import sys, yaml
for path in sys.argv[1:]:
    file = yaml.safe_load(open(path))
    assert set(file) <= {"name", "services", "networks", "volumes", "secrets"}, set(file)
    declared = lambda kind: set(file.get(kind) or {})
    known = {"image", "restart", "user", "read_only", "cap_drop", "security_opt", "network_mode", "stop_grace_period",
        "volumes", "healthcheck", "logging", "depends_on", "ports", "networks", "secrets", "tmpfs", "command", "environment"}
    for name, service in file["services"].items():
        assert set(service) <= known, (name, set(service) - known)
        assert ":" in service["image"].rsplit("/", 1)[-1] and not service["image"].endswith(":latest"), name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source[0] in "./" or source in declared("volumes"), (name, volume)
        for secret in service.get("secrets", []):
            assert (secret if isinstance(secret, str) else secret["source"]) in declared("secrets"), (name, secret)
        assert set(service.get("networks", [])) <= declared("networks"), name
        assert set(service.get("depends_on", {})) <= set(file["services"]), name
        for key, value in service.get("environment", {}).items():
            assert key.endswith("_FILE") or not any(word in key for word in ("PASSWORD", "SECRET", "KEY")), key
        if not {"networks", "network_mode"} & set(service):
            assert len(file["services"]) == 1, name
    relay = file["services"]["relay"]
    assert relay["read_only"] is True and relay["user"] == "10001:10001" and relay["cap_drop"] == ["ALL"]
    assert relay["healthcheck"]["test"] == ["CMD", "/usr/bin/nightjar-relay", "healthcheck"]
    for secret in (file.get("secrets") or {}).values():
        assert set(secret) == {"file"}, secret
"#;

#[test]
fn compose_files_are_whole_and_hold_no_secret() -> Result<()> {
    let files = ["compose.yml", "compose.full.yml"]
        .map(|file| repository().join("ops/container").join(file));
    let looked = Command::new("python3").args(["-c", LOOK]).args(files).output()?;
    let said = String::from_utf8_lossy(&looked.stderr).into_owned();
    if said.contains("No module named 'yaml'") {
        eprintln!("SKIPPED: python3-yaml is not installed");
        return Ok(());
    }
    ensure!(looked.status.success(), "{said}");
    Ok(())
}

#[test]
fn the_containerfile_runs_nothing_as_root() -> Result<()> {
    let text = fs::read_to_string(repository().join("ops/container/Containerfile"))?;
    let lines: Vec<&str> =
        text.lines().map(str::trim).filter(|line| !line.starts_with('#')).collect();
    let first_words: Vec<&str> = lines.iter().filter_map(|line| line.split(' ').next()).collect();
    ensure!(
        first_words.first() == Some(&"FROM") && !first_words.contains(&"RUN"),
        "{first_words:?}"
    );
    for line in ["FROM scratch", "USER 10001:10001", "VOLUME /var/lib/nightjar-relay"] {
        ensure!(lines.contains(&line), "{line} is missing");
    }
    ensure!(
        text.contains("\"healthcheck\"]")
            && text.contains("ENTRYPOINT [\"/usr/bin/nightjar-relay\"]")
    );
    Ok(())
}
