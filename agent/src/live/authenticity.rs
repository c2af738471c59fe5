//! Judges who may watch, and proves who answers. The keys stay in the agent: the live worker, which
//! talks to strangers, signs nothing.

use std::{collections::VecDeque, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use nightjar_shared::{
    authenticity::{
        CAMERA_ATTRIBUTE, CameraProof, VIEWER_ATTRIBUTE, VIEWER_ROLE, ViewerPass, ViewerProof,
        attribute, camera_text, fingerprint, pass_text, viewer_text,
    },
    ids::{CameraId, SessionId},
    time::UnixMillis,
};

use crate::{
    config::AuthenticityMode,
    identity::{Identity, verify},
};

/// How old a proof may be, or how far ahead, while the camera's clock is set.
const PROOF_AGE_MS: u64 = 10 * 60 * 1_000;

/// How many proofs and sessions are remembered; beyond it the oldest are forgotten.
const MEMORY: usize = 1_024;

/// Why an offer is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum ProofError {
    #[error("the viewer gives no proof, and this camera requires one")]
    NoProof,
    #[error("the proof cannot be read")]
    Malformed,
    #[error("the proof is not for these fingerprints, this camera or this role")]
    WrongSignature,
    #[error("the viewer's key is none that an owner let in")]
    NotEnrolled,
    #[error("the proof was seen before")]
    Replayed,
    #[error("the proof is old, or from ahead: the clocks of viewer and camera differ")]
    Stale,
}

/// Whose viewers a camera lets in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ViewerTrust {
    pub camera_id: Option<CameraId>,
    /// The owners' keys: each may watch, and let others watch.
    pub owner_keys: Vec<String>,
}

/// The camera's judgement of viewers.
pub(super) struct Authenticity {
    mode: AuthenticityMode,
    identity: Arc<Identity>,
    trust: ViewerTrust,
    /// Signatures of viewers that were accepted.
    seen: VecDeque<String>,
    /// The fingerprint that each session was offered with.
    sessions: VecDeque<(SessionId, String)>,
}

impl Authenticity {
    pub(super) fn new(mode: AuthenticityMode, identity: Arc<Identity>) -> Self {
        Self {
            mode,
            identity,
            trust: ViewerTrust::default(),
            seen: VecDeque::new(),
            sessions: VecDeque::new(),
        }
    }

    pub(super) fn set_trust(&mut self, trust: ViewerTrust) {
        self.trust = trust;
    }

    /// Judges an offer. `now` is absent while the clock is not set.
    pub(super) fn admit(
        &mut self,
        session_id: SessionId,
        offer: &str,
        now: Option<UnixMillis>,
    ) -> Result<(), ProofError> {
        if self.mode == AuthenticityMode::Off {
            return Ok(());
        }
        let viewer = fingerprint(offer);
        match (attribute(offer, VIEWER_ATTRIBUTE), self.mode) {
            (Some(proof), mode) => match self.check(proof, viewer.as_deref(), now) {
                // As good as none: who replays it could as well leave it out.
                Err(ProofError::Stale) if mode == AuthenticityMode::Prefer => {}
                judged => judged?,
            },
            (None, AuthenticityMode::Require) => return Err(ProofError::NoProof),
            (None, _) => {}
        }
        if let Some(viewer) = viewer {
            remember(&mut self.sessions, (session_id, viewer));
        }
        Ok(())
    }

    fn check(
        &mut self,
        proof: &str,
        viewer: Option<&str>,
        now: Option<UnixMillis>,
    ) -> Result<(), ProofError> {
        let json = STANDARD.decode(proof).map_err(|_| ProofError::Malformed)?;
        let proof: ViewerProof =
            serde_json::from_slice(&json).map_err(|_| ProofError::Malformed)?;
        let (Some(viewer), Some(camera_id)) = (viewer, self.trust.camera_id) else {
            return Err(ProofError::Malformed);
        };
        let text = viewer_text(camera_id, viewer, &proof.role, proof.issued_at);
        if proof.role != VIEWER_ROLE || !verify(&proof.key, &text, &proof.signature) {
            return Err(ProofError::WrongSignature);
        }
        let stale = |now: UnixMillis| now.0.abs_diff(proof.issued_at.0) > PROOF_AGE_MS;
        if now.is_some_and(stale) {
            return Err(ProofError::Stale);
        }
        if self.seen.contains(&proof.signature) {
            return Err(ProofError::Replayed);
        }
        // A camera that knows no owner cannot tell viewers apart: a proof adds nothing there.
        let nobody = self.trust.owner_keys.is_empty() && self.mode == AuthenticityMode::Prefer;
        let is_owner = self.is_owner(&proof.key);
        let has_pass = || {
            let pass = proof.pass.as_ref();
            pass.is_some_and(|pass| self.is_valid(pass, &proof.key, now))
        };
        if !nobody && !is_owner && !has_pass() {
            return Err(ProofError::NotEnrolled);
        }
        remember(&mut self.seen, proof.signature);
        Ok(())
    }

    fn is_owner(&self, key: &str) -> bool {
        self.trust.owner_keys.iter().any(|owner| owner == key)
    }

    fn is_valid(&self, pass: &ViewerPass, key: &str, now: Option<UnixMillis>) -> bool {
        let text = pass_text(&pass.viewer_key, &pass.role, pass.expires_at);
        pass.viewer_key == key
            && pass.role == VIEWER_ROLE
            && now.is_none_or(|now| now < pass.expires_at)
            && self.is_owner(&pass.owner_key)
            && verify(&pass.owner_key, &text, &pass.signature)
    }

    /// Adds the camera's proof to an answer, where the mode wants one.
    pub(super) fn sign(&self, session_id: SessionId, answer: String) -> String {
        let viewer = self.sessions.iter().rev().find(|(id, _)| *id == session_id);
        let (Some((_, viewer)), Some(camera)) = (viewer, fingerprint(&answer)) else {
            return answer;
        };
        let text = camera_text(session_id, &camera, viewer);
        let proof = CameraProof {
            key: self.identity.public_key().to_owned(),
            signature: self.identity.sign(&text),
        };
        match serde_json::to_vec(&proof) {
            Ok(json) => format!("{answer}a={CAMERA_ATTRIBUTE}:{}\r\n", STANDARD.encode(json)),
            Err(_) => answer,
        }
    }
}

fn remember<T>(memory: &mut VecDeque<T>, item: T) {
    if memory.len() >= MEMORY {
        memory.pop_front();
    }
    memory.push_back(item);
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_790_000_000_000);
    const YEAR_MS: i64 = 365 * 24 * 3_600 * 1_000;

    /// A key of somebody's, in a directory of its own.
    fn someone() -> Identity {
        let directory = tempfile::tempdir().unwrap();
        Identity::open(directory.path()).unwrap()
    }

    struct Household {
        camera: Authenticity,
        camera_id: CameraId,
        owner: Identity,
    }

    fn household(mode: AuthenticityMode) -> Household {
        let (owner, camera_id) = (someone(), CameraId::generate());
        let mut camera = Authenticity::new(mode, Arc::new(someone()));
        let owner_keys = vec![owner.public_key().to_owned()];
        camera.set_trust(ViewerTrust { camera_id: Some(camera_id), owner_keys });
        Household { camera, camera_id, owner }
    }

    fn description(fingerprint: &str) -> String {
        format!("v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=fingerprint:sha-256 {fingerprint}\r\n")
    }

    fn proof(viewer: &Identity, camera_id: CameraId, fingerprint: &str) -> ViewerProof {
        let text = viewer_text(camera_id, &format!("sha-256 {fingerprint}"), VIEWER_ROLE, NOW);
        ViewerProof {
            key: viewer.public_key().to_owned(),
            role: VIEWER_ROLE.to_owned(),
            issued_at: NOW,
            signature: viewer.sign(&text),
            pass: None,
        }
    }

    fn with(description: &str, proof: &ViewerProof) -> String {
        let json = serde_json::to_vec(proof).unwrap();
        format!("{description}a={VIEWER_ATTRIBUTE}:{}\r\n", STANDARD.encode(json))
    }

    fn pass(owner: &Identity, viewer: &Identity, expires_at: UnixMillis) -> ViewerPass {
        let viewer_key = viewer.public_key().to_owned();
        let signature = owner.sign(&pass_text(&viewer_key, VIEWER_ROLE, expires_at));
        let (owner_key, role) = (owner.public_key().to_owned(), VIEWER_ROLE.to_owned());
        ViewerPass { owner_key, viewer_key, role, expires_at, signature }
    }

    impl Household {
        fn admit(&mut self, offer: &str) -> Result<(), ProofError> {
            self.camera.admit(SessionId::generate(), offer, Some(NOW))
        }
    }

    #[test]
    fn an_owner_is_let_in_once_with_each_proof() {
        let mut household = household(AuthenticityMode::Require);
        let offer =
            with(&description("AA:01"), &proof(&household.owner, household.camera_id, "AA:01"));
        assert_eq!(household.admit(&offer), Ok(()));
        assert_eq!(household.admit(&offer), Err(ProofError::Replayed));
    }

    #[test]
    fn a_relay_that_swaps_or_adds_a_fingerprint_is_refused() {
        let mut household = household(AuthenticityMode::Prefer);
        let proof = proof(&household.owner, household.camera_id, "AA:01");
        let swapped = with(&description("BB:02"), &proof);
        assert_eq!(household.admit(&swapped), Err(ProofError::WrongSignature));
        let added = with(&description("AA:01"), &proof) + "a=fingerprint:sha-256 BB:02\r\n";
        assert_eq!(household.admit(&added), Err(ProofError::Malformed));
    }

    #[test]
    fn a_session_of_the_relay_s_own_is_refused_where_proof_is_required() {
        let bare = description("BB:02");
        assert_eq!(household(AuthenticityMode::Require).admit(&bare), Err(ProofError::NoProof));
        assert_eq!(household(AuthenticityMode::Prefer).admit(&bare), Ok(()));
        assert_eq!(household(AuthenticityMode::Off).admit(&bare), Ok(()));
        let mut household = household(AuthenticityMode::Require);
        let own = with(&bare, &proof(&someone(), household.camera_id, "BB:02"));
        assert_eq!(household.admit(&own), Err(ProofError::NotEnrolled));
    }

    #[test]
    fn a_proof_for_another_camera_or_role_is_refused() {
        let mut household = household(AuthenticityMode::Prefer);
        let bare = description("AA:01");
        let other = with(&bare, &proof(&household.owner, CameraId::generate(), "AA:01"));
        assert_eq!(household.admit(&other), Err(ProofError::WrongSignature));
        let good = proof(&household.owner, household.camera_id, "AA:01");
        let role = with(&bare, &ViewerProof { role: "admin".to_owned(), ..good.clone() });
        assert_eq!(household.admit(&role), Err(ProofError::WrongSignature));
    }

    #[test]
    fn a_proof_of_another_time_is_as_good_as_none() {
        let later = Some(UnixMillis(NOW.0 + 700_000));
        for (mode, judged) in [
            (AuthenticityMode::Require, Err(ProofError::Stale)),
            (AuthenticityMode::Prefer, Ok(())),
        ] {
            let mut household = household(mode);
            let proof = proof(&household.owner, household.camera_id, "AA:01");
            let offer = with(&description("AA:01"), &proof);
            let session_id = SessionId::generate();
            assert_eq!(household.camera.admit(session_id, &offer, later), judged, "{mode:?}");
            assert_eq!(
                household.camera.admit(session_id, &offer, None),
                Ok(()),
                "no clock, no age"
            );
        }
    }

    #[test]
    fn a_pass_of_an_owner_lets_another_viewer_in_until_it_expires() {
        let mut household = household(AuthenticityMode::Require);
        let guest = someone();
        let admit = |household: &mut Household, number: u32, pass: ViewerPass| {
            let fingerprint = format!("AA:{number:02}");
            let proof = proof(&guest, household.camera_id, &fingerprint);
            let proof = ViewerProof { pass: Some(pass), ..proof };
            household.admit(&with(&description(&fingerprint), &proof))
        };
        let expires_at = UnixMillis(NOW.0 + YEAR_MS);
        let good = pass(&household.owner, &guest, expires_at);
        assert_eq!(admit(&mut household, 1, good.clone()), Ok(()));
        let expired = pass(&household.owner, &guest, UnixMillis(NOW.0 - 1));
        assert_eq!(admit(&mut household, 2, expired), Err(ProofError::NotEnrolled));
        let longer = ViewerPass { expires_at: UnixMillis(NOW.0 + 2 * YEAR_MS), ..good };
        assert_eq!(admit(&mut household, 3, longer), Err(ProofError::NotEnrolled));
        let of_a_stranger = pass(&someone(), &guest, expires_at);
        assert_eq!(admit(&mut household, 4, of_a_stranger), Err(ProofError::NotEnrolled));
        let for_another = pass(&household.owner, &someone(), expires_at);
        assert_eq!(admit(&mut household, 5, for_another), Err(ProofError::NotEnrolled));
    }

    #[test]
    fn garbage_in_the_attribute_is_refused() {
        let mut household = household(AuthenticityMode::Prefer);
        for garbage in ["", "!", "e30=", "bnVsbA=="] {
            let offer = format!("{}a={VIEWER_ATTRIBUTE}:{garbage}\r\n", description("AA:01"));
            assert_eq!(household.admit(&offer), Err(ProofError::Malformed), "{garbage}");
        }
    }

    #[test]
    fn an_answer_is_signed_for_its_session_and_both_fingerprints() {
        let mut household = household(AuthenticityMode::Prefer);
        let session_id = SessionId::generate();
        household.camera.admit(session_id, &description("AA:01"), Some(NOW)).unwrap();
        let answer = household.camera.sign(session_id, description("CC:03"));
        let proof = STANDARD.decode(attribute(&answer, CAMERA_ATTRIBUTE).unwrap()).unwrap();
        let proof: CameraProof = serde_json::from_slice(&proof).unwrap();
        let text = camera_text(session_id, "sha-256 CC:03", "sha-256 AA:01");
        assert!(verify(&proof.key, &text, &proof.signature));
        let other = camera_text(SessionId::generate(), "sha-256 CC:03", "sha-256 AA:01");
        assert!(!verify(&proof.key, &other, &proof.signature));
        let unknown = household.camera.sign(SessionId::generate(), description("CC:03"));
        assert_eq!(attribute(&unknown, CAMERA_ATTRIBUTE), None);
    }
}
