//! The detector on labelled footage of real scenes, through the program's own door: some of the
//! sequences, since programs under test are slow. `make bench-motion` takes them all.

#[path = "motion_corpus/mod.rs"]
mod corpus;

use std::{io::Write as _, path::Path};

use corpus::{Choice, Score, Unscored};

const CHOICE: Choice =
    Choice { events: "lowrate,yard_,exposure_real,n_car_ir,n_car_rain", masks: "HallAndMonitor" };

#[test]
fn real_footage_is_judged_as_well_as_promised() {
    let score = match corpus::score(Path::new(env!("CARGO_BIN_EXE_nightjar-agent")), &CHOICE) {
        Ok(score) => score,
        Err(Unscored::Skipped(why)) => return say_skipped(&why),
        Err(Unscored::Failed(error)) => panic!("{error:#}"),
    };
    let Score { events, detected, false_alarms, bridged, coverage, .. } = score;
    assert_eq!(detected, events);
    assert!(false_alarms <= 1, "{false_alarms} false alarms");
    assert!(bridged <= 1, "{bridged} pairs of events taken for one");
    // Less than the goal: the two that cover least are among them.
    assert!(coverage >= 0.75, "{coverage}");
    assert!(score.delay_p50_s <= 0.5, "{} s, p90 {} s", score.delay_p50_s, score.delay_p90_s);
    assert!(score.pixel_f >= 0.75, "{}", score.pixel_f);
}

/// A test that does not run says so.
fn say_skipped(why: &str) {
    // Past the capture of the test harness.
    let _ = writeln!(std::io::stderr(), "SKIPPED: the corpus of real footage: {why}");
}
