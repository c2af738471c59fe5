//! Credentials of the TURN REST convention: the user name says until when and for whom, the
//! password is its HMAC. The server that shares the secret needs no list of users.

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use nightjar_shared::{
    ids::{SessionId, SiteId},
    time::UnixMillis,
};

/// What the relay and its TURN server share.
pub(super) struct Secret(hmac::Key);

/// Whom a credential was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) site_id: SiteId,
    pub(super) session_id: SessionId,
    /// When the credential ends.
    pub(super) expires_at: UnixMillis,
}

impl Secret {
    pub(super) fn new(secret: &[u8]) -> Self {
        // The convention, and every server that speaks it, says SHA-1.
        Self(hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret))
    }

    /// Writes the user name `{seconds since 1970}:{site}.{session}`, which coturn understands.
    #[expect(clippy::unused_self, reason = "a user is one of this secret")]
    pub(super) fn user(
        &self,
        site_id: SiteId,
        session_id: SessionId,
        expires_at: UnixMillis,
    ) -> String {
        format!("{}:{site_id}.{session_id}", expires_at.0.div_euclid(1000))
    }

    pub(super) fn password(&self, user: &str) -> String {
        STANDARD.encode(hmac::sign(&self.0, user.as_bytes()))
    }

    /// Reads for whom a user name was made, if it is one of ours and still good. Whether the caller
    /// knows the password is for the protocol to find out.
    pub(super) fn read(user: &str, now: UnixMillis) -> Option<Grant> {
        let (expires_at, subject) = user.split_once(':')?;
        let (site_id, session_id) = subject.split_once('.')?;
        let expires_at: i64 = expires_at.parse().ok()?;
        let expires_at = UnixMillis(expires_at.checked_mul(1000)?);
        if expires_at <= now {
            return None;
        }
        let (site_id, session_id) = (site_id.parse().ok()?, session_id.parse().ok()?);
        Some(Grant { site_id, session_id, expires_at })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_password_is_the_hmac_that_other_servers_expect() {
        // RFC 2202, test case 2.
        let secret = Secret::new(b"Jefe");
        let expected = hex::decode("effcdf6ae5eb2fa2d27416d5f184df9c259a7c79").unwrap();
        assert_eq!(secret.password("what do ya want for nothing?"), STANDARD.encode(expected));
    }

    #[test]
    fn a_user_name_says_for_whom_and_until_when() {
        let (site_id, session_id) = (SiteId::generate(), SessionId::generate());
        let now = UnixMillis(1_790_000_000_500);
        let user = Secret::new(b"x").user(site_id, session_id, now.plus(Duration::from_mins(10)));
        assert!(user.starts_with("1790000600:"), "{user}");
        let expires_at = UnixMillis(1_790_000_600_000);
        assert_eq!(Secret::read(&user, now), Some(Grant { site_id, session_id, expires_at }));
        assert_eq!(Secret::read(&user, now.plus(Duration::from_mins(10))), None);
        for user in ["", "1790000600", "x:y.z", "99999999999999999999:a.b"] {
            assert_eq!(Secret::read(user, now), None, "{user}");
        }
    }
}
