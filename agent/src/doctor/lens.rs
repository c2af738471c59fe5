//! The QR code by which the camera is to be paired.

use std::path::Path;

use nightjar_shared::{
    finding::{Finding, good, warning},
    time::UnixMillis,
};

use crate::{config::QrConfig, lens::Told, pairing::Pairing};

pub(super) enum LensFinding {
    /// It is paired: nothing is looked for.
    NotLooking,
    SwitchedOff,
    Looking,
    Told {
        told: Told,
        ago_s: u64,
    },
}

pub(super) fn examine(config: &QrConfig, data_dir: &Path, now: UnixMillis) -> LensFinding {
    let is_paired = matches!(Pairing::load(data_dir), Ok(Some(_)));
    // What was told of a code before the camera was paired in another way is over.
    match Told::load(data_dir).filter(|told| told.paired || !is_paired) {
        None if is_paired => LensFinding::NotLooking,
        None if !config.enabled => LensFinding::SwitchedOff,
        None => LensFinding::Looking,
        Some(told) => {
            let ago_s = now.since(told.at).as_secs();
            LensFinding::Told { told, ago_s }
        }
    }
}

impl From<LensFinding> for Finding {
    fn from(finding: LensFinding) -> Self {
        const NAME: &str = "pairing by QR code";
        match finding {
            LensFinding::NotLooking => good(NAME, "qr_not_looking", "the camera is paired"),
            LensFinding::SwitchedOff => {
                good(NAME, "qr_switched_off", "switched off in agent.toml ([qr] enabled)")
            }
            LensFinding::Looking => {
                good(NAME, "qr_looking", "a running agent looks for the app's code in its picture")
            }
            LensFinding::Told { told, ago_s } => {
                warning(NAME, &told.code, format!("{} ({ago_s} s ago)", told.found), told.next_step)
            }
        }
    }
}
