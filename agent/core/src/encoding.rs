//! What an encoder keeps up with, and what is asked of it where that is less than what is wanted. Pure.

use std::fmt;

/// Sizes that are tried in place of the wanted one, as shares of its sides: from 1080 lines to 720, 540
/// and 360.
const SIZES: [(u32, u32); 5] = [(1, 1), (2, 3), (1, 2), (1, 3), (1, 4)];

/// Pictures of a size, so many a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    pub width: u32,
    pub height: u32,
    pub fps: u32,
}

impl Demand {
    fn pixels(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

impl fmt::Display for Demand {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}x{} at {} fps", self.width, self.height, self.fps)
    }
}

/// How much of pictures an encoder takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Throughput {
    pub pixels_per_s: u64,
}

impl Throughput {
    /// Returns how many pictures of a size it takes in a second.
    pub fn fps(self, width: u32, height: u32) -> u32 {
        let pixels = (u64::from(width) * u64::from(height)).max(1);
        u32::try_from(self.pixels_per_s / pixels).unwrap_or(u32::MAX)
    }

    pub fn keeps_up_with(self, demand: Demand) -> bool {
        self.pixels_per_s >= demand.pixels().saturating_mul(demand.fps.into())
    }

    /// Returns what it keeps up with: all of `wanted`, or the pace down to half, or else a smaller
    /// picture. Movement that jerks tells less than a picture with fewer lines.
    pub fn limit(self, wanted: Demand) -> Demand {
        let sizes = SIZES.map(|(share, whole)| {
            let side = |pixels: u32| (pixels * share / whole / 2 * 2).max(2);
            Demand { width: side(wanted.width), height: side(wanted.height), ..wanted }
        });
        let slowed = |size: Demand| Demand {
            fps: self.fps(size.width, size.height).min(wanted.fps),
            ..size
        };
        let candidates = || [wanted].into_iter().chain(sizes.into_iter().skip(1)).map(slowed);
        let fast_enough = candidates().find(|it| it.fps.saturating_mul(2) >= wanted.fps);
        let slowest = || candidates().next_back().unwrap_or(wanted);
        let chosen = fast_enough.unwrap_or_else(slowest);
        Demand { fps: chosen.fps.max(1), ..chosen }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL_HD: Demand = Demand { width: 1_920, height: 1_080, fps: 30 };

    fn demand(width: u32, height: u32, fps: u32) -> Demand {
        Demand { width, height, fps }
    }

    /// An encoder that takes so many pictures of 1280x720 in a second.
    fn encoder(fps: u64) -> Throughput {
        Throughput { pixels_per_s: 1_280 * 720 * fps }
    }

    #[test]
    fn what_it_keeps_up_with_is_left_as_it_is() {
        assert_eq!(encoder(68).limit(FULL_HD), FULL_HD);
        let odd = demand(641, 361, 60);
        assert_eq!(encoder(68).limit(odd), odd);
    }

    #[test]
    fn the_pace_goes_down_to_half_before_the_picture_gets_smaller() {
        assert_eq!(encoder(40).limit(FULL_HD), demand(1_920, 1_080, 17));
        assert_eq!(encoder(30).limit(FULL_HD), demand(1_280, 720, 30));
        assert_eq!(encoder(17).limit(FULL_HD), demand(1_280, 720, 17));
        assert_eq!(encoder(10).limit(FULL_HD), demand(960, 540, 17));
    }

    #[test]
    fn an_encoder_that_is_too_slow_for_all_of_it_gets_the_least() {
        assert_eq!(encoder(0).limit(FULL_HD), demand(480, 270, 1));
        assert_eq!(encoder(0).limit(demand(2, 2, 1)), demand(2, 2, 1));
    }

    #[test]
    fn whatever_is_wanted_it_keeps_up_with_what_it_gets() {
        for fps in [1, 3, 8, 20, 60, 250] {
            for wanted in [FULL_HD, demand(3_840, 2_160, 60), demand(640, 480, 15)] {
                let limited = encoder(fps).limit(wanted);
                let keeps_up = encoder(fps).keeps_up_with(limited);
                assert!(keeps_up || limited.width * 4 <= wanted.width, "{limited} of {wanted}");
                assert!(limited.fps <= wanted.fps && limited.width <= wanted.width);
            }
        }
    }
}
