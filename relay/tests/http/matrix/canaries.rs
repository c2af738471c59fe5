//! Words in every field that a door takes, and a look at all that the real program writes.

use std::{collections::BTreeSet, fs, path::Path};

use reqwest::Method;

use super::{
    requests,
    world::{Canaries, Things, canary, is_secret},
};
use crate::{
    person::{Answer, Person},
    secrets::Program,
};

/// Where people, programs and proxies put what opens something.
const HEADERS: &[(&str, &str)] = &[
    ("authorization", "Bearer canary-authorization-9c41e7b2d05f"),
    ("cookie", "session=canary-cookie-9c41e7b2d05f; known-device=canary-device-9c41e7b2d05f"),
    ("x-api-key", "canary-api-key-9c41e7b2d05f"),
    ("if-match", "canary-if-match-9c41e7b2d05f"),
    ("user-agent", "canary-user-agent-9c41e7b2d05f"),
    ("referer", "http://localhost/canary-referer-9c41e7b2d05f"),
    ("x-request-id", "canary-request-id-9c41e7b2d05f"),
    ("traceparent", "canary-traceparent-9c41e7b2d05f"),
    ("tracestate", "nightjar=canary-tracestate-9c41e7b2d05f"),
    ("sec-websocket-protocol", "canary-protocol-9c41e7b2d05f"),
];

const MARK: &str = "-9c41e7b2d05f";

/// The fields of all doors, by the canaries that answers would echo.
fn secret_words(text: &str) -> BTreeSet<String> {
    let parts =
        text.split(|letter: char| !letter.is_ascii_alphanumeric() && !"-_".contains(letter));
    let words = parts.filter(|part| part.starts_with("canary-") && part.ends_with(MARK));
    let field = |word: &&str| word["canary-".len()..word.len() - MARK.len()].to_owned();
    words.filter(|word| is_secret(&field(word))).map(str::to_owned).collect()
}

/// All that lies below a directory.
fn bytes_below(directory: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            bytes.extend(bytes_below(&path));
        } else {
            bytes.extend(fs::read(&path).unwrap_or_default());
        }
    }
    bytes
}

#[tokio::test]
async fn no_word_of_any_request_is_logged_and_no_secret_is_kept_counted_or_told() {
    let relay = Program::start("trace").await;
    let mut alice = Person::new(&relay.origin);
    alice.sign_up("alice@example.org").await;
    let stranger = Person::new(&relay.origin);
    let mut echoes = Vec::new();
    for door in requests::doors() {
        for canaries in [Canaries::Everywhere, Canaries::InSecrets] {
            let things = Things::with(canaries);
            for (person, headers) in [(&alice, false), (&stranger, false), (&stranger, true)] {
                // Who signs out is signed out.
                if door.template.ends_with("/logout") && !headers {
                    continue;
                }
                let mut request = person.request(door.method.clone(), &door.address(&things));
                if let Some((kind, body)) = door.body(&things) {
                    request = request.header("content-type", kind).body(body);
                }
                if headers {
                    request = HEADERS
                        .iter()
                        .fold(request, |request, (name, value)| request.header(*name, *value));
                }
                let answer = Answer::of(request).await;
                if answer.status >= 400 {
                    let words = secret_words(&answer.text);
                    echoes.extend(words.into_iter().map(|word| format!("{}: {word}", door.name())));
                }
            }
        }
    }
    assert!(echoes.is_empty(), "refusals repeat secrets: {echoes:?}");
    let metrics = Answer::of(stranger.request(Method::GET, "/metrics")).await.text;
    assert!(!metrics.contains(MARK), "a metric has a word of a request");
    let kept = bytes_below(&relay.directory.path().join("data"));
    let kept = String::from_utf8_lossy(&kept).into_owned();
    let kept = secret_words(&kept);
    assert!(kept.is_empty(), "kept as it came: {kept:?}");
    let log = relay.stop();
    assert!(log.contains("stopping"), "there is no log: {log}");
    let leak = log.lines().find(|line| line.contains(MARK));
    assert!(leak.is_none(), "{leak:?}; such as {}", canary("password"));
}
