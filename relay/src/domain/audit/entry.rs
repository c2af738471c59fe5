//! What is written down of a deed.

use std::{fmt, net::IpAddr, time::Duration};

use nightjar_shared::{
    audit::{Action, ActorKind},
    command::CommandState,
    ids::{AccountId, ApiKeyId, CameraId, ClipId, CommandId, ShareId, SiteId},
    role::{AccountRole, Role},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::{access::Caller, text};

/// What an entry has to say beyond who, what and where.
const DETAILS_BYTES_MAX: usize = 8 * 1024;

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Actor {
    Account(AccountId),
    /// A program, for an account.
    Key {
        account_id: AccountId,
        key_id: ApiKeyId,
    },
    Camera(CameraId),
    /// Whoever has the link.
    Link(ShareId),
    /// Somebody who proved nothing.
    Stranger,
    /// The relay itself, or who runs it, at its command line.
    Relay,
}

impl Actor {
    pub(super) fn kind(&self) -> ActorKind {
        match self {
            Self::Account(_) => ActorKind::Account,
            Self::Key { .. } => ActorKind::Key,
            Self::Camera(_) => ActorKind::Camera,
            Self::Link(_) => ActorKind::Link,
            Self::Stranger => ActorKind::Stranger,
            Self::Relay => ActorKind::Relay,
        }
    }

    pub(super) fn account_id(&self) -> Option<AccountId> {
        match self {
            Self::Account(account_id) | Self::Key { account_id, .. } => Some(*account_id),
            _ => None,
        }
    }

    /// Returns the id of who it was; nothing where nobody knows.
    pub(super) fn id(&self) -> String {
        let account_id = self.account_id().map(|it| it.to_string());
        account_id.or(self.other_id()).unwrap_or_default()
    }

    /// Returns the id of who it was, where that is no account.
    pub(super) fn other_id(&self) -> Option<String> {
        match self {
            Self::Key { key_id, .. } => Some(key_id.to_string()),
            Self::Camera(camera_id) => Some(camera_id.to_string()),
            Self::Link(share_id) => Some(share_id.to_string()),
            Self::Account(_) | Self::Stranger | Self::Relay => None,
        }
    }
}

/// Who did it, and from where.
pub struct Doer {
    actor: Actor,
    address: Option<IpAddr>,
}

impl From<Caller> for Doer {
    fn from(caller: Caller) -> Self {
        let Caller { account_id, key_id, address, .. } = caller;
        let actor = match key_id {
            Some(key_id) => Actor::Key { account_id, key_id },
            None => Actor::Account(account_id),
        };
        Self { actor, address }
    }
}

impl From<Actor> for Doer {
    fn from(actor: Actor) -> Self {
        Self { actor, address: None }
    }
}

impl From<AccountId> for Doer {
    fn from(account_id: AccountId) -> Self {
        Actor::Account(account_id).into()
    }
}

/// A deed: who did what to what, from where. It holds ids, and never the names and addresses of
/// people: those are looked up when it is read, and are gone when they are.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    pub(super) action: Action,
    pub(super) actor: Actor,
    pub(super) site_id: Option<SiteId>,
    pub(super) camera_id: Option<CameraId>,
    pub(super) subject: Option<String>,
    pub(super) address: Option<IpAddr>,
    details: Map<String, Value>,
}

/// A plain fact that may stand in an entry. Text is none: what is text has [`Entry::text`], where
/// whoever writes it must have asked whether it could be a secret.
pub trait Fact {
    fn to_json(&self) -> Value;
}

macro_rules! facts {
    ($($fact:ty),+ $(,)?) => {
        $(impl Fact for $fact {
            fn to_json(&self) -> Value {
                serde_json::to_value(self).unwrap_or_default()
            }
        })+
    };
}

facts!(
    bool,
    u16,
    u32,
    u64,
    AccountId,
    AccountRole,
    CameraId,
    ClipId,
    CommandId,
    CommandState,
    Role,
    ShareId,
    SiteId,
    UnixMillis,
);

impl Fact for Duration {
    fn to_json(&self) -> Value {
        u64::try_from(self.as_millis()).unwrap_or(u64::MAX).into()
    }
}

impl<T: Fact> Fact for Option<T> {
    fn to_json(&self) -> Value {
        self.as_ref().map_or(Value::Null, Fact::to_json)
    }
}

impl<T: Fact> Fact for Vec<T> {
    fn to_json(&self) -> Value {
        self.as_slice().to_json()
    }
}

impl<T: Fact> Fact for [T] {
    fn to_json(&self) -> Value {
        self.iter().map(Fact::to_json).collect()
    }
}

impl Entry {
    pub fn new(action: Action, doer: impl Into<Doer>) -> Self {
        let Doer { actor, address } = doer.into();
        Self {
            action,
            actor,
            site_id: None,
            camera_id: None,
            subject: None,
            address,
            details: Map::new(),
        }
    }

    /// Names the site whose owners read it.
    #[must_use]
    pub fn site(self, site_id: SiteId) -> Self {
        Self { site_id: Some(site_id), ..self }
    }

    #[must_use]
    pub fn camera(self, camera_id: CameraId) -> Self {
        Self { camera_id: Some(camera_id), ..self }
    }

    /// Names what it was done to, by its id. An account that is named reads it in its security log.
    #[must_use]
    pub fn subject(self, id: impl fmt::Display) -> Self {
        Self { subject: Some(id.to_string()), ..self }
    }

    /// Says from where, where that is known.
    #[must_use]
    pub fn address(self, address: Option<IpAddr>) -> Self {
        Self { address, ..self }
    }

    /// Adds a fact: a number, a time, a word, an id.
    #[must_use]
    pub fn fact<T: Fact + ?Sized>(mut self, name: &'static str, fact: &T) -> Self {
        self.details.insert(name.to_owned(), fact.to_json());
        self
    }

    /// Adds a text that is no secret, shortened, without what cannot be seen.
    #[must_use]
    pub fn text(mut self, name: &'static str, words: &str) -> Self {
        self.details.insert(name.to_owned(), text::report(words).into());
        self
    }

    /// Says what was there before and what is there now, of something that is no secret.
    #[must_use]
    pub fn changed(self, name: &str, before: impl Into<Value>, after: impl Into<Value>) -> Self {
        let mut entry = self;
        let change = serde_json::json!({ "before": before.into(), "after": after.into() });
        let changes = entry.details.entry("changed").or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(changes) = changes {
            changes.insert(name.to_owned(), change);
        }
        entry
    }

    /// Names what it is counted with, from wherever it comes: who did what to what.
    pub(super) fn group(&self) -> String {
        let Self { action, actor, .. } = self;
        let site_id = self.site_id.map(|it| it.to_string()).unwrap_or_default();
        let subject = self.subject.as_deref().unwrap_or_default();
        format!("{action} {} {} {site_id} {subject}", actor.kind(), actor.id())
    }

    /// Leaves out which of many things it was done to.
    #[must_use]
    pub(super) fn of_many(self) -> Self {
        Self { subject: None, camera_id: None, ..self }
    }

    /// Writes the details as they are kept. Of what is too much only the names are kept.
    pub(super) fn details_text(&self) -> Option<String> {
        if self.details.is_empty() {
            return None;
        }
        let text = Value::Object(self.details.clone()).to_string();
        if text.len() <= DETAILS_BYTES_MAX {
            return Some(text);
        }
        let names: Vec<&String> = self
            .details
            .get("changed")
            .and_then(Value::as_object)
            .map_or_else(|| self.details.keys().collect(), |changed| changed.keys().collect());
        Some(serde_json::json!({ "left_out": names }).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry::new(Action::CameraRenamed, Actor::Relay)
    }

    #[test]
    fn before_and_after_stand_side_by_side() {
        let text = entry().changed("name", "Door", "Gate").fact("count", &3_u64).details_text();
        assert_eq!(
            text.unwrap(),
            r#"{"changed":{"name":{"after":"Gate","before":"Door"}},"count":3}"#
        );
        assert_eq!(entry().details_text(), None);
    }

    #[test]
    fn of_what_is_too_much_the_names_are_kept() {
        let long = "x".repeat(DETAILS_BYTES_MAX);
        let text =
            entry().changed("zones", long.as_str(), "").changed("masks", "", "").details_text();
        assert_eq!(text.unwrap(), r#"{"left_out":["masks","zones"]}"#);
    }
}
