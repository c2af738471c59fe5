//! Blocks of a plane.

use super::{BLOCK, components::Span, reduce::Geometry};

/// Calls `act` with each block of a span, widened by `margin` and cut to the picture.
pub(super) fn each_block(geometry: &Geometry, span: Span, margin: i32, mut act: impl FnMut(usize)) {
    let (columns, rows) = (geometry.columns as i32, geometry.rows as i32);
    for row in (span.top - margin).max(0)..=(span.bottom + margin).min(rows - 1) {
        for column in (span.left - margin).max(0)..=(span.right + margin).min(columns - 1) {
            act((row * columns + column) as usize);
        }
    }
}

fn block_rows(
    width: usize,
    at: usize,
    columns: usize,
) -> impl Iterator<Item = std::ops::Range<usize>> {
    let (left, top) = (at % columns * BLOCK, at / columns * BLOCK);
    (top..top + BLOCK).map(move |y| y * width + left..y * width + left + BLOCK)
}

/// Moves a block of the background half way to the picture.
pub(super) fn pull_block(
    level: &mut [u8],
    picture: &[u8],
    width: usize,
    at: usize,
    columns: usize,
) {
    for row in block_rows(width, at, columns) {
        for (level, picture) in level[row.clone()].iter_mut().zip(&picture[row]) {
            *level = u8::midpoint(*level, *picture);
        }
    }
}

/// Takes a block of the picture into the background.
pub(super) fn copy_block(
    level: &mut [u8],
    picture: &[u8],
    width: usize,
    at: usize,
    columns: usize,
) {
    for row in block_rows(width, at, columns) {
        level[row.clone()].copy_from_slice(&picture[row]);
    }
}
