//! Blocks that are covered and hang together.

use super::{
    BLOCK,
    blocks::{Block, Cover},
    reduce::Geometry,
    tuning::{BlockTuning, JourneyTuning},
};

/// Components beyond these many are dropped, the later found first.
pub(super) const COMPONENTS_MAX: usize = 64;

/// A rectangle of blocks, all edges included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Span {
    pub(super) left: i32,
    pub(super) top: i32,
    pub(super) right: i32,
    pub(super) bottom: i32,
}

impl Span {
    fn join(self, other: Self) -> Self {
        Self {
            left: self.left.min(other.left),
            top: self.top.min(other.top),
            right: self.right.max(other.right),
            bottom: self.bottom.max(other.bottom),
        }
    }

    /// Whether a block lies outside, but within `reach` blocks.
    pub(super) fn is_beside(self, column: i32, row: i32, reach: i32) -> bool {
        let here = Self { left: column, top: row, right: column, bottom: row };
        let inside =
            (self.left..=self.right).contains(&column) && (self.top..=self.bottom).contains(&row);
        !inside && self.gap(here) < reach
    }

    /// Blocks between two rectangles; 0 when they touch or overlap.
    pub(super) fn gap(self, other: Self) -> i32 {
        let x = (other.left - self.right).max(self.left - other.right) - 1;
        let y = (other.top - self.bottom).max(self.top - other.bottom) - 1;
        x.max(y).max(0)
    }
}

/// Covered blocks that hang together in one frame.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Component {
    pub(super) span: Span,
    /// Centre of gravity of the changed pixels, in blocks.
    pub(super) x: f32,
    pub(super) y: f32,
    /// Changed pixels.
    pub(super) pixels: f32,
    pub(super) blocks: f32,
    pub(super) object_blocks: f32,
    pub(super) moving_blocks: f32,
    pub(super) restless: f32,
}

impl Component {
    fn add(&mut self, column: usize, row: usize, block: &Block, tuning: &BlockTuning) {
        let (x, y) = (column as i32, row as i32);
        let here = Span { left: x, top: y, right: x, bottom: y };
        self.span = if self.blocks > 0.0 { self.span.join(here) } else { here };
        let pixels = block.changed.count_ones() as f32;
        self.x += pixels * x as f32;
        self.y += pixels * y as f32;
        self.pixels += pixels;
        self.blocks += 1.0;
        self.object_blocks += f32::from(u8::from(block.cover == Cover::Object));
        self.moving_blocks += f32::from(u8::from(block.moving));
        let strays =
            (f32::from(block.stray) - f32::from(tuning.contrast_floor)) / tuning.stray_restless;
        self.restless += block.restless.max(strays).min(1.0);
    }

    /// Share of its blocks' pixels that changed.
    pub(super) fn density(&self) -> f32 {
        self.pixels / (self.blocks * (BLOCK * BLOCK) as f32)
    }

    /// Blocks that it spans for each block that it fills, from one: a thread spans many.
    pub(super) fn sparseness(&self) -> f32 {
        let width = (self.span.right - self.span.left + 1) as f32;
        let height = (self.span.bottom - self.span.top + 1) as f32;
        (width * height / self.blocks.max(1.0)).max(1.0)
    }

    /// Its length, as a multiple of its mean breadth: of a square, one; of a thread, many.
    pub(super) fn slenderness(&self) -> f32 {
        let width = (self.span.right - self.span.left + 1) as f32;
        let height = (self.span.bottom - self.span.top + 1) as f32;
        let filled = self.pixels / (BLOCK * BLOCK) as f32;
        width.max(height).powi(2) / filled.max(1.0)
    }

    /// Enough of its blocks have structure of their own: light has none.
    pub(super) fn is_structured(&self, tuning: &JourneyTuning) -> bool {
        self.object_blocks >= (tuning.structure_share * self.blocks).max(1.0)
    }

    /// Its restlessness, 0.0 ..= 1.0.
    pub(super) fn mean_restless(&self) -> f32 {
        self.restless / self.blocks.max(1.0)
    }

    fn close(&mut self) {
        self.x /= self.pixels.max(1.0);
        self.y /= self.pixels.max(1.0);
    }

    pub(super) fn join(self, other: Self) -> Self {
        let pixels = self.pixels + other.pixels;
        let mean = |a: f32, b: f32| (a * self.pixels + b * other.pixels) / pixels.max(1.0);
        Self {
            span: self.span.join(other.span),
            x: mean(self.x, other.x),
            y: mean(self.y, other.y),
            pixels,
            blocks: self.blocks + other.blocks,
            object_blocks: self.object_blocks + other.object_blocks,
            moving_blocks: self.moving_blocks + other.moving_blocks,
            restless: self.restless + other.restless,
        }
    }
}

/// Finds the components of covered blocks, diagonal neighbours included.
#[derive(Debug)]
pub(super) struct Components {
    pub(super) found: Vec<Component>,
    pending: Vec<u32>,
}

impl Components {
    pub(super) fn new(geometry: &Geometry) -> Self {
        Self {
            found: Vec::with_capacity(COMPONENTS_MAX),
            pending: Vec::with_capacity(geometry.blocks()),
        }
    }

    /// `awake` names the blocks that may be covered.
    pub(super) fn find(
        &mut self,
        geometry: &Geometry,
        blocks: &mut [Block],
        awake: &[u32],
        tuning: &BlockTuning,
    ) {
        self.found.clear();
        for start in awake.iter().map(|at| *at as usize) {
            if !is_seed(&blocks[start]) || self.found.len() == COMPONENTS_MAX {
                continue;
            }
            let label = self.found.len() as u16 + 1;
            let mut component = self.fill(geometry, blocks, start, label, tuning);
            component.close();
            self.found.push(component);
        }
    }

    fn fill(
        &mut self,
        geometry: &Geometry,
        blocks: &mut [Block],
        start: usize,
        label: u16,
        tuning: &BlockTuning,
    ) -> Component {
        let mut component = Component::default();
        blocks[start].component = label;
        self.pending.push(start as u32);
        while let Some(at) = self.pending.pop() {
            let (column, row) = (at as usize % geometry.columns, at as usize / geometry.columns);
            component.add(column, row, &blocks[at as usize], tuning);
            for y in row.saturating_sub(1)..=(row + 1).min(geometry.rows - 1) {
                for x in column.saturating_sub(1)..=(column + 1).min(geometry.columns - 1) {
                    let next = y * geometry.columns + x;
                    if is_seed(&blocks[next]) {
                        blocks[next].component = label;
                        self.pending.push(next as u32);
                    }
                }
            }
        }
        component
    }
}

fn is_seed(block: &Block) -> bool {
    block.component == 0 && block.is_covered()
}
