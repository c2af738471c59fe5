//! By what people show who they are, beside a password.

use crate::word::words;

words! {
    /// A second factor.
    FactorKind {
        /// A code of six digits that an app makes every 30 s.
        Code = "code",
        /// One of ten codes that were written down.
        BackupCode = "backup_code",
        Passkey = "passkey",
    }
}

words! {
    /// What a challenge was given out for: an answer to one kind answers no other.
    ChallengePurpose {
        /// The second step of a sign-in, after the password.
        SecondFactor = "second_factor",
        /// A passkey that signs in or confirms who acts.
        Passkey = "passkey",
        /// A passkey that is made.
        NewPasskey = "new_passkey",
    }
}
