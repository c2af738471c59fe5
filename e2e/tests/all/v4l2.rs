//! The agent's `v4l2` source for real: a kernel with the driver vivid, in a QEMU guest.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{
    footage::{self, Footage},
    players::skipped,
    programs,
    stack::Scenario,
};

/// What the guest runs: probes, then moves the driver's test picture now and then until a clip has
/// begun, and waits until the clip is complete. An emulated processor takes its time.
const IN_THE_GUEST: &str = r#"
set -e
"$AGENT" probe
RUST_LOG=info,nightjar_agent::capture=debug \
    "$AGENT" run --config "$DIRECTORY/agent.toml" --data-dir /run/agent 2>"$DIRECTORY/agent.log" &
agent=$!
clips() { ls /run/agent/recordings 2>/dev/null | grep "$1"; }
move() { v4l2-ctl --device /dev/video0 --set-ctrl horizontal_movement=$1; }
control() { v4l2-ctl --device /dev/video0 --set-ctrl $1; }
# The driver's pretended automatic gain changes a value all the time, and no picture.
control gain_automatic=0
waited=0
while [ ! -e "$DIRECTORY/sees" ] && [ $waited -lt 60 ]; do
    grep -q "the camera sees" "$DIRECTORY/agent.log" && touch "$DIRECTORY/sees"
    sleep 1
    waited=$((waited + 1))
done
sleep 8
clips mp4 && echo "an event before anything happened"
# The camera makes its own picture brighter and darker, at once and in steps.
for change in brightness=200 brightness=70 contrast=200 contrast=90 brightness=100 brightness=128; do
    control $change
    sleep 3
done
clips mp4 && echo "an event of a control"
turns=0
while ! clips mp4 && [ $turns -lt 12 ]; do
    sleep 6
    move 4
    sleep 4
    move 3
    turns=$((turns + 1))
done
waited=0
while clips mp4.part && [ $waited -lt 60 ]; do
    sleep 1
    waited=$((waited + 1))
done
kill -TERM $agent
wait $agent
cp -r /run/agent/recordings "$DIRECTORY"
"#;

/// Five pictures a second: an emulated processor has other tests beside it.
const SETTINGS: &str = r#"
[source]
kind = "v4l2"
width = 640
height = 480
fps = 5
[recording]
pre_roll_s = 2
post_roll_s = 2
min_free_percent = 0
"#;

fn has_qemu() -> bool {
    Command::new("qemu-system-x86_64").arg("--version").output().is_ok()
}

#[tokio::test]
async fn a_v4l2_camera_is_probed_captured_encoded_and_recorded() -> Result<()> {
    if !has_qemu() {
        skipped("there is no QEMU for the V4L2 guest: build/install-packages v4l2");
        return Ok(());
    }
    Scenario::run("v4l2", |directory| async move {
        fs::write(directory.join("agent.toml"), SETTINGS)?;
        let guest = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("v4l2-guest");
        let output = Command::new(&guest)
            .arg("--cache")
            .arg(programs::target()?.join("v4l2-guest"))
            .arg("--console")
            .arg(directory.join("console.log"))
            .arg("--share")
            .arg(&directory)
            .arg("--env")
            .arg(format!("AGENT={}", programs::find("nightjar-agent")?.display()))
            .arg("--env")
            .arg(format!("DIRECTORY={}", directory.display()))
            .args(["--", "sh", "-c", IN_THE_GUEST])
            .output()
            .with_context(|| format!("cannot start {}", guest.display()))?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        fs::write(directory.join("guest.log"), &printed)?;
        let complaints = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "the guest: {}\n{complaints}\n{printed}", output.status);

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
