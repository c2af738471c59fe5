//! The agent's `v4l2` source for real: a kernel with the driver vivid, in a QEMU guest.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{
    footage::{self, Footage},
    players::skipped,
    programs,
    stack::Scenario,
};

/// What the guest runs: `e2e/tests/all/v4l2.sh`.
const IN_THE_GUEST: &str = include_str!("v4l2.sh");

/// Five pictures a second: an emulated processor has other tests beside it.
const SETTINGS: &str = r#"
[source]
kind = "v4l2"
width = 640
height = 480
fps = 5
# Emulated, it is slow while it is translated.
fit_to_encoder = false
[recording]
pre_roll_s = 2
post_roll_s = 2
min_free_percent = 0
"#;

fn has_qemu() -> bool {
    Command::new("qemu-system-x86_64").arg("--version").output().is_ok()
}

/// Runs a script in the guest, with `$AGENT` and `$DIRECTORY`; gives what it printed, or nothing where
/// there is no guest.
pub(crate) fn in_a_guest(directory: &Path, script: &str) -> Result<Option<String>> {
    if !has_qemu() {
        skipped("there is no QEMU for the V4L2 guest: build/install-packages v4l2");
        return Ok(None);
    }
    let guest = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("v4l2-guest");
    let output = Command::new(&guest)
        .arg("--cache")
        .arg(programs::target()?.join("v4l2-guest"))
        .arg("--console")
        .arg(directory.join("console.log"))
        .arg("--share")
        .arg(directory)
        .arg("--env")
        .arg(format!("AGENT={}", programs::find("nightjar-agent")?.display()))
        .arg("--env")
        .arg(format!("DIRECTORY={}", directory.display()))
        .args(["--", "sh", "-c", script])
        .output()
        .with_context(|| format!("cannot start {}", guest.display()))?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    fs::write(directory.join("guest.log"), &printed)?;
    let complaints = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the guest: {}\n{complaints}\n{printed}", output.status);
    Ok(Some(printed))
}

#[tokio::test]
async fn a_v4l2_camera_is_probed_captured_encoded_and_recorded() -> Result<()> {
    Scenario::run("v4l2", |directory| async move {
        fs::write(directory.join("agent.toml"), SETTINGS)?;
        let Some(printed) = in_a_guest(&directory, IN_THE_GUEST)? else { return Ok(()) };
        ensure!(printed.contains("/dev/video0"), "the camera was not found:\n{printed}");
        ensure!(
            !printed.contains("an event"),
            "the camera's own doing was taken for motion:\n{printed}"
        );
        let log = fs::read_to_string(directory.join("agent.log"))?;
        let noticed = log.matches("the camera changes its picture").count();
        ensure!(noticed >= 6, "{noticed} changes of controls were noticed:\n{log}");
        ensure!(printed.contains("640x480"), "its formats were not found:\n{printed}");
        let clips = footage::on_disk(&directory.join("recordings"));
        ensure!(!clips.is_empty(), "nothing was recorded:\n{printed}");
        for clip in clips {
            let facts = Footage::probe(&clip)?;
            ensure!(facts.codec == "h264", "{facts:?}");
            ensure!((facts.width, facts.height) == (640, 480), "{facts:?}");
            ensure!(facts.duration_s > 3.0 && facts.frames > 10, "{facts:?}");
        }
        Ok(())
    })
    .await
}
