//! Two agents for one V4L2 camera, its controls, and a camera that comes back under another number: in the
//! guest.

use std::fs;

use anyhow::{Result, ensure};
use nightjar_e2e::stack::Scenario;

use crate::v4l2::in_a_guest;

#[tokio::test]
async fn of_two_agents_for_one_camera_the_second_names_the_first_and_takes_over() -> Result<()> {
    Scenario::run("v4l2_neighbours", |directory| async move {
        let Some(printed) = in_a_guest(&directory, include_str!("v4l2_neighbours.sh"))? else {
            return Ok(());
        };
        let logs = || {
            ["porch", "yard"].map(|name| {
                fs::read_to_string(directory.join(name).with_extension("log")).unwrap_or_default()
            })
        };
        ensure!(!printed.contains("both see"), "one camera, two agents:\n{printed}");
        for said in [
            "bus: platform:vivid-000",
            "the log names it",
            "doctor names it",
            "its own agent is no stranger",
            "captured from by nightjar-agent",
            "it was taken over",
            "brightness: 200",
            "the range is named",
            "what it lacks is named",
            "it has another number",
            "it was found again",
        ] {
            ensure!(printed.contains(said), "`{said}` is missing:\n{printed}\n{:?}", logs());
        }
        Ok(())
    })
    .await
}
