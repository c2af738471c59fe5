//! Names of requests: by one, the lines that relay and camera log about the same request are found.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use uuid::Uuid;

/// As many letters as two UUIDs, which is what proxies send at most.
const LETTERS_MAX: usize = 72;

/// The name of a request: 1 to 72 letters, digits and `-._`, so that it stands in any log as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

/// A text that names no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name of a request has 1 to {LETTERS_MAX} letters, digits and -._")]
pub struct InvalidRequestId;

impl RequestId {
    /// Makes a new one, that sorts by the time it was made.
    pub fn generate() -> Self {
        Self(Uuid::now_v7().simple().to_string().into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RequestId {
    type Err = InvalidRequestId;

    fn from_str(text: &str) -> Result<Self, InvalidRequestId> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let is_name = (1..=LETTERS_MAX).contains(&text.len()) && text.bytes().all(is_plain);
        if is_name { Ok(Self(text.into())) } else { Err(InvalidRequestId) }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Serialize for RequestId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Reads the name of a request where it is one. What it names is done in any case: it is for logs.
pub(crate) fn if_valid<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<RequestId>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(value.as_str().and_then(|text| text.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_a_request_cannot_break_a_line() {
        assert_eq!(RequestId::generate().as_str().len(), 32);
        for good in ["a", "0af7651916cd43dd8448eb211c80319c", "Req_1.2-3", &"a".repeat(72)] {
            assert_eq!(good.parse::<RequestId>().unwrap().as_str(), good);
        }
        let huge = "a".repeat(1_000_000);
        for bad in ["", "a b", "a\nb", "a\r", "\u{1b}[2J", "a\0", "\u{e9}", "a=\"b\"", &huge] {
            assert_eq!(bad.parse::<RequestId>(), Err(InvalidRequestId), "{}", bad.len());
        }
    }
}
