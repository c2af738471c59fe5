//! The board: heat, power, and the disk that the footage lies on. What a board does not tell is not
//! found.

use std::path::Path;

use nightjar_shared::finding::{Finding, bad, good, warning};

use crate::board::{
    SystemRoot,
    disk::{Disk, DiskKind, Reserve, disk},
    heat::{Temperature, temperature},
    power::{Held, power},
};

/// From here on a disk is near the end of its life.
const WORN_PERCENT: u8 = 80;
/// From here on it has outlived what its maker promises.
const OUTLIVED_PERCENT: u8 = 110;

#[derive(Debug)]
pub(super) enum BoardFinding {
    Cool(Temperature),
    Hot(Temperature),
    FullSpeed,
    Weak(Held),
    Slowed(Held),
    Disk(Disk),
    Worn(Disk),
    Outlived(Disk),
    FileSystemErrors(Disk),
    ReadOnlyDisk,
}

pub(super) fn examine(system: &SystemRoot, data_dir: &Path) -> Vec<BoardFinding> {
    let mut findings: Vec<_> = temperature(system).map(heat).into_iter().collect();
    findings.extend(speed(system));
    if let Some(disk) = disk(system, data_dir) {
        if disk.file_system_errors > 0 {
            findings.push(BoardFinding::FileSystemErrors(disk.clone()));
        }
        findings.push(wear(disk));
    }
    let read_only =
        |space: rustix::fs::StatVfs| space.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY);
    if rustix::fs::statvfs(data_dir).is_ok_and(read_only) {
        findings.push(BoardFinding::ReadOnlyDisk);
    }
    findings
}

fn heat(temperature: Temperature) -> BoardFinding {
    if temperature.is_hot() {
        BoardFinding::Hot(temperature)
    } else {
        BoardFinding::Cool(temperature)
    }
}

/// Tells what holds the board back, where it tells that at all.
fn speed(system: &SystemRoot) -> Vec<BoardFinding> {
    let Some(power) = power(system) else { return Vec::new() };
    let weak = (power.weak != Held::No).then_some(BoardFinding::Weak(power.weak));
    let slowed = (power.slowed != Held::No).then_some(BoardFinding::Slowed(power.slowed));
    let held: Vec<_> = weak.into_iter().chain(slowed).collect();
    if held.is_empty() { vec![BoardFinding::FullSpeed] } else { held }
}

fn wear(disk: Disk) -> BoardFinding {
    let worn = disk.worn_percent.unwrap_or(0);
    match disk.reserve {
        Some(Reserve::UsedUp) => BoardFinding::Outlived(disk),
        _ if worn >= OUTLIVED_PERCENT => BoardFinding::Outlived(disk),
        Some(Reserve::Low) => BoardFinding::Worn(disk),
        _ if worn > WORN_PERCENT => BoardFinding::Worn(disk),
        _ => BoardFinding::Disk(disk),
    }
}

const REPLACE: &str = "back up what matters and replace it: when it fails, it fails at once";

impl From<BoardFinding> for Finding {
    fn from(finding: BoardFinding) -> Self {
        const TEMPERATURE: &str = "temperature";
        const POWER: &str = "power";
        const DISK: &str = "disk";
        match finding {
            BoardFinding::Cool(it) => good(TEMPERATURE, "cool", degrees(it.celsius)),
            BoardFinding::Hot(Temperature { celsius, limit_celsius }) => warning(
                TEMPERATURE,
                "hot",
                format!(
                    "the board has {} and slows down from {} on",
                    degrees(celsius),
                    degrees(limit_celsius)
                ),
                "give it air, a heat sink or a fan, and keep it out of the sun",
            ),
            BoardFinding::FullSpeed => {
                good(POWER, "full_speed", "enough, and the board runs at full speed")
            }
            BoardFinding::Weak(when) => warning(
                POWER,
                "weak",
                format!("the voltage {} too low", was(when)),
                "use the power supply that the board's maker sells, and a short cable: pictures and \
                 cards suffer",
            ),
            BoardFinding::Slowed(when) => warning(
                POWER,
                "slowed",
                format!("the board {} slowed down, for heat or low voltage", was(when)),
                "see temperature and power supply; until then pictures may be lost",
            ),
            BoardFinding::Disk(disk) => good(DISK, "disk", describe(&disk)),
            BoardFinding::Worn(disk) => warning(DISK, "worn", describe(&disk), REPLACE),
            BoardFinding::Outlived(disk) => bad(DISK, "outlived", describe(&disk), REPLACE),
            BoardFinding::FileSystemErrors(Disk { name, file_system_errors, .. }) => bad(
                DISK,
                "file_system_errors",
                format!("{name}: the file system has met {file_system_errors} errors"),
                "have it checked at the next start (kernel parameter fsck.mode=force); if they come \
                 again, replace the card or disk",
            ),
            BoardFinding::ReadOnlyDisk => bad(
                DISK,
                "read_only_disk",
                "the disk is read-only: Linux makes it so after errors",
                "look into `sudo dmesg`, back up what matters, and replace the card or disk",
            ),
        }
    }
}

fn degrees(celsius: f32) -> String {
    format!("{celsius:.0} °C")
}

fn was(when: Held) -> &'static str {
    match when {
        Held::Now => "is",
        Held::Before | Held::No => "was, since the board was switched on,",
    }
}

fn describe(disk: &Disk) -> String {
    let Disk { name, kind, worn_percent, reserve, .. } = disk;
    let what = match kind {
        DiskKind::Emmc => format!("{name} (eMMC)"),
        DiskKind::SdCard => format!("{name} (SD card, which tells nothing of its wear)"),
        DiskKind::Other => name.clone(),
    };
    let worn = match worn_percent {
        Some(OUTLIVED_PERCENT..) => ", has outlived its time".to_owned(),
        Some(worn) => format!(", up to {worn} % of its life used up"),
        None => String::new(),
    };
    let reserve = match reserve {
        Some(Reserve::Low) => ", most of its reserve used up",
        Some(Reserve::UsedUp) => ", its reserve used up",
        Some(Reserve::Normal) | None => "",
    };
    format!("{what}{worn}{reserve}")
}
