//! Golden messages. Each file in `wire/` is a message as it once went over the wire, named
//! `{message}.{case}.json`. Files are added, never changed or removed: what was readable stays
//! readable, and what was written keeps its spelling.

#![expect(clippy::unwrap_used, reason = "in a test a failed unwrap is a failed test")]

mod extremes;

use std::{collections::BTreeSet, fs, path::Path};

use nightjar_shared::{
    api::{
        Challenge, ClaimRequest, ClaimResponse, ClipAnnouncement, ClipCompletion, ClipFailure,
        NetworkMeans, PartRequest, PartUpload, PartsSent, PartsStored, Problem, TokenRequest,
        TokenResponse,
    },
    authenticity::{CameraProof, ViewerProof},
    command::{CommandAck, CommandMessage},
    configuration::Configuration,
    event::{EventKind, EventMessage, Health, Presence},
    introduction::{IntroductionAnswer, IntroductionRequest},
    pairing::{
        AnnouncementAnswer, AnnouncementQuestion, AnnouncementRequest, AnnouncementStatus,
        ProvisioningFile,
    },
    range::Check,
    release::{Manifest, SignedManifest, UpdateAnswer, UpdateReport},
    signal::{Signal, SignalKind},
    webhook::WebhookMessage,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// Reads a message as its type, and writes it again.
type Rewrite = fn(&Value) -> Result<Value, serde_json::Error>;

const MESSAGES: [(&str, Rewrite); 35] = [
    ("announcement_answer", rewrite::<AnnouncementAnswer>),
    ("announcement_question", rewrite::<AnnouncementQuestion>),
    ("announcement_request", rewrite::<AnnouncementRequest>),
    ("announcement_status", rewrite::<AnnouncementStatus>),
    ("camera_proof", rewrite::<CameraProof>),
    ("challenge", rewrite::<Challenge>),
    ("claim_request", rewrite::<ClaimRequest>),
    ("claim_response", rewrite::<ClaimResponse>),
    ("clip_announcement", rewrite::<ClipAnnouncement>),
    ("clip_completion", rewrite::<ClipCompletion>),
    ("clip_failure", rewrite::<ClipFailure>),
    ("command_ack", rewrite::<CommandAck>),
    ("command_message", rewrite::<CommandMessage>),
    ("configuration", rewrite::<Configuration>),
    ("event_message", rewrite::<EventMessage>),
    ("health", rewrite::<Health>),
    ("introduction_answer", rewrite::<IntroductionAnswer>),
    ("introduction_request", rewrite::<IntroductionRequest>),
    ("network_means", rewrite::<NetworkMeans>),
    ("part_request", rewrite::<PartRequest>),
    ("part_upload", rewrite::<PartUpload>),
    ("parts_sent", rewrite::<PartsSent>),
    ("parts_stored", rewrite::<PartsStored>),
    ("presence", rewrite::<Presence>),
    ("problem", rewrite::<Problem>),
    ("provisioning_file", rewrite::<ProvisioningFile>),
    ("manifest", rewrite::<Manifest>),
    ("signal", rewrite::<Signal>),
    ("signed_manifest", rewrite::<SignedManifest>),
    ("token_request", rewrite::<TokenRequest>),
    ("token_response", rewrite::<TokenResponse>),
    ("update_answer", rewrite::<UpdateAnswer>),
    ("update_report", rewrite::<UpdateReport>),
    ("viewer_proof", rewrite::<ViewerProof>),
    ("webhook_message", rewrite::<WebhookMessage>),
];

fn rewrite<T: Serialize + DeserializeOwned>(message: &Value) -> Result<Value, serde_json::Error> {
    serde_json::to_value(serde_json::from_value::<T>(message.clone())?)
}

struct Golden {
    name: String,
    rewrite: Rewrite,
    content: Value,
}

fn goldens() -> Vec<Golden> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire");
    let golden = |path: &Path| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let message = name.split('.').next().unwrap();
        let found = MESSAGES.iter().find(|(known, _)| *known == message);
        let (_, rewrite) = found.unwrap_or_else(|| panic!("{name} is of no known message"));
        let content = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        Golden { rewrite: *rewrite, content, name }
    };
    fs::read_dir(folder).unwrap().map(|entry| golden(&entry.unwrap().path())).collect()
}

#[test]
fn every_message_has_a_golden_file() {
    let files = goldens();
    let present: BTreeSet<&str> =
        files.iter().map(|golden| golden.name.split('.').next().unwrap()).collect();
    for (message, _) in MESSAGES {
        assert!(present.contains(message), "wire/{message}.*.json is missing");
    }
}

#[test]
fn what_a_golden_message_says_survives_reading_and_writing() {
    for golden in goldens() {
        let written = (golden.rewrite)(&golden.content)
            .unwrap_or_else(|error| panic!("{} does not parse: {error}", golden.name));
        assert_says(&written, &golden.content, &golden.name);
    }
}

#[test]
fn fields_from_the_future_are_ignored_at_every_depth() {
    for golden in goldens() {
        let expected = (golden.rewrite)(&golden.content).unwrap();
        let mut newer = golden.content.clone();
        add_unknown_fields(&mut newer);
        let read = (golden.rewrite)(&newer)
            .unwrap_or_else(|error| panic!("{} with new fields: {error}", golden.name));
        assert_eq!(read, expected, "{}", golden.name);
    }
}

#[test]
fn a_missing_field_that_was_always_there_is_an_error() {
    for golden in goldens().into_iter().filter(|golden| golden.name == "presence.online.json") {
        let mut broken = golden.content;
        broken.as_object_mut().unwrap().remove("online");
        assert!((golden.rewrite)(&broken).is_err());
    }
}

#[test]
fn kinds_from_the_future_are_read_as_unknown() {
    assert_eq!(serde_json::from_value::<EventKind>(json!("sound")).unwrap(), EventKind::Unknown);
    assert_eq!(
        serde_json::from_value::<SignalKind>(json!("renegotiate")).unwrap(),
        SignalKind::Unknown
    );
}

/// Every field of `golden` stands in `written` with the same value. `written` may hold more: an
/// old message lacks what has a default now.
#[track_caller]
fn assert_says(written: &Value, golden: &Value, place: &str) {
    match (written, golden) {
        (Value::Object(written), Value::Object(golden)) => {
            for (key, value) in golden {
                let place = format!("{place}: {key}");
                assert_says(written.get(key).unwrap_or(&Value::Null), value, &place);
            }
        }
        (Value::Array(written), Value::Array(golden)) => {
            assert_eq!(written.len(), golden.len(), "{place}");
            for (written, golden) in written.iter().zip(golden) {
                assert_says(written, golden, place);
            }
        }
        _ => assert_eq!(written, golden, "{place}"),
    }
}

/// Fields whose content is not of this protocol, and so is kept as it is.
const FREE_FORM: [&str; 3] = ["arguments", "result", "headers"];

fn add_unknown_fields(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (_, below) in
                fields.iter_mut().filter(|(key, _)| !FREE_FORM.contains(&key.as_str()))
            {
                add_unknown_fields(below);
            }
            fields.insert("from_the_future".to_owned(), json!({"deep": [1, "two", null]}));
        }
        Value::Array(items) => items.iter_mut().for_each(add_unknown_fields),
        _ => {}
    }
}

/// Reads an extreme message as its type and, if its numbers are possible ones, writes it and reads
/// it again: what a database keeps of it as JSON.
type Keep = fn(&str) -> Result<(), String>;

const KEPT: [(&str, Keep); 10] = [
    ("claim_request", keep::<ClaimRequest>),
    ("clip_announcement", keep::<ClipAnnouncement>),
    ("clip_completion", keep::<ClipCompletion>),
    ("clip_failure", keep::<ClipFailure>),
    ("command_ack", keep::<CommandAck>),
    ("configuration", keep::<Configuration>),
    ("event_message", keep::<EventMessage>),
    ("health", keep::<Health>),
    ("presence", keep::<Presence>),
    ("signal", keep::<Signal>),
];

fn keep<T: Serialize + DeserializeOwned + Check>(text: &str) -> Result<(), String> {
    let Ok(message) = serde_json::from_str::<T>(text) else { return Ok(()) };
    if message.check().is_err() {
        return Ok(());
    }
    let kept = serde_json::to_string(&message).map_err(|error| error.to_string())?;
    let again: T = serde_json::from_str(&kept).map_err(|error| format!("{error}: {kept}"))?;
    again.check().map_err(|error| error.to_string())
}

#[test]
fn what_is_in_range_is_read_again_as_it_was_written() {
    for golden in goldens() {
        let message = golden.name.split('.').next().unwrap();
        let Some((_, keep)) = KEPT.iter().find(|(name, _)| *name == message) else { continue };
        for text in extremes::of(&golden.content) {
            let kept = keep(&text);
            assert!(kept.is_ok(), "{}: {kept:?}: {text}", golden.name);
        }
    }
}
