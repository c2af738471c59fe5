//! What the live worker reads of a viewer: its offer, the fragment of a restart, a candidate.
//! The input is an offer and, after a line `===`, a fragment.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nightjar_shared::sdp::{MAX_CANDIDATE_LENGTH, MAX_LENGTH, Offer, is_candidate};
use nightjar_shared::authenticity::fingerprint;

/// The rewritten offer may be longer than the one that was offered: each section says how it is reached.
const MARGIN: usize = 32 * 1024;

/// What `GStreamer` gets to see: plain lines, and the same offer when it is read again.
fn check(offer: &Offer) {
    let text = offer.rewritten();
    assert!(text.len() <= MAX_LENGTH + MARGIN);
    assert!(text.is_ascii() && text.split("\r\n").all(|line| !line.chars().any(char::is_control)));
    if text.len() <= MAX_LENGTH {
        let again = Offer::parse(text).expect("what was rewritten is an offer");
        assert_eq!(again.rewritten(), text);
        assert_eq!(again.payload_type, offer.payload_type);
    }
}

fuzz_target!(|input: &str| {
    let (offer, fragment) = input.split_once("===\n").unwrap_or((input, ""));
    if is_candidate(fragment) {
        assert!(fragment.len() <= MAX_CANDIDATE_LENGTH && fragment.is_ascii());
    }
    let named = fingerprint(offer);
    let Ok(offer) = Offer::parse(offer) else { return };
    check(&offer);
    if named.is_some() {
        assert_eq!(fingerprint(offer.rewritten()), named, "what is signed is what is used");
    }
    assert!(offer.payload_type < 128);
    if let Ok(restarted) = offer.restarted(fragment) {
        assert_eq!(restarted.payload_type, offer.payload_type);
        // Its candidates stand at the end of their section, where they were not offered.
        if let Ok(again) = Offer::parse(restarted.rewritten()) {
            check(&again);
        } else {
            assert!(restarted.rewritten().len() > MAX_LENGTH);
        }
    }
});
