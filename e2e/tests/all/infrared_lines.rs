//! An infrared filter and lamp on lines of a GPIO chip: the kernel's driver of a real chip, in a guest,
//! with a program in the chip's place.

use std::{fs, path::Path};

use anyhow::{Result, ensure};
use nightjar_e2e::{guest::Machine, stack::Scenario, wait};
use serde_json::{Value, json};

use crate::guest_camera::{BACK_LIMIT, GuestCamera};

const EXPANDER: &str = include_str!("line_expander.py");
const HOLDER: &str = include_str!("line_holder.py");

const SETTINGS: &str = "kind = \"v4l2\"\nwidth = 320\nheight = 240\nfps = 5\n\
    [night]\nmode = \"night\"\nir_cut = { chip = \"/dev/gpiochip0\", line = 0 }\n\
    ir_lamp = { chip = \"/dev/gpiochip0\", line = 1 }\n";

/// Shell that plugs the chip in, and gives it the name that it had.
fn plugs_in(directory: &Path) -> String {
    let here = directory.display();
    format!(
        "python3 {here}/expander.py /run/lines >{here}/expander.log 2>&1 &\n\
         echo $! >/run/expander.pid\n\
         (tries=0\n\
         until ls /dev/gpiochip*; do\n\
             sleep 0.5; tries=$((tries + 1))\n\
             [ $tries -lt 120 ] || {{ dmesg | tail -20; exit 1; }}\n\
         done)\n\
         [ -e /dev/gpiochip0 ] || ln -s /dev/gpiochip1 /dev/gpiochip0"
    )
}

/// Shell that lets another program have the lamp's line.
fn holds_the_lamp(directory: &Path) -> String {
    let here = directory.display();
    format!(
        "python3 {here}/holder.py /dev/gpiochip0 1 porch-heater >{here}/holder.log 2>&1 &\n\
         echo $! >/run/holder.pid\n\
         (tries=0\n\
         until grep held {here}/holder.log; do\n\
             sleep 0.2; tries=$((tries + 1)); [ $tries -lt 100 ] || exit 1\n\
         done)"
    )
}

/// Waits until filter and lamp have these values.
async fn until_lines(camera: &mut GuestCamera, wanted: &str) -> Result<()> {
    let deadline = std::time::Instant::now() + BACK_LIMIT;
    loop {
        let lines = camera.guest.run("cat /run/lines").await?;
        if lines.trim().starts_with(wanted) {
            return Ok(());
        }
        ensure!(std::time::Instant::now() < deadline, "{lines:?} and not {wanted}");
    }
}

/// Waits until the relay was told of a problem in these words; of none, without words.
async fn until_told(camera: &GuestCamera, words: Option<&str>) -> Result<()> {
    wait::until_true("the relay is told of the lines", BACK_LIMIT, async || {
        let health = camera.health().await?;
        let errors = health["errors"].as_array().cloned().unwrap_or_default();
        let says =
            |word: &str| errors.iter().filter_map(Value::as_str).any(|error| error.contains(word));
        Ok(words.map_or_else(|| !says("night."), says))
    })
    .await
}

#[tokio::test]
#[ignore = "takes minutes in an emulated processor: make test-v4l2"]
async fn filter_and_lamp_are_switched_and_a_line_that_is_taken_is_named_and_taken_over()
-> Result<()> {
    Scenario::run("infrared_lines", |directory| async move {
        fs::write(directory.join("expander.py"), EXPANDER)?;
        fs::write(directory.join("holder.py"), HOLDER)?;
        let modules = ["vivid n_devs=1 node_types=0x1 num_inputs=1 input_types=0x00"];
        let modules = modules.into_iter().chain(["uhid", "hid_mcp2221"]).map(Into::into).collect();
        let machine = Machine { modules, ..Machine::default() };
        let prepared = format!("{}\n{}", plugs_in(&directory), holds_the_lamp(&directory));
        let started = GuestCamera::start(&directory, &machine, &prepared, SETTINGS).await?;
        let Some(mut camera) = started else { return Ok(()) };
        camera.sees("with a line that is taken").await?;

        // Night: the filter is away. The lamp is another's.
        until_lines(&mut camera, "0 -").await?;
        until_told(&camera, Some("night.ir_lamp: line 1 is used by porch-heater")).await?;
        let doctor = camera.doctor().await?;
        ensure!(doctor.contains("line 1 is used by porch-heater"), "{doctor}");
        ensure!(doctor.contains("line 0 on /dev/gpiochip0"), "{doctor}");
        camera.guest.run("kill $(cat /run/holder.pid)").await?;
        until_lines(&mut camera, "0 1").await?;
        until_told(&camera, None).await?;

        // Nobody is watched by light in privacy.
        camera.owner.command_done(&camera.id, "privacy_on", json!({})).await?;
        until_lines(&mut camera, "1 0").await?;
        camera.owner.command_done(&camera.id, "privacy_off", json!({})).await?;
        until_lines(&mut camera, "0 1").await?;

        // The chip is unplugged, and plugged in again.
        camera.guest.run("kill $(cat /run/expander.pid); rm /run/lines").await?;
        until_told(&camera, Some("night.ir_cut: line 0")).await?;
        camera.guest.run(&plugs_in(&directory)).await?;
        until_lines(&mut camera, "0 1").await?;
        until_told(&camera, None).await?;
        camera.has_not_ended("a chip that was unplugged").await?;

        camera.end().await?;
        until_lines(&mut camera, "1 0").await?;
        camera.stop().await
    })
    .await
}
