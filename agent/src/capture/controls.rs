//! What a V4L2 camera does to its own picture, as its driver tells: exposure, gain, filters. A
//! change of the picture that comes with a change here is the camera's doing.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::Context as _;
use gstreamer::{self as gst, prelude::*};
use nightjar_core::monotonic::MonotonicNanos;
use v4l::{
    Device,
    control::{Description, Flags, Value},
};

use super::libcamera;
use crate::clock::monotonic_now;

/// A change is noticed this soon. A USB camera answers each question in about a millisecond.
const EVERY: Duration = Duration::from_millis(100);
/// More controls than a camera has that change its picture.
const CONTROLS_MAX: usize = 16;
/// Readings that fail in a row before the driver is left alone: libcamera says nothing before its first
/// pictures.
const FAILURES_MAX: u32 = 50;
/// A value must change by this share of itself to be seen in the picture.
const NOTICEABLE: f64 = 0.08;
/// Where a control's values begin at nothing, as a gain's often do, nobody knows what they are
/// multiples of: such a value must change by this share of its range, too. An automatic that
/// wavers between 0 and 1, or 4 and 5, of 255 changes nothing that can be seen.
const NOTICEABLE_OF_RANGE: f64 = 0.015;
/// Exposures are times, whatever they begin at.
const EXPOSURES: [u32; 2] = [0x0098_0911, 0x009a_0902];

/// Controls of every driver, by their numbers in `linux/v4l2-controls.h`: brightness, contrast,
/// automatic gain, gain, exposure, backlight compensation; exposure and its automatic, ISO and its
/// automatic, wide dynamic range, iris; analogue and digital gain of a sensor.
const KNOWN: [u32; 17] = [
    0x0098_0900,
    0x0098_0901,
    0x0098_0912,
    0x0098_0913,
    0x0098_0911,
    0x0098_091c,
    0x009a_0901,
    0x009a_0902,
    0x009a_0903,
    0x009a_0911,
    0x009a_0915,
    0x009a_0917,
    0x009a_0918,
    0x009e_0903,
    0x009e_0904,
    0x009f_0905,
    0x0098_0920,
];
/// The infrared filter has no number of its own: drivers name it as they like.
const TELLING_NAMES: [&str; 6] = ["ir-cut", "ir cut", "ircut", "infrared", "night", "day/night"];

/// Gains of a camera and of a sensor.
const GAINS: [u32; 2] = [0x0098_0913, 0x009e_0903];

/// What is read of a camera's controls.
pub(crate) enum Reading {
    /// The camera changed its picture, noticed then.
    Changed(MonotonicNanos),
    /// How much of its gain it uses, from 0 to 1; nothing where the driver does not tell.
    Gain(Option<f32>),
}

/// A control that tells what the camera does to its picture.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Control {
    id: u32,
    minimum: i64,
    maximum: i64,
    /// A smaller change of its value is not seen, whatever the value is.
    least_step: f64,
}

impl Control {
    #[expect(clippy::cast_precision_loss, reason = "values of controls are small numbers")]
    fn new(id: u32, minimum: i64, maximum: i64) -> Self {
        let is_factor = minimum > 0 || EXPOSURES.contains(&id);
        let range = if is_factor { 0.0 } else { maximum.saturating_sub(minimum) as f64 };
        Self { id, minimum, maximum, least_step: range * NOTICEABLE_OF_RANGE }
    }

    /// Where a value lies between the limits.
    #[expect(clippy::cast_precision_loss, reason = "values of controls are small numbers")]
    fn share(&self, value: i64) -> f32 {
        let range = self.maximum.saturating_sub(self.minimum).max(1) as f32;
        (value.saturating_sub(self.minimum) as f32 / range).clamp(0.0, 1.0)
    }

    /// Small steps add up: what is not noticeable yet is compared with again.
    #[expect(clippy::cast_precision_loss, reason = "values of controls are small numbers")]
    fn is_noticeable(&self, before: i64, now: i64) -> bool {
        let step = before.abs_diff(now) as f64;
        step > 0.0 && step >= before.unsigned_abs() as f64 * NOTICEABLE && step >= self.least_step
    }
}

/// The values of a camera's controls, and whether they changed enough to be seen.
#[derive(Debug, Default)]
struct Look {
    values: Vec<(Control, i64)>,
}

impl Look {
    /// Takes the next reading. The first one changes nothing.
    fn changes_to(&mut self, values: Vec<(Control, i64)>) -> bool {
        let before = |id: u32| self.values.iter().find(|(other, _)| other.id == id);
        let is_changed = |(control, now): &(Control, i64)| {
            before(control.id).is_some_and(|(_, before)| control.is_noticeable(*before, *now))
        };
        let changed = values.iter().any(is_changed);
        if changed || self.values.len() != values.len() {
            self.values = values;
        }
        changed
    }
}

/// A thread that reads a camera's controls; [`ControlWatch::stop`] joins it.
pub(crate) struct ControlWatch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl ControlWatch {
    /// Tells what is read of a V4L2 device. Nothing is watched when the driver tells nothing of use.
    pub(crate) fn of_v4l2(
        device: &Path,
        tell: impl Fn(Reading) + Send + 'static,
    ) -> anyhow::Result<Option<Self>> {
        let camera = Device::with_path(device)
            .with_context(|| format!("cannot read the controls of {}", device.display()))?;
        let controls = telling_controls(&camera);
        if controls.is_empty() {
            tracing::info!(device = %device.display(), "the driver tells of no exposure or gain");
            return Ok(None);
        }
        Self::start(move || read(&camera, &controls), tell).map(Some)
    }

    /// Tells what libcamera says of its pictures.
    pub(crate) fn of_libcamera(
        camera: &gst::Element,
        tell: impl Fn(Reading) + Send + 'static,
    ) -> anyhow::Result<Option<Self>> {
        let exposure = Control::new(EXPOSURES[1], 1, 10_000_000);
        // From 1 to 16, in thousandths: few sensors go further.
        let gain = Control::new(GAINS[1], 1_000, 16_000);
        let camera = camera.downgrade();
        let read = move || {
            let Some(camera) = camera.upgrade() else { return Vec::new() };
            let (time, factor) = libcamera::exposure_and_gain(&camera);
            let values = [time.map(|value| (exposure, value)), factor.map(|value| (gain, value))];
            values.into_iter().flatten().collect()
        };
        Self::start(read, tell).map(Some)
    }

    fn start(
        read: impl Fn() -> Vec<(Control, i64)> + Send + 'static,
        tell: impl Fn(Reading) + Send + 'static,
    ) -> anyhow::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("capture-controls".to_owned())
            .spawn(move || watch(read, &stopped, tell))
            .context("cannot start the thread that reads the camera's controls")?;
        Ok(Self { stop, thread })
    }

    /// Blocks until the thread has ended.
    pub(crate) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        if self.thread.join().is_err() {
            tracing::error!("the thread that reads the camera's controls panicked");
        }
    }
}

fn telling_controls(camera: &Device) -> Vec<Control> {
    let described = camera.query_controls().unwrap_or_default();
    let telling = described.iter().filter(|control| tells(control)).take(CONTROLS_MAX);
    telling.map(|it| Control::new(it.id, it.minimum, it.maximum)).collect()
}

fn tells(control: &Description) -> bool {
    let name = control.name.to_lowercase();
    let readable = !control.flags.intersects(Flags::DISABLED | Flags::WRITE_ONLY);
    readable
        && (KNOWN.contains(&control.id) || TELLING_NAMES.iter().any(|word| name.contains(word)))
}

fn watch(read: impl Fn() -> Vec<(Control, i64)>, stop: &AtomicBool, tell: impl Fn(Reading)) {
    let (mut look, mut failures) = (Look::default(), 0);
    while !stop.load(Ordering::Relaxed) && failures < FAILURES_MAX {
        let values = read();
        failures = if values.is_empty() { failures + 1 } else { 0 };
        let gain = values.iter().find(|(control, _)| GAINS.contains(&control.id));
        tell(Reading::Gain(gain.map(|(control, value)| control.share(*value))));
        if look.changes_to(values) {
            tracing::debug!("the camera changes its picture");
            tell(Reading::Changed(monotonic_now()));
        }
        thread::park_timeout(EVERY);
    }
}

fn read(camera: &Device, controls: &[Control]) -> Vec<(Control, i64)> {
    let value = |control: &Control| match camera.control(control.id).ok()?.value {
        Value::Integer(value) => Some((*control, value)),
        Value::Boolean(value) => Some((*control, i64::from(value))),
        _ => None,
    };
    controls.iter().filter_map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exposure() -> Control {
        Control::new(0x009a_0902, 0, 5_000)
    }

    fn filter() -> Control {
        Control::new(0x0098_f000, 0, 1)
    }

    fn gain(minimum: i64, maximum: i64) -> Control {
        Control::new(0x0098_0913, minimum, maximum)
    }

    #[test]
    fn the_first_reading_and_equal_ones_are_no_change() {
        let mut look = Look::default();
        assert!(!look.changes_to(vec![(exposure(), 100)]));
        assert!(!look.changes_to(vec![(exposure(), 100)]));
    }

    #[test]
    fn a_step_of_exposure_and_a_switch_of_the_filter_are_changes() {
        let mut look = Look::default();
        look.changes_to(vec![(exposure(), 100), (filter(), 0)]);
        assert!(look.changes_to(vec![(exposure(), 130), (filter(), 0)]));
        assert!(look.changes_to(vec![(exposure(), 130), (filter(), 1)]));
        assert!(look.changes_to(vec![(exposure(), 130), (filter(), 0)]));
    }

    #[test]
    fn small_steps_count_once_they_have_added_up() {
        let mut look = Look::default();
        look.changes_to(vec![(exposure(), 100)]);
        let changes: Vec<bool> =
            (101..=116).map(|value| look.changes_to(vec![(exposure(), value)])).collect();
        assert_eq!(changes.iter().filter(|changed| **changed).count(), 1, "{changes:?}");
        assert!(changes[7], "from 100 to 108");
    }

    #[test]
    fn a_control_that_comes_or_goes_is_no_change() {
        let mut look = Look::default();
        look.changes_to(vec![(exposure(), 100)]);
        assert!(!look.changes_to(vec![(exposure(), 100), (filter(), 1)]));
        assert!(!look.changes_to(vec![(filter(), 1)]));
        assert!(look.changes_to(vec![(filter(), 0)]));
    }

    #[test]
    fn a_gain_that_wavers_by_the_smallest_step_is_no_change() {
        for low in [0, 4] {
            let mut look = Look::default();
            let waver = (0..20).map(|at| look.changes_to(vec![(gain(0, 255), low + at % 2)]));
            assert_eq!(waver.filter(|changed| *changed).count(), 0, "{low}");
        }
        let mut look = Look::default();
        look.changes_to(vec![(gain(0, 255), 0)]);
        assert!(look.changes_to(vec![(gain(0, 255), 4)]));
    }

    #[test]
    fn where_values_are_times_or_factors_their_share_alone_counts() {
        let mut look = Look::default();
        look.changes_to(vec![(exposure(), 20), (gain(16, 1_023), 16)]);
        assert!(look.changes_to(vec![(exposure(), 24), (gain(16, 1_023), 16)]));
        assert!(look.changes_to(vec![(exposure(), 24), (gain(16, 1_023), 18)]));
    }
}
