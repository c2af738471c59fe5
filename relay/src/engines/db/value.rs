//! What goes into a statement and comes out of it.

use std::{fmt::Display, str::FromStr};

use nightjar_shared::{
    ids::{
        AccountId, BootId, CameraId, ClipId, CommandId, EventId, PairingId, SessionId, ShareId,
        SiteId,
    },
    time::UnixMillis,
};
use serde::{Serialize, de::DeserializeOwned};

use super::DbError;

/// A value both engines store: 64-bit integers and text are enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Null,
    Integer(i64),
    Text(String),
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

macro_rules! ids_are_text {
    ($($id:ty),*) => {
        $(impl From<$id> for Value {
            fn from(id: $id) -> Self {
                Self::Text(id.to_string())
            }
        })*
    };
}

ids_are_text!(
    AccountId, BootId, CameraId, ClipId, CommandId, EventId, PairingId, SessionId, ShareId, SiteId
);

/// A row of an answer; columns are read by position, in the order of the `select`.
#[derive(Debug, Clone)]
pub struct Row(pub(super) Vec<Value>);

impl Row {
    fn column(&self, index: usize) -> Result<&Value, DbError> {
        self.0.get(index).ok_or_else(|| DbError::Row(format!("no column {index}")))
    }

    pub fn integer(&self, index: usize) -> Result<i64, DbError> {
        self.integer_or_null(index)?
            .ok_or_else(|| DbError::Row(format!("column {index} is null, expected an integer")))
    }

    pub fn integer_or_null(&self, index: usize) -> Result<Option<i64>, DbError> {
        match self.column(index)? {
            Value::Null => Ok(None),
            Value::Integer(value) => Ok(Some(*value)),
            Value::Text(_) => Err(DbError::Row(format!("column {index} is text"))),
        }
    }

    pub fn text(&self, index: usize) -> Result<&str, DbError> {
        self.text_or_null(index)?
            .ok_or_else(|| DbError::Row(format!("column {index} is null, expected text")))
    }

    pub fn text_or_null(&self, index: usize) -> Result<Option<&str>, DbError> {
        match self.column(index)? {
            Value::Null => Ok(None),
            Value::Text(value) => Ok(Some(value)),
            Value::Integer(_) => Err(DbError::Row(format!("column {index} is an integer"))),
        }
    }

    pub fn boolean(&self, index: usize) -> Result<bool, DbError> {
        Ok(self.integer(index)? != 0)
    }

    /// A size or a duration.
    pub fn unsigned(&self, index: usize) -> Result<u64, DbError> {
        Ok(self.unsigned_or_null(index)?.unwrap_or(0))
    }

    pub fn unsigned_or_null(&self, index: usize) -> Result<Option<u64>, DbError> {
        self.integer_or_null(index)?
            .map(|value| {
                u64::try_from(value)
                    .map_err(|_| DbError::Row(format!("column {index} is negative")))
            })
            .transpose()
    }

    pub fn time(&self, index: usize) -> Result<UnixMillis, DbError> {
        self.integer(index).map(UnixMillis)
    }

    pub fn time_or_null(&self, index: usize) -> Result<Option<UnixMillis>, DbError> {
        Ok(self.integer_or_null(index)?.map(UnixMillis))
    }

    /// Text with a type: an identifier, a state.
    pub fn parse<T: FromStr<Err: Display>>(&self, index: usize) -> Result<T, DbError> {
        parse(self.text(index)?)
    }

    pub fn parse_or_null<T: FromStr<Err: Display>>(
        &self,
        index: usize,
    ) -> Result<Option<T>, DbError> {
        self.text_or_null(index)?.map(parse).transpose()
    }

    pub fn json<T: DeserializeOwned>(&self, index: usize) -> Result<T, DbError> {
        from_json(self.text(index)?)
    }

    pub fn json_or_null<T: DeserializeOwned>(&self, index: usize) -> Result<Option<T>, DbError> {
        self.text_or_null(index)?.map(from_json).transpose()
    }

    /// A state or a kind that is spelled in the database as on the wire.
    pub fn word<T: DeserializeOwned>(&self, index: usize) -> Result<T, DbError> {
        let word = serde_json::Value::String(self.text(index)?.to_owned());
        serde_json::from_value(word).map_err(|error| DbError::Row(error.to_string()))
    }
}

fn parse<T: FromStr<Err: Display>>(text: &str) -> Result<T, DbError> {
    text.parse().map_err(|error: T::Err| DbError::Row(error.to_string()))
}

fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, DbError> {
    serde_json::from_str(text).map_err(|error| DbError::Row(error.to_string()))
}
