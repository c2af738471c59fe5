//! A small seeded generator: the same seed gives the same scene on every machine.

/// xorshift64*.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// In 0.0 .. 1.0.
    pub(crate) fn share(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1_u32 << 24) as f32
    }

    pub(crate) fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.share()
    }

    pub(crate) fn below(&mut self, count: usize) -> usize {
        (self.bits() % count.max(1) as u64) as usize
    }

    /// About normal, with deviation 1: the sum of four uniform numbers.
    pub(crate) fn normal(&mut self) -> f32 {
        let sum: f32 = (0..4).map(|_| self.share()).sum();
        (sum - 2.0) * 1.732
    }
}

/// Ready-made normal noise, read from a new place for each picture.
#[derive(Debug, Clone)]
pub(crate) struct Grain(Vec<f32>);

impl Grain {
    pub(crate) fn new(random: &mut Random) -> Self {
        Self((0..GRAINS).map(|_| random.normal()).collect())
    }

    /// Endless noise from somewhere on.
    pub(crate) fn from(&self, random: &mut Random) -> impl Iterator<Item = f32> {
        let start = random.below(GRAINS);
        self.0.iter().cycle().skip(start).copied()
    }
}

/// A prime, so that no row of a picture meets its own noise again.
const GRAINS: usize = 49_999;
