//! Messages that travel by MQTT, as either end reads them: what can be read is written and read
//! again as the same. The input is a topic or a message.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nightjar_shared::{
    authenticity::{CameraProof, ViewerProof},
    command::{Command, CommandAck, CommandMessage},
    configuration::Configuration,
    event::{EventMessage, Health, Presence},
    signal::Signal,
    topic::Topic,
};
use serde::{Serialize, de::DeserializeOwned};

fn read<T: Serialize + DeserializeOwned + PartialEq>(message: &[u8]) -> Option<T> {
    let read: T = serde_json::from_slice(message).ok()?;
    let written = serde_json::to_vec(&read).expect("what was read can be written");
    let again: T = serde_json::from_slice(&written).expect("what was written can be read");
    assert!(again == read, "{}", String::from_utf8_lossy(&written));
    Some(read)
}

fuzz_target!(|message: &[u8]| {
    read::<EventMessage>(message);
    read::<Health>(message);
    read::<Presence>(message);
    read::<CommandAck>(message);
    read::<Configuration>(message);
    read::<Signal>(message);
    read::<ViewerProof>(message);
    read::<CameraProof>(message);
    if let Some(message) = read::<CommandMessage>(message) {
        // Wrong arguments are refused by name.
        let _ = Command::parse(&message.kind, &message.arguments);
    }
    if let Some(topic) = std::str::from_utf8(message).ok().and_then(|text| text.parse::<Topic>().ok()) {
        assert_eq!(topic.to_string().parse::<Topic>().unwrap(), topic);
    }
});
