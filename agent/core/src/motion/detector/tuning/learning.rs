//! Constants of what a scene learns: its background, its restlessness, and when all of it is new
//! (`scene`, `learning`).

use super::constants;

constants! {
    /// When the whole picture changed at once (`scene`).
    SceneTuning {
        /// Rise of the active share between frames that is a switch of light, not an object.
        // An object comes in over several pictures; one that fills a fifth at once is a bus, see
        // docs/motion.md, what it gets wrong.
        jump_share: f32 = 0.2,
        /// Active share from which a change that the camera itself reports is taken into the
        /// background.
        // A step of exposure changes far more; less than this may be somebody who walks by.
        held_share: f32 = 0.05,
        /// Active share that is a new scene, whatever moves.
        // No object that the camera is meant for fills most of its picture.
        scene_share: f32 = 0.6,
        /// Seconds in which nothing is reported after a switch of light.
        // The camera's exposure follows a switch for about that long.
        hold_s: f32 = 0.5,
        /// Seconds between two switches of light, at least.
        // What still moves right after a switch is motion. Lightning comes oftener, and hides what
        // is in view each time.
        switch_s: f32 = 2.0,
    }
}

constants! {
    /// How fast the background, bias and restlessness follow (`learning`, `blocks`).
    LearningTuning {
        /// Seconds between two updates of the background, whatever the frame rate is.
        // At 0.25: a false alarm on the corpus, 9 on the harder sequences instead of 5.
        update_period_s: f32 = 0.2,
        /// Levels a second by which the background follows.
        // At 7 the corpus has two false alarms; at 14 two pairs of its events become one.
        levels_per_s: f32 = 10.0,
        /// Seconds between two updates where something moves that no track explains.
        // A fifth of the pace elsewhere: it may yet turn out to be an object, which must not sink
        // into the background before it is believed.
        slow_period_s: f32 = 1.0,
        /// Seconds after a start in which the background is learned fast and nothing is reported.
        // Ten pictures: enough to know how far each pixel usually strays.
        warm_up_s: f32 = 1.0,
        /// Levels a second by which a block's bias rises while something unexplained covers it,
        // A block becomes insensitive within a second or so. At 90 events begin later and 9 pairs
        // are joined on the harder sequences.
        bias_rise: f32 = 60.0,
        /// and falls otherwise,
        // It recovers within half a minute. At 3: 9 false alarms on the harder sequences.
        bias_fall: f32 = 2.0,
        /// and the most it may come to.
        // About what one second of rising gives, so that the way back is never longer than half a
        // minute.
        bias_max: f32 = 70.0,
        /// Levels by which doubt raises the bias of a believed thing's blocks.
        // A few doubts in a row do as much as a sixth of a second of rising each.
        bias_doubt: f32 = 10.0,
        /// Seconds in which a block becomes restless,
        // Longer than an object takes to pass a block, shorter than the pause between gusts.
        restless_rise_s: f32 = 5.0,
        /// and calms down again.
        // Gusts and waves come back within a minute.
        restless_fall_s: f32 = 60.0,
        /// Restlessness from which a block is not left to a lingering object.
        // Leaves stir there without the object.
        restless_high: f32 = 0.3,
        /// Seconds for which an object may linger before its stirring counts as restlessness.
        // Somebody who works in one place for longer is not to be reported again and again.
        linger_s: f32 = 60.0,
        /// Seconds for which a scene is young: its background may have been learned from things
        /// that were just leaving.
        // Most things leave the picture within that time.
        young_s: f32 = 12.0,
        /// Seconds without stirring after which a patch of a young scene is background.
        // Nobody stands as still for a second while walking away.
        young_still_s: f32 = 1.0,
        /// Seconds of stillness after which a patch may turn out to be what a thing left behind.
        // As long as an unbelieved thing takes to become background.
        ghost_s: f32 = 4.0,
    }
}
