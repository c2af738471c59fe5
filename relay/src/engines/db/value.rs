//! What goes into a statement and comes out of it.

use std::sync::Arc;

use nightjar_shared::{
    account::{LinkPurpose, MailKind, MailState, SignInKind},
    admin::{Job, LetterChannel, Period, Series, Setting, TrailScope, ViewState},
    api::PartKind,
    audit::{Action, ActorKind},
    camera::CameraActivity,
    clip::{ClipKind, ClipState, FootageClass, Visibility},
    command::CommandState,
    event::{EventKind, EventState, TamperKind, Trigger},
    factor::ChallengePurpose,
    ids::{
        AccountId, ApiKeyId, AuditEntryId, BootId, CameraId, ClipId, CommandId, DeliveryId,
        EventId, InvitationId, NotificationId, PairingId, PasskeyId, ReleaseId, SessionId, ShareId,
        SiteId, SubscriptionId, ViewId, WebhookId,
    },
    notification::{self, Channel, DeliveryState, Form},
    release::{PackageVersion, ReleaseState, UpdateProblem, UpdateState},
    role::{AccountRole, Right, Role},
    session::{SessionEndReason, SessionState},
    time::{ClockState, UnixMillis},
    webhook::WebhookFormat,
};
use serde::{Serialize, de::DeserializeOwned};

use super::DbError;

/// A value both engines store: 64-bit integers and text are enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Null,
    Integer(i64),
    Text(String),
    /// What a database holds that no statement here has put in: it can be read as nothing.
    Odd,
}

impl Value {
    pub fn json<T: Serialize>(value: &T) -> Result<Self, DbError> {
        serde_json::to_string(value)
            .map(Self::Text)
            .map_err(|error| DbError::Row(error.to_string()))
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Integer(value.into())
    }
}

/// Sizes and durations; none reaches 2^63, one that does is stored as that limit.
impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Integer(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Integer(value.into())
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<UnixMillis> for Value {
    fn from(value: UnixMillis) -> Self {
        Self::Integer(value.0)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A row of an answer; columns are read by the names that the statement gives them.
#[derive(Debug, Clone)]
pub struct Row {
    pub(super) columns: Arc<[String]>,
    pub(super) values: Vec<Value>,
}

impl Row {
    /// Names the row in a log, as far as its first column does: an identifier in all lists.
    pub(super) fn name(&self) -> &str {
        match self.values.first() {
            Some(Value::Text(text)) => text.get(..36).unwrap_or(text),
            _ => "",
        }
    }

    /// Reads the column `name` as the type that is wanted.
    pub fn get<T: FromColumn>(&self, name: &str) -> Result<T, DbError> {
        let position = self.columns.iter().position(|column| column == name);
        let value = position.and_then(|position| self.values.get(position));
        let value = value.ok_or_else(|| DbError::Row(format!("no column `{name}`")))?;
        T::from_column(value).map_err(|problem| DbError::Row(format!("column `{name}` {problem}")))
    }
}

/// A type that is made of a whole row.
pub trait FromRow: Sized {
    fn from_row(row: &Row) -> Result<Self, DbError>;
}

/// Reads each field of a struct from the column of its name.
macro_rules! from_row {
    ($row:ident { $($column:ident),+ $(,)? }) => {
        impl $crate::engines::db::FromRow for $row {
            fn from_row(
                row: &$crate::engines::db::Row,
            ) -> Result<Self, $crate::engines::db::DbError> {
                Ok(Self { $($column: row.get(stringify!($column))?),+ })
            }
        }
    };
}
pub(super) use from_row;

/// Lists columns for a statement: `columns!("c.": clip_id, state)` is `c.clip_id, c.state`.
macro_rules! columns {
    ($table:literal: $first:ident, $($column:ident),+) => {
        concat!($table, stringify!($first), $(", ", $table, stringify!($column)),+)
    };
}
pub(super) use columns;

/// An object to be deleted, and when for the last time.
impl FromRow for (String, UnixMillis) {
    fn from_row(row: &Row) -> Result<Self, DbError> {
        Ok((row.get("object_key")?, row.get("last_due_at")?))
    }
}

/// A member of a site.
impl FromRow for (AccountId, Role) {
    fn from_row(row: &Row) -> Result<Self, DbError> {
        Ok((row.get("account_id")?, row.get("role")?))
    }
}

/// A type that a column can be read as. The error says what the column is instead.
pub trait FromColumn: Sized {
    fn from_column(value: &Value) -> Result<Self, String>;
}

impl FromColumn for i64 {
    fn from_column(value: &Value) -> Result<Self, String> {
        match value {
            Value::Integer(value) => Ok(*value),
            Value::Null => Err("is null, expected an integer".to_owned()),
            Value::Text(_) => Err("is text, expected an integer".to_owned()),
            Value::Odd => Err(odd()),
        }
    }
}

impl FromColumn for u64 {
    fn from_column(value: &Value) -> Result<Self, String> {
        Self::try_from(i64::from_column(value)?).map_err(|_| "is negative".to_owned())
    }
}

impl FromColumn for u32 {
    fn from_column(value: &Value) -> Result<Self, String> {
        Self::try_from(i64::from_column(value)?).map_err(|_| "is no 32-bit number".to_owned())
    }
}

impl FromColumn for bool {
    fn from_column(value: &Value) -> Result<Self, String> {
        Ok(i64::from_column(value)? != 0)
    }
}

impl FromColumn for UnixMillis {
    fn from_column(value: &Value) -> Result<Self, String> {
        i64::from_column(value).map(Self)
    }
}

fn text(value: &Value) -> Result<&str, String> {
    match value {
        Value::Text(value) => Ok(value),
        Value::Null => Err("is null, expected text".to_owned()),
        Value::Integer(_) => Err("is an integer, expected text".to_owned()),
        Value::Odd => Err(odd()),
    }
}

fn odd() -> String {
    "is neither an integer nor text".to_owned()
}

impl FromColumn for String {
    fn from_column(value: &Value) -> Result<Self, String> {
        text(value).map(str::to_owned)
    }
}

impl<T: FromColumn> FromColumn for Option<T> {
    fn from_column(value: &Value) -> Result<Self, String> {
        if *value == Value::Null { Ok(None) } else { T::from_column(value).map(Some) }
    }
}

/// Lists are JSON text.
impl<T: DeserializeOwned> FromColumn for Vec<T> {
    fn from_column(value: &Value) -> Result<Self, String> {
        serde_json::from_str(text(value)?)
            .map_err(|error| format!("is not as it should be: {error}"))
    }
}

impl FromColumn for serde_json::Value {
    fn from_column(value: &Value) -> Result<Self, String> {
        serde_json::from_str(text(value)?).map_err(|error| format!("is no JSON: {error}"))
    }
}

/// Identifiers, states and kinds are spelled in the database as on the wire.
macro_rules! spelled {
    ($($name:ty),+ $(,)?) => {
        $(
            impl From<$name> for Value {
                fn from(value: $name) -> Self {
                    Self::Text(value.to_string())
                }
            }

            impl FromColumn for $name {
                fn from_column(value: &Value) -> Result<Self, String> {
                    text(value)?.parse().map_err(|error| format!("is wrong: {error}"))
                }
            }
        )+
    };
}

spelled!(
    AccountId,
    ApiKeyId,
    AuditEntryId,
    BootId,
    CameraId,
    ClipId,
    CommandId,
    DeliveryId,
    EventId,
    InvitationId,
    NotificationId,
    PairingId,
    PasskeyId,
    ReleaseId,
    SessionId,
    ShareId,
    SiteId,
    SubscriptionId,
    ViewId,
    WebhookId,
    WebhookFormat,
    AccountRole,
    Action,
    ActorKind,
    CameraActivity,
    ChallengePurpose,
    ClipKind,
    ClipState,
    ClockState,
    CommandState,
    EventKind,
    EventState,
    FootageClass,
    Job,
    LinkPurpose,
    MailKind,
    MailState,
    PackageVersion,
    PartKind,
    Period,
    ReleaseState,
    Right,
    Role,
    Series,
    SessionEndReason,
    SessionState,
    Setting,
    SignInKind,
    TamperKind,
    Trigger,
    TrailScope,
    UpdateProblem,
    UpdateState,
    ViewState,
    Visibility,
    Channel,
    LetterChannel,
    DeliveryState,
    Form,
    notification::Kind,
);

#[cfg(test)]
mod tests {
    use super::*;

    fn row(value: Value) -> Row {
        Row { columns: ["seen".to_owned()].into(), values: vec![value] }
    }

    #[test]
    fn a_column_that_is_not_as_promised_is_named() {
        let wrong = |error: DbError| error.to_string();
        let missing = row(Value::Null).get::<i64>("unseen").unwrap_err();
        assert!(wrong(missing).contains("no column `unseen`"));
        let null = row(Value::Null).get::<String>("seen").unwrap_err();
        assert!(wrong(null).contains("`seen` is null"));
        let unknown = row("sometimes".into()).get::<ClipState>("seen").unwrap_err();
        assert!(wrong(unknown).contains("`sometimes` is no ClipState"));
    }

    #[test]
    fn null_is_nothing_where_nothing_is_allowed() {
        assert_eq!(row(Value::Null).get::<Option<ClipState>>("seen").unwrap(), None);
        let ready = row(ClipState::Ready.into()).get::<Option<ClipState>>("seen").unwrap();
        assert_eq!(ready, Some(ClipState::Ready));
    }
}
