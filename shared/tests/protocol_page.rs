//! `docs/protocol.md` names everything that travels: every topic, every command, every message.

#![expect(clippy::unwrap_used, reason = "in a test a failed unwrap is a failed test")]

use std::{fs, path::Path};

use nightjar_shared::{
    command::{Command, CommandReason},
    event::{EventEndReason, TamperKind, TranscodeReason},
    ids::CameraId,
    problem::ProblemCode,
    release::{UpdateProblem, UpdateState},
    session::SessionEndReason,
    topic::{Channel, Topic},
};

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn page() -> String {
    fs::read_to_string(workspace().join("docs/protocol.md")).unwrap()
}

#[track_caller]
fn assert_named(page: &str, word: &str) {
    assert!(page.contains(&format!("`{word}`")), "docs/protocol.md does not name `{word}`");
}

#[test]
fn every_topic_is_named() {
    let page = page();
    let camera_id = CameraId::generate();
    let channels = [
        Channel::DownCommand,
        Channel::DownSignal,
        Channel::UpEvent,
        Channel::UpHealth,
        Channel::UpConfiguration,
        Channel::UpAck,
        Channel::UpPresence,
        Channel::UpSignal { replica: "REPLICA".to_owned() },
    ];
    for channel in channels {
        let topic = Topic::new(camera_id, channel.clone()).to_string();
        let (_, below) = topic.split_once(&format!("{camera_id}/")).unwrap();
        assert_named(&page, &below.replace("REPLICA", "{replica}"));
        assert_listed(&channel);
    }
}

/// Does not compile when a channel is added and not listed above.
fn assert_listed(channel: &Channel) {
    match channel {
        Channel::DownCommand
        | Channel::DownSignal
        | Channel::UpEvent
        | Channel::UpHealth
        | Channel::UpConfiguration
        | Channel::UpAck
        | Channel::UpPresence
        | Channel::UpSignal { .. } => {}
    }
}

#[test]
fn every_command_is_named() {
    let page = page();
    for kind in Command::KINDS {
        assert_named(&page, kind);
    }
}

/// The words in the first column of the table below a heading.
fn table<'a>(page: &'a str, heading: &str) -> Vec<&'a str> {
    let mut lines = page.lines().skip_while(|line| *line != heading).skip(1);
    let below = lines.by_ref().take_while(|line| !line.starts_with('#'));
    below.filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect()
}

#[track_caller]
fn assert_table_of<T: Copy + Into<String>>(heading: &str, words: &[T]) {
    let page = page();
    let mut listed = table(&page, heading);
    let mut expected: Vec<String> = words.iter().map(|word| (*word).into()).collect();
    listed.sort_unstable();
    expected.sort_unstable();
    assert_eq!(listed, expected, "docs/protocol.md, below `{heading}`");
}

/// Each word that people see stands in one table, with what it means, and no other does.
#[test]
fn the_tables_of_codes_are_those_of_the_code() {
    assert_table_of("### Of refusals", ProblemCode::ALL);
    assert_table_of("### Why a live session ended", SessionEndReason::ALL);
    assert_table_of("### Why an event ended", EventEndReason::ALL);
    assert_table_of("### What a camera that is tampered with looks like", TamperKind::ALL);
    assert_table_of("### Why a source is transcoded", TranscodeReason::ALL);
    assert_table_of("### Why a command was not done", CommandReason::ALL);
    assert_table_of("### How far an update is", UpdateState::ALL);
    assert_table_of("### Why a camera is not updated", UpdateProblem::ALL);
}

#[test]
fn the_table_says_which_reasons_cameras_give() {
    let page = page();
    for reason in SessionEndReason::ALL {
        let row = page.lines().find(|line| {
            line.starts_with(&format!("| `{reason}` | camera |"))
                || line.starts_with(&format!("| `{reason}` | both |"))
        });
        assert_eq!(row.is_some(), SessionEndReason::OF_CAMERAS.contains(reason), "{reason}");
    }
}

/// The message types are the public structs that travel as a whole: those with golden files.
#[test]
fn every_message_is_named() {
    let page = page();
    let folder = workspace().join("shared/tests/wire");
    for entry in fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        let message = file.split('.').next().unwrap();
        let type_name: String = message.split('_').map(capitalised).collect();
        assert!(page.contains(&type_name), "docs/protocol.md does not name {type_name}");
    }
}

fn capitalised(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    first.to_uppercase() + rest
}
