//! `identify`: lets the board's activity light blink, so that a person finds the camera.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use nightjar_shared::command::CommandReason;
use tokio::time::sleep;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::uplink::Execution;

/// Where the kernel lists the lights.
pub(super) const LIGHTS: &str = "/sys/class/leds";

/// Raspberry Pi's names for the activity light, new and old.
const ACTIVITY_LIGHTS: [&str; 2] = ["ACT", "led0"];
/// A trigger of the kernel that looks like nothing else the light does.
const BLINKING: &str = "heartbeat";
const BLINK_FOR: Duration = Duration::from_secs(10);

/// Blinks for ten seconds, then gives the light back to what moved it before.
pub(super) fn blink(lights: &Path, tracker: &TaskTracker, cancel: CancellationToken) -> Execution {
    let Some(trigger) = activity_light(lights) else {
        return Execution::rejected(CommandReason::NoLight, "this board has no activity light");
    };
    let before = match begin(&trigger) {
        Ok(before) => before,
        Err(error) => {
            let detail = format_args!("it cannot be switched: {error}");
            return Execution::rejected(CommandReason::NoLight, detail);
        }
    };
    tracker.spawn(async move {
        cancel.run_until_cancelled(sleep(BLINK_FOR)).await;
        if let Err(error) = fs::write(&trigger, before) {
            tracing::warn!(%error, "the activity light was not given back");
        }
    });
    Execution::Done(None)
}

fn activity_light(lights: &Path) -> Option<PathBuf> {
    let mut triggers = ACTIVITY_LIGHTS.iter().map(|name| lights.join(name).join("trigger"));
    triggers.find(|path| path.exists())
}

/// Begins to blink. Returns the trigger of before, which the kernel shows in brackets among all
/// others.
fn begin(trigger: &Path) -> io::Result<String> {
    let known = fs::read_to_string(trigger)?;
    let chosen = known.split_whitespace().find_map(|it| it.strip_prefix('[')?.strip_suffix(']'));
    let before = chosen.unwrap_or("none").to_owned();
    fs::write(trigger, BLINKING)?;
    // A second `identify` while it blinks must not keep it blinking for ever.
    Ok(if before == BLINKING { "none".to_owned() } else { before })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_light_blinks_and_is_given_back() {
        let lights = tempfile::tempdir().unwrap();
        let trigger = lights.path().join("ACT/trigger");
        fs::create_dir(lights.path().join("ACT")).unwrap();
        fs::write(&trigger, "none timer [mmc0] heartbeat\n").unwrap();
        let (tracker, cancel) = (TaskTracker::new(), CancellationToken::new());
        assert_eq!(blink(lights.path(), &tracker, cancel.clone()), Execution::Done(None));
        assert_eq!(fs::read_to_string(&trigger).unwrap(), "heartbeat");
        cancel.cancel();
        tracker.close();
        tracker.wait().await;
        assert_eq!(fs::read_to_string(&trigger).unwrap(), "mmc0");
    }

    #[test]
    fn a_board_without_a_light_says_so() {
        let lights = tempfile::tempdir().unwrap();
        let refused = blink(lights.path(), &TaskTracker::new(), CancellationToken::new());
        assert!(matches!(refused, Execution::Rejected(reason) if reason.starts_with("no_light")));
    }
}
