//! How hot the processor is.

use std::path::Path;

use super::{SystemRoot, entries, name, number, text};

/// Sensors of other things, such as a radio, may be hotter without harm.
const OF_THE_PROCESSOR: [&str; 6] = ["cpu", "soc", "pkg", "core", "package", "acpitz"];
/// What no sensor in a house measures is a broken reading, in thousandths of a degree.
const PLAUSIBLE: std::ops::RangeInclusive<i64> = -40_000..=150_000;
/// A Raspberry Pi slows down from 80 °C on, and its kernel does not say so.
const SLOWS_AT_C: f32 = 80.0;
/// What a kernel calls the temperatures at which it does something about them.
const TRIPS: [&str; 3] = ["passive", "hot", "critical"];

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Temperature {
    pub celsius: f32,
    /// From here on the board slows down.
    pub limit_celsius: f32,
}

impl Temperature {
    pub fn is_hot(self) -> bool {
        self.celsius >= self.limit_celsius
    }
}

/// The processor's temperature, or that of the hottest sensor where none is the processor's.
pub fn temperature(system: &SystemRoot) -> Option<Temperature> {
    let zones = entries(&system.path("sys/class/thermal"));
    let zones: Vec<(bool, Temperature)> = zones
        .iter()
        .filter(|zone| name(zone).starts_with("thermal_zone"))
        .filter_map(|zone| Some((is_of_the_processor(zone), read(zone)?)))
        .collect();
    let any = zones.iter().any(|(of_processor, _)| *of_processor);
    let readings = zones.into_iter().filter(|(of_processor, _)| *of_processor || !any);
    readings.map(|(_, reading)| reading).max_by(|one, other| one.celsius.total_cmp(&other.celsius))
}

fn is_of_the_processor(zone: &Path) -> bool {
    let kind = text(&zone.join("type")).unwrap_or_default().to_lowercase();
    OF_THE_PROCESSOR.iter().any(|word| kind.contains(word))
}

fn read(zone: &Path) -> Option<Temperature> {
    let celsius = degrees(number(&zone.join("temp"))?)?;
    let trips = entries(zone).into_iter().filter_map(|path| {
        let trip = name(&path).strip_prefix("trip_point_")?.strip_suffix("_type")?.to_owned();
        if !TRIPS.contains(&text(&path)?.as_str()) {
            return None;
        }
        // Some boards leave one at nothing.
        degrees(number(&zone.join(format!("trip_point_{trip}_temp")))?)
            .filter(|limit| *limit > 40.0)
    });
    Some(Temperature { celsius, limit_celsius: trips.fold(SLOWS_AT_C, f32::min) })
}

fn degrees(thousandths: i64) -> Option<f32> {
    let plausible = PLAUSIBLE.contains(&thousandths);
    let thousandths = i32::try_from(thousandths).ok().filter(|_| plausible)?;
    #[expect(clippy::cast_precision_loss, reason = "at most 150,000")]
    Some(thousandths as f32 / 1_000.0)
}
