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
    /// What somebody may do at a site. The relay decides which role has which.
    Right {
        /// Cameras: that they are there, their health, what they were told.
        SeeCameras = "see_cameras",
        /// Live pictures, events and clips.
        SeePictures = "see_pictures",
        /// Commands that record, arm or configure.
        Control = "control",
        /// Names of cameras; visibility, links and end of clips.
        Manage = "manage",
        /// Cameras come and go.
        Pair = "pair",
    }
}

words! {
    /// Who may make an account at a relay.
    Registration {
        Closed = "closed",
        /// Whoever was invited; there are no invitations yet, so like `closed`.
        Invitation = "invitation",
        Open = "open",
    }
}

words! {
    /// What an account is to the whole relay.
    AccountRole {
        User = "user",
        Admin = "admin",
    }
}
