//! What proves that somebody is an account: sessions of browsers, tokens of programs, tickets of sockets.

use nightjar_shared::{ids::AccountId, time::UnixMillis};

use super::{DbError, Executor, from_row, push, sign_in::SignInId};

/// A sign-in that begins.
pub struct NewSignIn<'a> {
    pub account_id: AccountId,
    /// What signs in, in words, and from which network.
    pub program: &'a str,
    pub network: &'a str,
    pub expires_at: UnixMillis,
}

pub async fn insert_session(
    db: &impl Executor,
    token_hash: String,
    new: NewSignIn<'_>,
    now: UnixMillis,
) -> Result<(), DbError> {
    db.execute(
        "insert into sessions
             (token_hash, account_id, program, network, created_at, seen_at, expires_at)
         values ($1, $2, $3, $4, $5, $5, $6)",
        vec![
            token_hash.into(),
            new.account_id.into(),
            new.program.into(),
            new.network.into(),
            now.into(),
            new.expires_at.into(),
        ],
    )
    .await
    .map(drop)
}

/// Whose credential was shown, and the sign-in that it belongs to.
#[derive(Debug, Clone)]
pub struct SignedInRow {
    pub account_id: AccountId,
    pub sign_in: SignInId,
}

from_row!(SignedInRow { account_id, sign_in });

/// The same, with whether the account must set up a second factor first.
#[derive(Debug, Clone)]
pub struct AuthenticatedRow {
    pub account_id: AccountId,
    pub sign_in: SignInId,
    pub lacks_factor: bool,
    /// When it was last noted that it is used.
    pub seen_at: Option<UnixMillis>,
}

from_row!(AuthenticatedRow { account_id, sign_in, lacks_factor, seen_at });

/// Says of the account `a` whether it is an administrator's and has no second factor.
macro_rules! lacks_factor {
    () => {
        "case when a.role = 'admin'
             and not exists (select 1 from second_factors f where f.account_id = a.account_id)
             then 1 else 0 end as lacks_factor"
    };
}

/// Says whether an account is an administrator's that has no second factor.
pub async fn lacks_factor(db: &impl Executor, account_id: AccountId) -> Result<bool, DbError> {
    let row = db
        .query_one(
            concat!("select ", lacks_factor!(), " from accounts a where a.account_id = $1"),
            vec![account_id.into()],
        )
        .await?;
    row.map_or(Ok(true), |row| row.get("lacks_factor"))
}

pub async fn by_session(
    db: &impl Executor,
    token_hash: &str,
    now: UnixMillis,
) -> Result<Option<AuthenticatedRow>, DbError> {
    db.one(
        concat!(
            "select a.account_id, s.token_hash as sign_in, s.seen_at, ",
            lacks_factor!(),
            " from sessions s join accounts a on a.account_id = s.account_id
             where s.token_hash = $1 and s.expires_at > $2 and a.disabled_at is null"
        ),
        vec![token_hash.into(), now.into()],
    )
    .await
}

/// Gives a session another token, for as long as a new one lasts, and with it what it watches.
pub async fn rename_session(
    db: &impl Executor,
    from_hash: &str,
    to_hash: &str,
    expires_at: UnixMillis,
) -> Result<(), DbError> {
    db.execute(
        "update sessions set token_hash = $2, expires_at = $3 where token_hash = $1",
        vec![from_hash.into(), to_hash.into(), expires_at.into()],
    )
    .await?;
    push::rename_sign_in(db, from_hash, to_hash, expires_at).await?;
    db.execute(
        "update live_sessions set sign_in = $2 where sign_in = $1",
        vec![from_hash.into(), to_hash.into()],
    )
    .await
    .map(drop)
}

pub async fn by_access_token(
    db: &impl Executor,
    token_hash: &str,
    now: UnixMillis,
) -> Result<Option<AuthenticatedRow>, DbError> {
    db.one(
        concat!(
            "select t.account_id, t.family_id as sign_in, f.seen_at, ",
            lacks_factor!(),
            " from access_tokens t join token_families f on f.family_id = t.family_id
                 join accounts a on a.account_id = t.account_id
             where t.token_hash = $1 and t.expires_at > $2 and f.expires_at > $2
                 and a.disabled_at is null"
        ),
        vec![token_hash.into(), now.into()],
    )
    .await
}

pub async fn insert_family(
    db: &impl Executor,
    family_id: &str,
    new: NewSignIn<'_>,
    now: UnixMillis,
) -> Result<(), DbError> {
    db.execute(
        "insert into token_families
             (family_id, account_id, program, network, created_at, seen_at, expires_at)
         values ($1, $2, $3, $4, $5, $5, $6)",
        vec![
            family_id.into(),
            new.account_id.into(),
            new.program.into(),
            new.network.into(),
            now.into(),
            new.expires_at.into(),
        ],
    )
    .await
    .map(drop)
}

/// Ends all but the newest sessions of an account.
pub async fn keep_newest_sessions(
    db: &impl Executor,
    account_id: AccountId,
    count: u32,
) -> Result<(), DbError> {
    db.execute(
        "delete from sessions where account_id = $1 and token_hash not in
             (select token_hash from sessions where account_id = $1
              order by created_at desc, token_hash limit $2)",
        vec![account_id.into(), count.into()],
    )
    .await
    .map(drop)
}

/// Ends all but the newest sign-ins of an account's programs.
pub async fn keep_newest_families(
    db: &impl Executor,
    account_id: AccountId,
    count: u32,
) -> Result<(), DbError> {
    db.execute(
        "delete from token_families where account_id = $1 and family_id not in
             (select family_id from token_families where account_id = $1
              order by created_at desc, family_id limit $2)",
        vec![account_id.into(), count.into()],
    )
    .await
    .map(drop)
}

/// A pair of tokens that belongs to one family.
pub struct NewTokens<'a> {
    pub family_id: &'a str,
    pub account_id: AccountId,
    pub access_hash: String,
    pub access_expires_at: UnixMillis,
    pub refresh_hash: String,
}

pub async fn insert_tokens(db: &impl Executor, tokens: NewTokens<'_>) -> Result<(), DbError> {
    db.execute(
        "insert into access_tokens (token_hash, family_id, account_id, expires_at)
         values ($1, $2, $3, $4)",
        vec![
            tokens.access_hash.into(),
            tokens.family_id.into(),
            tokens.account_id.into(),
            tokens.access_expires_at.into(),
        ],
    )
    .await?;
    db.execute(
        "insert into refresh_tokens (token_hash, family_id) values ($1, $2)",
        vec![tokens.refresh_hash.into(), tokens.family_id.into()],
    )
    .await
    .map(drop)
}

/// What a refresh token turned out to be.
pub enum Refresh {
    /// Spent by this very call.
    Good {
        family_id: String,
        account_id: AccountId,
    },
    /// Spent before: a copy is going round.
    Reused {
        family_id: String,
        account_id: AccountId,
    },
    Unknown,
}

/// Spends a refresh token; of two callers, one gets it.
pub async fn spend_refresh_token(
    db: &impl Executor,
    token_hash: &str,
    now: UnixMillis,
) -> Result<Refresh, DbError> {
    let spent = db
        .query_one(
            "update refresh_tokens set spent_at = $2
             where token_hash = $1 and spent_at is null returning family_id",
            vec![token_hash.into(), now.into()],
        )
        .await?;
    let Some(spent) = spent else {
        let known = db
            .query_one(
                "select f.family_id, f.account_id
                 from refresh_tokens t join token_families f on f.family_id = t.family_id
                 where t.token_hash = $1",
                vec![token_hash.into()],
            )
            .await?;
        return known.map_or(Ok(Refresh::Unknown), |row| {
            Ok(Refresh::Reused {
                family_id: row.get("family_id")?,
                account_id: row.get("account_id")?,
            })
        });
    };
    let family_id = spent.get::<String>("family_id")?;
    let family = db
        .query_one(
            "select account_id from token_families where family_id = $1 and expires_at > $2",
            vec![family_id.as_str().into(), now.into()],
        )
        .await?;
    family.map_or(Ok(Refresh::Unknown), |row| {
        Ok(Refresh::Good { account_id: row.get("account_id")?, family_id })
    })
}

/// Ends a program's sign-in: its refresh and access tokens go with it.
pub async fn delete_family(db: &impl Executor, family_id: &str) -> Result<(), DbError> {
    db.execute("delete from token_families where family_id = $1", vec![family_id.into()])
        .await
        .map(drop)
}

pub async fn insert_ticket(
    db: &impl Executor,
    token_hash: String,
    signed_in: &SignedInRow,
    expires_at: UnixMillis,
) -> Result<(), DbError> {
    let SignedInRow { account_id, sign_in } = signed_in;
    db.execute(
        "insert into socket_tickets (token_hash, account_id, sign_in, expires_at)
         values ($1, $2, $3, $4)",
        vec![token_hash.into(), (*account_id).into(), sign_in.into(), expires_at.into()],
    )
    .await
    .map(drop)
}

/// Takes the ticket: it opens one socket. Whether its sign-in is still good is another question.
pub async fn take_ticket(
    db: &impl Executor,
    token_hash: &str,
    now: UnixMillis,
) -> Result<Option<SignedInRow>, DbError> {
    db.one(
        "delete from socket_tickets
         where token_hash = $1 and expires_at > $2 and sign_in is not null
         returning account_id, sign_in",
        vec![token_hash.into(), now.into()],
    )
    .await
}

pub async fn delete_expired(db: &impl Executor, now: UnixMillis) -> Result<u64, DbError> {
    let mut deleted = 0;
    for sql in [
        "delete from sessions where expires_at <= $1",
        "delete from access_tokens where expires_at <= $1",
        "delete from token_families where expires_at <= $1",
        "delete from socket_tickets where expires_at <= $1",
        "delete from known_devices where expires_at <= $1",
        "delete from one_time_links where expires_at <= $1",
    ] {
        deleted += db.execute(sql, vec![now.into()]).await?;
    }
    Ok(deleted)
}
