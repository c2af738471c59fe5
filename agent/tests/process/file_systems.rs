//! The agent on disks that come from other systems: it says what they cannot do, and records, through a
//! crash as well.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use rustix::process::{Signal, geteuid};
use serde_json::Value;

use crate::{
    damaged::{CONFIG, footage},
    support::{Home, agent, output, say_skipped, wait_for},
};

const BYTES: u64 = 256 << 20;

/// How a file system is made on a loop device, and mounted.
struct Kind {
    name: &'static str,
    make: &'static [&'static str],
    mount: &'static [&'static str],
    /// As the kernel calls it.
    known_as: &'static str,
}

const KINDS: [Kind; 3] = [
    Kind {
        name: "NTFS",
        make: &["mkntfs", "--quick", "--quiet"],
        mount: &["ntfs-3g"],
        known_as: "fuseblk",
    },
    Kind {
        name: "exFAT",
        make: &["mkfs.exfat"],
        mount: &["mount.exfat-fuse"],
        known_as: "fuseblk",
    },
    Kind { name: "FAT", make: &["mkfs.vfat"], mount: &["mount", "-t", "vfat"], known_as: "vfat" },
];

/// A file that is a disk, and where it is mounted.
struct Disk {
    device: String,
    place: PathBuf,
}

impl Disk {
    /// Nothing, said aloud, where this machine cannot.
    fn mount(kind: &Kind, home: &Home) -> Option<Self> {
        let image = home.path("disk.img");
        File::create(&image).unwrap().set_len(BYTES).unwrap();
        let device = try_to(kind, &["losetup", "--find", "--show"], &[&image])?;
        let device = String::from_utf8(device.stdout).unwrap().trim().to_owned();
        let place = home.data_dir();
        fs::create_dir_all(&place).unwrap();
        let disk = Self { device, place };
        try_to(kind, kind.make, &[Path::new(&disk.device)])?;
        try_to(kind, kind.mount, &[Path::new(&disk.device), &disk.place])?;
        Some(disk)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Where it was not mounted, they fail.
        drop(Command::new("umount").arg(&self.place).output());
        drop(Command::new("losetup").args(["--detach", &self.device]).output());
    }
}

fn try_to(kind: &Kind, command: &[&str], paths: &[&Path]) -> Option<Output> {
    let path = format!("/usr/sbin:/sbin:{}", std::env::var("PATH").unwrap_or_default());
    let tried = Command::new(command[0]).args(&command[1..]).args(paths).env("PATH", path).output();
    let why = match tried {
        Ok(output) if output.status.success() => return Some(output),
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().replace('\n', " "),
        Err(error) => error.to_string(),
    };
    say_skipped(&format!("a disk with {}: {}: {why}", kind.name, command[0]));
    None
}

fn record_on(kind: &Kind) {
    let home = Home::with_config(CONFIG);
    let Some(_disk) = Disk::mount(kind, &home) else { return };
    let name = kind.name;
    let more_footage = |before: u64| {
        wait_for(&format!("footage on {name}; the log:\n{}", home.log()), || {
            let now = footage(&home);
            (now > before + 4_000).then_some(now)
        })
    };
    let mut killed = home.run();
    let before = more_footage(0);
    let told = home.log().lines().any(|line| line.contains(kind.known_as));
    assert!(told, "nothing is said of {name}: {}", home.log());
    killed.signal(Signal::KILL);
    killed.wait();

    let mut stopped = home.run();
    more_footage(before);
    stopped.signal(Signal::TERM);
    assert_eq!(stopped.wait(), Some(0), "on {name}: {}", home.log());
    let checked = output(agent().args(["fsck", "--json", "--data-dir"]).arg(home.data_dir()), "");
    let report: Value = serde_json::from_slice(&checked.stdout).unwrap_or_default();
    assert_eq!(checked.status.code(), Some(0), "{name}: {report}");
    assert_eq!(report["open_clips"], 0, "{name}: {report}");
}

#[test]
fn the_camera_records_on_disks_of_other_systems_through_a_crash() {
    if !geteuid().is_root() {
        return say_skipped("disks with NTFS, exFAT and FAT can be mounted by root only");
    }
    std::thread::scope(|scope| {
        for kind in &KINDS {
            scope.spawn(|| record_on(kind));
        }
    });
}
