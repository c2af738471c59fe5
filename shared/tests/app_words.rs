//! The app's words are shared's: `relay/web/words.js` is written by this test, and whatever of it
//! the app names exists.
//!
//! To write it again: `NIGHTJAR_WRITE=1 cargo test -p nightjar-shared --test app_words`.

#![expect(clippy::unwrap_used, reason = "in a test a failed unwrap is a failed test")]

mod words;

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use nightjar_shared::{camera::GapReason, event::EventEndReason};
use words::sets;

fn web() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("relay/web")
}

/// `camera_offline` -> `cameraOffline`.
fn key(word: &str) -> String {
    let mut parts = word.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    first + &parts.map(|part| part[..1].to_uppercase() + &part[1..]).collect::<String>()
}

fn module() -> String {
    const HEAD: &str = "// The words of states, kinds, reasons and codes, as shared/src spells them.\n\
                        // Written by shared/tests/app_words.rs; changes are made there.\n";
    let object = |(set, words): (&str, Vec<&str>)| {
        let line = |word| format!("  {}: \"{word}\",\n", key(word));
        format!(
            "\nexport const {set} = Object.freeze({{\n{}}});\n",
            words.into_iter().map(line).collect::<String>()
        )
    };
    // What the app names nowhere would only be fetched.
    let scripts: String = scripts().into_iter().map(|(_, script)| script).collect();
    let named =
        |set: &str| scripts.contains(&format!("{set}.")) || scripts.contains(&format!("({set})"));
    let sets = sets().into_iter().filter(|(set, _)| named(set));
    HEAD.to_owned() + &sets.map(object).collect::<String>()
}

/// The app's modules, but for the one that is written here.
fn scripts() -> Vec<(PathBuf, String)> {
    let (mut found, mut folders) = (Vec::new(), vec![web()]);
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "js")
                && !path.ends_with("words.js")
            {
                let script = fs::read_to_string(&path).unwrap();
                found.push((path, script));
            }
        }
    }
    found
}

#[test]
fn the_app_s_words_are_those_of_shared() {
    let path = web().join("words.js");
    if env::var_os("NIGHTJAR_WRITE").is_some() {
        fs::write(&path, module()).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap();
    assert!(
        written == module(),
        "relay/web/words.js is not what shared says; write it again: \
         NIGHTJAR_WRITE=1 cargo test -p nightjar-shared --test app_words"
    );
}

/// Names such as `ClipState.redy` would be undefined, and equal to nothing.
fn unknown_words(script: &str) -> Vec<String> {
    let is_name = |letter: char| letter.is_alphanumeric() || letter == '_';
    let mut wrong = Vec::new();
    for (set, words) in sets() {
        let keys: Vec<String> = words.into_iter().map(key).collect();
        let mut rest = script;
        while let Some((before, after)) = rest.split_once(&format!("{set}.")) {
            let name: String = after.chars().take_while(|letter| is_name(*letter)).collect();
            if !before.ends_with(is_name) && !keys.contains(&name) {
                wrong.push(format!("{set}.{name}"));
            }
            rest = after;
        }
    }
    wrong
}

#[test]
fn every_word_that_the_app_names_exists() {
    let mut wrong = Vec::new();
    for (path, script) in scripts() {
        let unknown = unknown_words(&script);
        wrong.extend(unknown.into_iter().map(|word| format!("{}: {word}", path.display())));
    }
    assert!(wrong.is_empty(), "no such words:\n{}", wrong.join("\n"));
}

#[test]
fn a_word_that_does_not_exist_is_found() {
    assert_eq!(unknown_words("if (clip.state === ClipState.redy) return;"), ["ClipState.redy"]);
    assert_eq!(unknown_words("ClipState.ready, ProblemCode.cameraOffline"), [""; 0]);
}

/// A person reads a sentence, never a code, for everything that ends events and explains gaps.
#[test]
fn the_app_has_a_sentence_for_every_reason() {
    let read = |path: &str| fs::read_to_string(web().join(path)).unwrap();
    let (events, gaps) = (read("parts/event_words.js"), read("parts/timeline.js"));
    for reason in EventEndReason::ALL {
        assert!(
            events.contains(&format!("[EventEndReason.{}]:", key(reason.as_str()))),
            "{reason}"
        );
    }
    for reason in GapReason::ALL {
        assert!(gaps.contains(&format!("[GapReason.{}]:", key(reason.as_str()))), "{reason}");
    }
}
