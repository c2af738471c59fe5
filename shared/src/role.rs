//! What people are to a site and to the relay.

use crate::word::words;

words! {
    /// What an account is to a site.
    Role {
        Owner = "owner",
        Manager = "manager",
        Viewer = "viewer",
        /// Sets cameras up and sees their health, never their pictures.
        Installer = "installer",
    }
}

words! {
    /// What an account is to the whole relay.
    AccountRole {
        User = "user",
        Admin = "admin",
    }
}
