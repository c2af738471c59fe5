//! What is no update for this camera, or none at all: each is named, and the camera stays as it is.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::{PermissionsExt, symlink},
};

use nightjar_shared::release::{Manifest, UpdateProblem, UpdateState};
use rustix::fs::{FlockOperation, fcntl_lock};

use crate::board::{Board, Does, NEW, OLD, maker, may_install, signed};

const REFUSED: i32 = 3;
const LATER: i32 = 75;

#[test]
fn what_nobody_trusted_has_signed() {
    if !may_install() {
        return;
    }
    let board = Board::new();
    let package = board.package(NEW, Does::Works);
    let foreign = signed(&package.manifest, &[maker(9)]);
    let mut borrowed = signed(&package.manifest, &board.makers[..1]);
    borrowed.signatures[0].signature.clone_from(&foreign.signatures[0].signature);
    let mut unsigned = foreign.clone();
    unsigned.signatures.clear();
    for release in [foreign, borrowed, unsigned] {
        board.request_signed(&package, &release);
        assert_eq!(board.run(), REFUSED);
        board.assert_refused(UpdateProblem::ForeignSigner, "update.toml");
    }
}

#[test]
fn a_manifest_that_was_changed_after_it_was_signed() {
    if !may_install() {
        return;
    }
    let board = Board::new();
    let package = board.package("0.0.9-1", Does::Works);
    let mut release = signed(&package.manifest, &board.makers);
    release.manifest = release.manifest.replace("0.0.9-1", "9.0.0-1");
    board.request_signed(&package, &release);
    assert_eq!(board.run(), REFUSED);
    board.assert_refused(UpdateProblem::ForeignSigner, "0 of the 1 signatures");
}

#[test]
fn a_package_that_was_changed_or_cut_off() {
    if !may_install() {
        return;
    }
    let board = Board::new();
    let package = board.package(NEW, Does::Works);
    let whole = fs::read(&package.path).unwrap();
    let mut changed = whole.clone();
    *changed.last_mut().unwrap() ^= 1;
    let mut longer = whole.clone();
    longer.push(0);
    for (content, problem, words) in [
        (changed, UpdateProblem::Tampered, "not the one that was signed"),
        (longer, UpdateProblem::Tampered, "not the one that was signed"),
        (whole[..whole.len() - 1].to_vec(), UpdateProblem::CutOff, "cut off"),
        (Vec::new(), UpdateProblem::CutOff, "0 of "),
    ] {
        board.request(&package);
        fs::write(board.spool("package.deb"), content).unwrap();
        assert_eq!(board.run(), REFUSED);
        board.assert_refused(problem, words);
    }
}

#[test]
fn releases_for_others() {
    if !may_install() {
        return;
    }
    let board = Board::new();
    let foreign = board.package_for("s390x", NEW, Does::Works);
    board.request(&foreign);
    assert_eq!(board.run(), REFUSED);
    board.assert_refused(UpdateProblem::OtherArchitecture, "s390x");

    let package = board.package(NEW, Does::Works);
    let misnamed = Manifest { version: "9.0.0-1".parse().unwrap(), ..package.manifest.clone() };
    board.request_signed(&package, &signed(&misnamed, &board.makers));
    assert_eq!(board.run(), REFUSED);
    board.assert_refused(UpdateProblem::InvalidManifest, "otherwise");

    let other = Manifest { package: "nightjar-relay".to_owned(), ..package.manifest.clone() };
    board.request_signed(&package, &signed(&other, &board.makers));
    assert_eq!(board.run(), REFUSED);
    board.assert_refused(UpdateProblem::OtherPackage, "nightjar-relay");

    let minimum_version = Some("0.1.5-1".parse().unwrap());
    let later = Manifest { minimum_version, ..package.manifest.clone() };
    board.request_signed(&package, &signed(&later, &board.makers));
    assert_eq!(board.run(), REFUSED);
    board.assert_refused(UpdateProblem::NeedsNewer, "0.1.5-1");
}

#[test]
fn an_older_release_and_one_that_is_sent_again() {
    if !may_install() {
        return;
    }
    let board = Board::new();
    board.request(&board.package("0.0.9-1", Does::Works));
    assert_eq!(board.run(), REFUSED);
    board.assert_refused(UpdateProblem::NotNewer, OLD);

    let package = board.package(NEW, Does::Works);
    board.request(&package);
    assert_eq!(board.run(), 0);
    board.request(&package);
    assert_eq!(board.run(), REFUSED);
    board.assert_runs(NEW);
    board.assert_tidy();
    // Replayed, it changes nothing of what is known.
    assert_eq!(board.status().state, UpdateState::Installed);
}

#[test]
fn requests_that_are_none() {
    if !may_install() {
        return;
    }
    let board = Board::new();
    for garbage in ["", "{}", "[]", "\0\0\0", &"x".repeat(100_000)] {
        fs::write(board.spool("request.json"), garbage).unwrap();
        assert_eq!(board.run(), REFUSED, "{}", garbage.len());
        board.assert_refused(UpdateProblem::InvalidManifest, "request");
    }
}

/// The spool belongs to the agent, who may be hostile: root follows no link of its, and waits for none
/// of its pipes.
#[test]
fn links_and_pipes_in_the_spool() {
    if !may_install() {
        return;
    }
    let board = Board::new();
    let package = board.package(NEW, Does::Works);
    let secret = board.path("tools/secret");
    fs::write(&secret, "root's own").unwrap();
    for name in ["request.json", "package.deb"] {
        board.request(&package);
        let path = board.spool(name);
        fs::remove_file(&path).unwrap();
        symlink(&secret, &path).unwrap();
        assert_eq!(board.run(), REFUSED);
        board.assert_refused(UpdateProblem::InvalidManifest, "");
        assert_eq!(fs::read_to_string(&secret).unwrap(), "root's own");

        board.request(&package);
        fs::remove_file(&path).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        assert_eq!(board.run(), REFUSED);
        board.assert_refused(UpdateProblem::InvalidManifest, "");
    }
    // The whole spool as a link: there is no request.
    let elsewhere = board.path("tools/elsewhere");
    board.request(&package);
    fs::rename(board.spool(""), &elsewhere).unwrap();
    let spool = board.path("var/lib/nightjar-agent/update");
    symlink(&elsewhere, &spool).unwrap();
    assert_eq!(board.run(), 0);
    board.assert_runs(OLD);
    assert!(!spool.is_symlink() && elsewhere.join("request.json").exists());
}

/// A directory cannot be removed like a file: the request would start the installer for ever.
#[test]
fn directories_in_the_place_of_a_request_or_of_its_package() {
    if !may_install() {
        return;
    }
    let board = Board::new();
    let package = board.package(NEW, Does::Works);
    for name in ["request.json", "package.deb"] {
        for inside in [None, Some("full")] {
            board.request(&package);
            fs::remove_file(board.spool(name)).unwrap();
            fs::create_dir(board.spool(name)).unwrap();
            if let Some(inside) = inside {
                fs::write(board.spool(name).join(inside), "theirs").unwrap();
            }
            assert_eq!(board.run(), REFUSED, "{name} {inside:?}");
            board.assert_refused(UpdateProblem::InvalidManifest, "");
            assert_eq!(board.run(), 0, "nothing starts it again");
        }
    }
}

#[test]
fn keys_that_are_missing_wrong_or_not_root_s_own() {
    if !may_install() {
        return;
    }
    let board = Board::new();
    let keys = board.path("etc/nightjar/update.toml");
    let package = board.package(NEW, Does::Works);
    let refused = |words: &str| {
        board.request(&package);
        assert_eq!(board.run(), REFUSED);
        board.assert_refused(UpdateProblem::NoKeys, words);
    };
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o666)).unwrap();
    refused("chmod 644");
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o644)).unwrap();
    board.trust(3, "");
    refused("signatures");
    board.trust(1, "unknown = 1\n");
    refused("update.toml");
    // A key of small order: any signature would do.
    let weak = "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    fs::write(&keys, format!("[[keys]]\npublic_key = \"{weak}\"\n")).unwrap();
    refused("public_key");
    fs::write(&keys, "").unwrap();
    refused("no key may sign");
    fs::remove_file(&keys).unwrap();
    refused("no key may sign");
}

#[test]
fn a_package_database_that_somebody_holds_is_waited_for_and_named() {
    if !may_install() {
        return;
    }
    let board = Board::new();
    let path = board.path("var/lib/dpkg/lock-frontend");
    let mut open = OpenOptions::new();
    let lock = open.read(true).write(true).create(true).truncate(false).open(path).unwrap();
    fcntl_lock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
    board.request(&board.package(NEW, Does::Works));
    assert_eq!(board.run(), LATER);
    let status = board.status();
    assert_eq!(status.state, UpdateState::Waiting);
    assert_eq!(status.problem, Some(UpdateProblem::DatabaseLocked));
    let detail = status.detail.unwrap();
    assert!(detail.contains(&format!("process {}", std::process::id())), "{detail}");
    board.assert_runs(OLD);
    drop(lock);
    assert_eq!(board.run(), 0);
    board.assert_runs(NEW);
    board.assert_tidy();
}

#[test]
fn an_agent_that_is_no_package() {
    if !may_install() {
        return;
    }
    let board = Board::new();
    let package = board.package(NEW, Does::Works);
    fs::write(board.path("var/lib/dpkg/status"), "").unwrap();
    board.request(&package);
    assert_eq!(board.run(), REFUSED);
    assert_eq!(board.status().problem, Some(UpdateProblem::NoWayBack));
}
