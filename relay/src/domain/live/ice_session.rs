//! The name of an ICE session, which is its `ETag`: chance, and what its ICE users and passwords hash to.
//! By it a viewer's user and password are known again, whichever replica is asked.

use std::fmt::Write as _;

use nightjar_shared::sdp;
use sha2::{Digest as _, Sha256};

use crate::{domain::secrets, error::Result};

/// Sections that are bundled may each have a user of their own; more than this are not told apart.
const USERS_MAX: usize = 4;

/// Bytes of each hash. A viewer can only mistake itself.
const HASH_BYTES: usize = 8;

/// Makes a name for the ICE session that a description begins.
pub(super) fn name(description: &str) -> Result<String> {
    let mut name = secrets::short_token()?;
    for user in sdp::ice_users(description).into_iter().take(USERS_MAX) {
        let _ = write!(name, ".{}", hash(user));
    }
    Ok(name)
}

/// Returns whether a fragment is of the ICE session of this name: each user in it is known, or it names
/// none.
pub(super) fn is_of(name: &str, fragment: &str) -> bool {
    let is_known = |user| name.split('.').skip(1).any(|known| known == hash(user));
    sdp::ice_users(fragment).into_iter().all(is_known)
}

fn hash((user, password): (&str, &str)) -> String {
    let digest = Sha256::digest(format!("{user}\n{password}"));
    digest[..HASH_BYTES].iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\nm=video\r\n\
        m=audio\r\na=ice-ufrag:efgh\r\na=ice-pwd:1123456789012345678901\r\n";

    #[test]
    fn a_session_knows_its_users_again_and_no_others() {
        let name = name(OFFER).unwrap();
        for (user, password, expected) in [
            ("abcd", "0123456789012345678901", true),
            ("efgh", "1123456789012345678901", true),
            ("abcd", "1123456789012345678901", false),
            ("abce", "0123456789012345678901", false),
        ] {
            let fragment = format!("a=ice-ufrag:{user}\r\na=ice-pwd:{password}\r\nm=video\r\n");
            assert_eq!(is_of(&name, &fragment), expected, "{user} {password}");
        }
        assert!(is_of(&name, "m=video\r\na=mid:0\r\n"), "none is named");
        assert!(!is_of("older", OFFER), "of a session from before it had such a name");
    }
}
