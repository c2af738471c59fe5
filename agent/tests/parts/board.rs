//! What is read of boards: trees of the kernel's files, as a kernel writes them.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, symlink},
    path::Path,
};

use nightjar_agent::board::{
    SystemRoot,
    disk::{DiskKind, Reserve, disk},
    heat::temperature,
    power::{Held, power},
};
use nightjar_core::seeded::Seeded;
use tempfile::TempDir;

/// A tree of files by path and content.
fn board(files: &[(&str, &str)]) -> (TempDir, SystemRoot) {
    let directory = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{content}\n")).unwrap();
    }
    let system = SystemRoot::at(directory.path());
    (directory, system)
}

/// The disk that the kernel says `directory` lies on, in a tree: a partition of `disk`.
fn lies_on(tree: &Path, directory: &Path, disk: &str, partition: &str) {
    let device = fs::metadata(directory).unwrap().dev();
    let number = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    let links = tree.join("sys/dev/block");
    fs::create_dir_all(&links).unwrap();
    let whole = format!("../../devices/platform/{disk}");
    let target = if partition.is_empty() { whole } else { format!("{whole}/{partition}") };
    let node = links.join(&target);
    fs::create_dir_all(&node).unwrap();
    if !partition.is_empty() {
        fs::write(node.join("partition"), "2\n").unwrap();
    }
    symlink(target, links.join(number)).unwrap();
}

const RASPBERRY_PI: [(&str, &str); 8] = [
    ("sys/class/thermal/thermal_zone0/type", "cpu-thermal"),
    ("sys/class/thermal/thermal_zone0/temp", "61835"),
    ("sys/class/thermal/thermal_zone0/trip_point_0_type", "critical"),
    ("sys/class/thermal/thermal_zone0/trip_point_0_temp", "110000"),
    ("sys/class/thermal/cooling_device0/type", "gpio-fan"),
    ("sys/class/thermal/cooling_device0/cur_state", "1"),
    ("sys/class/hwmon/hwmon1/name", "rpi_volt"),
    ("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "0"),
];

#[test]
fn a_raspberry_pi_tells_heat_and_low_voltage() {
    let (directory, system) = board(&RASPBERRY_PI);
    let cool = temperature(&system).unwrap();
    assert!((cool.celsius - 61.8).abs() < 0.1 && !cool.is_hot(), "{cool:?}");
    assert_eq!(power(&system).unwrap().weak, Held::No);
    let tell = |path: &str, text: &str| fs::write(directory.path().join(path), text).unwrap();

    tell("sys/class/thermal/thermal_zone0/temp", "80312\n");
    assert!(temperature(&system).unwrap().is_hot(), "its firmware slows it down from 80 °C on");
    tell("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1\n");
    assert_eq!(power(&system).unwrap().weak, Held::Now);

    // The maker's kernel tells what the firmware knows.
    let firmware = "sys/bus/platform/drivers/raspberrypi-firmware/soc:firmware";
    fs::create_dir_all(directory.path().join(firmware)).unwrap();
    tell("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "0\n");
    for (bits, weak, slowed) in [
        ("0", Held::No, Held::No),
        ("50000", Held::Before, Held::Before),
        ("50005", Held::Now, Held::Now),
        ("0x80008", Held::No, Held::Now),
    ] {
        tell(&format!("{firmware}/get_throttled"), &format!("{bits}\n"));
        let told = power(&system).unwrap();
        assert_eq!((told.weak, told.slowed), (weak, slowed), "{bits}");
    }
}

#[test]
fn another_board_tells_by_its_own_limits_and_a_hot_radio_is_not_its_processor() {
    let (directory, system) = board(&[
        ("sys/class/thermal/thermal_zone0/type", "soc-thermal"),
        ("sys/class/thermal/thermal_zone0/temp", "71000"),
        ("sys/class/thermal/thermal_zone0/trip_point_0_type", "passive"),
        ("sys/class/thermal/thermal_zone0/trip_point_0_temp", "70000"),
        ("sys/class/thermal/thermal_zone0/trip_point_1_type", "active"),
        ("sys/class/thermal/thermal_zone0/trip_point_1_temp", "50000"),
        ("sys/class/thermal/thermal_zone1/type", "iwlwifi_1"),
        ("sys/class/thermal/thermal_zone1/temp", "93000"),
        ("sys/class/thermal/cooling_device0/type", "thermal-cpufreq-0"),
        ("sys/class/thermal/cooling_device0/cur_state", "2"),
    ]);
    let hot = temperature(&system).unwrap();
    assert!((hot.celsius - 71.0).abs() < 0.1 && hot.is_hot(), "{hot:?}");
    assert_eq!(power(&system).unwrap().slowed, Held::Now);
    let state = directory.path().join("sys/class/thermal/cooling_device0/cur_state");
    fs::write(state, "0\n").unwrap();
    assert_eq!(power(&system).unwrap().slowed, Held::No);
}

#[test]
fn an_emmc_tells_its_wear_and_an_sd_card_does_not() {
    let data = tempfile::tempdir().unwrap();
    let emmc = "sys/devices/platform/mmcblk0/device";
    let (tree, system) = board(&[
        (&format!("{emmc}/type"), "MMC"),
        (&format!("{emmc}/life_time"), "0x02 0x09"),
        (&format!("{emmc}/pre_eol_info"), "0x02"),
        ("sys/fs/ext4/mmcblk0p2/errors_count", "3"),
    ]);
    lies_on(tree.path(), data.path(), "mmcblk0", "mmcblk0p2");
    let worn = disk(&system, data.path()).unwrap();
    assert_eq!((worn.name.as_str(), worn.kind), ("mmcblk0", DiskKind::Emmc));
    assert_eq!((worn.worn_percent, worn.reserve), (Some(90), Some(Reserve::Low)));
    assert_eq!(worn.file_system_errors, 3);

    let (tree, system) = board(&[("sys/devices/platform/mmcblk1/device/type", "SD")]);
    lies_on(tree.path(), data.path(), "mmcblk1", "mmcblk1p2");
    let card = disk(&system, data.path()).unwrap();
    assert_eq!((card.kind, card.worn_percent), (DiskKind::SdCard, None));
    assert_eq!(card.file_system_errors, 0);
}

#[test]
fn a_volume_on_an_encrypted_disk_is_followed_to_the_disk_and_one_on_two_disks_is_not() {
    let data = tempfile::tempdir().unwrap();
    let (tree, system) = board(&[("sys/devices/platform/mmcblk0/device/type", "MMC")]);
    lies_on(tree.path(), data.path(), "dm-0", "");
    let slaves = tree.path().join("sys/devices/platform/dm-0/slaves");
    let partition = tree.path().join("sys/devices/platform/mmcblk0/mmcblk0p3");
    fs::create_dir_all(&slaves).unwrap();
    fs::create_dir_all(&partition).unwrap();
    fs::write(partition.join("partition"), "3\n").unwrap();
    symlink("../../mmcblk0/mmcblk0p3", slaves.join("mmcblk0p3")).unwrap();
    assert_eq!(disk(&system, data.path()).unwrap().name, "mmcblk0");
    symlink("../../mmcblk0", slaves.join("mmcblk0")).unwrap();
    assert_eq!(disk(&system, data.path()), None);
}

#[test]
fn a_board_that_tells_nothing_is_no_problem() {
    let (_directory, system) = board(&[]);
    let data = tempfile::tempdir().unwrap();
    assert_eq!(temperature(&system), None);
    assert_eq!(power(&system), None);
    assert_eq!(disk(&system, data.path()), None);
    assert_eq!(disk(&system, Path::new("/no/such/directory")), None);
}

#[test]
fn whatever_stands_in_the_files_what_is_told_can_be_true() {
    let data = tempfile::tempdir().unwrap();
    let emmc = "sys/devices/platform/mmcblk0/device";
    let (life_time, reserve) = (format!("{emmc}/life_time"), format!("{emmc}/pre_eol_info"));
    let mut files: Vec<&str> = RASPBERRY_PI.iter().map(|(path, _)| *path).collect();
    files.extend([life_time.as_str(), reserve.as_str(), "sys/fs/ext4/mmcblk0p2/errors_count"]);
    files.push("sys/bus/platform/drivers/raspberrypi-firmware/soc:firmware/get_throttled");
    let odd = [
        "",
        "-",
        "0x",
        "0xzz",
        "-99999999",
        "99999999999999999999",
        "1e9",
        "\u{0}\u{1}",
        "0x00 0xff",
    ];
    for seed in 0..300 {
        let mut chance = Seeded::new(seed);
        let content: Vec<(&str, &str)> =
            files.iter().map(|path| (*path, odd[chance.index(odd.len())])).collect();
        let (tree, system) = board(&content);
        lies_on(tree.path(), data.path(), "mmcblk0", "mmcblk0p2");
        if let Some(told) = temperature(&system) {
            assert!((-40.0..=150.0).contains(&told.celsius), "seed {seed}: {told:?}");
        }
        let told = disk(&system, data.path()).unwrap();
        assert!(told.worn_percent.is_none_or(|worn| worn <= 110), "seed {seed}: {told:?}");
        power(&system);
    }
    // A file that never ends, and one that is a directory.
    let (tree, system) = board(&[("sys/class/thermal/thermal_zone0/type", "cpu-thermal")]);
    symlink("/dev/zero", tree.path().join("sys/class/thermal/thermal_zone0/temp")).unwrap();
    fs::create_dir_all(tree.path().join("sys/class/hwmon/hwmon0/name")).unwrap();
    assert_eq!(temperature(&system), None);
    assert_eq!(power(&system), None);
}
