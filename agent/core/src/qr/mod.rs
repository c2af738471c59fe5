//! QR codes that an unpaired camera is shown: found in pictures, and when to look, and what becomes of
//! what was seen. The reader may panic on pictures that somebody made to harm it, and may take long over
//! them: it runs in a process of its own.

mod attempts;
mod pace;
mod views;

use std::io;

use nightjar_shared::pairing_qr::QR_BYTES_MAX;
use rqrr::{DeQRError, PreparedImage};
use serde::{Deserialize, Serialize};

pub use self::{
    attempts::{Attempts, Ended, Verdict},
    pace::Pace,
    views::View,
};
use crate::picture::LumaFrame;

/// Codes that are read of one picture; a camera is shown one.
const CODES_MAX: usize = 8;

/// A QR code in a picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    Text(String),
    /// Its bytes are no UTF-8.
    NotText,
    /// It has more than [`QR_BYTES_MAX`] bytes.
    TooLong,
}

/// Finds the QR codes in a picture, each once. Mirrored ones are found, too.
pub fn read(picture: &LumaFrame, view: View) -> Vec<Seen> {
    let (width, height, stride) = (picture.width, picture.height, picture.stride);
    let is_whole = stride >= width && picture.data.len() >= stride.saturating_mul(height);
    if width < 2 || height < 2 || !is_whole {
        return Vec::new();
    }
    let grey = |picture: &LumaFrame| {
        let level = |x: usize, y: usize| picture.data[y * picture.stride + x];
        PreparedImage::prepare_from_greyscale(picture.width, picture.height, level)
    };
    let mut prepared = match view {
        View::Whole => grey(picture),
        View::Centre => grey(&views::centre(picture)),
        View::Sharpened => {
            let Some(bitmap) = views::sharpened(picture) else { return Vec::new() };
            let is_black = |x: usize, y: usize| bitmap.black[y * bitmap.width + x];
            PreparedImage::prepare_from_bitmap(bitmap.width, bitmap.height, is_black)
        }
    };
    let mut seen = Vec::new();
    for grid in prepared.detect_grids().iter().take(CODES_MAX) {
        let mut bytes = Bounded::default();
        let code = match grid.decode_to(&mut bytes) {
            Ok(_) => String::from_utf8(bytes.0).map_or(Seen::NotText, Seen::Text),
            // Nothing else refuses bytes.
            Err(DeQRError::IoError) => Seen::TooLong,
            Err(_) => continue,
        };
        if !seen.contains(&code) {
            seen.push(code);
        }
    }
    seen
}

/// Takes as many bytes as a code that is followed may have.
#[derive(Default)]
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > QR_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
