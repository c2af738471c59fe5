//! How a camera makes its picture: exposure, gain, colours, and which way up it is shown.

use serde::{Deserialize, Serialize};

use crate::word::words;

const CONTROLS_MAX: usize = 16;
const ROTATIONS: [u16; 4] = [0, 90, 180, 270];
/// No camera has values beyond it, and 32 bits of a fraction keep whole numbers up to it exact.
const VALUE_MAX: f32 = 16_000_000.0;

/// What an owner sets of the picture, as a whole: what is absent is the camera's own choice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ImageSettings {
    /// How long each picture is exposed, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposure_us: Option<f32>,
    /// In the camera's own unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gain: Option<f32>,
    /// The colour that is shown as white, in kelvins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub white_balance_k: Option<f32>,
    /// In the camera's own unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brightness: Option<f32>,
    /// By how many degrees the picture is turned clockwise: 0, 90, 180 or 270.
    #[serde(default)]
    pub rotation: u16,
    /// Left and right change places, after the rotation.
    #[serde(default)]
    pub mirror: bool,
}

words! {
    /// What of a picture a camera may let others set, named as in [`ImageSettings`].
    ImageControlKind {
        Exposure = "exposure_us",
        Gain = "gain",
        WhiteBalance = "white_balance_k",
        Brightness = "brightness",
    } or Unknown
}

/// What a camera says of one of its controls.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ImageControl {
    pub control: ImageControlKind,
    pub minimum: f32,
    pub maximum: f32,
}

impl ImageSettings {
    /// Lists what is set of what a camera may lack.
    pub fn values(&self) -> impl Iterator<Item = (ImageControlKind, f32)> {
        ImageControlKind::ALL.iter().filter_map(|kind| Some((*kind, self.value(*kind)?)))
    }

    pub fn value(&self, kind: ImageControlKind) -> Option<f32> {
        match kind {
            ImageControlKind::Exposure => self.exposure_us,
            ImageControlKind::Gain => self.gain,
            ImageControlKind::WhiteBalance => self.white_balance_k,
            ImageControlKind::Brightness => self.brightness,
            ImageControlKind::Unknown => None,
        }
    }

    /// Checks what holds for every camera.
    pub fn validate(&self) -> Result<(), String> {
        let possible = |value: f32| value.is_finite() && value.abs() <= VALUE_MAX;
        if let Some((kind, value)) = self.values().find(|(_, value)| !possible(*value)) {
            return Err(format!("image.{kind} = {value}: expected a number of a camera's range"));
        }
        if !ROTATIONS.contains(&self.rotation) {
            let rotation = self.rotation;
            return Err(format!("image.rotation = {rotation}: expected 0, 90, 180 or 270"));
        }
        Ok(())
    }

    /// Checks it against what a camera offers: names the control that it lacks, or the range.
    pub fn check_against(&self, offered: &[ImageControl]) -> Result<(), String> {
        self.values().try_for_each(|(kind, value)| {
            let Some(control) = offered.iter().find(|control| control.control == kind) else {
                return Err(format!("image.{kind}: this camera has no such control"));
            };
            let ImageControl { minimum, maximum, .. } = control;
            if (*minimum..=*maximum).contains(&value) {
                return Ok(());
            }
            Err(format!("image.{kind} = {value}: this camera takes {minimum} to {maximum}"))
        })
    }
}

/// Checks what a camera says of its controls.
pub(crate) fn validate_controls(controls: &[ImageControl]) -> Result<(), String> {
    let is_range = |control: &ImageControl| {
        let ImageControl { minimum, maximum, .. } = control;
        minimum.is_finite() && maximum.is_finite() && minimum <= maximum
    };
    if controls.len() > CONTROLS_MAX {
        return Err(format!("image_controls: {}, at most {CONTROLS_MAX}", controls.len()));
    }
    match controls.iter().position(|control| !is_range(control)) {
        Some(at) => Err(format!("image_controls[{at}]: expected minimum <= maximum")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAIN: ImageControl =
        ImageControl { control: ImageControlKind::Gain, minimum: 0.0, maximum: 255.0 };

    #[test]
    fn a_value_is_held_against_the_camera_s_own_range_and_a_control_that_it_lacks_is_named() {
        let image = ImageSettings { gain: Some(255.0), ..ImageSettings::default() };
        image.check_against(&[GAIN]).unwrap();
        let bright = ImageSettings { gain: Some(256.0), ..image };
        let refusal = bright.check_against(&[GAIN]).unwrap_err();
        assert_eq!(refusal, "image.gain = 256: this camera takes 0 to 255");
        let exposed = ImageSettings { exposure_us: Some(10_000.0), ..image };
        let refusal = exposed.check_against(&[GAIN]).unwrap_err();
        assert_eq!(refusal, "image.exposure_us: this camera has no such control");
        ImageSettings { rotation: 90, mirror: true, ..ImageSettings::default() }
            .check_against(&[])
            .unwrap();
    }

    #[test]
    fn what_no_camera_can_be_asked_for_is_refused_by_name() {
        for rotation in [1, 45, 360, u16::MAX] {
            let odd = ImageSettings { rotation, ..ImageSettings::default() };
            assert!(odd.validate().unwrap_err().starts_with("image.rotation"));
        }
        for value in [f32::NAN, f32::INFINITY, 1e9] {
            let odd = ImageSettings { brightness: Some(value), ..ImageSettings::default() };
            assert!(odd.validate().unwrap_err().starts_with("image.brightness"), "{value}");
        }
        let backwards = ImageControl { minimum: 2.0, maximum: 1.0, ..GAIN };
        validate_controls(&[GAIN]).unwrap();
        validate_controls(&[backwards]).unwrap_err();
        validate_controls(&[GAIN; 17]).unwrap_err();
    }
}
