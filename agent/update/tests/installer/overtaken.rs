//! Somebody removes the package, or installs another version, while an update of it is under way: what they
//! did stays.

use std::{
    fs,
    process::Child,
    thread::sleep,
    time::{Duration, Instant},
};

use nightjar_shared::release::{UpdateProblem, UpdateState};
use nightjar_update::installed;
use rustix::fs::{FlockOperation, fcntl_lock};

use crate::{
    board::{Board, Does, NEW, code, may_install},
    cuts::cut,
};

const REFUSED: i32 = 3;
const LATER: i32 = 75;

/// Begins an update, and returns when the new version is being tried.
fn on_trial(board: &Board) -> Child {
    board.be_patient();
    board.request(&board.package(NEW, Does::NeverConnects));
    let installer = board.start();
    let deadline = Instant::now() + Duration::from_mins(1);
    while !matches!(&board.status(), status if status.state == UpdateState::OnTrial) {
        assert!(Instant::now() < deadline, "the trial never began: {:?}", board.status());
        sleep(Duration::from_millis(5));
    }
    installer
}

fn assert_left(board: &Board, installer: Child) {
    let ended = installer.wait_with_output().unwrap();
    assert_eq!(code(&ended), REFUSED);
    board.assert_tidy();
}

#[test]
fn a_package_that_is_removed_during_its_trial_stays_removed() {
    if !may_install() {
        return;
    }
    let board = Board::new();
    let installer = on_trial(&board);
    board.dpkg(&["--remove", "nightjar-agent"]);
    assert_left(&board, installer);
    assert_eq!(installed(&board.layout()).unwrap(), None);
    assert!(!board.path("usr/bin/nightjar-agent").exists());
    let status = board.status();
    assert_eq!(
        (status.state, status.problem),
        (UpdateState::Refused, Some(UpdateProblem::Overtaken))
    );
    assert_eq!(board.run(), 0, "nothing is left to do");
}

#[test]
fn a_version_that_somebody_installs_while_a_trial_is_interrupted_stays() {
    if !may_install() {
        return;
    }
    let board = Board::new();
    board.request(&board.package(NEW, Does::NeverConnects));
    cut(&board, "\"trials\": 1", board.start(), Duration::from_millis(10));
    let own = board.package("0.3.0-1", Does::SaysNothing);
    board.dpkg(&["--install", own.path.to_str().unwrap()]);
    assert_eq!(board.resume(), REFUSED);
    board.assert_runs("0.3.0-1");
    board.assert_tidy();
}

#[test]
fn a_package_that_is_removed_while_its_update_waits_is_not_installed() {
    if !may_install() {
        return;
    }
    let board = Board::new();
    let lock = fs::File::create(board.path("var/lib/dpkg/lock-frontend")).unwrap();
    fcntl_lock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
    board.request(&board.package(NEW, Does::Works));
    assert_eq!(board.run(), LATER);
    drop(lock);
    board.dpkg(&["--remove", "nightjar-agent"]);
    assert_eq!(board.resume(), REFUSED);
    assert_eq!(installed(&board.layout()).unwrap(), None);
    board.assert_tidy();
}

#[test]
fn a_package_that_its_owner_holds_is_updated_all_the_same() {
    if !may_install() {
        return;
    }
    let board = Board::new();
    let status = board.path("var/lib/dpkg/status");
    let text = fs::read_to_string(&status).unwrap();
    fs::write(&status, text.replace("Status: install ok", "Status: hold ok")).unwrap();
    board.request(&board.package(NEW, Does::Works));
    assert_eq!(board.run(), 0);
    board.assert_runs(NEW);
}
