//! Constants of what makes an object believed: its journey (`journey`, `likeness`).

use super::constants;

constants! {
    /// What a thing must have done to be believed.
    JourneyTuning {
        /// What is asked of things that need not travel.
        entry: EntryTuning = EntryTuning::default(),
        /// Smallest share of the picture that is an object.
        // A person of a fourteenth of the picture's height is below it. Scaled by an owner's
        // sensitivity.
        area_min: f32 = 0.0006,
        /// Blocks an object must travel.
        // The outline of what stays in place jitters by less. Scaled by an owner's sensitivity.
        travel: f32 = 1.5,
        /// The same for what goes one way with its looks,
        // The jitter of an outline goes no one way, so less of a journey is proof.
        travel_coherent: f32 = 1.0,
        /// and the share of its path that must have gone that way.
        // A walker's outline wavers by some pixels to either side.
        coherence: f32 = 0.85,
        /// Blocks more that it must travel on ground that is always restless.
        // At 2.5: 15 false alarms on the harder sequences instead of 5.
        travel_restless: f32 = 4.0,
        /// Share of that surcharge for what goes one way with its looks.
        restless_coherent: f32 = 0.5,
        /// Mean |ln| of the change of size between frames of a steady object, at once,
        // An eighth: arms and legs.
        flutter: f32 = 0.12,
        /// and for each second between the frames.
        // At one picture in a third of a second a walker's outline has changed by half.
        flutter_per_s: f32 = 1.5,
        /// How much further a thing must travel for each one of flutter more, as a factor.
        // A flame or a flag, which flutter by half, must go three times as far.
        travel_flutter: f32 = 6.0,
        /// How many candidates that vanished lately are usual.
        // Beyond, it is rain, leaves or insects, and each must travel further.
        clutter_free: f32 = 4.0,
        /// Blocks around a thing within which others that stir count.
        // Within 6, with 1 for `unrest_large`: 17 false alarms on 20 minutes of water instead of 2.
        // Within the whole picture: all targets together are covered 3 % less.
        unrest_reach: i32 = 12,
        /// Stirring blocks around a thing that are usual, for each of its own.
        // Objects hardly ever have more than one; a wave's crest has five.
        unrest_free: f32 = 1.0,
        /// Share of a thing that may be new since the frame before while it travels.
        // At 0.45 events begin 0.08 s later; rain and noise are new in every picture.
        novelty: f32 = 0.55,
        /// What is assumed of it before its looks have been traced.
        // Just enough to pass: the journey decides until then.
        novelty_first: f32 = 0.5,
        /// Seconds between the pictures that looks are traced from one to the next.
        // At 0.18 events begin 0.08 s later. Much shorter, a walker has not moved by a pixel.
        trace_s: f32 = 0.12,
        /// Cosine of the angle between where its outline went and where its looks went, at least.
        // Without the rule drawn leaves alarm, and the harder sequences 17 times instead of 5.
        heading: f32 = 0.6,
        /// Share of the required travel that its outline must have gone,
        // Its near end is seen late, its far end leaves early.
        net_share: f32 = 0.5,
        /// and its looks.
        // They are found again to the pixel, so more can be asked of them.
        flow_share: f32 = 0.8,
        /// Blocks over the last stretches from which a believed thing still travels.
        // Two pixels: less is what tracing itself gets wrong.
        flow_min: f32 = 0.25,
        /// Net travel over the path's length, at least.
        // At 0.5: 8 false alarms on the harder sequences.
        straightness: f32 = 0.6,
        /// Seconds over which the outline's jitter is smoothed.
        // About half a step of a walker.
        smooth_s: f32 = 0.3,
        /// Blocks that an object may span for each that it fills; beyond, it must travel further.
        // A thread of a spider's web spans many and fills few.
        sparse: f32 = 2.5,
        /// Frames in which an object must have been seen.
        // Two make a line, the third says that it goes on.
        hits: u8 = 3,
        /// Seconds over which an object must have been seen.
        // At 30 pictures a second three frames pass in less than a flake takes to fall past.
        age_s: f32 = 0.15,
        /// Share of its frames in which a candidate must have been seen.
        // Two of three: noise comes and goes.
        sighted_share: f32 = 0.666,
        /// The same while it travels.
        // What travels in plain view is missed now and then, behind a post.
        presence: f32 = 0.85,
        /// Share of an object's blocks that must change from frame to frame.
        // A quarter: of an even thing only its edges change.
        moving_share: f32 = 0.25,
        /// Share of an object's blocks that must have structure of their own.
        // A thing has edges, a patch of light or fog has few.
        structure_share: f32 = 0.3,
        /// Own lengths a second from which it is an insect, a flake or a drop near the lens.
        // A car of 4.5 m at 50 km/h passes at three.
        lengths_per_s: f32 = 15.0,
        /// Size over size in the frame before, between which an outline moved and did not jump:
        // What doubles or halves at once was joined with something, or cut.
        ratio_min: f32 = 0.6,
        /// the least and the most.
        ratio_max: f32 = 1.7,
        /// Share of a frame's news that the average of the flutter takes in,
        // About five frames.
        flutter_blend: f32 = 0.2,
        /// of the novelty,
        // Looks are traced eight times a second, so few are averaged before belief is due.
        novelty_blend: f32 = 0.4,
        /// and of the unrest.
        // About ten frames: crests come and go around each other.
        unrest_blend: f32 = 0.1,
    }
}

constants! {
    /// What is asked of a large thing that comes into view, and of one that comes nearer or goes
    /// away: they need not travel.
    EntryTuning {
        /// Share of the picture that a thing which comes into view must have.
        // Eight times the smallest object. Scaled by an owner's sensitivity.
        area_large: f32 = 0.005,
        /// Times its first size to which it must have grown.
        // It comes in from the edge; what was switched on is there at once.
        growth_large: f32 = 1.2,
        /// Share of its blocks that must move and have structure of their own.
        // Twice what is asked of what travels.
        share_large: f32 = 0.5,
        /// Density that it must have.
        // A solid thing fills the blocks that it touches, foliage does not.
        density_large: f32 = 0.35,
        /// Restlessness that its ground may have.
        // Where leaves stir all the time, only a journey is proof.
        restless_calm: f32 = 0.2,
        /// Stirring blocks around it, for each of its own, at most.
        // At 1 water does not alarm at all, but targets before leaves are covered 4 % less and
        // 0.2 s later.
        unrest_large: f32 = 2.0,
        /// How many times its mean breadth it may be long.
        // A thread before the lens is longer. Two false alarms on 48 minutes of webs instead of 17.
        slender: f32 = 20.0,
        /// How much a thing must have grown or shrunk, as |ln| of its size, to be one that comes
        /// nearer or goes away.
        // By half: a walker who goes a third of the way to the camera.
        approach: f32 = 0.4,
        /// Share of the picture that it must have.
        // Four times the smallest object: the size of what is smaller is mostly rim.
        area_approach: f32 = 0.0024,
    }
}
