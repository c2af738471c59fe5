//! Films of a screen that shows a QR code, as a cheap camera takes them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use qrcode::{Color, EcLevel, QrCode};

use crate::browser::{Page, test_id};

/// White squares around a code.
const QUIET: usize = 4;
/// Pixels of a square, before a film scales them.
const PIXELS: usize = 8;

/// Saves the code that the app shows as a PNG below `directory`.
pub async fn shown_by_the_app(page: &Page, directory: &Path) -> Result<PathBuf> {
    let canvas = test_id("pair-qr-code");
    let url: String = page
        .evaluate(&format!("document.querySelector('{canvas}').toDataURL('image/png')"))
        .await?;
    let data = url.strip_prefix("data:image/png;base64,").context("the app drew no PNG")?;
    let path = directory.join("code.png");
    fs::write(&path, STANDARD.decode(data)?).context("cannot save the code")?;
    Ok(path)
}

/// Draws the code of a text as the app does, without a browser.
pub fn drawn(text: &str, directory: &Path) -> Result<PathBuf> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M)?;
    let (squares, colors) = (code.width(), code.to_colors());
    let side = (squares + 2 * QUIET) * PIXELS;
    let mut picture = format!("P5 {side} {side} 255\n").into_bytes();
    for (y, x) in (0..side).flat_map(|y| (0..side).map(move |x| (y, x))) {
        let (row, column) = ((y / PIXELS).wrapping_sub(QUIET), (x / PIXELS).wrapping_sub(QUIET));
        let is_inside = row < squares && column < squares;
        let is_dark = is_inside && colors[row * squares + column] == Color::Dark;
        picture.push(if is_dark { 0 } else { 255 });
    }
    let path = directory.join("code.pgm");
    fs::write(&path, picture).context("cannot save the code")?;
    Ok(path)
}

/// How the camera sees the screen.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// Side of the code, as a share of the picture's height.
    pub share: f64,
    /// Further filters of ffmpeg, on the whole picture.
    pub filters: &'static str,
}

/// Films a picture of a code for some seconds, 1280x720 at ten pictures a second, with a sensor's noise.
pub fn film(code: &Path, view: View, to: &Path) -> Result<()> {
    // The quiet zone belongs to the picture.
    let side = (view.share * 720.0).round();
    let more = if view.filters.is_empty() { String::new() } else { format!(",{}", view.filters) };
    let filters = format!(
        "scale={side}:{side}:flags=area,pad=1280:720:(ow-iw)/2:(oh-ih)/2:color=0x606060{more},\
         noise=alls=6:allf=t,format=yuv420p"
    );
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-y", "-loop", "1", "-framerate", "10", "-t", "4", "-i"])
        .arg(code)
        .args(["-vf", &filters, "-c:v", "libx264", "-preset", "ultrafast", "-crf", "20"])
        .arg(to)
        .output()
        .context("cannot start ffmpeg")?;
    ensure!(made.status.success(), "ffmpeg: {}", String::from_utf8_lossy(&made.stderr));
    Ok(())
}
