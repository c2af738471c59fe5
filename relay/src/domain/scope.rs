//! What a caller's credential lets them do: less than they may themselves, where it is an API key.

use nightjar_shared::{
    ids::SiteId,
    role::{Right, Rights},
};

/// What may be done with a credential, whatever else its holder may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    rights: Rights,
    /// Where it counts; everywhere when there is none.
    site_id: Option<SiteId>,
    is_person: bool,
}

impl Scope {
    /// Of a person who is there: all that the person may do.
    pub const PERSON: Self = Self { rights: Rights::ALL, site_id: None, is_person: true };

    /// Of a key that the person left with a program.
    pub fn of_key(rights: Rights, site_id: Option<SiteId>) -> Self {
        Self { rights, site_id, is_person: false }
    }

    /// Returns whether it lets its holder use this right at that site.
    pub fn allows(self, right: Right, site_id: SiteId) -> bool {
        self.has(right) && self.reaches(site_id)
    }

    /// Returns whether it lets its holder use this right anywhere.
    pub fn has(self, right: Right) -> bool {
        self.rights.has(right)
    }

    pub fn reaches(self, site_id: SiteId) -> bool {
        self.site_id.is_none_or(|only| only == site_id)
    }

    pub fn rights(self) -> Rights {
        self.rights
    }

    /// The one site where it counts.
    pub fn site_id(self) -> Option<SiteId> {
        self.site_id
    }

    /// Returns whether a person acts, who may change the account itself and who has a part in what.
    pub fn is_person(self) -> bool {
        self.is_person
    }
}
