//! Cameras that fail, on a machine with a real V4L2 driver: the relay hears of it, what was recorded
//! until then is whole, and the picture comes back by itself. The program never ends for it.

use std::fs;

use anyhow::Result;
use nightjar_e2e::{
    guest::{Machine, System},
    stack::Scenario,
};
use serde_json::json;

use crate::guest_camera::{GuestCamera, measured};

/// Five pictures a second, as the guest's processor is emulated, and footage at all times.
const SOURCE: &str = "kind = \"v4l2\"\nwidth = 640\nheight = 480\nfps = 5\n";

/// Shell, in the guest.
struct Fault<'a> {
    by: &'a str,
    /// One of these is in the sentence that the relay shows.
    words: &'a [&'a str],
    mended_by: &'a str,
}

/// Breaks the camera, waits until the relay knows; mends it, waits until it sees. What was recorded until
/// it broke is closed and plays.
async fn fails(camera: &mut GuestCamera, what: &str, fault: &Fault<'_>) -> Result<()> {
    camera.records(what).await?;
    camera.guest.run(fault.by).await?;
    camera.complains(what, fault.words).await?;
    camera.footage_is_whole(what).await?;
    camera.guest.run(fault.mended_by).await?;
    camera.sees(what).await?;
    camera.has_not_ended(what).await
}

const UNBIND: &str = "echo vivid.0 >/sys/bus/platform/drivers/vivid/unbind";
const BIND: &str = "echo vivid.0 >/sys/bus/platform/drivers/vivid/bind";

#[tokio::test]
#[ignore = "takes minutes in an emulated processor: make test-v4l2"]
async fn a_camera_that_fails_is_told_of_and_comes_back() -> Result<()> {
    cameras_fail("failing_camera", None).await
}

#[tokio::test]
#[ignore = "needs a root of Debian 13: make test-debian13"]
async fn a_camera_that_fails_on_debian_13_comes_back() -> Result<()> {
    cameras_fail("failing_camera_13", Some(System::debian13()?)).await
}

async fn cameras_fail(name: &str, system: Option<System>) -> Result<()> {
    Scenario::run(name, |directory| async move {
        let modules = vec![VIVID.into(), "cuse".into()];
        let machine = Machine { modules, system, ..Machine::default() };
        let started = GuestCamera::start(&directory, &machine, "true", SOURCE).await?;
        let Some(mut camera) = started else { return Ok(()) };
        camera.sees("at first").await?;

        let unplugged = Fault { by: UNBIND, words: &["plug"], mended_by: BIND };
        fails(&mut camera, "unplugged", &unplugged).await?;

        let silent = Fault {
            by: "v4l2-ctl -d $(ls /dev/video*) --set-ctrl percentage_of_dropped_buffers=100",
            words: &["no picture"],
            mended_by: "v4l2-ctl -d $(ls /dev/video*) --set-ctrl percentage_of_dropped_buffers=0",
        };
        fails(&mut camera, "silent", &silent).await?;

        let broken = Fault {
            by: "v4l2-ctl -d $(ls /dev/video*) --set-ctrl inject_vidioc_streamon_error=1\n\
                 v4l2-ctl -d $(ls /dev/video*) --set-ctrl inject_fatal_streaming_error=1",
            words: &["camera"],
            mended_by: "true",
        };
        fails(&mut camera, "errors", &broken).await?;

        // Another program takes the camera while it is in privacy mode.
        camera.owner.command_done(&camera.id, "privacy_on", json!({})).await?;
        camera
            .guest
            .run(
                "v4l2-ctl -d $(ls /dev/video*) --stream-mmap --stream-count=100000 \
                 >/run/other.log 2>&1 &\necho $! >/run/other.pid\n\
                 until grep -q fps /run/other.log; do sleep 0.2; done",
            )
            .await?;
        camera.owner.command_done(&camera.id, "privacy_off", json!({})).await?;
        camera.complains("busy", &["busy", "uses the camera"]).await?;
        camera.guest.run("kill $(cat /run/other.pid)").await?;
        camera.sees("busy").await?;

        fs::write(directory.join("hanging.py"), HANGING_DRIVER)?;
        let hanging = format!(
            "{UNBIND}\npython3 {}/hanging.py >/dev/null 2>&1 &\necho $! >/run/driver.pid",
            directory.display()
        );
        let mended_by = format!("kill $(cat /run/driver.pid)\nsleep 1\n{BIND}");
        let hangs = Fault { by: &hanging, words: &["does not start"], mended_by: &mended_by };
        fails(&mut camera, "hangs", &hangs).await?;
        let nodes = "ls -l /proc/$(cat /run/agent.pid)/fd | grep -c /dev/video; ls /dev/video*";
        let nodes = camera.guest.run(nodes).await?;
        measured(&format!("at the end: nodes that the agent has open, and nodes: {nodes}"));
        camera.stop().await
    })
    .await
}

const VIVID: &str = "vivid n_devs=1 node_types=0x1 num_inputs=1 input_types=0x00";

/// A driver whose device never opens: a character device in user space that answers nothing.
const HANGING_DRIVER: &str = include_str!("hanging_driver.py");
