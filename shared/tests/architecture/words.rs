//! No decision compares a state, a kind, a reason or a code with a text: each is an enum of
//! `shared`, and so is what stands in the app's `words.js`.

use std::collections::BTreeSet;

use crate::{assert_nothing, files, source::Source, words_of_shared::sets, workspace};

/// Comparisons of texts that look like words of ours and are others', or read a file of ours.
const OTHERS: &[(&str, &str, &str)] = &[
    ("agent/src/capture/choose.rs", "*", "pixel formats of V4L2"),
    ("agent/src/config/recording.rs", "*", "reads agent.toml"),
    ("agent/src/config/source.rs", "*", "reads agent.toml"),
    ("agent/src/store/outbox.rs", "event", "reads its own kinds of messages"),
    ("relay/web/live.js", "waiting", "a state of the live picture's own"),
    ("relay/web/whep.js", "failed", "a state of the browser's RTCPeerConnection"),
    ("relay/web/whep.js", "relay", "a candidate's type in the browser's statistics"),
    ("relay/web/segments.js", "ended", "a state of the browser's MediaSource"),
    ("relay/web/segments.js", "open", "a state of the browser's MediaSource"),
];

fn words() -> BTreeSet<&'static str> {
    sets().into_values().flatten().collect()
}

/// The code of a file without its unit tests, which may spell what they expect.
fn code(source: &Source) -> impl Iterator<Item = (usize, &str)> {
    let is_test = source.path.ends_with("tests.rs") || source.path.contains("/tests/");
    let lines = source.text.lines().enumerate().map(|(number, line)| (number + 1, line));
    lines
        .take_while(|(_, line)| *line != "#[cfg(test)]")
        .filter(move |(_, line)| !is_test && !line.trim_start().starts_with("//"))
}

/// The words that a line compares something with.
fn compared<'a>(line: &'a str, words: &BTreeSet<&str>) -> Vec<&'a str> {
    let parts: Vec<&str> = line.split('"').collect();
    let literals = (1..parts.len().saturating_sub(1)).step_by(2);
    literals
        .filter(|place| words.contains(parts[*place]))
        .filter(|place| is_compared(parts[*place - 1].trim_end(), parts[*place + 1].trim_start()))
        .map(|place| parts[place])
        .collect()
}

fn is_compared(before: &str, after: &str) -> bool {
    let compares = ["==", "!="].iter().any(|it| before.ends_with(it) || after.starts_with(it));
    let alternative = |text: &str| text == "|" || text.ends_with(" |") || text.ends_with("\t|");
    let is_arm = |after: &str| {
        after.starts_with("=>")
            || after.starts_with("| ")
            || after == "|"
            || after.starts_with("if ")
    };
    let inside = before.ends_with("Some(") && is_arm(after.trim_start_matches(')').trim_start());
    let matches = before.contains("matches!(") && after.starts_with(')');
    let is_case = before.trim_start() == "case" && after.starts_with(':');
    compares || is_arm(after) || alternative(before) || inside || matches || is_case
}

fn wrong(source: &Source, folder: &str, words: &BTreeSet<&str>) -> Vec<String> {
    let path = format!("{folder}/{}", source.path);
    let is_others = |word: &str| {
        OTHERS.iter().any(|(file, other, _)| path == *file && (*other == "*" || *other == word))
    };
    code(source)
        .flat_map(|(number, line)| {
            compared(line, words).into_iter().map(move |word| (number, word))
        })
        .filter(|(_, word)| !is_others(word))
        .map(|(number, word)| {
            format!(
                "{path}:{number}: compares with \"{word}\", which is a word of shared: use its type"
            )
        })
        .collect()
}

#[test]
fn no_decision_compares_a_word_with_a_text() {
    let words = words();
    let mut found = Vec::new();
    for (folder, ending) in [("agent/src", "rs"), ("relay/src", "rs"), ("relay/web", "js")] {
        let sources = files(&workspace().join(folder), &[ending]);
        assert!(!sources.is_empty(), "{folder} holds no such file");
        found.extend(sources.iter().flat_map(|source| wrong(source, folder, &words)));
    }
    assert_nothing(&found);
}

#[test]
fn a_comparison_with_a_word_is_found() {
    let words = words();
    for line in [
        r#"if clip.visibility == "private" { Right::Manage } else { Right::SeePictures }"#,
        r#"    "privacy_mode" => privacy_mode(),"#,
        r#"    Some("deleted") => Self::Deleted,"#,
        r#"(_, Some("deleted")) => Self::Deleted,"#,
        r#"(_, Some("part_missing" | "not_found")) => Self::Later { cause },"#,
        r#"let open = matches!(state, "announced");"#,
        r#"if (status !== "offline" && privacy) return null;"#,
        r#"      case "failed":"#,
    ] {
        assert!(!compared(line, &words).is_empty(), "{line}");
    }
    for line in [
        r#"Self::Private => "private","#,
        r#"tracing::info!("ready");"#,
        r#"if name == "gzip" { return; }"#,
        r#"state: "ready", kind: "clip""#,
        r#"metrics.counter("events", "failed", &[])"#,
    ] {
        assert_eq!(compared(line, &words), [""; 0], "{line}");
    }
    let unit_test = Source {
        path: "domain/clips.rs".to_owned(),
        text: "fn f() {}\n#[cfg(test)]\nmod tests { fn g() { x == \"ready\" } }\n".to_owned(),
    };
    assert_eq!(wrong(&unit_test, "relay/src", &words), Vec::<String>::new());
}
