//! `[source.image]`: exposure, gain, white balance, brightness, and which way up.

use nightjar_shared::image::ImageSettings;
use serde::{Deserialize, Deserializer};

/// As [`ImageSettings`], for a file: an unknown key is an error there.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ImageFile {
    exposure_us: Option<f32>,
    gain: Option<f32>,
    white_balance_k: Option<f32>,
    brightness: Option<f32>,
    rotation: u16,
    mirror: bool,
}

pub(super) fn image<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ImageSettings, D::Error> {
    let ImageFile { exposure_us, gain, white_balance_k, brightness, rotation, mirror } =
        ImageFile::deserialize(deserializer)?;
    Ok(ImageSettings { exposure_us, gain, white_balance_k, brightness, rotation, mirror })
}
