//! Proofs that viewer and camera give each other past the relay, in attributes of their session
//! descriptions. Each signs, with a key of its own, the DTLS fingerprint by which the other side
//! will recognise it: a relay in between cannot put in another.
//!
//! Keys and signatures are Ed25519, in base64 (standard, padded). An attribute's value is the
//! base64 of the proof as JSON.

use serde::{Deserialize, Serialize};

use crate::{
    ids::{CameraId, SessionId},
    time::UnixMillis,
};

/// The attribute of a viewer's offer.
pub const VIEWER_ATTRIBUTE: &str = "nightjar-viewer";

/// The attribute of a camera's answer.
pub const CAMERA_ATTRIBUTE: &str = "nightjar-camera";

/// The one role that a viewer can have.
pub const VIEWER_ROLE: &str = "viewer";

/// A viewer's proof, in its offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewerProof {
    pub key: String,
    pub role: String,
    pub issued_at: UnixMillis,
    /// Over [`viewer_text`].
    pub signature: String,
    /// Needed by viewers that are not an owner of the camera.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass: Option<ViewerPass>,
}

/// Lets another key watch the cameras of the owner who signed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewerPass {
    pub owner_key: String,
    pub viewer_key: String,
    pub role: String,
    pub expires_at: UnixMillis,
    /// Over [`pass_text`], by the owner's key.
    pub signature: String,
}

/// A camera's proof, in its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CameraProof {
    pub key: String,
    /// Over [`camera_text`].
    pub signature: String,
}

/// Writes what a viewer signs: who it is on the wire, and which camera it wants.
pub fn viewer_text(
    camera_id: CameraId,
    viewer_fingerprint: &str,
    role: &str,
    issued_at: UnixMillis,
) -> String {
    let issued_at = issued_at.0;
    format!("nightjar live viewer v1\n{camera_id}\n{viewer_fingerprint}\n{role}\n{issued_at}")
}

/// Writes what an owner signs for another viewer.
pub fn pass_text(viewer_key: &str, role: &str, expires_at: UnixMillis) -> String {
    format!("nightjar live pass v1\n{viewer_key}\n{role}\n{}", expires_at.0)
}

/// Writes what a camera signs: the session, and both ends of it.
pub fn camera_text(
    session_id: SessionId,
    camera_fingerprint: &str,
    viewer_fingerprint: &str,
) -> String {
    format!("nightjar live camera v1\n{session_id}\n{camera_fingerprint}\n{viewer_fingerprint}")
}

/// Returns the one DTLS fingerprint of a description, as in `a=fingerprint:` with the algorithm in lower
/// and the digest in upper case; nothing when there is none, or when there are two.
pub fn fingerprint(sdp: &str) -> Option<String> {
    let first = first_fingerprint(sdp)?;
    let is_first = |other| normal_fingerprint(other).as_ref() == Some(&first);
    fingerprints(sdp).all(is_first).then_some(first)
}

/// Returns the first DTLS fingerprint of a description, as [`fingerprint`] writes it. Others are of
/// the same certificate by other algorithms, and one that fits is enough (RFC 8122, section 5).
pub fn first_fingerprint(sdp: &str) -> Option<String> {
    normal_fingerprint(fingerprints(sdp).next()?)
}

fn fingerprints(sdp: &str) -> impl Iterator<Item = &str> {
    sdp.lines().filter_map(|line| line.strip_prefix("a=fingerprint:"))
}

/// Writes a fingerprint with its function in lower and its digest in upper case.
pub(crate) fn normal_fingerprint(fingerprint: &str) -> Option<String> {
    let (algorithm, digest) = fingerprint.trim().split_once(' ')?;
    Some(format!("{} {}", algorithm.to_ascii_lowercase(), digest.to_ascii_uppercase()))
}

/// Finds the value of an attribute, anywhere in the description.
pub fn attribute<'a>(sdp: &'a str, name: &str) -> Option<&'a str> {
    sdp.lines()
        .find_map(|line| line.strip_prefix("a=")?.strip_prefix(name)?.strip_prefix(':'))
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_has_one_fingerprint_or_none_that_counts() {
        let one =
            "v=0\r\na=fingerprint:SHA-256 ab:CD\r\nm=video\r\na=fingerprint:sha-256 AB:cd\r\n";
        assert_eq!(fingerprint(one).as_deref(), Some("sha-256 AB:CD"));
        let two = format!("{one}a=fingerprint:sha-256 00:00\r\n");
        assert_eq!(fingerprint(&two), None, "one of them could be somebody else's");
        assert_eq!(fingerprint("v=0\r\n"), None);
        assert_eq!(fingerprint("a=fingerprint:broken\r\n"), None);
    }

    #[test]
    fn an_attribute_is_found_by_its_whole_name() {
        let sdp = "v=0\r\na=nightjar-viewer-x:no\r\na=nightjar-viewer:yes\r\n";
        assert_eq!(attribute(sdp, VIEWER_ATTRIBUTE), Some("yes"));
        assert_eq!(attribute(sdp, CAMERA_ATTRIBUTE), None);
    }
}
