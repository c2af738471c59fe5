//! Sign-ins: what a person's other rights hang on.

use std::{fmt, sync::Arc};

use nightjar_shared::{
    account::SignInKind,
    ids::{AccountId, ApiKeyId},
    time::UnixMillis,
};

use super::{
    DbError, Executor, from_row,
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

/// A sign-in as its account sees it.
#[derive(Debug, Clone)]
pub struct SignInRow {
    pub sign_in: SignInId,
    pub kind: SignInKind,
    /// Not known of those from before this was written down.
    pub program: Option<String>,
    pub network: Option<String>,
    pub created_at: UnixMillis,
    pub seen_at: Option<UnixMillis>,
    pub expires_at: UnixMillis,
}

from_row!(SignInRow { sign_in, kind, program, network, created_at, seen_at, expires_at });

/// Lists an account's sign-ins that are good now, the newest first.
pub async fn of_account(
    db: &impl Executor,
    account_id: AccountId,
    now: UnixMillis,
) -> Result<Vec<SignInRow>, DbError> {
    db.all(
        "select token_hash as sign_in, cast($3 as text) as kind, program, network, created_at,
             seen_at, expires_at
         from sessions where account_id = $1 and expires_at > $2
         union all
         select family_id, cast($4 as text), program, network, created_at, seen_at, expires_at
         from token_families where account_id = $1 and expires_at > $2
         order by created_at desc, sign_in",
        vec![account_id.into(), now.into(), SignInKind::Browser.into(), SignInKind::Program.into()],
    )
    .await
}

/// Notes that a sign-in is used.
pub async fn seen(
    db: &impl Executor,
    sign_in: &SignInId,
    network: &str,
    now: UnixMillis,
) -> Result<(), DbError> {
    for sql in [
        "update sessions set seen_at = $2, network = $3 where token_hash = $1",
        "update token_families set seen_at = $2, network = $3 where family_id = $1",
    ] {
        if db.execute(sql, vec![sign_in.into(), now.into(), network.into()]).await? > 0 {
            break;
        }
    }
    Ok(())
}

/// Ends one sign-in of an account, with all that was issued to it.
pub async fn delete(
    db: &impl Executor,
    account_id: AccountId,
    sign_in: &SignInId,
) -> Result<(), DbError> {
    for sql in [
        "delete from sessions where account_id = $1 and token_hash = $2",
        "delete from token_families where account_id = $1 and family_id = $2",
    ] {
        db.execute(sql, vec![account_id.into(), sign_in.into()]).await?;
    }
    Ok(())
}

/// Ends all sign-ins of an account but one, if one is to stay. Returns what has ended.
pub async fn delete_all_but(
    db: &impl Executor,
    account_id: AccountId,
    kept: Option<&SignInId>,
) -> Result<Vec<SignInId>, DbError> {
    let mut ended = Vec::new();
    for sql in [
        "delete from sessions where account_id = $1
             and (cast($2 as text) is null or token_hash <> $2)
         returning token_hash as sign_in",
        "delete from token_families where account_id = $1
             and (cast($2 as text) is null or family_id <> $2)
         returning family_id as sign_in",
    ] {
        let kept = kept.map_or(Value::Null, Value::from);
        for row in db.query(sql, vec![account_id.into(), kept]).await? {
            ended.push(row.get("sign_in")?);
        }
    }
    forget_browsers(db, account_id, kept).await?;
    Ok(ended)
}

/// Forgets all browsers that take messages of an account but those of one sign-in, where one is to stay: also
/// those of sign-ins that have run out by themselves.
pub(super) async fn forget_browsers(
    db: &impl Executor,
    account_id: AccountId,
    kept: Option<&SignInId>,
) -> Result<(), DbError> {
    let kept = kept.map_or(Value::Null, Value::from);
    db.execute(
        "delete from push_subscriptions where account_id = $1
             and (cast($2 as text) is null or sign_in <> $2)",
        vec![account_id.into(), kept],
    )
    .await
    .map(drop)
}
