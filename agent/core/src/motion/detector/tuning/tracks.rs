//! Constants of how objects are followed from picture to picture (`tracks`, `clutter`).

use super::constants;

constants! {
    /// How long a track lives, and what it may do meanwhile.
    TrackTuning {
        /// Seconds a track outlives its last sighting.
        // At 0.5 events begin 0.16 s later on the harder sequences.
        lost_s: f32 = 0.3,
        /// Seconds of a believed track without any change from frame to frame that end its alarm.
        // Longer than a person pauses between two steps, shorter than anybody waits at a door.
        quiet_s: f32 = 1.5,
        /// Seconds of stillness after which an unbelieved thing becomes background,
        // Long enough to be looked at for a whole journey (`patience_s`), nearly.
        absorb_s: f32 = 4.0,
        /// and a believed one.
        // A person who stops to talk stays; a car that has parked does not.
        absorb_confirmed_s: f32 = 12.0,
        /// Seconds in which an object must have travelled; then its journey is counted from there.
        // A branch that sways for longer would add up its outline's jitter to a journey.
        patience_s: f32 = 5.0,
        /// Share of its size to which a track may shrink at once and still be itself.
        // A seventh: what is left by then is a crumb of it, or another thing.
        collapse: f32 = 0.15,
        /// Share of its greatest size,
        residue: f32 = 0.3,
        /// and seconds without travel, from which a track is a remainder of what it was.
        // At 0.7 s the harder sequences are covered 3 % less.
        residue_s: f32 = 1.0,
        /// Share of the smallest object's area that keeps an alarm up.
        // The whole of it: what has become too small to begin an event does not keep one up.
        area_keep: f32 = 1.0,
        /// Share of a frame's news that the average of the speed takes in.
        // Two frames settle it, one frame's jitter does not turn it.
        speed_blend: f32 = 0.4,
        /// Blocks that a track at rest may be away from where it was,
        // An outline jitters by a block.
        reach_blocks: f32 = 1.0,
        /// as a multiple of its speed,
        // Half as fast again is about as much as a thing gains between two pictures.
        reach_speed: f32 = 1.5,
        /// and, while it is new and its speed unknown, its own lengths a second.
        // Under `lengths_per_s`, from which it is an insect.
        reach_lengths: f32 = 10.5,
        /// Blocks,
        // A pixel and a half: less than a walker takes from one picture to the next.
        still_travel: f32 = 0.2,
        /// and share of its size, within which a track stayed where and as it was.
        // Noise at the rim of an outline changes its size by about as much.
        still_change: f32 = 0.15,
        /// Share of a track's lately greatest size that falls off in a second.
        // Within a second it is forgotten: a thing that goes behind a post comes out again.
        size_fall: f32 = 1.0,
        /// The same for its greatest size.
        // Ten times as slow: a remainder is known by what it was, not by what it has just been.
        peak_fall: f32 = 0.1,
        /// Times the usual novelty at which a believed thing is doubted.
        // Above the limit for belief, so that a thing on the border is not believed and doubted in
        // turn.
        novelty_doubt: f32 = 1.3,
        /// Seconds for which vanished candidates are remembered.
        // Gusts, showers and swarms come back within that time.
        clutter_s: f32 = 20.0,
        /// As how many vanished candidates one counts that looks all new when it is traced.
        // Less than half: it may be the far end of a thing that will be believed.
        clutter_trace: f32 = 0.4,
    }
}
