//! The detector on labelled footage of real scenes, through the program's own door: some of the
//! sequences, and with `NIGHTJAR_SOAK` set all of them, which takes minutes.

#[path = "motion_corpus/mod.rs"]
mod corpus;

use std::{env, io::Write as _, path::Path};

use corpus::{Choice, EVERYTHING, Score, Unscored};

const SOME: Choice =
    Choice { events: "lowrate,yard_,exposure_real,n_car_ir,n_car_rain", masks: "HallAndMonitor" };

#[test]
fn real_footage_is_judged_as_well_as_promised() {
    let everything = env::var_os("NIGHTJAR_SOAK").is_some();
    let choice = if everything { &EVERYTHING } else { &SOME };
    let score = match corpus::score(Path::new(env!("CARGO_BIN_EXE_nightjar-agent")), choice) {
        Ok(score) => score,
        Err(Unscored::Skipped(why)) => return say_skipped(&why),
        Err(Unscored::Failed(error)) => panic!("{error:#}"),
    };
    let Score { events, detected, false_alarms, bridged, coverage, .. } = score;
    assert_eq!(detected, events);
    assert!(false_alarms <= 1, "{false_alarms} false alarms");
    assert!(bridged <= 1, "{bridged} pairs of events taken for one");
    // The two that cover least are among the few, so that these miss the goals of the whole.
    let (least_coverage, longest_delay_s) = if everything { (0.85, 0.25) } else { (0.75, 0.5) };
    assert!(coverage >= least_coverage, "{coverage}");
    let Score { delay_p50_s, delay_p90_s, .. } = score;
    assert!(delay_p50_s <= longest_delay_s, "{delay_p50_s} s, p90 {delay_p90_s} s");
    assert!(score.pixel_f >= 0.75, "{}", score.pixel_f);
}

#[test]
fn nobody_tampers_in_real_footage() {
    let everything = env::var_os("NIGHTJAR_SOAK").is_some();
    let only = if everything { EVERYTHING.events } else { SOME.events };
    match corpus::tampering_in(Path::new(env!("CARGO_BIN_EXE_nightjar-agent")), only) {
        Ok(told) => assert_eq!(told, 0),
        Err(Unscored::Skipped(why)) => say_skipped(&why),
        Err(Unscored::Failed(error)) => panic!("{error:#}"),
    }
}

/// A test that does not run says so.
fn say_skipped(why: &str) {
    // Past the capture of the test harness.
    let _ = writeln!(std::io::stderr(), "SKIPPED: the corpus of real footage: {why}");
}
