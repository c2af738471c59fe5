//! Properties of the detector: whatever pictures come, in whatever sizes and at whatever times,
//! its answer makes sense.

use nightjar_core::{
    monotonic::MonotonicNanos,
    motion::{Blob, Detector, LumaPlane, Tuning},
};
use proptest::{
    prelude::{Just, Strategy, any},
    prop_assert, prop_assert_eq, prop_oneof, proptest,
    test_runner::{Config, TestCaseError},
};

use crate::simulator::{
    Simulator,
    nuisances::Nuisance,
    random::Random,
    targets::{Kind, Target},
};

/// What a picture shows.
#[derive(Debug, Clone, Copy)]
enum Content {
    /// The same level everywhere: black and saturated are such.
    Even(u8),
    /// The picture before once more, where the size still fits.
    Frozen,
    Noise,
    SaltAndPepper,
    Ramp,
    /// A box of the other tone that goes its way, on an even level.
    Box(u8),
}

/// One picture and the time that passes before it.
#[derive(Debug, Clone, Copy)]
struct Shot {
    content: Content,
    step: Step,
    /// Another size, and bytes by which the rows are wider.
    resized: Option<(usize, usize, usize)>,
    /// The detector is held for so many milliseconds.
    held_ms: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Forward(u64),
    Back(u64),
}

fn content() -> impl Strategy<Value = Content> {
    prop_oneof![
        2 => prop_oneof![Just(0), Just(255), any::<u8>()].prop_map(Content::Even),
        2 => Just(Content::Frozen),
        2 => Just(Content::Noise),
        1 => Just(Content::SaltAndPepper),
        1 => Just(Content::Ramp),
        4 => any::<u8>().prop_map(Content::Box),
    ]
}

/// From thirty pictures a second to one, pauses, the same moment again, and back.
fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (33_u64..=1_000).prop_map(Step::Forward),
        1 => Just(Step::Forward(0)),
        1 => (1_000_u64..100_000).prop_map(Step::Forward),
        1 => (1_u64..100_000).prop_map(Step::Back),
    ]
}

/// Any size from the smallest that a camera has, odd ones, and a few below that.
fn size() -> impl Strategy<Value = (usize, usize, usize)> {
    prop_oneof![
        6 => (160_usize..=260, 120_usize..=160, 0_usize..48),
        1 => (Just(640), Just(8), 0_usize..3),
        2 => (8_usize..64, 8_usize..64, 0_usize..9),
    ]
}

fn shot() -> impl Strategy<Value = Shot> {
    let resized = proptest::option::weighted(0.1, size());
    let held_ms = proptest::option::weighted(0.1, 0_u64..2_000);
    (content(), step(), resized, held_ms).prop_map(|(content, step, resized, held_ms)| Shot {
        content,
        step,
        resized,
        held_ms,
    })
}

/// A camera that gives any pictures.
struct Camera {
    random: Random,
    size: (usize, usize, usize),
    data: Vec<u8>,
    frame: usize,
    now_ms: u64,
}

impl Camera {
    fn take(&mut self, shot: Shot) -> LumaPlane<'_> {
        self.size = shot.resized.unwrap_or(self.size);
        self.now_ms = match shot.step {
            Step::Forward(passed_ms) => self.now_ms + passed_ms,
            Step::Back(passed_ms) => self.now_ms.saturating_sub(passed_ms),
        };
        self.frame += 1;
        let (width, height, more) = self.size;
        let stride = width + more;
        let fits = self.data.len() == stride * height;
        if !(matches!(shot.content, Content::Frozen) && fits) {
            let (frame, random) = (self.frame, &mut self.random);
            let pixel = |at: usize| pixel(shot.content, (at % stride, at / stride), frame, random);
            self.data = (0..stride * height).map(pixel).collect();
        }
        LumaPlane { data: &self.data, width, height, stride }
    }
}

fn pixel(content: Content, (x, y): (usize, usize), frame: usize, random: &mut Random) -> u8 {
    match content {
        Content::Even(level) => level,
        Content::Frozen => 0,
        Content::Noise => random.bits().to_le_bytes()[0],
        Content::SaltAndPepper => 255 * u8::from(random.bits().is_multiple_of(2)),
        Content::Ramp => ((x + y + frame) % 256).to_le_bytes()[0],
        Content::Box(level) => {
            let (left, top) = (frame * 6 % 200, frame * 2 % 90);
            let inside = (left..left + 30).contains(&x) && (top..top + 30).contains(&y);
            if inside { 255 - level } else { level }
        }
    }
}

/// More than these are never told of: the answer's memory is bounded.
const BLOBS_MAX: usize = 32;

fn judge(blobs: &[Blob]) -> Result<(), TestCaseError> {
    prop_assert!(blobs.len() <= BLOBS_MAX, "{} blobs", blobs.len());
    for blob in blobs {
        let shares = [blob.x, blob.y, blob.width, blob.height, blob.area, blob.confidence];
        prop_assert!(shares.into_iter().all(|share| (0.0..=1.0).contains(&share)), "{blob:?}");
        prop_assert!(blob.x + blob.width <= 1.001 && blob.y + blob.height <= 1.001, "{blob:?}");
        prop_assert!(blob.speed.is_finite() && blob.speed >= 0.0, "{blob:?}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(Config { cases: 24, failure_persistence: None, ..Config::default() })]

    #[test]
    fn boxes_lie_within_the_picture_whatever_it_shows(
        seed in any::<u64>(),
        size in size(),
        sensitivity in 0.0_f32..=1.0,
        shots in proptest::collection::vec(shot(), 1..24),
    ) {
        let mut detector = Detector::new(Tuning::of(sensitivity));
        let random = Random::new(seed);
        let mut camera = Camera { random, size, data: Vec::new(), frame: 0, now_ms: 1_000_000 };
        for shot in shots {
            let plane = camera.take(shot);
            let (width, height) = (plane.width, plane.height);
            let now = MonotonicNanos(camera.now_ms * 1_000_000);
            if let Some(held_ms) = shot.held_ms {
                detector.hold(MonotonicNanos((camera.now_ms + held_ms) * 1_000_000));
            }
            let plane = LumaPlane { data: &camera.data, width, height, stride: width + camera.size.2 };
            judge(detector.observe(plane, now))?;
        }
        prop_assert_eq!(detector.mask().len(), camera.size.0 * camera.size.1);
    }

    /// What lies between the end of a row and the beginning of the next is nobody's business.
    #[test]
    fn rows_wider_than_the_picture_change_nothing(
        seed in 1_u64..1_000_000,
        (width, height) in (160_usize..=200, 120_usize..=140),
        more in 1_usize..64,
        filling in any::<u8>(),
        fps in 1_u8..=30,
    ) {
        let walker = Target::new(Kind::Walker, 0.0, 20.0 / f32::from(fps));
        let scene = Simulator::new((width, height), f32::from(fps), seed)
            .with_nuisance(Nuisance::Leaves)
            .with_target(walker);
        let stride = width + more;
        let mut detectors = [(); 2].map(|()| Detector::new(Tuning::default()));
        for frame in 0..12 {
            let data = scene.frame(frame);
            let mut padded = vec![filling; stride * height];
            for (row, wide) in data.chunks(width).zip(padded.chunks_mut(stride)) {
                wide[..width].copy_from_slice(row);
            }
            let now = crate::simulator::moment(scene.time_s(frame));
            let [tight, loose] = &mut detectors;
            let tight = tight.observe(LumaPlane { data: &data, width, height, stride: width }, now);
            let loose = loose.observe(LumaPlane { data: &padded, width, height, stride }, now);
            prop_assert_eq!(tight, loose);
        }
    }

    /// However wrong a plane's size is, nothing is read that is not there.
    #[test]
    fn a_plane_that_its_size_does_not_fit_shows_nothing(
        bytes in 0_usize..4_000,
        width in prop_oneof![0_usize..700, Just(usize::MAX)],
        height in prop_oneof![0_usize..700, Just(usize::MAX)],
        stride in prop_oneof![0_usize..700, Just(usize::MAX)],
    ) {
        let data = vec![90; bytes];
        let mut detector = Detector::new(Tuning::default());
        let plane = LumaPlane { data: &data, width, height, stride };
        prop_assert!(detector.observe(plane, MonotonicNanos(1)).is_empty());
    }

    /// At any rate, with any level, an even picture that does not change is no motion, whatever
    /// the clock does.
    #[test]
    fn a_frozen_picture_is_no_motion(
        level in any::<u8>(),
        (width, height, more) in size(),
        steps in proptest::collection::vec(step(), 1..24),
    ) {
        let stride = width + more;
        let data = vec![level; stride * height];
        let mut detector = Detector::new(Tuning::of(1.0));
        let mut now_ms = 1_000_000_u64;
        for step in steps {
            now_ms = match step {
                Step::Forward(passed_ms) => now_ms + passed_ms,
                Step::Back(passed_ms) => now_ms.saturating_sub(passed_ms),
            };
            let plane = LumaPlane { data: &data, width, height, stride };
            let blobs = detector.observe(plane, MonotonicNanos(now_ms * 1_000_000));
            prop_assert!(blobs.iter().all(|blob| !blob.alarms), "{blobs:?}");
        }
    }
}
