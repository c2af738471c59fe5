//! Updates that work.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    process::Command,
};

use nightjar_shared::release::UpdateState;

use crate::board::{Board, Does, NEW, OLD, code, may_install, signed};

#[test]
fn a_signed_update_is_installed_and_kept_for_the_next_one() {
    if !may_install() {
        return;
    }
    let board = Board::new();
    fs::write(board.path("etc/nightjar/agent.toml"), "# an owner's own\n").unwrap();
    board.request(&board.package(NEW, Does::Works));
    assert_eq!(board.run(), 0);
    board.assert_runs(NEW);
    board.assert_tidy();
    assert_eq!(board.status().state, UpdateState::Installed);
    assert_eq!(board.status().target.unwrap().as_str(), NEW);
    let settings = fs::read_to_string(board.path("etc/nightjar/agent.toml")).unwrap();
    assert_eq!(settings, "# an owner's own\n");
    // What was installed is what will be gone back to.
    let kept: Vec<_> =
        fs::read_dir(board.path("var/lib/nightjar-update/packages")).unwrap().flatten().collect();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].file_name().to_str().unwrap(), format!("{NEW}.deb"));

    board.request(&board.package("0.3.0-1", Does::Crashes));
    assert_eq!(board.run(), 4);
    board.assert_runs(NEW);
}

#[test]
fn what_an_interrupted_copy_of_another_version_left_hinders_no_update() {
    if !may_install() {
        return;
    }
    let board = Board::new();
    let left = board.path("var/lib/nightjar-update/packages/0.0.9-1.repack/usr/bin");
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("nightjar-agent"), "half").unwrap();
    board.request(&board.package(NEW, Does::Works));
    assert_eq!(board.run(), 0);
    board.assert_runs(NEW);
    board.assert_tidy();
    assert!(!left.exists());
}

#[test]
fn an_agent_whose_directory_lies_on_another_disk_is_updated_too() {
    if !may_install() {
        return;
    }
    let board = Board::new();
    let (data, disk) = (board.path("var/lib/nightjar-agent"), board.path("disk"));
    fs::rename(&data, &disk).unwrap();
    symlink(&disk, &data).unwrap();
    board.request(&board.package(NEW, Does::Works));
    assert_eq!(board.run(), 0);
    board.assert_runs(NEW);
    board.assert_tidy();
}

#[test]
fn nothing_to_do_is_no_error() {
    if !may_install() {
        return;
    }
    let board = Board::new();
    assert_eq!(board.run(), 0);
    board.assert_runs(OLD);
    assert_eq!(board.status().state, UpdateState::Idle);
}

#[test]
fn where_two_keys_are_demanded_two_different_ones_must_have_signed() {
    if !may_install() {
        return;
    }
    let board = Board::new();
    board.trust(2, "");
    let package = board.package(NEW, Does::Works);
    let [first, second] = [&board.makers[0], &board.makers[1]].map(Clone::clone);
    for too_few in [vec![first.clone()], vec![first.clone(), first.clone()]] {
        board.request_signed(&package, &signed(&package.manifest, &too_few));
        assert_eq!(board.run(), 3);
        board.assert_runs(OLD);
    }
    board.request_signed(&package, &signed(&package.manifest, &[first, second]));
    assert_eq!(board.run(), 0);
    board.assert_runs(NEW);
}

#[test]
fn a_package_at_hand_is_installed_also_one_that_did_not_work_before_if_wanted() {
    if !may_install() {
        return;
    }
    let board = Board::new();
    let bad = board.package(NEW, Does::Crashes);
    board.lay_beside(&bad);
    let path = bad.path.to_str().unwrap();
    let install = |more: &[&str]| {
        let arguments: Vec<&str> = ["install", path].iter().chain(more).copied().collect();
        code(&board.command(&arguments).output().unwrap())
    };
    assert_eq!(install(&[]), 4);
    board.assert_runs(OLD);
    assert_eq!(install(&[]), 3, "it is not tried again by itself");
    assert_eq!(install(&["--again"]), 4);
    board.assert_runs(OLD);
}

#[test]
fn agents_read_how_far_it_is_also_where_root_hides_what_it_makes() {
    if !may_install() {
        return;
    }
    let board = Board::new();
    let run = board.command(&["run"]);
    let mut hiding = Command::new("sh");
    hiding.args(["-c", "umask 077; exec \"$0\" \"$@\""]).arg(run.get_program());
    hiding.args(run.get_args());
    assert!(hiding.status().unwrap().success());
    let mode = fs::metadata(board.path("var/lib/nightjar-update")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o755);
}
