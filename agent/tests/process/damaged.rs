//! Whatever happened to a file of its own, and whatever a pairing holds, the camera records.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{Mutex, OnceLock},
};

use nightjar_agent::{
    app::FILES,
    identity::{Identity, KEY_FILE},
    pairing::{PAIRING_FILE, Pairing},
};
use rustix::process::Signal;

use crate::support::{Home, RunningAgent, output, wait_for};

/// An authority that signed nothing; its key is lost.
const AUTHORITY: &str = include_str!("authority.pem");

pub(crate) const CONFIG: &str = "name = \"test\"\n[source]\nkind = \"synthetic\"\nwidth = 160\nheight = 120\n\
                      fps = 5\n[recording]\nmode = \"continuous\"\nmin_free_percent = 0\n";

fn pairing() -> serde_json::Value {
    serde_json::json!({
        "relay_url": "http://127.0.0.1:9",
        "camera_id": "01a22c76-34fc-75ed-8658-538f317ebfeb",
        "site_id": "01a22c76-34fc-75ed-8658-538f317ebfea",
        "mqtt": {"url": "mqtts://127.0.0.1:9", "client_id": "01a22c76-34fc-75ed-8658-538f317ebfeb"},
        "ca_pem": AUTHORITY,
        "server_time": 1_800_000_000_000_i64,
    })
}

/// Bytes of footage so far.
pub(crate) fn footage(home: &Home) -> u64 {
    let Ok(entries) = fs::read_dir(home.data_dir().join("recordings")) else { return 0 };
    let videos = entries.flatten().filter(|it| it.file_name().to_string_lossy().contains(".mp4"));
    videos.filter_map(|it| it.metadata().ok()).map(|found| found.len()).sum()
}

/// Waits until there is more footage than `before`, and stops the agent in order.
#[track_caller]
fn assert_records(what: &str, home: &Home, mut agent: RunningAgent, before: u64) {
    wait_for(&format!("footage with {what}; the log:\n{}", home.log()), || {
        (footage(home) > before + 4_000).then_some(())
    });
    agent.signal(Signal::TERM);
    assert_eq!(agent.wait(), Some(0), "with {what}: {}", home.log());
    assert!(!home.log().contains("ended early"), "with {what}: {}", home.log());
}

/// A data directory in which all files are whole, from a run that was made once.
fn whole(home: &Home) {
    static WHOLE: OnceLock<Vec<(String, Vec<u8>)>> = OnceLock::new();
    let files = WHOLE.get_or_init(|| {
        let home = Home::with_config(CONFIG);
        assert_records("nothing wrong", &home, home.run(), 0);
        let read =
            |name: &&str| Some(((*name).to_owned(), fs::read(home.data_dir().join(name)).ok()?));
        let mut files: Vec<_> = FILES.iter().chain(&[KEY_FILE]).filter_map(read).collect();
        files.push((PAIRING_FILE.to_owned(), pairing().to_string().into_bytes()));
        files
    });
    fs::create_dir_all(home.data_dir()).unwrap();
    for (name, bytes) in files {
        fs::write(home.data_dir().join(name), bytes).unwrap();
    }
}

type Damage = fn(&Path);

/// Each form of damage that is done to a file.
const DAMAGES: [(&str, Damage); 8] = [
    ("missing", |path| drop(fs::remove_file(path))),
    ("empty", |path| fs::write(path, []).unwrap()),
    ("torn", |path| {
        let bytes = fs::read(path).unwrap_or_default();
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    }),
    ("garbage", |path| fs::write(path, [0xfe, 0, 0xff, b'{', 7].repeat(999)).unwrap()),
    ("a directory", |path| {
        drop(fs::remove_file(path));
        fs::create_dir(path).unwrap();
        fs::write(path.join("inside"), "x").unwrap();
    }),
    ("readable by no one", |path| {
        if path.exists() {
            fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
        }
    }),
    ("of another kind", |path| fs::write(path, "[1, 2, {\"protocol\": 1}]").unwrap()),
    ("a link to nowhere", |path| {
        drop(fs::remove_file(path));
        std::os::unix::fs::symlink("/nonexistent/place", path).unwrap();
    }),
];

/// Starts the agent with one file damaged in one form. What the owner wants is kept in two places: with
/// one of them damaged the other counts, so the camera is not private.
fn record_with(name: &str, form: &str, damage: Damage) {
    let home = Home::with_config(CONFIG);
    whole(&home);
    damage(&home.data_dir().join(name));
    assert_records(&format!("{name} {form}"), &home, home.run(), 0);
}

/// Every form of damage for every file would take a minute: each file meets some, each form some files,
/// and `make soak` all of them.
#[test]
fn the_camera_records_whatever_happened_to_a_file_of_its_own() {
    let soak = std::env::var_os("NIGHTJAR_SOAK").is_some();
    let names: Vec<&str> =
        FILES.iter().copied().chain([KEY_FILE, PAIRING_FILE, "recordings", "agent.lock"]).collect();
    let mut cases = Vec::new();
    for (number, name) in names.iter().enumerate() {
        for (form, (word, damage)) in DAMAGES.iter().enumerate() {
            // Footage may lie on a disk that is not plugged in: nobody wants it elsewhere.
            if *name == "recordings" && matches!(*word, "a directory" | "a link to nowhere") {
                continue;
            }
            if soak || (number + form) % DAMAGES.len() < 2 {
                cases.push((*name, *word, *damage));
            }
        }
    }
    let waiting = Mutex::new(cases);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some((name, form, damage)) = { waiting.lock().unwrap().pop() } {
                    record_with(name, form, damage);
                }
            });
        }
    });
}

/// Each is a text that `pair` could have left, or somebody's editor.
#[test]
fn the_camera_records_whatever_its_pairing_names_and_waits_for_another_one() {
    let with = |key: &str, value: serde_json::Value| {
        let mut changed = pairing();
        match key.split_once('.') {
            Some((outer, inner)) => changed[outer][inner] = value,
            None => changed[key] = value,
        }
        changed
    };
    let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let home = Home::with_config(CONFIG);
    fs::create_dir_all(home.data_dir()).unwrap();
    let path = home.data_dir().join(PAIRING_FILE);
    fs::write(&path, with("mqtt.url", "mqtt://relay".into()).to_string()).unwrap();
    let agent = home.run();
    home.wait_for_log("pair the camera again");
    // While it runs, every one of these in turn.
    for (changed, said) in [
        (with("relay_url", "http://relay.example".into()), "use https"),
        (with("relay_url", "gopher://[::1".into()), "not a URL"),
        (with("mqtt.url", "mqtts://[::1".into()), "mqtts://[::1`"),
        (with("ca_pem", no_certificate.into()), "problem="),
        (with("camera_id", "nobody".into()), "is damaged"),
        (with("server_time", serde_json::Value::Null), "is damaged"),
    ] {
        let before = home.log().len();
        fs::write(&path, changed.to_string()).unwrap();
        wait_for(&format!("`{said}` for {changed} in the log:\n{}", home.log()), || {
            home.log()[before..].contains(said).then_some(())
        });
    }
    assert_records("pairings that cannot be used", &home, agent, 0);
    let before = footage(&home);

    // One that can be used, by an IPv6 address, is taken at once.
    let agent = home.run();
    fs::write(&path, with("mqtt.url", "mqtts://[::1]:9".into()).to_string()).unwrap();
    home.wait_for_log("no connection to the relay; trying again");
    assert_records("a relay that is away", &home, agent, before);
    assert!(Pairing::load(&home.data_dir()).unwrap().is_some());
}

#[test]
fn a_camera_whose_key_is_damaged_records_says_so_once_and_goes_on_with_a_mended_one() {
    let home = Home::with_config(CONFIG);
    fs::create_dir_all(home.data_dir()).unwrap();
    let known = Identity::open(&home.data_dir()).unwrap().public_key().to_owned();
    let path = home.data_dir().join("identity.pem");
    let key = fs::read(&path).unwrap();
    fs::write(&path, "no key").unwrap();
    fs::write(home.data_dir().join(PAIRING_FILE), pairing().to_string()).unwrap();
    let agent = home.run();
    home.wait_for_log("holds no Ed25519 key");
    assert_eq!(fs::read_to_string(&path).unwrap(), "no key", "it is not replaced");
    fs::write(&path, key).unwrap();
    home.wait_for_log("the camera has its key again");
    home.wait_for_log("paired");
    assert_eq!(home.log().matches("holds no Ed25519 key").count(), 1);
    assert_eq!(Identity::open(&home.data_dir()).unwrap().public_key(), known);
    assert_records("a key that was mended", &home, agent, 0);
}

#[test]
fn a_value_that_cannot_be_is_refused_in_one_line_with_its_option_and_its_range() {
    let footage = "/nonexistent/clip.mp4";
    for value in ["nan", "inf", "-inf", "5", "-1", "1.0001", "much", ""] {
        let refused = output(
            crate::support::agent().args(["detect", &format!("--sensitivity={value}"), footage]),
            "",
        );
        let line = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(2), "{line}");
        assert_eq!(line.lines().count(), 1, "{line}");
        let wanted = format!("--sensitivity = {value}: choose a value between 0.0 and 1.0");
        assert!(line.contains(&wanted), "{line}");
    }
    for (arguments, parts) in [
        (["detect", "--raw=320x180@nan", "-"], ["--raw", "320x180@nan"]),
        (["detect", "--raw=320x180@inf", "-"], ["--raw", "320x180@inf"]),
        (["detect", "--raw=0x180@10", "-"], ["--raw", "0x180@10"]),
        (["export", "--from=2026-02-30", "--to=2026-03-01"], ["--from", "2026-02-30"]),
        (["export", "--from=2026-01-01", "--to=9999999999-01-01"], ["--to", "9999999999"]),
        (["protect", "no-clip", "--off"], ["<CLIP_ID>", "no-clip"]),
    ] {
        let refused = output(crate::support::agent().args(arguments), "");
        let line = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(2), "{line}");
        assert!(line.lines().count() == 1, "{line}");
        assert!(parts.iter().all(|part| line.contains(part)), "{line}");
    }
}
