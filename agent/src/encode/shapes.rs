//! Says when a source's pictures become others than before.

use std::fmt;

use gstreamer_video::VideoInfo;

use crate::capture::Geometry;

/// Changes that are told of; a file that is played over and over changes as often.
const CHANGES_TOLD: usize = 16;

/// Size and shape of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    width: u32,
    height: u32,
    /// Width and height of one pixel.
    pixel: (i32, i32),
}

impl Shape {
    pub(super) fn of(info: &VideoInfo) -> Self {
        let pixel = (info.par().numer(), info.par().denom());
        Self { width: info.width(), height: info.height(), pixel }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}x{}", self.width, self.height)?;
        match self.pixel {
            (width, height) if width != height => write!(formatter, " of {width}:{height} pixels"),
            _ => Ok(()),
        }
    }
}

/// The shapes of one source.
#[derive(Default)]
pub(super) struct Shapes {
    last: Option<Shape>,
    told: Vec<(Shape, Shape)>,
}

impl Shapes {
    /// Logs, once for each kind of change, that pictures have another shape from now on.
    pub(super) fn see(&mut self, shape: Shape, encoded: Geometry) {
        if let Some((from, to)) = self.change(shape) {
            tracing::info!(
                %from,
                %to,
                width = encoded.width,
                height = encoded.height,
                "the source's pictures have another size; footage goes on in the first one"
            );
        }
    }

    fn change(&mut self, shape: Shape) -> Option<(Shape, Shape)> {
        let from = self.last.replace(shape).filter(|from| *from != shape)?;
        let change = (from, shape);
        if self.told.contains(&change) || self.told.len() >= CHANGES_TOLD {
            return None;
        }
        self.told.push(change);
        Some(change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(width: u32) -> Shape {
        Shape { width, height: 240, pixel: (1, 1) }
    }

    #[test]
    fn each_change_is_told_once_and_never_without_end() {
        let mut shapes = Shapes::default();
        let mut changes = |width| shapes.change(shape(width)).is_some();
        assert!(!changes(320) && !changes(320));
        assert!(changes(640) && changes(320));
        assert!(!changes(640) && !changes(320), "the next pass of a file");
        assert_eq!((1_000..2_000).filter(|width| changes(*width)).count(), CHANGES_TOLD - 2);
    }
}
