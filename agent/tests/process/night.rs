//! An infrared filter and lamp on a board that has no such lines.

use serde_json::json;

use crate::{
    pairing::pair_with_file,
    relay::Relay,
    support::{Home, output},
};

const LINES: &str = "[night]\nmode = \"night\"\nir_cut = { line = \"NJ-CUT\" }\n\
    ir_lamp = { chip = \"/dev/gpiochip-none\", line = 18 }\n";

#[tokio::test]
async fn lines_that_are_not_there_are_named_in_log_doctor_and_health_and_the_camera_records() {
    let Some(relay) = Relay::start().await else { return };
    let home = Home::synthetic();
    let config = std::fs::read_to_string(home.path("agent.toml")).unwrap();
    home.configure(&format!("{config}{LINES}"));
    let camera = pair_with_file(&home, &relay.open_pairing().await);
    let _agent = home.run();
    home.wait_for_log("night.ir_cut: line NJ-CUT: no chip has such a line");
    home.wait_for_log("night.ir_lamp: line 18: /dev/gpiochip-none");
    home.wait_for_log("a clip is complete");
    relay.until_camera(&camera, "status", json!("degraded")).await;

    let doctor = output(&mut home.command("doctor"), "");
    let said = String::from_utf8(doctor.stdout).unwrap();
    assert!(said.contains("BAD  day and night: line NJ-CUT"), "{said}");
    assert!(said.contains("next: `gpioinfo`") && said.contains("group `gpio`"), "{said}");
}
