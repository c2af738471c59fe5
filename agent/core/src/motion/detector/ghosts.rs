//! What a thing leaves behind that stood there when the background was learned: a patch that
//! differs from the background though nothing is there. Its outline is an edge in the background
//! and none in the picture; with a real thing it is the other way round.

use super::{BLOCK, blocks::Block};

/// How many times stronger the outline must be in the background than in the picture.
const RATIO: f32 = 2.0;
/// Levels of contrast along an outline, summed up, below which it says nothing.
const CONTRAST_MIN: f32 = 400.0;

/// Contrast across the outline of what changed, summed up.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Outline {
    picture: f32,
    level: f32,
}

impl Outline {
    /// Adds the outline within one block, whose upper left pixel is at `corner`.
    pub(super) fn add(
        &mut self,
        block: &Block,
        picture: &[u8],
        level: &[u8],
        corner: usize,
        width: usize,
    ) {
        for y in 0..BLOCK {
            for x in 0..BLOCK {
                let at = corner + y * width + x;
                if x + 1 < BLOCK && block.is_outline(x, y, x + 1, y) {
                    self.add_step(picture, level, at, at + 1);
                }
                if y + 1 < BLOCK && block.is_outline(x, y, x, y + 1) {
                    self.add_step(picture, level, at, at + width);
                }
            }
        }
    }

    fn add_step(&mut self, picture: &[u8], level: &[u8], from: usize, to: usize) {
        self.picture += f32::from(picture[from].abs_diff(picture[to]));
        self.level += f32::from(level[from].abs_diff(level[to]));
    }

    pub(super) fn is_ghost(self) -> bool {
        self.level >= CONTRAST_MIN && self.level > RATIO * self.picture
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTH: usize = BLOCK;

    /// A block whose right half changed, and planes that are even but for a step there, or none.
    fn outline(picture_step: u8, level_step: u8) -> Outline {
        let block = Block { changed: 0xf0f0_f0f0_f0f0_f0f0, ..Block::default() };
        let plane = |step: u8| -> Vec<u8> {
            (0..BLOCK * BLOCK).map(|at| if at % WIDTH < 4 { 100 } else { 100 + step }).collect()
        };
        let mut outline = Outline::default();
        outline.add(&block, &plane(picture_step), &plane(level_step), 0, WIDTH);
        outline
    }

    #[test]
    fn an_edge_in_the_background_alone_is_a_ghost() {
        assert!(outline(0, 80).is_ghost());
    }

    #[test]
    fn an_edge_in_the_picture_is_a_thing() {
        assert!(!outline(80, 0).is_ghost());
    }

    #[test]
    fn an_edge_in_both_says_nothing() {
        assert!(!outline(80, 80).is_ghost());
    }
}
