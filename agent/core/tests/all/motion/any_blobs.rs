//! Properties of the gate: whatever the detector, the owner and the clock do, starts and ends take
//! turns and say no more than was there.

use std::time::Duration;

use nightjar_core::{
    monotonic::MonotonicNanos,
    motion::{Blob, Gate, MotionConfig, Rules, Transition},
};
use nightjar_shared::{
    configuration::{Configuration, Period, Point, PrivacyMask, Schedule, Weekday, Zone, ZoneKind},
    time::UnixMillis,
};
use proptest::{
    collection::vec,
    option,
    prelude::{Just, Strategy, any},
    prop_assert, prop_assert_eq, prop_oneof, proptest,
    test_runner::{Config, TestCaseError},
};

/// Numbers that come from arithmetic gone wrong, too.
fn any_number() -> impl Strategy<Value = f32> {
    prop_oneof![
        12 => 0.0_f32..=1.0,
        1 => -3.0_f32..3.0,
        1 => prop_oneof![Just(f32::NAN), Just(f32::INFINITY), Just(f32::NEG_INFINITY)],
    ]
}

fn any_blob() -> impl Strategy<Value = Blob> {
    let place = (any_number(), any_number(), any_number(), any_number());
    let rest = (any_number(), any_number(), any::<bool>());
    (place, rest).prop_map(|((x, y, width, height), (area, travel, alarms))| Blob {
        x,
        y,
        width,
        height,
        area,
        speed: 0.1,
        travel,
        confidence: 1.0,
        alarms,
    })
}

/// Corners of any shape: without area, of one point many times, crossing themselves.
fn any_points() -> impl Strategy<Value = Vec<Point>> {
    let coordinate =
        || prop_oneof![2 => 0.0_f32..=1.0, 1 => Just(0.0), 1 => Just(1.0), 1 => Just(0.5)];
    vec((coordinate(), coordinate()), 3..=32)
}

fn any_zones() -> impl Strategy<Value = Vec<Zone>> {
    let kind = prop_oneof![Just(ZoneKind::Include), Just(ZoneKind::Ignore)];
    let zone = (any_points(), kind, option::of(0.0_f32..=1.0), option::of(0.0_f32..=0.1));
    let named = |(index, (points, kind, sensitivity, min_area)): (usize, (_, _, _, _))| Zone {
        name: format!("zone {index}"),
        points,
        kind,
        sensitivity,
        min_area,
    };
    vec(zone, 0..5).prop_map(move |zones| zones.into_iter().enumerate().map(named).collect())
}

fn any_schedule() -> impl Strategy<Value = Schedule> {
    use Weekday::{Friday, Monday, Saturday, Sunday, Thursday, Tuesday, Wednesday};
    let day = proptest::sample::select(vec![
        Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday,
    ]);
    let period = (day, 0_u16..1_440, 1_u16..=1_440).prop_map(|(day, from_minute, length)| Period {
        day,
        from_minute,
        until_minute: (from_minute + length).min(1_440),
    });
    let zone = proptest::sample::select(vec!["UTC", "Europe/Zurich", "Asia/Kathmandu"]);
    (zone, vec(period, 0..6))
        .prop_map(|(zone, armed)| Schedule { time_zone: zone.to_owned(), armed })
}

fn any_config() -> impl Strategy<Value = MotionConfig> {
    let durations = (prop_oneof![Just(0), 0_u32..2_000], prop_oneof![Just(0), 0_u32..20]);
    (any_zones(), option::of(any_schedule()), 0.0_f32..=1.0, durations).prop_map(
        |(zones, schedule, sensitivity, (min_duration_ms, cool_down_s))| MotionConfig {
            zones,
            schedule,
            sensitivity,
            min_duration_ms,
            cool_down_s,
            ..MotionConfig::default()
        },
    )
}

#[derive(Debug, Clone)]
enum Act {
    Frame(Vec<Blob>),
    Tick(Option<i64>),
    Arm(bool),
    Privacy(bool),
    Configure(Box<MotionConfig>),
}

fn any_act() -> impl Strategy<Value = Act> {
    let wall = option::of(prop_oneof![8 => 0_i64..2_000_000_000_000, 1 => any::<i64>()]);
    prop_oneof![
        16 => vec(any_blob(), 0..4).prop_map(Act::Frame),
        2 => wall.prop_map(Act::Tick),
        1 => any::<bool>().prop_map(Act::Arm),
        1 => any::<bool>().prop_map(Act::Privacy),
        1 => any_config().prop_map(|config| Act::Configure(Box::new(config))),
    ]
}

/// Milliseconds, mostly forward; forward by days and back now and then.
fn any_step() -> impl Strategy<Value = i64> {
    prop_oneof![16 => 0_i64..400, 1 => 0_i64..100_000_000, 1 => -100_000_i64..0]
}

/// What the gate told so far, against what it was shown.
#[derive(Default)]
struct Witness {
    goes_on: bool,
    /// The longest that motion can have lasted: all the time that was added to the clock.
    passed_ms: u64,
}

impl Witness {
    fn hear(&mut self, told: Option<Transition>) -> Result<(), TestCaseError> {
        match told {
            Some(Transition::Started { blobs, .. }) => {
                prop_assert!(!self.goes_on, "started twice");
                prop_assert!(!blobs.is_empty() && blobs.iter().all(|blob| blob.alarms));
                self.goes_on = true;
                self.passed_ms = self.passed_ms.max(1);
            }
            Some(Transition::Ended { peak_area, duration, .. }) => {
                prop_assert!(self.goes_on, "ended without a start");
                prop_assert!((0.0..=1.0).contains(&peak_area), "peak area {}", peak_area);
                prop_assert!(duration <= Duration::from_millis(self.passed_ms), "{:?}", duration);
                self.goes_on = false;
            }
            None => {}
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(Config { cases: 64, failure_persistence: None, ..Config::default() })]

    #[test]
    fn starts_and_ends_take_turns(
        config in any_config(),
        acts in vec((any_step(), any_act()), 1..120),
    ) {
        let mut gate = Gate::new(Rules::of(&config));
        let (mut now_ms, mut witness) = (1_000_000_u64, Witness::default());
        for (step, act) in acts {
            now_ms = now_ms.saturating_add_signed(step);
            witness.passed_ms += step.max(0).unsigned_abs();
            let now = MonotonicNanos(now_ms * 1_000_000);
            let told = match act {
                Act::Frame(blobs) => gate.observe(&blobs, now),
                Act::Tick(wall) => gate.tick(now, wall.map(UnixMillis)),
                Act::Arm(armed) => gate.arm(armed),
                Act::Privacy(private) => gate.set_privacy(private),
                Act::Configure(config) => {
                    gate.set_rules(Rules::of(&config));
                    None
                }
            };
            witness.hear(told)?;
        }
        // Nothing moves any more: within a second of pictures it is over, unless it was already.
        for _ in 0..12 {
            now_ms += 100;
            witness.hear(gate.observe(&[], MonotonicNanos(now_ms * 1_000_000)))?;
        }
        let over = gate.stop();
        prop_assert!(over.is_none() && !witness.goes_on, "it never ended: {:?}", over);
    }

    /// What is no number never passes the door, as a corner, a sensitivity or a size; corners
    /// within the picture always do, whatever shape they make.
    #[test]
    fn the_door_lets_in_what_lies_within_the_picture_and_nothing_else(
        points in vec((any_number(), any_number()), 3..8),
        sensitivity in option::of(any_number()),
        min_area in option::of(any_number()),
    ) {
        let sound = |value: f32| (0.0..=1.0).contains(&value);
        let corners = points.iter().all(|(x, y)| sound(*x) && sound(*y));
        let zone = Zone {
            name: "drive".to_owned(),
            points: points.clone(),
            kind: ZoneKind::Include,
            sensitivity,
            min_area,
        };
        let zones = Configuration { motion_zones: Some(vec![zone]), ..Configuration::default() };
        let expected = corners && sensitivity.is_none_or(sound) && min_area.is_none_or(sound);
        prop_assert_eq!(zones.validate().is_ok(), expected);
        let mask = PrivacyMask { points, ..PrivacyMask::default() };
        let masks = Configuration { privacy_masks: Some(vec![mask]), ..Configuration::default() };
        prop_assert_eq!(masks.validate().is_ok(), corners);
        let alone = Configuration { motion_sensitivity: sensitivity, ..Configuration::default() };
        prop_assert_eq!(alone.validate().is_ok(), sensitivity.is_none_or(sound));
    }
}
