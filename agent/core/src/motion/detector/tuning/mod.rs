//! Every number the detector goes by, in a group for each stage that reads it; docs/motion.md
//! explains the model.
//!
//! Lengths are in pixels of the working picture or in blocks of it, times in seconds, brightness in
//! levels of 8-bit luma, shares in 0.0 ..= 1.0. Beside each number stands why it is that number.
//! Where a figure stands, it was measured, on the *corpus* and the *harder* sequences that
//! docs/motion.md names; the other reasons are arguments.

mod journey;
mod learning;
mod picture;
mod tracks;

pub(super) use self::{
    journey::JourneyTuning,
    learning::{LearningTuning, SceneTuning},
    picture::{BlockTuning, MaskTuning, ToneTuning},
    tracks::TrackTuning,
};

/// Declares a group of constants: what each one is, and its value.
macro_rules! constants {
    (
        $(#[$meta:meta])*
        $group:ident {
            $($(#[$about:meta])* $name:ident: $kind:ty = $value:expr,)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $group {
            $($(#[$about])* pub $name: $kind,)+
        }

        impl Default for $group {
            fn default() -> Self {
                Self { $($name: $value,)+ }
            }
        }
    };
}
use constants;

/// The detector's constants.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tuning {
    pub tone: ToneTuning,
    pub blocks: BlockTuning,
    pub scene: SceneTuning,
    pub tracks: TrackTuning,
    pub journey: JourneyTuning,
    pub learning: LearningTuning,
    pub mask: MaskTuning,
}

/// How often the smallest area doubles from the middle sensitivity to the least: eight times as
/// large a thing, and as small as an eighth at the greatest.
const SENSITIVITY_OCTAVES: f32 = 3.0;

impl Tuning {
    /// Fits the constants to an owner's sensitivity, from 0.0 (only large, clear motion) to 1.0 (the
    /// slightest).
    pub fn of(sensitivity: f32) -> Self {
        let mut tuning = Self::default();
        let reluctance = (2.0 * SENSITIVITY_OCTAVES * (0.5 - sensitivity.clamp(0.0, 1.0))).exp2();
        let JourneyTuning { area_min, travel, entry, .. } = &mut tuning.journey;
        *area_min *= reluctance;
        *travel *= reluctance.sqrt().sqrt();
        entry.area_large *= reluctance.sqrt();
        tuning
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_in_the_page_about_motion_are_as_it_says() {
        let page = include_str!("../../../../../../docs/motion.md");
        let tuning = format!("{:#?}", Tuning::default());
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
        let names = rows.filter_map(|row| row.split(" | ").next());
        let constants: Vec<&str> = names.flat_map(|names| names.split(" · ")).collect();
        assert!(constants.len() > 20, "{constants:?}");
        for constant in constants {
            let field = constant.trim_start_matches('`').replacen("` = ", ": ", 1) + ",";
            let found = tuning.lines().any(|line| line.trim() == field);
            assert!(found, "docs/motion.md says {constant}, the detector goes by another value");
        }
    }
}
