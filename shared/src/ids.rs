//! Identifiers. All are UUIDv7, so that they sort by the time they were made. A live session's is an
//! exception: it is a capability, 128 random bits.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A text that is not an identifier of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {kind}: expected a UUID")]
pub struct InvalidId {
    pub kind: &'static str,
    pub text: String,
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Makes a new identifier, stamped with the system clock's time.
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }

            pub fn as_uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(formatter)
            }
        }

        #[cfg(feature = "schema")]
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                $crate::schema::uuid()
            }
        }
        #[cfg(feature = "schema")]
        impl utoipa::ToSchema for $name {}

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            /// Accepts the hyphenated lower-case form only, so that one object has one spelling
            /// in topics, URLs and database rows.
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let invalid = || InvalidId { kind: stringify!($name), text: text.chars().take(64).collect() };
                let uuid = Uuid::try_parse(text).map_err(|_| invalid())?;
                if uuid.hyphenated().to_string() == text { Ok(Self(uuid)) } else { Err(invalid()) }
            }
        }
    };
}

uuid_id!(
    /// A person who signs in.
    AccountId
);
uuid_id!(
    /// One key by which a program acts for an account. It is no secret: the key's token is.
    ApiKeyId
);
uuid_id!(
    /// One thing that somebody did, in the trail of who did what.
    AuditEntryId
);
uuid_id!(
    /// One registered device that captures.
    CameraId
);
uuid_id!(
    /// The footage of one motion event or of a manual recording. The camera makes it.
    ClipId
);
uuid_id!(
    /// An instruction to a camera. The relay makes it.
    CommandId
);
uuid_id!(
    /// An interval in which something happened at a camera. The camera makes it.
    EventId
);
uuid_id!(
    /// One message on its way to one address of somebody.
    DeliveryId
);
uuid_id!(
    /// What one person is told of one thing.
    NotificationId
);
uuid_id!(
    /// One open pairing.
    PairingId
);
uuid_id!(
    /// One passkey of an account, as lists name it.
    PasskeyId
);
uuid_id!(
    /// One package that cameras may be offered.
    ReleaseId
);
uuid_id!(
    /// One viewer watching one camera. The relay makes it; it is random enough to be a secret.
    SessionId
);
uuid_id!(
    /// A link by which somebody comes to belong to a site. It is no secret: the link's token is.
    InvitationId
);
uuid_id!(
    /// A link by which a clip is watched without an account. It is no secret: the link's token is.
    ShareId
);
uuid_id!(
    /// A home or a shop: the unit of tenancy.
    SiteId
);
uuid_id!(
    /// A browser that takes messages while the app is closed.
    SubscriptionId
);
uuid_id!(
    /// A program that is told what happens at a site.
    WebhookId
);
uuid_id!(
    /// An administrator's view of a site, for a while and by an owner's leave.
    ViewId
);
uuid_id!(
    /// One run of a camera's operating system, as the kernel names it.
    BootId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_the_way_through_text() {
        let id = CameraId::generate();
        assert_eq!(id.to_string().parse::<CameraId>().unwrap(), id);
    }

    #[test]
    fn only_the_hyphenated_lower_case_spelling_is_an_id() {
        let id = ClipId::generate();
        for text in [
            id.as_uuid().simple().to_string(),
            id.to_string().to_uppercase(),
            format!("{{{id}}}"),
            "../../etc/passwd".to_owned(),
            String::new(),
        ] {
            assert!(text.parse::<ClipId>().is_err(), "{text}");
        }
    }
}
