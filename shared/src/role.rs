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
        /// Who belongs to the site; viewers are let in and out.
        Invite = "invite",
        /// The site itself: its name and its end, everybody's role, and cameras that change sites.
        Own = "own",
        /// The trail of who did what.
        Audit = "audit",
        /// The figures of the whole relay. Of no role at a site: keys of administrators have it.
        ReadMetrics = "read_metrics",
        /// Tells that something happened at a camera, and lets the camera record it: for doorbells, sensors
        /// and programs that know of them.
        Report = "report",
    }
}

/// A set of rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rights(u16);

impl Rights {
    pub const ALL: Self = Self(u16::MAX);

    /// Collects rights; the same one twice counts once.
    pub fn of(rights: &[Right]) -> Self {
        Self(rights.iter().fold(0, |set, right| set | Self::bit(*right)))
    }

    pub fn has(self, right: Right) -> bool {
        self.0 & Self::bit(right) != 0
    }

    /// Lists the rights of the set.
    pub fn list(self) -> Vec<Right> {
        Right::ALL.iter().copied().filter(|right| self.has(*right)).collect()
    }

    fn bit(right: Right) -> u16 {
        1 << right as u8
    }
}

words! {
    /// Who may make an account at a relay.
    Registration {
        Closed = "closed",
        /// Whoever was invited to a site.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_put_in_and_nothing_else() {
        let sight = Rights::of(&[Right::SeePictures, Right::SeeCameras, Right::SeeCameras]);
        assert_eq!(sight.list(), [Right::SeeCameras, Right::SeePictures]);
        assert!(!sight.has(Right::Pair));
        assert_eq!(Rights::ALL.list(), Right::ALL);
        assert_eq!(Rights::of(&[]).list(), []);
    }
}
