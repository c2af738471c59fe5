//! Sign-ins: what a person's other rights hang on.

use std::{fmt, sync::Arc};

use nightjar_shared::{ids::ApiKeyId, time::UnixMillis};

use super::{
    DbError, Executor,
    value::{FromColumn, Value},
};

/// Names a sign-in: a browser's session, a program's family of tokens or an API key. It opens nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SignInId(Arc<str>);

impl SignInId {
    /// Takes the hash of a session's token.
    pub fn of_session(token_hash: &str) -> Self {
        Self(token_hash.into())
    }

    /// Takes the name of a family.
    pub fn of_family(family_id: &str) -> Self {
        Self(family_id.into())
    }

    /// Takes the id of an API key.
    pub fn of_key(key_id: ApiKeyId) -> Self {
        Self(key_id.to_string().into())
    }

    /// Returns the API key that it is, if it is one.
    pub fn key_id(&self) -> Option<ApiKeyId> {
        self.0.parse().ok()
    }
}

impl fmt::Display for SignInId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl From<Arc<str>> for SignInId {
    fn from(text: Arc<str>) -> Self {
        Self(text)
    }
}

impl From<&SignInId> for Arc<str> {
    fn from(sign_in: &SignInId) -> Self {
        sign_in.0.clone()
    }
}

impl From<&SignInId> for Value {
    fn from(sign_in: &SignInId) -> Self {
        Self::from(&*sign_in.0)
    }
}

impl FromColumn for SignInId {
    fn from_column(value: &Value) -> Result<Self, String> {
        String::from_column(value).map(|text| Self(text.into()))
    }
}

/// How many are asked after by one statement.
const BATCH: usize = 16;

/// Returns those of `sign_ins` that are good now.
pub async fn standing(
    db: &impl Executor,
    sign_ins: &[SignInId],
    now: UnixMillis,
) -> Result<Vec<SignInId>, DbError> {
    let mut standing = Vec::new();
    for batch in sign_ins.chunks(BATCH) {
        let missing = std::iter::repeat_n(Value::Null, BATCH - batch.len());
        let values = batch.iter().map(Value::from).chain(missing);
        let rows = db
            .query(
                "select sign_in from sign_ins
                 where expires_at > $17 and sign_in in
                     ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
                values.chain([now.into()]).collect(),
            )
            .await?;
        for row in rows {
            standing.push(row.get("sign_in")?);
        }
    }
    Ok(standing)
}
