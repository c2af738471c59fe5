//! Constants of the stages that look at pixels: tone, background, blocks, and the masks for people.

use super::constants;

constants! {
    /// When a change of the whole picture's tone is followed (`tone`, `scene`).
    ToneTuning {
        /// Levels by which the median of one band of tones must have shifted.
        // At 2 two events of the corpus become one.
        shift: f32 = 3.0,
        /// Share of the picture whose tone must have shifted.
        // Exposure and gain shift nearly all of it; what is black or burnt out cannot shift.
        share: f32 = 0.4,
        /// Share of the samples that must lie near the medians of their bands.
        // An object shifts some of a band's pixels far and the others not at all; exposure shifts
        // them alike.
        agreement: f32 = 0.5,
        /// Seconds for which the background is pulled towards the picture after a change.
        // A curve of medians leaves some levels wrong; about half a second of fast steps takes them.
        pull_s: f32 = 0.6,
        /// Seconds over which the changing of the tone is averaged,
        // Many periods of any lamp that flickers, and short beside a change of daylight.
        flicker_s: f32 = 3.0,
        /// and the share of time from which it is a flicker that must be lived with.
        // One that changes so often would have the background pulled all the time, and nothing
        // reported.
        flicker_share: f32 = 0.4,
    }
}

constants! {
    /// When a block counts as changed, and what covers it (`background`, `blocks`, `history`,
    /// `components`).
    BlockTuning {
        /// Levels a pixel must differ from the background at least, however quiet the picture.
        // At 14 events begin 0.08 s later on the harder sequences, at 18 two events of the corpus
        // become one.
        contrast_floor: u8 = 16,
        /// Seconds that a picture is old at least with which the newest one is compared to see what
        /// moves.
        // With the picture right before, a slow walker moves at 10 pictures a second and stands
        // still at 30. Up to eleven a second this is still the picture before.
        moving_s: f32 = 0.09,
        /// Changed pixels, of 64, that make a block active.
        // At 10 the corpus has two false alarms and two of its events become one.
        block_votes: u8 = 12,
        /// Changed pixels, of 64, that a neighbour of an active block needs to join it.
        // Half of the above: the rim of an object fills its blocks in part.
        neighbour_votes: u32 = 6,
        /// Correlation with the background from which a block counts as lit, not as covered.
        // At 0.75: 8 false alarms and 8 joined pairs on the harder sequences instead of 5 and 4.
        lit_correlation: f32 = 0.8,
        /// Loss of contrast that light alone explains, as a factor,
        // A hard shadow at noon takes about two thirds.
        lit_gain_min: f32 = 0.3,
        /// and gain of contrast.
        // A little less than the reverse: what comes out of a shadow is often burnt out.
        lit_gain_max: f32 = 2.6,
        /// Levels of standard deviation that the best gain and offset may leave unexplained,
        // About half of the contrast that a thing must have.
        lit_residual: f32 = 7.0,
        /// or this multiple of the block's mean threshold.
        // The same in a noisy picture, whose thresholds rise with its noise.
        lit_residual_ratio: f32 = 0.4,
        /// Levels of standard deviation below which a block has no texture.
        // Above the noise of a quiet sensor, below a third of the contrast that a thing must have.
        flat_deviation: f32 = 5.5,
        /// Changed share of the picture from which the background may have shifted by two pixels,
        // Sway of the camera changes all edges of the picture at once, a thing hardly ever as many.
        shake_share: f32 = 0.08,
        /// and by three.
        // A jolt: looking further costs more and hides more, so only when it is needed.
        quake_share: f32 = 0.2,
        /// Levels of mean stray above the floor that count as full restlessness.
        // A pixel that strays by 116 of 256 levels hides everything in front of it.
        stray_restless: f32 = 100.0,
    }
}

constants! {
    /// Which pixels are drawn as moving, for people and for scoring (`mask`).
    MaskTuning {
        /// Share of its threshold by which a pixel near an object must differ to belong to it.
        // Less than for a vote: that something is there is known by then.
        threshold: f32 = 0.8,
        /// Pixels, of the 25 around one, that settle it.
        // Less than half: a corner of an object has fewer than that around it.
        majority: u32 = 11,
    }
}
