//! Every number the detector goes by. docs/motion.md explains the model.

/// The detector's constants. Lengths are in pixels of the working picture or in blocks of it,
/// times in seconds, brightness in levels of 8-bit luma, shares in 0.0 ..= 1.0.
#[derive(Debug, Clone, PartialEq)]
pub struct Tuning {
    /// Levels a pixel must differ from the background at least, however quiet the picture.
    pub contrast_floor: f32,
    /// Seconds between two updates of the background.
    pub update_period_s: f32,
    /// Levels a second by which the background follows.
    pub levels_per_s: f32,
    /// Seconds between two updates where something moves that no track has explained.
    pub slow_period_s: f32,
    /// Seconds after start in which the background is learned fast and nothing is reported.
    pub warm_up_s: f32,
    /// Seconds that a picture is old at least with which the newest one is compared to see what
    /// moves: the one before, up to so many a second.
    pub moving_s: f32,
    /// Changed pixels, of 64, that make a block active.
    pub block_votes: f32,
    /// Changed pixels a neighbour of an active block needs to join it.
    pub neighbour_votes: f32,
    /// Correlation with the background from which a block counts as lit, not as covered.
    pub lit_correlation: f32,
    /// Gain and loss of contrast that light alone explains.
    pub lit_gain_min: f32,
    pub lit_gain_max: f32,
    /// Standard deviation, in levels, that the best gain and offset may leave unexplained.
    pub lit_residual: f32,
    /// The same, as a multiple of the block's mean threshold.
    pub lit_residual_ratio: f32,
    /// Standard deviation, in levels, below which a block has no texture.
    pub flat_deviation: f32,
    /// Levels of a median shift of one tone band from which the tone curve is followed.
    pub tone_shift: f32,
    /// Share of the picture whose tone must have shifted.
    pub tone_share: f32,
    /// Share of samples near the bands' medians for a shift to be believed.
    pub tone_agreement: f32,
    /// Seconds in which the background is pulled towards the picture after a change of tone.
    pub pull_s: f32,
    /// Seconds over which the changing of the tone is averaged, and the share of time from which
    /// it is a flicker that must be lived with.
    pub flicker_s: f32,
    pub flicker_share: f32,
    /// Jump of the active share between frames that is a switch of light, not an object.
    pub jump_share: f32,
    /// Active share from which a change that the camera tells of is taken for the background.
    pub held_share: f32,
    /// Active share that is a new scene, whatever moves.
    pub scene_share: f32,
    /// Seconds in which nothing is reported after a switch of light.
    pub hold_s: f32,
    /// Seconds between two switches of light, at least.
    pub switch_s: f32,
    /// Smallest share of the picture that is an object.
    pub area_min: f32,
    /// Blocks an object must travel before it is believed.
    pub travel: f32,
    /// The same for what goes one way with its looks, and which share of its path that is.
    pub travel_coherent: f32,
    pub coherence: f32,
    /// Share of the restless ground's surcharge that such a thing has to pay.
    pub restless_coherent: f32,
    /// Blocks more, on ground that is always restless.
    pub travel_restless: f32,
    /// Mean |ln| of the change of size between frames of a steady object: at once, per second.
    pub flutter: f32,
    pub flutter_per_s: f32,
    /// How much further a thing must travel that varies by one more.
    pub travel_flutter: f32,
    /// Seconds for which vanished candidates are remembered, and how many of them are usual.
    pub clutter_s: f32,
    pub clutter_free: f32,
    /// As how many vanished candidates one counts that looks all new when it is traced.
    pub clutter_trace: f32,
    /// Blocks around a thing within which others that stir count, how many of them for each of its
    /// own are usual while it travels, and at most if it need not travel.
    pub unrest_reach: f32,
    pub unrest_free: f32,
    pub unrest_large: f32,
    /// Share of a thing that may be new since the frame before while it travels.
    pub novelty: f32,
    /// What is assumed of it before its looks have been traced.
    pub novelty_first: f32,
    /// Seconds over which the outline's jitter is smoothed.
    pub smooth_s: f32,
    /// Net travel over the path's length, at least.
    pub straightness: f32,
    /// Blocks that an object may span for each that it fills; beyond, it must travel further.
    pub sparse: f32,
    /// How many times its mean breadth a large thing may be long to be believed before it travels.
    pub slender: f32,
    /// Frames in which an object must have been seen.
    pub hits: f32,
    /// Seconds over which an object must have been seen.
    pub age_s: f32,
    /// Own lengths a second from which it is an insect, a flake or a drop near the lens.
    pub lengths_per_s: f32,
    /// Share of an object's blocks that must have structure of their own.
    pub structure_share: f32,
    /// Share of an object's blocks that must change from frame to frame.
    pub moving_share: f32,
    /// Seconds in which an object must have travelled; then its journey is counted anew.
    pub patience_s: f32,
    /// Share of the frames in which a travelling thing must have been seen.
    pub presence: f32,
    /// Shares of the required travel that its outline and its looks must have travelled.
    pub net_share: f32,
    pub flow_share: f32,
    /// Cosine of the angle between where its outline went and where its looks went, at least.
    pub heading: f32,
    /// Blocks over the last stretches from which a believed thing still travels.
    pub flow_min: f32,
    /// Seconds between the pictures that looks are traced from one to the next.
    pub trace_s: f32,
    /// Density from which, and restlessness up to which, a large thing may come into view.
    pub density_large: f32,
    pub restless_calm: f32,
    /// Share of the picture that need not travel to be believed.
    pub area_large: f32,
    /// How much a thing must grow or shrink, as |ln| of its size, to be believed without travel,
    /// and the share of the picture that it must have.
    pub approach: f32,
    pub area_approach: f32,
    /// Seconds a track outlives its last sighting.
    pub lost_s: f32,
    /// Seconds of a confirmed track without any change from frame to frame that end its alarm.
    pub quiet_s: f32,
    /// Seconds of stillness after which a thing becomes background: unconfirmed, confirmed.
    pub absorb_s: f32,
    pub absorb_confirmed_s: f32,
    /// Levels a second by which a block's bias rises while something unexplained covers it, and
    /// falls otherwise, and the most it may come to.
    pub bias_rise: f32,
    pub bias_fall: f32,
    pub bias_max: f32,
    /// Seconds in which a block becomes restless, and calms down again.
    pub restless_rise_s: f32,
    pub restless_fall_s: f32,
    /// Seconds for which an object may linger before its stirring counts as restlessness.
    pub linger_s: f32,
    /// Seconds for which a scene is young: the background may have been learned from things that
    /// were just leaving, so what does not stir for the second time is background.
    pub young_s: f32,
    pub young_still_s: f32,
    /// Seconds of stillness after which a patch may turn out to be a ghost.
    pub ghost_s: f32,
    /// Levels of mean spread above the floor that count as full restlessness.
    pub stray_restless: f32,
    /// Restlessness from which a block is not left to a lingering object.
    pub restless_high: f32,
    /// Share of its size to which a track may shrink at once and still be itself.
    pub collapse: f32,
    /// Share of its greatest size, and seconds without travel, from which it is a remainder.
    pub residue: f32,
    pub residue_s: f32,
    /// Share of the smallest object's area that keeps an alarm up.
    pub area_keep: f32,
    /// Share of a frame's news that the averages of a journey take in: flutter, novelty, speed,
    /// unrest.
    pub flutter_blend: f32,
    pub novelty_blend: f32,
    pub speed_blend: f32,
    pub unrest_blend: f32,
    /// Size over size in the frame before, between which an outline moved and did not jump.
    pub ratio_min: f32,
    pub ratio_max: f32,
    /// Share of its frames in which a candidate must have been seen.
    pub sighted_share: f32,
    /// Times its first size to which a thing that comes into view must have grown, and the share
    /// of its blocks that must move and have structure of their own.
    pub growth_large: f32,
    pub share_large: f32,
    /// Seconds over which the path that a track may take is foreseen with leeway: its reach in
    /// blocks at rest, as a multiple of its speed, and, while it is new, of its lengths a second.
    pub reach_blocks: f32,
    pub reach_speed: f32,
    pub reach_lengths: f32,
    /// Blocks and share of size within which a track stayed where and as it was.
    pub still_travel: f32,
    pub still_change: f32,
    /// Share of a second by which a track's lately greatest size falls off a second, and the same
    /// for its greatest.
    pub size_fall: f32,
    pub peak_fall: f32,
    /// Times the usual novelty at which a believed thing is doubted.
    pub novelty_doubt: f32,
    /// Levels by which doubt raises the bias of a thing's blocks.
    pub bias_doubt: f32,
    /// Changed share of the picture's blocks from which the background may have shifted by two
    /// pixels to any side, and by three.
    pub shake_share: f32,
    pub quake_share: f32,
    /// In masks: share of the threshold from which a pixel near an object belongs to it, and
    /// pixels, of 25 around one, that settle it.
    pub mask_threshold: f32,
    pub mask_majority: f32,
}

impl Tuning {
    /// For an owner's sensitivity, from 0.0 (only large, clear motion) to 1.0 (the slightest).
    pub fn of(sensitivity: f32) -> Self {
        let usual = Self::default();
        let reluctance = (2.0 * SENSITIVITY_OCTAVES * (0.5 - sensitivity.clamp(0.0, 1.0))).exp2();
        Self {
            area_min: usual.area_min * reluctance,
            area_large: usual.area_large * reluctance.sqrt(),
            travel: usual.travel * reluctance.sqrt().sqrt(),
            ..usual
        }
    }
}

/// How often the smallest area doubles from the middle sensitivity to the least.
const SENSITIVITY_OCTAVES: f32 = 3.0;

impl Default for Tuning {
    #[expect(clippy::too_many_lines, reason = "a line for each constant")]
    fn default() -> Self {
        Self {
            contrast_floor: 16.0,
            update_period_s: 0.2,
            levels_per_s: 10.0,
            slow_period_s: 1.0,
            warm_up_s: 1.0,
            moving_s: 0.09,
            block_votes: 12.0,
            neighbour_votes: 6.0,
            lit_correlation: 0.8,
            lit_gain_min: 0.3,
            lit_gain_max: 2.6,
            lit_residual: 7.0,
            lit_residual_ratio: 0.4,
            flat_deviation: 5.5,
            tone_shift: 3.0,
            tone_share: 0.4,
            tone_agreement: 0.5,
            pull_s: 0.6,
            flicker_s: 3.0,
            flicker_share: 0.4,
            jump_share: 0.2,
            held_share: 0.05,
            scene_share: 0.6,
            hold_s: 0.5,
            switch_s: 2.0,
            area_min: 0.0006,
            travel: 1.5,
            travel_coherent: 1.0,
            coherence: 0.85,
            restless_coherent: 0.5,
            travel_restless: 4.0,
            flutter: 0.12,
            flutter_per_s: 1.5,
            travel_flutter: 6.0,
            clutter_s: 20.0,
            clutter_free: 4.0,
            clutter_trace: 0.4,
            unrest_reach: 12.0,
            unrest_free: 1.0,
            unrest_large: 2.0,
            novelty: 0.55,
            novelty_first: 0.5,
            smooth_s: 0.3,
            straightness: 0.6,
            sparse: 2.5,
            slender: 20.0,
            hits: 3.0,
            age_s: 0.15,
            lengths_per_s: 15.0,
            structure_share: 0.3,
            moving_share: 0.25,
            patience_s: 5.0,
            presence: 0.85,
            net_share: 0.5,
            flow_share: 0.8,
            heading: 0.6,
            flow_min: 0.25,
            trace_s: 0.12,
            density_large: 0.35,
            restless_calm: 0.2,
            area_large: 0.005,
            approach: 0.4,
            area_approach: 0.0024,
            lost_s: 0.3,
            quiet_s: 1.5,
            absorb_s: 4.0,
            absorb_confirmed_s: 12.0,
            bias_rise: 60.0,
            bias_fall: 2.0,
            bias_max: 70.0,
            restless_rise_s: 5.0,
            restless_fall_s: 60.0,
            linger_s: 60.0,
            young_s: 12.0,
            young_still_s: 1.0,
            ghost_s: 4.0,
            stray_restless: 100.0,
            restless_high: 0.3,
            collapse: 0.15,
            residue: 0.3,
            residue_s: 1.0,
            area_keep: 1.0,
            flutter_blend: 0.2,
            novelty_blend: 0.4,
            speed_blend: 0.4,
            unrest_blend: 0.1,
            ratio_min: 0.6,
            ratio_max: 1.7,
            sighted_share: 0.666,
            growth_large: 1.2,
            share_large: 0.5,
            reach_blocks: 1.0,
            reach_speed: 1.5,
            reach_lengths: 10.5,
            still_travel: 0.2,
            still_change: 0.15,
            size_fall: 1.0,
            peak_fall: 0.1,
            novelty_doubt: 1.3,
            bias_doubt: 10.0,
            shake_share: 0.08,
            quake_share: 0.2,
            mask_threshold: 0.8,
            mask_majority: 11.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_in_the_page_about_motion_are_as_it_says() {
        let page = include_str!("../../../../../docs/motion.md");
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
