//! What the relay glances at before a camera gets it, and that the camera's own reader takes what
//! the relay says is the beginning of a new ICE session.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nightjar_shared::sdp::{self, Offer};

const OFFER: &str = include_str!("../seeds/offer/chromium.sdp");

fn is_plain(text: &str) -> bool {
    text.len() <= sdp::MAX_LENGTH && !text.chars().any(char::is_control)
}

fuzz_target!(|text: &str| {
    if sdp::check_offer(text).is_ok() {
        assert!(text.len() <= sdp::MAX_LENGTH && text.lines().all(is_plain));
    }
    if let Ok(fragment) = sdp::ice_fragment(text) {
        assert_eq!(sdp::ice_fragment(&fragment).expect("a fragment is one"), fragment);
        Offer::parse(OFFER).unwrap().restarted(&fragment).expect("the camera takes it");
    }
    for candidate in sdp::read_fragment(text).unwrap_or_default() {
        assert!(is_plain(&candidate.text));
        assert!(candidate.text.is_empty() || candidate.text.starts_with("candidate:"));
        assert!(candidate.sdp_mid.as_deref().is_none_or(is_plain));
    }
    if let Ok(candidate) = sdp::Candidate::new(text.to_owned(), Some(text.to_owned())) {
        assert!(is_plain(&candidate.text));
    }
});
