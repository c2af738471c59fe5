//! Who acts: what every decision about an account begins with.

use super::access::Caller;
use crate::engines::db::sign_in::SignInId;

/// Somebody who has proved who they are, and the sign-in by which.
#[derive(Debug, Clone)]
pub struct SignedIn {
    pub caller: Caller,
    pub sign_in: SignInId,
    /// Whether nothing is allowed but to set up a second factor: administrators need one.
    pub lacks_factor: bool,
}
