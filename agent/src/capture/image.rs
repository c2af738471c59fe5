//! Sets a camera's controls of its picture, each within the limits that its driver states.

use std::path::Path;

use anyhow::Context as _;
use gstreamer as gst;
use nightjar_shared::image::{ImageControl, ImageControlKind, ImageSettings};
use v4l::{
    Device,
    control::{Control, Description, Flags, Type, Value},
};

use super::libcamera;

/// Numbers of controls in `linux/v4l2-controls.h`.
const BRIGHTNESS: u32 = 0x0098_0900;
const AUTO_WHITE_BALANCE: u32 = 0x0098_090c;
const AUTOMATIC_GAIN: u32 = 0x0098_0912;
const GAIN: u32 = 0x0098_0913;
const WHITE_BALANCE_K: u32 = 0x0098_091a;
const EXPOSURE_MODE: u32 = 0x009a_0901;
/// In units of 100 microseconds.
const EXPOSURE_TIME: u32 = 0x009a_0902;
const ANALOGUE_GAIN: u32 = 0x009e_0903;

const EXPOSURE_UNIT_US: f32 = 100.0;
/// Modes of exposure: all by the camera, all by hand, the time by the camera.
const EXPOSURE_ALL_AUTOMATIC: u32 = 0;
const EXPOSURE_MANUAL: i64 = 1;
const EXPOSURE_TIME_AUTOMATIC: u32 = 3;

/// One of a camera's controls, with what gives it back to the camera.
#[derive(Debug)]
struct Knob {
    kind: ImageControlKind,
    id: u32,
    minimum: i64,
    maximum: i64,
    step: i64,
    default: i64,
    automatic: Option<Automatic>,
}

/// The switch between a value and the camera's own choice.
#[derive(Debug, Clone, Copy)]
struct Automatic {
    id: u32,
    on: i64,
    off: i64,
    is_boolean: bool,
}

/// The controls of a camera that is captured from.
pub(crate) enum ImageControls {
    V4l2(Knobs),
    Libcamera(gst::Element),
}

/// Those of a V4L2 device.
pub(crate) struct Knobs {
    camera: Device,
    knobs: Vec<Knob>,
}

impl ImageControls {
    /// What it offers, within its limits.
    pub(crate) fn offered(&self) -> Vec<ImageControl> {
        match self {
            Self::V4l2(knobs) => knobs.knobs.iter().map(Knob::offered).collect(),
            Self::Libcamera(camera) => libcamera::offered(camera),
        }
    }

    /// Switches a control by the driver's own name for it.
    pub(crate) fn switch(&self, name: &str, on: bool) -> Result<(), String> {
        match self {
            Self::V4l2(knobs) => knobs.switch(name, on),
            Self::Libcamera(_) => Err(format!("control `{name}`: libcamera has no such switches")),
        }
    }

    /// Sets what differs from `before`; a value that is there no longer is the camera's own choice again.
    /// Says what could not be set.
    pub(crate) fn change(&self, before: &ImageSettings, now: &ImageSettings) -> Result<(), String> {
        let problems: Vec<String> = ImageControlKind::ALL
            .iter()
            .filter(|kind| before.value(**kind) != now.value(**kind))
            .filter_map(|kind| self.set(*kind, now.value(*kind)).err())
            .collect();
        if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) }
    }

    fn set(&self, kind: ImageControlKind, value: Option<f32>) -> Result<(), String> {
        if let Some(value) = value {
            only(kind, value).check_against(&self.offered())?;
        }
        match self {
            Self::V4l2(knobs) => knobs.set(kind, value),
            Self::Libcamera(camera) => {
                libcamera::set(camera, kind, value);
                Ok(())
            }
        }
    }
}

impl Knobs {
    /// Asks the driver what can be set.
    pub(crate) fn open(device: &Path) -> anyhow::Result<Self> {
        let camera = Device::with_path(device)
            .with_context(|| format!("cannot set the controls of {}", device.display()))?;
        let described = camera.query_controls().unwrap_or_default();
        let knobs = ImageControlKind::ALL.iter().filter_map(|kind| knob(*kind, &described));
        Ok(Self { knobs: knobs.collect(), camera })
    }

    fn switch(&self, name: &str, on: bool) -> Result<(), String> {
        let described = self.camera.query_controls().unwrap_or_default();
        let is_named = |it: &&Description| it.name.eq_ignore_ascii_case(name);
        let Some(control) = described.iter().find(is_named) else {
            return Err(format!(
                "control `{name}`: the camera's driver has none; `v4l2-ctl --list-ctrls` shows them"
            ));
        };
        let value = match control.typ {
            Type::Boolean => Value::Boolean(on),
            _ => Value::Integer(if on { control.maximum } else { control.minimum }),
        };
        self.camera
            .set_control(Control { id: control.id, value })
            .map_err(|error| format!("control `{name}`: the driver refuses it ({error})"))
    }

    fn set(&self, kind: ImageControlKind, value: Option<f32>) -> Result<(), String> {
        let Some(knob) = self.knobs.iter().find(|knob| knob.kind == kind) else { return Ok(()) };
        self.turn(knob, value).map_err(|error| match value {
            Some(value) => format!("image.{kind} = {value}: the camera refuses it ({error})"),
            None => format!("image.{kind}: the camera does not take it back ({error})"),
        })
    }

    fn turn(&self, knob: &Knob, value: Option<f32>) -> std::io::Result<()> {
        let control = |id, value| self.camera.set_control(Control { id, value });
        let switch = |automatic: Automatic, value: i64| {
            let boolean = automatic.is_boolean;
            let value = if boolean { Value::Boolean(value != 0) } else { Value::Integer(value) };
            control(automatic.id, value)
        };
        match (value, knob.automatic) {
            (Some(value), automatic) => {
                automatic.map_or(Ok(()), |automatic| switch(automatic, automatic.off))?;
                control(knob.id, Value::Integer(knob.raw(value)))
            }
            (None, Some(automatic)) => switch(automatic, automatic.on),
            (None, None) => control(knob.id, Value::Integer(knob.default)),
        }
    }
}

/// The settings of one control alone.
fn only(kind: ImageControlKind, value: f32) -> ImageSettings {
    let when = |it| (it == kind).then_some(value);
    ImageSettings {
        exposure_us: when(ImageControlKind::Exposure),
        gain: when(ImageControlKind::Gain),
        white_balance_k: when(ImageControlKind::WhiteBalance),
        brightness: when(ImageControlKind::Brightness),
        ..ImageSettings::default()
    }
}

impl Knob {
    fn unit(&self) -> f32 {
        if self.id == EXPOSURE_TIME { EXPOSURE_UNIT_US } else { 1.0 }
    }

    #[expect(clippy::cast_precision_loss, reason = "values of controls are small numbers")]
    fn offered(&self) -> ImageControl {
        let said = |raw: i64| raw as f32 * self.unit();
        let (minimum, maximum) = (said(self.minimum), said(self.maximum));
        ImageControl { control: self.kind, minimum, maximum }
    }

    /// The driver's number for a value: on a step, within the limits.
    #[expect(clippy::cast_possible_truncation, reason = "the limits have been checked")]
    fn raw(&self, value: f32) -> i64 {
        let raw = (value / self.unit()).round() as i64;
        let steps = (raw - self.minimum) / self.step.max(1);
        (self.minimum + steps * self.step.max(1)).clamp(self.minimum, self.maximum)
    }
}

fn knob(kind: ImageControlKind, described: &[Description]) -> Option<Knob> {
    let usable = |id: u32| {
        let unusable = Flags::DISABLED | Flags::READ_ONLY;
        described.iter().find(|it| it.id == id && !it.flags.intersects(unusable))
    };
    let (value, automatic) = match kind {
        ImageControlKind::Exposure => (usable(EXPOSURE_TIME)?, usable(EXPOSURE_MODE)),
        ImageControlKind::Gain => {
            (usable(GAIN).or_else(|| usable(ANALOGUE_GAIN))?, usable(AUTOMATIC_GAIN))
        }
        ImageControlKind::WhiteBalance => (usable(WHITE_BALANCE_K)?, usable(AUTO_WHITE_BALANCE)),
        ImageControlKind::Brightness => (usable(BRIGHTNESS)?, None),
        ImageControlKind::Unknown => return None,
    };
    Some(Knob {
        kind,
        id: value.id,
        minimum: value.minimum,
        maximum: value.maximum,
        step: i64::try_from(value.step).unwrap_or(1),
        default: value.default,
        automatic: automatic.map(automatic_of),
    })
}

fn automatic_of(described: &Description) -> Automatic {
    let is_boolean = described.typ == Type::Boolean;
    if described.id != EXPOSURE_MODE {
        return Automatic { id: described.id, on: 1, off: 0, is_boolean };
    }
    let has = |mode| described.items.iter().flatten().any(|(item, _)| *item == mode);
    let on =
        if has(EXPOSURE_TIME_AUTOMATIC) { EXPOSURE_TIME_AUTOMATIC } else { EXPOSURE_ALL_AUTOMATIC };
    Automatic { id: described.id, on: on.into(), off: EXPOSURE_MANUAL, is_boolean: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exposure() -> Knob {
        Knob {
            kind: ImageControlKind::Exposure,
            id: EXPOSURE_TIME,
            minimum: 3,
            maximum: 2_047,
            step: 4,
            default: 250,
            automatic: None,
        }
    }

    #[test]
    fn an_exposure_is_said_in_microseconds_and_set_in_the_driver_s_steps() {
        let knob = exposure();
        let ImageControl { minimum, maximum, .. } = knob.offered();
        assert_eq!((minimum, maximum), (300.0, 204_700.0));
        assert_eq!(knob.raw(1_000.0), 7, "3, 7, 11");
        assert_eq!(knob.raw(maximum), 2_047);
    }
}
