//! The disk below a directory: what it is, and how worn.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{SystemRoot, entries, name, number, text};

/// A file system may lie on a volume that lies on encryption that lies on a disk.
const LAYERS_MAX: usize = 4;

/// What is known of a disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Disk {
    /// As the kernel calls it: `mmcblk0`.
    pub name: String,
    pub kind: DiskKind,
    /// The share of its life that is used up, in percent, at most; above 100 it has outlived that.
    pub worn_percent: Option<u8>,
    /// What it has in reserve for blocks that wear out.
    pub reserve: Option<Reserve>,
    /// Errors that the file system noticed, ever.
    pub file_system_errors: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DiskKind {
    /// Soldered to the board: it tells how worn it is.
    Emmc,
    /// It tells nothing of its wear.
    SdCard,
    #[default]
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserve {
    Normal,
    /// Most of it is used up.
    Low,
    UsedUp,
}

/// The disk that `directory` lies on; absent for what lies in memory, on a network, or on several
/// disks at once.
pub fn disk(system: &SystemRoot, directory: &Path) -> Option<Disk> {
    let device = fs::metadata(directory).ok()?.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let node = system.path(&format!("sys/dev/block/{major}:{minor}"));
    let volume = fs::canonicalize(node).ok()?;
    let errors = system.path("sys/fs/ext4").join(name(&volume)).join("errors_count");
    let file_system_errors = number(&errors).and_then(|count| u64::try_from(count).ok());
    let whole = whole_disk(volume, LAYERS_MAX)?;
    Some(Disk {
        kind: kind(&whole),
        worn_percent: worn_percent(&whole),
        reserve: reserve(&whole),
        file_system_errors: file_system_errors.unwrap_or(0),
        name: name(&whole),
    })
}

/// Goes from a partition, or a volume on one disk, to that disk.
fn whole_disk(device: PathBuf, layers: usize) -> Option<PathBuf> {
    if device.join("partition").exists() {
        return device.parent().map(Path::to_owned);
    }
    match entries(&device.join("slaves")).as_slice() {
        [] => Some(device),
        [below] if layers > 0 => whole_disk(fs::canonicalize(below).ok()?, layers - 1),
        _ => None,
    }
}

fn kind(disk: &Path) -> DiskKind {
    match text(&disk.join("device/type")).as_deref() {
        Some("MMC") => DiskKind::Emmc,
        Some("SD") => DiskKind::SdCard,
        _ => DiskKind::Other,
    }
}

/// The worse of an eMMC's two kinds of memory, in steps of ten percent.
fn worn_percent(disk: &Path) -> Option<u8> {
    let told = text(&disk.join("device/life_time"))?;
    let steps = told.split_whitespace().filter_map(hexadecimal);
    // 0 is "not told"; 11 is beyond its life.
    steps.filter(|step| (1..=11).contains(step)).max().map(|step| step * 10)
}

fn reserve(disk: &Path) -> Option<Reserve> {
    match hexadecimal(&text(&disk.join("device/pre_eol_info"))?)? {
        1 => Some(Reserve::Normal),
        2 => Some(Reserve::Low),
        3 => Some(Reserve::UsedUp),
        _ => None,
    }
}

fn hexadecimal(text: &str) -> Option<u8> {
    u8::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}
