//! Grey pictures of a chosen size, for who looks at single pictures.

use std::ops::Range;

use anyhow::{Context as _, ensure};
use gstreamer_video::{VideoFrameRef, VideoInfo, prelude::*};
use nightjar_core::{
    monotonic::MonotonicNanos,
    picture::{LumaFrame, luma},
};

use super::taps::RawPicture;

/// What is shown of a picture that has more pixels than are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of it, smaller.
    Whole,
    /// Its middle, as sharp as it is.
    Middle,
}

/// Makes a grey picture of at most `max_width` pixels a row. Blocks for a millisecond or so.
pub(super) fn of(picture: &RawPicture, max_width: u32, part: Part) -> anyhow::Result<LumaFrame> {
    let info = VideoInfo::from_caps(&picture.caps).context("a picture in an unknown format")?;
    let frame = VideoFrameRef::from_buffer_ref_readable(&picture.buffer, &info)
        .context("a picture that cannot be read")?;
    // Of what is no YUV the first component is red, in which black and white look as they do.
    let step = *frame.format_info().pixel_stride().first().context("a picture without pixels")?;
    ensure!(step == 1, "pictures of {} are not planar", frame.format());
    let stride = usize::try_from(*frame.plane_stride().first().context("a picture without rows")?)?;
    let (width, height) = (usize::try_from(frame.width())?, usize::try_from(frame.height())?);
    let factor = frame.width().div_ceil(max_width.max(1));
    let captured_at =
        MonotonicNanos(picture.buffer.pts().map_or(0, gstreamer::ClockTime::nseconds));
    let plane = frame.plane_data(0).ok().context("a picture without pixels")?;
    let factor = usize::try_from(factor)?;
    let (plane, size, factor) = match part {
        Part::Whole => (plane, (width, height), factor),
        Part::Middle => {
            let (columns, rows) = (middle(width, factor), middle(height, factor));
            let begin = rows.start * stride + columns.start;
            let plane = plane.get(begin..).context("a picture without a middle")?;
            (plane, (columns.len(), rows.len()), 1)
        }
    };
    luma::shrink(plane, size, stride, factor, captured_at)
        .context("a picture that is smaller than it says")
}

/// The middle part of so many.
fn middle(pixels: usize, parts: usize) -> Range<usize> {
    let part = pixels / parts.max(1);
    let begin = (pixels - part) / 2;
    begin..begin + part
}
