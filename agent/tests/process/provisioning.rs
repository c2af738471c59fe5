//! A camera without a keyboard: what lies on its boot partition pairs it, or the code that it shows.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use rustix::process::geteuid;
use serde_json::{Value, json};

use crate::{
    pairing::camera_id,
    relay::{Relay, until},
    support::{Home, RunningAgent, output, say_skipped, wait_for},
};

/// A board: its boot partition and its console lie below `root` in the camera's home.
trait Board {
    fn root(&self) -> PathBuf;

    fn boot_file(&self) -> PathBuf {
        self.root().join("boot/firmware/nightjar.toml")
    }

    /// Lays a file on the boot partition, and starts the board.
    fn boot_with(&self, text: impl AsRef<[u8]>) -> RunningAgent {
        fs::create_dir_all(self.boot_file().parent().unwrap()).unwrap();
        fs::write(self.boot_file(), text).unwrap();
        self.boot()
    }

    /// Does what systemd does: first the unit, then the agent.
    fn boot(&self) -> RunningAgent;

    /// What the privileged unit does at each boot, and whenever there is something new for the console.
    fn run_unit(&self);

    fn console(&self) -> String {
        fs::read_to_string(self.root().join("dev/tty1")).unwrap_or_default()
    }

    /// What `doctor` finds of provisioning, the worst of it first.
    fn findings(&self) -> Vec<Value>;

    fn finding(&self) -> Option<Value> {
        self.findings().into_iter().next()
    }
}

impl Board for Home {
    fn root(&self) -> PathBuf {
        self.path("root")
    }

    fn boot(&self) -> RunningAgent {
        self.run_unit();
        self.run_on_board(&self.root())
    }

    fn run_unit(&self) {
        fs::create_dir_all(self.data_dir()).unwrap();
        fs::create_dir_all(self.root().join("dev")).unwrap();
        let console = self.root().join("dev/tty1");
        if !console.exists() {
            fs::write(console, "").unwrap();
        }
        let mut command = crate::support::agent();
        command.arg("provision").arg("--data-dir").arg(self.data_dir());
        let ended = output(command.arg("--system-root").arg(self.root()), "");
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    }

    fn findings(&self) -> Vec<Value> {
        let mut command = self.command("doctor");
        command.args(["--json", "--system-root"]).arg(self.root());
        let report: Value = serde_json::from_slice(&output(&mut command, "").stdout).unwrap();
        let checks = report["checks"].as_array().unwrap();
        checks.iter().filter(|check| check["name"] == "provisioning").cloned().collect()
    }
}

/// What the agent said last.
fn notice(home: &Home) -> Option<Value> {
    serde_json::from_slice(&fs::read(home.data_dir().join("provisioning.json")).ok()?).ok()
}

#[track_caller]
fn wait_for_notice(home: &Home, code: &str) -> Value {
    wait_for(&format!("the notice {code}"), || notice(home).filter(|it| it["code"] == code))
}

#[tokio::test]
async fn a_card_of_a_batch_pairs_its_camera_once() {
    let Some(relay) = Relay::start_with("https").await else { return };
    let files = relay.provision("name,site\nFront door,Home\nBack yard,Home\n");
    let home = Home::synthetic();
    let _agent = home.boot_with(&files[0]);
    until("the camera to be paired", async || {
        home.data_dir().join("pairing.json").exists().then_some(())
    })
    .await;
    let camera = camera_id(&home);
    relay.until_online(&camera).await;
    assert_eq!(relay.camera(&camera).await["name"], "Front door");
    assert!(!home.boot_file().exists(), "the file was not wiped");
    wait_for_notice(&home, "paired");
    assert!(!home.data_dir().join("provisioning.toml").exists(), "the secret is kept");
    home.run_unit();
    assert!(home.console().contains("paired with https://localhost"), "{}", home.console());

    // The same file again: the camera knows it, another one hears it from the relay.
    fs::write(home.boot_file(), &files[0]).unwrap();
    home.run_unit();
    assert_eq!(home.finding().unwrap()["code"], "used");
    assert!(!home.boot_file().exists());
    let thief = Home::synthetic();
    let _other = thief.boot_with(&files[0]);
    wait_for_notice(&thief, "refused");
    thief.run_unit();
    assert!(thief.console().contains("next: make a new file"), "{}", thief.console());
    assert_eq!(thief.finding().unwrap()["verdict"], "bad");
    assert_eq!(relay.cameras().await.len(), 1);
}

#[tokio::test]
async fn a_camera_whose_relay_is_away_records_and_is_paired_when_it_comes() {
    let Some(mut relay) = Relay::start().await else { return };
    let file = relay.open_pairing().await["provisioning"].as_str().unwrap().to_owned();
    relay.crash();
    let home = Home::synthetic();
    let _agent = home.boot_with(file + "name = \"Porch\"\n");
    wait_for_notice(&home, "relay_unreachable");
    home.wait_for_log("the camera sees");
    assert!(!home.boot_file().exists(), "it was handed over");
    relay.restart().await;
    until("the camera to be paired", async || {
        home.data_dir().join("pairing.json").exists().then_some(())
    })
    .await;
    let camera = camera_id(&home);
    relay.until_online(&camera).await;
    assert_eq!(relay.camera(&camera).await["name"], "Porch");
}

#[tokio::test]
async fn a_foreign_relay_is_told_nothing_and_named() {
    let Some(relay) = Relay::start_with("https").await else { return };
    let pairing = relay.open_pairing().await;
    let other = "0".repeat(64);
    let file = pairing["provisioning"].as_str().unwrap();
    let file = file.replace(pairing["ca_sha256"].as_str().unwrap(), &other);
    let home = Home::synthetic();
    let _agent = home.boot_with(file);
    let notice = wait_for_notice(&home, "foreign_relay");
    assert!(notice["found"].as_str().unwrap().contains(&other), "{notice}");
    assert_eq!(home.finding().unwrap()["verdict"], "bad");
    assert!(relay.cameras().await.is_empty());
}

#[test]
fn what_lies_on_the_boot_partition_and_is_no_file_of_ours_is_named_everywhere() {
    let home = Home::synthetic();
    for (bytes, code, remedy) in [
        (vec![b'#'; 10_000_000], "too_large", "replace it"),
        (b"\xff\xfer\0e\0".to_vec(), "not_text", "UTF-8"),
        (
            b"relay = \"https://a\"\n[wifi]\nssid = \"a\\u0007\"\n".to_vec(),
            "malformed",
            "correct it",
        ),
    ] {
        fs::create_dir_all(home.boot_file().parent().unwrap()).unwrap();
        fs::write(home.boot_file(), bytes).unwrap();
        home.run_unit();
        let finding = home.finding().unwrap();
        assert_eq!(finding["code"], code, "{finding}");
        assert!(finding["next_step"].as_str().unwrap().contains(remedy), "{finding}");
        assert!(home.console().contains(remedy), "{}", home.console());
        assert!(!home.console().contains('\u{7}'));
    }
}

#[tokio::test]
async fn a_camera_shows_a_code_and_who_types_it_gets_the_camera() {
    let Some(relay) = Relay::start_with("https").await else { return };
    let ca_sha256 = relay.open_pairing().await["ca_sha256"].as_str().unwrap().to_owned();
    let home = Home::synthetic();
    let before = fs::read_to_string(home.path("agent.toml")).unwrap();
    let known = format!("[relay]\nurl = \"{}\"\nca_sha256 = \"{ca_sha256}\"\n", relay.url());
    home.configure(&format!("{before}{known}"));
    let _agent = home.boot();
    let notice = wait_for_notice(&home, "code_shown");
    home.run_unit();
    let console = home.console();
    let (_, code) = console.rsplit_once("its code is ").unwrap();
    let code = &code[..9];
    assert!(notice["found"].as_str().unwrap().contains(code), "{notice}");
    assert!(home.log().contains(code), "{}", home.log());

    let (status, camera) = relay.at_site("announcements/find", json!({ "code": code })).await;
    assert_eq!(status, 200, "{camera}");
    assert_eq!(camera["name"], "test");
    assert!(camera["picture"].as_str().unwrap().starts_with("/9j/"), "{camera}");
    let accepted = json!({ "code": code, "name": "Hall" });
    let (status, pairing) = relay.at_site("announcements/accept", accepted).await;
    assert_eq!(status, 201, "{pairing}");
    until("the camera to be paired", async || {
        home.data_dir().join("pairing.json").exists().then_some(())
    })
    .await;
    let camera = camera_id(&home);
    relay.until_online(&camera).await;
    assert_eq!(relay.camera(&camera).await["name"], "Hall");
}

#[tokio::test]
async fn a_file_without_a_secret_makes_the_camera_show_a_code() {
    let Some(relay) = Relay::start().await else { return };
    let home = Home::synthetic();
    let file = format!("relay = \"{}\"\nname = \"Shed\"\n", relay.url());
    let _agent = home.boot_with(file);
    let notice = wait_for_notice(&home, "code_shown");
    let (_, code) = notice["found"].as_str().unwrap().rsplit_once(' ').unwrap();
    let (status, camera) = relay.at_site("announcements/find", json!({ "code": code })).await;
    assert_eq!((status, &camera["name"]), (200, &json!("Shed")), "{camera}");
    let (status, _) = relay.at_site("announcements/accept", json!({ "code": code })).await;
    assert_eq!(status, 201);
    until("the camera to be paired", async || {
        home.data_dir().join("pairing.json").exists().then_some(())
    })
    .await;
    relay.until_online(&camera_id(&home)).await;
}

#[tokio::test]
async fn a_file_that_cannot_be_used_hides_no_code_that_the_camera_shows() {
    let Some(relay) = Relay::start().await else { return };
    let home = Home::synthetic();
    let known = format!("[relay]\nurl = \"{}\"\n", relay.url());
    let before = fs::read_to_string(home.path("agent.toml")).unwrap();
    home.configure(&format!("{before}{known}"));
    let _agent = home.boot_with("relay = ");
    let shown = wait_for_notice(&home, "code_shown");
    // Both the unit and the agent say what they have to say, in whatever order.
    home.run_unit();
    home.run_unit();
    assert_eq!(notice(&home).as_ref(), Some(&shown));
    let console = home.console();
    assert!(console.contains("its code is"), "{console}");
    assert!(console.contains("correct it with a text editor"), "{console}");
    let codes = |findings: Vec<Value>| -> Vec<String> {
        findings.iter().map(|it| it["code"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(codes(home.findings()), ["malformed", "code_shown"]);

    fs::remove_file(home.boot_file()).unwrap();
    home.run_unit();
    assert_eq!(codes(home.findings()), ["code_shown"]);
}

/// A FAT image that is mounted for as long as this lives.
struct Fat {
    place: PathBuf,
}

impl Fat {
    fn mount(image: &Path, place: &Path) -> Option<Self> {
        let run = |command: &mut Command| command.output().is_ok_and(|it| it.status.success());
        fs::write(image, vec![0; 1024 * 1024]).unwrap();
        let made = geteuid().is_root()
            && run(Command::new("mkfs.vfat").arg(image))
            && run(Command::new("mount").args(["-o", "loop,umask=0022"]).arg(image).arg(place));
        if !made {
            say_skipped(
                "no FAT can be mounted: root, loop devices and Debian's dosfstools are needed",
            );
        }
        made.then(|| Self { place: place.to_owned() })
    }

    fn remount_read_only(&self) {
        let mount = Command::new("mount").args(["-o", "remount,ro"]).arg(&self.place).output();
        assert!(mount.unwrap().status.success());
    }
}

impl Drop for Fat {
    fn drop(&mut self) {
        drop(Command::new("umount").arg(&self.place).output());
    }
}

#[test]
fn on_a_full_fat_the_file_is_wiped_and_on_a_read_only_one_that_is_named() {
    let home = Home::synthetic();
    let (image, place) = (home.path("boot.img"), home.root().join("boot/firmware"));
    fs::create_dir_all(&place).unwrap();
    let secret = "c2VjcmV0c2VjcmV0c2Vjc";
    let file = format!("relay = \"http://localhost:1\"\nsecret = \"{secret}\"\n");
    let Some(fat) = Fat::mount(&image, &place) else { return };
    fs::write(home.boot_file(), &file).unwrap();
    // Until there is no room for another byte.
    drop(fs::write(place.join("full"), vec![1; 2 * 1024 * 1024]));
    home.run_unit();
    assert_eq!(notice(&home).unwrap()["code"], "handed_over");
    assert!(!home.boot_file().exists());
    rustix::fs::sync();
    let holds_secret = || {
        let disk = fs::read(&image).unwrap();
        disk.windows(secret.len()).any(|bytes| bytes == secret.as_bytes())
    };
    assert!(!holds_secret(), "the secret still lies in a free block");

    fs::remove_file(place.join("full")).unwrap();
    fs::write(home.boot_file(), file.replace("c2Vj", "bmV1")).unwrap();
    fat.remount_read_only();
    home.run_unit();
    let told = home.finding().unwrap();
    assert_eq!(told["code"], "not_wiped", "{told}");
    assert!(home.console().contains("delete it by hand"), "{}", home.console());
}
