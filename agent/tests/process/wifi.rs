//! What a board says that cannot join a Wi-Fi network. `make test-wifi` joins some.

use std::{
    ffi::{OsStr, OsString},
    fs,
    path::Path,
    process::{Child, Command, Stdio},
};

use nightjar_shared::pairing_qr::PairingQr;

use crate::{
    lens::{before, code_of, doctor},
    relay::Relay,
    support::{Home, output, say_skipped, wait_for},
};

const BUS: &str = "DBUS_SYSTEM_BUS_ADDRESS";

/// A D-Bus of its own, on which nobody is.
struct Bus {
    daemon: Child,
    address: OsString,
}

impl Bus {
    /// Nothing, said aloud, where there is no D-Bus.
    fn start(directory: &Path) -> Option<Self> {
        let socket = directory.join("bus");
        let config = directory.join("bus.conf");
        fs::write(
            &config,
            format!(
                "<busconfig><type>session</type><listen>unix:path={}</listen><auth>EXTERNAL</auth>\
                 <policy context=\"default\"><allow send_destination=\"*\" eavesdrop=\"true\"/>\
                 <allow eavesdrop=\"true\"/><allow own=\"*\"/></policy></busconfig>",
                socket.display()
            ),
        )
        .unwrap();
        let daemon = Command::new("dbus-daemon")
            .arg("--nofork")
            .arg("--config-file")
            .arg(&config)
            .stderr(Stdio::null())
            .spawn();
        let Ok(daemon) = daemon else {
            say_skipped("there is no dbus-daemon: build/install-packages test");
            return None;
        };
        wait_for("a D-Bus", || socket.exists().then_some(()));
        let mut address = OsString::from("unix:path=");
        address.push(socket);
        Some(Self { daemon, address })
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        drop(self.daemon.kill());
        drop(self.daemon.wait());
    }
}

/// What joining a network ends with, on a machine with this D-Bus.
fn join(home: &Home, bus: &OsStr, passphrase: &str) -> (Option<i32>, String) {
    let mut command = crate::support::agent();
    command.arg("wifi").args(["--ssid", "Home", "--data-dir"]).arg(home.data_dir()).env(BUS, bus);
    let output = output(&mut command, passphrase);
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_board_without_network_manager_says_so() {
    let home = Home::synthetic();
    let (code, message) = join(&home, "unix:path=/nowhere".as_ref(), "geheim-geheim\n");
    assert_eq!(code, Some(1));
    assert!(
        message.contains("no NetworkManager that runs") && message.contains("cable"),
        "{message}"
    );
    let Some(bus) = Bus::start(&home.path("")) else { return };
    let (code, message) = join(&home, &bus.address, "geheim-geheim\n");
    assert_eq!(code, Some(1));
    assert!(message.contains("no NetworkManager that runs"), "{message}");
    assert!(!message.contains("geheim"), "{message}");

    // Images for the cloud have networkd instead.
    let mut networkd = Command::new("/usr/bin/python3")
        .args(["-c", NETWORKD])
        .env("DBUS_SESSION_BUS_ADDRESS", &bus.address)
        .spawn()
        .unwrap();
    wait_for("a refusal that names networkd", || {
        let (code, message) = join(&home, &bus.address, "geheim-geheim\n");
        assert_eq!(code, Some(1));
        message.contains("systemd-networkd sees to its network").then_some(())
    });
    drop((networkd.kill(), networkd.wait()));
}

/// Has its name on a D-Bus.
const NETWORKD: &str = "\
from gi.repository import Gio, GLib
Gio.bus_own_name(Gio.BusType.SESSION, 'org.freedesktop.network1', 0, None, None, None)
GLib.MainLoop().run()
";

#[test]
fn an_impossible_passphrase_is_refused_before_anything_is_asked() {
    let home = Home::synthetic();
    for passphrase in ["short\n", "pässwörter\n", &"p".repeat(100)] {
        let (code, message) = join(&home, "unix:path=/nowhere".as_ref(), passphrase);
        assert_eq!(code, Some(2), "{message}");
        assert!(message.contains("8 to 63 characters") && !message.contains("short"), "{message}");
    }
}

#[tokio::test]
async fn a_code_with_a_wi_fi_that_cannot_be_joined_pairs_by_the_network_that_is_there() {
    let Some(relay) = Relay::start().await else { return };
    let wifi = serde_json::from_str(r#"{"ssid": "Home", "passphrase": "geheim-geheim"}"#).unwrap();
    let code = PairingQr { wifi: Some(wifi), ..code_of(&relay.open_pairing().await) }.to_string();
    let home = before(&[&[code.as_bytes()]], "");
    let _agent = home.run_with(&[(BUS, "unix:path=/nowhere".as_ref())]);
    home.wait_for_log("paired");
    relay.until_online(&crate::pairing::camera_id(&home)).await;
    home.wait_for_log("code=\"wifi_no_network_manager\"");
    assert!(!home.log().contains("geheim"), "{}", home.log());
    let found = wait_for("what was told", || {
        let found = doctor(&home);
        (found["code"] != "qr_not_looking").then_some(found)
    });
    assert_eq!(found["code"], "wifi_no_network_manager", "{found}");
}
