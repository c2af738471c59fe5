//! Whether the board gets enough power and runs at full speed.

use std::path::Path;

use super::{SystemRoot, entries, name, number, text};

/// What holds the board back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Power {
    /// The voltage is too low.
    pub weak: Held,
    /// It runs slower than it could, for heat or for low voltage.
    pub slowed: Held,
}

/// When something holds the board back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Held {
    #[default]
    No,
    /// Not now, but since the board was switched on.
    Before,
    Now,
}

/// What a Raspberry Pi's firmware tells in one number: bits for now, and the same 16 further up for
/// the time since it was switched on.
const WEAK: u32 = 1;
const SLOWED: u32 = 0b1110;
const SINCE_START: u32 = 16;

/// Absent where the board tells neither.
pub fn power(system: &SystemRoot) -> Option<Power> {
    let told = [firmware(system), voltage_sensor(system), slowed_processor(system)];
    told.into_iter().flatten().reduce(|one, other| Power {
        weak: one.weak.max(other.weak),
        slowed: one.slowed.max(other.slowed),
    })
}

/// A Raspberry Pi's firmware, as its maker's kernel shows it.
fn firmware(system: &SystemRoot) -> Option<Power> {
    let folder = system.path("sys/bus/platform/drivers/raspberrypi-firmware");
    let bits = entries(&folder).iter().find_map(|device| {
        let text = text(&device.join("get_throttled"))?;
        u32::from_str_radix(text.trim_start_matches("0x"), 16).ok()
    })?;
    let held = |mask: u32| match (bits & mask, bits & (mask << SINCE_START)) {
        (0, 0) => Held::No,
        (0, _) => Held::Before,
        _ => Held::Now,
    };
    Some(Power { weak: held(WEAK), slowed: held(SLOWED) })
}

/// The same board's voltage as every kernel shows it.
fn voltage_sensor(system: &SystemRoot) -> Option<Power> {
    let sensor = entries(&system.path("sys/class/hwmon"))
        .into_iter()
        .find(|sensor| text(&sensor.join("name")).as_deref() == Some("rpi_volt"))?;
    let weak = if number(&sensor.join("in0_lcrit_alarm"))? > 0 { Held::Now } else { Held::No };
    Some(Power { weak, ..Power::default() })
}

/// What the kernel itself does against heat, on any board.
fn slowed_processor(system: &SystemRoot) -> Option<Power> {
    let states: Vec<i64> = entries(&system.path("sys/class/thermal"))
        .iter()
        .filter(|device| slows_the_processor(device))
        .filter_map(|device| number(&device.join("cur_state")))
        .collect();
    let most = states.into_iter().max()?;
    let slowed = if most > 0 { Held::Now } else { Held::No };
    Some(Power { slowed, ..Power::default() })
}

fn slows_the_processor(device: &Path) -> bool {
    let kind = text(&device.join("type")).unwrap_or_default();
    name(device).starts_with("cooling_device") && kind.contains("cpufreq")
}
