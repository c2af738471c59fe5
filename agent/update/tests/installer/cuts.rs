//! Power that fails at any moment: whatever it leaves, one of the two versions runs, and the next
//! start finishes the update or takes it back.
//!
//! SIGKILL to the whole process group stands for it: what was written and not synced is kept, unlike by
//! a power cut.

use std::{
    fs,
    process::Child,
    thread::sleep,
    time::{Duration, Instant},
};

use nightjar_core::seeded::Seeded;
use nightjar_shared::release::{UpdateProblem, UpdateState};
use rustix::{
    fs::{FlockOperation, fcntl_lock},
    process::{Pid, Signal, kill_process_group},
};

use crate::board::{Board, Does, NEW, OLD, may_install};

/// How often each step is cut, in `make test` and in `make soak`.
const CUTS: usize = 2;
const SOAK_CUTS: usize = 50;
/// How late after the beginning of a step it is cut at most: longer than any of them takes.
const WITHIN_MS: usize = 400;

const STEPS_OF_GOOD: [&str; 5] = ["taken", "secured", "installing", "trial", "keeping"];
const STEPS_OF_BAD: [&str; 4] = ["installing", "trial", "restoring", "restored"];

fn cuts() -> usize {
    if std::env::var_os("NIGHTJAR_SOAK").is_some() { SOAK_CUTS } else { CUTS }
}

/// Kills the installer some time after its journal says something. One that ended before is cut at its
/// end.
pub(crate) fn cut(board: &Board, wanted: &str, mut child: Child, late: Duration) {
    let journal = board.path("var/lib/nightjar-update/journal.json");
    let deadline = Instant::now() + Duration::from_mins(1);
    while !fs::read_to_string(&journal).is_ok_and(|text| text.contains(wanted)) {
        assert!(Instant::now() < deadline, "{wanted} never came");
        if child.try_wait().unwrap().is_some() {
            return;
        }
        sleep(Duration::from_micros(200));
    }
    sleep(late);
    let group = Pid::from_child(&child);
    let _ended_by_itself = kill_process_group(group, Signal::KILL);
    child.wait().unwrap();
}

fn cut_everywhere(seed: u64, does: Does, steps: &[&str], verify: impl Fn(&Board)) {
    if !may_install() {
        return;
    }
    let mut random = Seeded::new(seed);
    for step in steps {
        for number in 0..cuts() {
            let board = Board::new();
            board.request(&board.package(NEW, does));
            let late = Duration::from_millis(random.index(WITHIN_MS) as u64);
            cut(&board, &format!("\"step\": \"{step}\""), board.start(), late);
            let program = board.program();
            let is_whole = [OLD, NEW].iter().any(|it| program == format!("version {it}\n"));
            assert!(is_whole, "{step} {number}, {late:?}: {program}");

            let code = board.run();
            assert!(matches!(code, 0 | 3 | 4), "{step} {number}, {late:?}: exit code {code}");
            verify(&board);
            board.assert_tidy();
            assert_eq!(board.run(), 0, "nothing is left to do");
        }
    }
}

#[test]
fn a_good_update_is_finished() {
    cut_everywhere(1, Does::Works, &STEPS_OF_GOOD, |board| {
        board.assert_runs(NEW);
        assert_eq!(board.status().state, UpdateState::Installed);
    });
}

#[test]
fn a_bad_one_is_taken_back() {
    cut_everywhere(2, Does::Crashes, &STEPS_OF_BAD, |board| {
        board.assert_runs(OLD);
        assert_eq!(board.status().state, UpdateState::RolledBack);
        assert_eq!(board.status().problem, Some(UpdateProblem::Crashes));
    });
}

#[test]
fn a_version_under_which_power_fails_each_time_is_taken_back() {
    if !may_install() {
        return;
    }
    let board = Board::new();
    // It neither works nor fails for two seconds: time enough to cut its trial.
    board.request(&board.package(NEW, Does::NeverConnects));
    for trial in 1..=3 {
        cut(&board, &format!("\"trials\": {trial}"), board.start(), Duration::from_millis(10));
    }
    assert_eq!(board.run(), 4);
    board.assert_runs(OLD);
    board.assert_tidy();
    assert_eq!(board.status().problem, Some(UpdateProblem::Interrupted));
}

#[test]
fn what_goes_on_after_a_power_cut_does_not_depend_on_the_new_package() {
    if !may_install() {
        return;
    }
    let board = Board::new();
    board.request(&board.package(NEW, Does::NeverConnects));
    cut(&board, "\"trials\": 1", board.start(), Duration::from_millis(100));
    let kept = board.path("var/lib/nightjar-update/nightjar-update");
    let own = fs::read(env!("CARGO_BIN_EXE_nightjar-update")).unwrap();
    assert!(fs::read(&kept).unwrap() == own, "the program was not kept");
    let unit = board.path("etc/systemd/system/nightjar-update-resume.service");
    let unit = fs::read_to_string(unit).unwrap();
    assert!(unit.contains("ExecStart=/var/lib/nightjar-update/nightjar-update run"), "{unit}");
    // Done is done by both units: a program that is gone by then is not started again and again.
    let of_package = include_str!("../../../../systemd/nightjar-update.service");
    let done = of_package.lines().find(|line| line.starts_with("SuccessExitStatus=")).unwrap();
    assert!(unit.lines().any(|line| line == done), "{unit}");
    assert_eq!(board.run(), 4);
    board.assert_runs(OLD);
}

#[test]
fn an_update_that_was_put_off_goes_on_after_a_restart_of_the_board() {
    if !may_install() {
        return;
    }
    let board = Board::new();
    let lock = fs::File::create(board.path("var/lib/dpkg/lock-frontend")).unwrap();
    fcntl_lock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
    board.request(&board.package(NEW, Does::StopsRecording));
    assert_eq!(board.run(), 75);
    assert!(!board.spool("request.json").exists(), "the request would start it");
    let link = "etc/systemd/system/multi-user.target.wants/nightjar-update-resume.service";
    assert!(board.path(link).is_symlink(), "nothing starts it");

    // The board starts anew: no agent has said anything yet, and the one of before did record.
    drop(lock);
    fs::remove_dir_all(board.path("run/nightjar-agent")).unwrap();
    fs::write(board.path("init/quiet"), "").unwrap();
    assert_eq!(board.resume(), 4);
    board.assert_runs(OLD);
    assert_eq!(board.status().problem, Some(UpdateProblem::NotRecording));
    board.assert_tidy();
}
