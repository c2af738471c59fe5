//! New versions that do not work: each is taken back, named, and not tried again.

use std::fs;

use nightjar_shared::release::{UpdateProblem, UpdateState};
use nightjar_update::handover::failed_versions;

use crate::board::{Board, Does, NEW, OLD, may_install};

#[track_caller]
fn assert_taken_back(does: Does, problem: UpdateProblem, words: &str) {
    if !may_install() {
        return;
    }
    let board = Board::new();
    let package = board.package(NEW, does);
    board.request(&package);
    assert_eq!(board.run(), 4);
    board.assert_runs(OLD);
    board.assert_tidy();
    let status = board.status();
    assert_eq!((status.state, status.problem), (UpdateState::RolledBack, Some(problem)));
    let detail = status.detail.unwrap();
    assert!(detail.contains(words) && detail.contains(OLD), "{detail}");
    let failed = failed_versions(&board.layout()).unwrap();
    assert_eq!(failed.len(), 1);
    assert_eq!((failed[0].version.as_str(), failed[0].problem), (NEW, problem));

    // Sent again, it is refused, and what was said of it stands.
    board.request(&package);
    assert_eq!(board.run(), 3);
    assert_eq!(board.status().state, UpdateState::RolledBack);
    board.assert_runs(OLD);
    // The next one has its chance.
    board.request(&board.package("0.3.0-1", Does::Works));
    assert_eq!(board.run(), 0);
    board.assert_runs("0.3.0-1");
}

#[test]
fn one_that_crashes() {
    assert_taken_back(Does::Crashes, UpdateProblem::Crashes, "ends again and again");
}

#[test]
fn one_that_never_connects() {
    assert_taken_back(Does::NeverConnects, UpdateProblem::NotConnected, "reach the relay");
}

#[test]
fn one_that_stops_recording() {
    assert_taken_back(Does::StopsRecording, UpdateProblem::NotRecording, "does not record");
}

#[test]
fn one_that_has_no_picture() {
    assert_taken_back(Does::SeesNothing, UpdateProblem::NoPicture, "no picture");
}

#[test]
fn one_that_says_nothing() {
    assert_taken_back(Does::SaysNothing, UpdateProblem::Silent, "says nothing");
}

#[test]
fn the_version_a_camera_was_set_up_with_comes_back_as_it_was() {
    if !may_install() {
        return;
    }
    let board = Board::new();
    let settings = board.path("etc/nightjar/agent.toml");
    fs::write(&settings, "# an owner's own\n").unwrap();
    let before = fs::read_to_string(board.path("var/lib/dpkg/info/nightjar-agent.list")).unwrap();
    board.request(&board.package(NEW, Does::Crashes));
    assert_eq!(board.run(), 4);
    board.assert_runs(OLD);
    assert_eq!(fs::read_to_string(&settings).unwrap(), "# an owner's own\n");
    let mut before: Vec<&str> = before.lines().collect();
    let after = fs::read_to_string(board.path("var/lib/dpkg/info/nightjar-agent.list")).unwrap();
    let mut after: Vec<&str> = after.lines().collect();
    before.sort_unstable();
    after.sort_unstable();
    assert_eq!(after, before);
    assert!(board.path("var/lib/dpkg/info/nightjar-agent.conffiles").exists());
}

#[test]
fn what_an_owner_changed_outlives_the_way_back_and_the_next_update() {
    if !may_install() {
        return;
    }
    let board = Board::new();
    let settings = board.path("etc/nightjar/agent.toml");
    fs::write(&settings, "# an owner's own\n").unwrap();
    board.request(&board.package(NEW, Does::Crashes));
    assert_eq!(board.run(), 4);
    for next in ["0.3.0-1", "0.4.0-1"] {
        board.request(&board.package(next, Does::Works));
        assert_eq!(board.run(), 0);
        board.assert_runs(next);
        assert_eq!(fs::read_to_string(&settings).unwrap(), "# an owner's own\n", "{next}");
    }
}
