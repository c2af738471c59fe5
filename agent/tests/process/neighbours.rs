//! Several agents on one machine, each for its own camera.

use std::{fs, path::Path};

use rustix::process::Signal;

use crate::{
    pairing::pair_with_file,
    relay::Relay,
    support::{Home, output},
};

#[tokio::test]
async fn two_agents_on_one_machine_are_two_cameras_and_both_record() {
    let Some(relay) = Relay::start().await else { return };
    let homes = [Home::synthetic(), Home::synthetic()];
    let mut cameras = Vec::new();
    for home in &homes {
        cameras.push(pair_with_file(home, &relay.open_pairing().await));
    }
    assert_ne!(cameras[0], cameras[1]);
    let mut agents = homes.each_ref().map(Home::run);
    for (home, camera) in homes.iter().zip(&cameras) {
        relay.until_online(camera).await;
        home.wait_for_log("a clip is complete");
    }
    let keys = homes.each_ref().map(|home| fs::read(home.path("data/identity.pem")).unwrap());
    assert_ne!(keys[0], keys[1]);
    // One that ends takes nothing from the other.
    agents[0].signal(Signal::TERM);
    assert_eq!(agents[0].wait(), Some(0));
    relay.until_online(&cameras[1]).await;
    agents[1].signal(Signal::TERM);
    assert_eq!(agents[1].wait(), Some(0));
}

#[test]
fn the_unit_for_several_agents_differs_from_the_plain_one_in_its_names_alone() {
    let units = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("systemd");
    let plain = fs::read_to_string(units.join("nightjar-agent.service")).unwrap();
    let several = fs::read_to_string(units.join("nightjar-agent@.service")).unwrap();
    let named = ["/etc/nightjar/agent-%i.toml", "/var/lib/nightjar-agent-%i", "=nightjar-agent-%i"];
    for name in named {
        assert!(several.contains(name), "{name}");
    }
    let replacements =
        [(", for the camera %i", ""), ("agent-%i", "agent"), ("update@%i", "update")];
    let without =
        replacements.into_iter().fold(several, |unit, (name, one)| unit.replace(name, one));
    assert_eq!(without, plain);
}

#[test]
fn a_board_without_libcamera_or_sensor_says_what_to_do_and_goes_on_looking() {
    let home = Home::with_config("[source]\nkind = \"libcamera\"\n");
    let _agent = home.run();
    home.wait_for_log("the camera does not see");
    let log = home.log();
    let installed = !log.contains("install gstreamer1.0-libcamera");
    assert!(!installed || log.contains("libcamera: "), "{log}");
    // It still looks: what is wrong is no reason to end.
    let doctor = output(&mut home.command("doctor"), "");
    let said = String::from_utf8(doctor.stdout).unwrap();
    let remedy = if installed { "ribbon cable" } else { "install gstreamer1.0-libcamera" };
    assert!(said.contains("BAD  camera") && said.contains(remedy), "{said}");
}
