//! The documents keep up with the code: what they point at exists.

#![expect(clippy::unwrap_used, reason = "in a test a failed unwrap is a failed test")]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A word in backticks that begins like this is a path of the repository.
const ROOTS: [&str; 8] =
    ["agent/", "relay/", "shared/", "e2e/", "docs/", "systemd/", "build/", "debian/"];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every page, with the folder that its links start from.
fn pages() -> Vec<(PathBuf, String)> {
    let root = workspace();
    let mut paths =
        vec![root.join("README.md"), root.join("CHANGELOG.md"), root.join("CONTRIBUTING.md")];
    for folder in [root.join("docs"), root.join("docs/decisions")] {
        paths.extend(fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    let read = |path: PathBuf| (path.clone(), fs::read_to_string(path).unwrap());
    paths.into_iter().map(read).collect()
}

/// Words between single backticks, outside code blocks.
fn code_words(text: &str) -> Vec<&str> {
    text.split("```").step_by(2).flat_map(|prose| prose.split('`').skip(1).step_by(2)).collect()
}

/// Targets of `[text](target)` that lie in the repository.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', '#']).next())
        .filter(|target| !target.is_empty() && !target.contains("://"))
}

fn is_path(word: &str) -> bool {
    ROOTS.iter().any(|root| word.starts_with(root))
        && !word.contains(['{', '*', ' ', '<', '…', '?'])
}

/// `agent/clips` and its like are addresses of the relay, not paths.
fn is_address(page: &Path, word: &str) -> bool {
    page.ends_with("docs/protocol.md") && word.starts_with("agent/")
}

#[test]
fn every_file_that_a_page_names_exists() {
    let root = workspace();
    let mut missing = Vec::new();
    for (page, text) in pages() {
        for word in code_words(&text).into_iter().filter(|word| is_path(word)) {
            if !is_address(&page, word) && !root.join(word).exists() {
                missing.push(format!("{}: `{word}`", page.display()));
            }
        }
        for link in links(&text) {
            if !page.parent().unwrap().join(link).exists() {
                missing.push(format!("{}: link to {link}", page.display()));
            }
        }
    }
    assert!(missing.is_empty(), "not there:\n{}", missing.join("\n"));
}

#[test]
fn a_missing_file_would_be_found() {
    let text = "See `agent/src/nothing.rs`, [here](docs/nothing.md#top), `relay/x/{id}`.\n\
                ```\nagent `agent/in/a/block`\n```\n`PUT agent/…`";
    let words: Vec<&str> = code_words(text).into_iter().filter(|word| is_path(word)).collect();
    assert_eq!(words, ["agent/src/nothing.rs"]);
    assert_eq!(links(text).collect::<Vec<_>>(), ["docs/nothing.md"]);
}

#[test]
fn the_index_of_decisions_has_a_line_for_each() {
    let folder = workspace().join("docs/decisions");
    let index = fs::read_to_string(folder.join("README.md")).unwrap();
    let names = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.into_string().unwrap()).filter(|name| name != "README.md");
    let missing: Vec<String> = names
        .filter(|name| {
            let line = format!("| [{}]({name}) |", name.split('-').next().unwrap());
            index.lines().filter(|row| row.starts_with(&line)).count() != 1
        })
        .collect();
    assert!(missing.is_empty(), "not once in docs/decisions/README.md: {missing:?}");
}

/// Names in the first cells of the table below the heading `| {package} | |`, row by row.
fn rows_of_the_map<'a>(map: &'a str, package: &str) -> Vec<Vec<&'a str>> {
    let heading = format!("| {package} | |");
    let rows = map.lines().skip_while(|line| *line != heading).skip(2);
    let rows = rows.map_while(|line| line.strip_prefix("| ")?.split(" | ").next());
    rows.map(code_words).collect()
}

/// Names in the rows that the architecture test goes by. Packages stand in its text one after the
/// other, each from its folder on.
fn rows_of_the_test<'a>(packages: &'a str, package: &str) -> Vec<Vec<&'a str>> {
    let folder = format!("folder: \"{package}\",");
    let rows = packages.lines().skip_while(|line| line.trim() != folder).skip(1);
    let rows = rows.take_while(|line| !line.trim().starts_with("folder: "));
    let rows = rows.filter(|line| line.starts_with("        &[\""));
    rows.map(|row| row.split('"').skip(1).step_by(2).collect()).collect()
}

#[test]
fn the_map_has_the_rows_of_the_architecture_test() {
    let root = workspace();
    let map = fs::read_to_string(root.join("docs/architecture.md")).unwrap();
    let packages = fs::read_to_string(root.join("shared/tests/architecture/packages.rs")).unwrap();
    for package in ["agent", "agent/core", "relay"] {
        let expected = rows_of_the_test(&packages, package);
        assert!(expected.len() > 2, "{package}: {expected:?}");
        assert_eq!(rows_of_the_map(&map, package), expected, "{package} in docs/architecture.md");
    }
}
