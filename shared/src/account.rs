//! What happens to accounts beside what their sites are about.

use crate::word::words;

words! {
    /// What a link in a mail is for. It works once.
    LinkPurpose {
        /// Sets a new password.
        Reset = "reset",
        /// Confirms that mail to an address arrives.
        Verify = "verify",
    }
}

words! {
    /// What a mail tells.
    MailKind {
        VerifyAddress = "verify_address",
        ResetPassword = "reset_password",
        PasswordChanged = "password_changed",
        FactorsChanged = "factors_changed",
        AddressChanged = "address_changed",
        NewSignIn = "new_sign_in",
        AccountExists = "account_exists",
        AccountDeleted = "account_deleted",
        AccountDisabled = "account_disabled",
        /// By an administrator; until then it can be taken back.
        DeletionBegun = "deletion_begun",
        /// An administrator asks an owner to see a site for a while.
        ViewAsked = "view_asked",
        Invitation = "invitation",
    }
}

words! {
    /// How far a mail is. One that has left is forgotten.
    MailState {
        Waiting = "waiting",
        /// It will not be tried again.
        Failed = "failed",
    }
}

words! {
    /// How somebody is signed in.
    SignInKind {
        Browser = "browser",
        Program = "program",
    }
}
