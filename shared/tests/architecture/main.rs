//! `docs/architecture.md` as a test: imports go down and in no circle, foreign crates have one owner,
//! agent and relay meet in `shared` alone, topics and SQL are spelled in one place, files stay
//! readable. It lives here because this package builds in a moment; it reads the whole workspace.

#![expect(clippy::unwrap_used, reason = "in a test a failed unwrap is a failed test")]

mod circles;
mod packages;
mod planted;
mod rules;
mod source;
mod words;
#[path = "../words/mod.rs"]
mod words_of_shared;

use std::{
    fs,
    path::{Path, PathBuf},
};

use packages::PACKAGES;
use rules::{MAX_LINES, Package};
use source::Source;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The files below `folder` with one of these endings, with paths from there.
fn files(folder: &Path, endings: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    collect(folder, folder, endings, &mut found);
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

fn collect(root: &Path, folder: &Path, endings: &[&str], found: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            collect(root, &path, endings, found);
        } else if endings.iter().any(|ending| path.extension().is_some_and(|it| it == *ending)) {
            let relative = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            found.push(Source { path: relative, text: fs::read_to_string(&path).unwrap() });
        }
    }
}

fn sources(package: &Package) -> Vec<Source> {
    files(&workspace().join(package.folder).join("src"), &["rs"])
}

fn assert_nothing(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_code_keeps_to_the_map() {
    let mut wrong = Vec::new();
    for package in &PACKAGES {
        let sources = sources(package);
        assert!(!sources.is_empty(), "{}/src holds no Rust file", package.folder);
        wrong.extend(sources.iter().flat_map(|source| package.check(source)));
    }
    assert_nothing(&wrong);
}

#[test]
fn no_file_imports_what_imports_it() {
    let circles = |package: &Package| package.circles(&sources(package));
    assert_nothing(&PACKAGES.iter().flat_map(circles).collect::<Vec<_>>());
}

#[test]
fn tests_and_benches_keep_the_sides_apart() {
    let mut wrong = Vec::new();
    for package in &PACKAGES {
        for folder in ["tests", "benches", "examples"] {
            let sources = files(&workspace().join(package.folder).join(folder), &["rs"]);
            wrong.extend(sources.iter().flat_map(|source| package.check_test(source)));
        }
    }
    assert_nothing(&wrong);
}

#[test]
fn every_dependency_has_an_owner_or_is_common_vocabulary() {
    let mut wrong = Vec::new();
    for package in PACKAGES.iter().filter(|package| !package.folder.starts_with("e2e")) {
        let manifest = workspace().join(package.folder).join("Cargo.toml");
        wrong.extend(package.unowned(&fs::read_to_string(manifest).unwrap()));
    }
    assert_nothing(&wrong);
}

#[test]
fn every_row_of_the_map_exists() {
    for package in &PACKAGES {
        for module in package.rows.iter().copied().flatten() {
            let src = workspace().join(package.folder).join("src");
            let exists = src.join(format!("{module}.rs")).exists() || src.join(module).is_dir();
            assert!(exists, "{}: the map names `{module}`, which does not exist", package.folder);
        }
    }
}

#[test]
fn the_web_app_s_files_stay_readable() {
    let wrong: Vec<String> = files(&workspace().join("relay/web"), &["js", "css", "html"])
        .iter()
        // What others wrote stays as they wrote it.
        .filter(|source| !source.path.contains("/vendor/") && source.lines() > MAX_LINES)
        .map(|source| format!("relay/web/{}: {} lines", source.path, source.lines()))
        .collect();
    assert_nothing(&wrong);
}
