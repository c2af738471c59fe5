//! Browsers that take messages, and the keys by which they know the relay.

use nightjar_shared::{
    ids::{AccountId, SubscriptionId},
    time::UnixMillis,
};

use super::{DbError, Executor, columns, from_row, sign_in::SignInId};

/// A key pair.
#[derive(Debug, Clone)]
pub struct KeyRow {
    pub public_key: String,
    pub sealed: String,
    pub created_at: UnixMillis,
}

from_row!(KeyRow { public_key, sealed, created_at });

/// Finds the key that browsers subscribe by.
pub async fn current_key(db: &impl Executor) -> Result<Option<KeyRow>, DbError> {
    db.one(
        "select public_key, sealed, created_at from push_keys
         order by created_at desc, public_key limit 1",
        Vec::new(),
    )
    .await
}

pub async fn key(db: &impl Executor, public_key: &str) -> Result<Option<KeyRow>, DbError> {
    db.one(
        "select public_key, sealed, created_at from push_keys where public_key = $1",
        vec![public_key.into()],
    )
    .await
}

pub async fn insert_key(db: &impl Executor, key: &KeyRow) -> Result<(), DbError> {
    db.execute(
        "insert into push_keys (public_key, sealed, created_at) values ($1, $2, $3)",
        vec![key.public_key.as_str().into(), key.sealed.as_str().into(), key.created_at.into()],
    )
    .await
    .map(drop)
}

/// A browser.
#[derive(Debug, Clone)]
pub struct SubscriptionRow {
    pub subscription_id: SubscriptionId,
    pub account_id: AccountId,
    pub sign_in: SignInId,
    pub endpoint_hash: String,
    pub sealed: String,
    pub push_key: String,
    pub program: String,
    pub service: String,
    pub created_at: UnixMillis,
    pub sent_at: Option<UnixMillis>,
    pub failing_since: Option<UnixMillis>,
}

from_row!(SubscriptionRow {
    subscription_id,
    account_id,
    sign_in,
    endpoint_hash,
    sealed,
    push_key,
    program,
    service,
    created_at,
    sent_at,
    failing_since
});

macro_rules! subscription_columns {
    () => {
        columns!(
            "p.": subscription_id,
            account_id,
            sign_in,
            endpoint_hash,
            sealed,
            push_key,
            program,
            service,
            created_at,
            sent_at,
            failing_since
        )
    };
}

/// Leaves those whose sign-in nobody has ended: it stands, or has run out by itself.
macro_rules! not_ended {
    ($now:literal) => {
        concat!(
            " and (p.sign_in_until <= ",
            $now,
            " or exists (select 1 from sign_ins s where s.sign_in = p.sign_in
                 and s.account_id = p.account_id))"
        )
    };
}

/// Writes a browser down, for as long as a sign-in of its account is not ended: not if it is already, and says
/// so. The browser belongs to nobody else any more.
pub async fn take(db: &impl Executor, row: &SubscriptionRow) -> Result<bool, DbError> {
    let inserted = db
        .execute(
            "insert into push_subscriptions (subscription_id, account_id, sign_in, sign_in_until,
                 endpoint_hash, sealed, push_key, program, service, created_at)
             select cast($1 as text), s.account_id, s.sign_in, s.expires_at, cast($4 as text),
                 cast($5 as text), cast($6 as text), cast($7 as text), cast($8 as text),
                 cast($9 as bigint)
             from sign_ins s where s.sign_in = $3 and s.account_id = $2
             on conflict (endpoint_hash) do update set
                 subscription_id = excluded.subscription_id, account_id = excluded.account_id,
                 sign_in = excluded.sign_in, sign_in_until = excluded.sign_in_until,
                 sealed = excluded.sealed, push_key = excluded.push_key,
                 program = excluded.program, created_at = excluded.created_at, sent_at = null,
                 failing_since = null",
            vec![
                row.subscription_id.into(),
                row.account_id.into(),
                (&row.sign_in).into(),
                row.endpoint_hash.as_str().into(),
                row.sealed.as_str().into(),
                row.push_key.as_str().into(),
                row.program.as_str().into(),
                row.service.as_str().into(),
                row.created_at.into(),
            ],
        )
        .await?;
    Ok(inserted == 1)
}

pub async fn by_endpoint(
    db: &impl Executor,
    endpoint_hash: &str,
) -> Result<Option<SubscriptionRow>, DbError> {
    db.one(
        concat!(
            "select ",
            subscription_columns!(),
            " from push_subscriptions p where p.endpoint_hash = $1"
        ),
        vec![endpoint_hash.into()],
    )
    .await
}

/// Finds a browser of an account whose sign-in nobody has ended.
pub async fn by_id(
    db: &impl Executor,
    account_id: AccountId,
    subscription_id: SubscriptionId,
    now: UnixMillis,
) -> Result<Option<SubscriptionRow>, DbError> {
    db.one(
        concat!(
            "select ",
            subscription_columns!(),
            " from push_subscriptions p where p.subscription_id = $1 and p.account_id = $2",
            not_ended!("$3")
        ),
        vec![subscription_id.into(), account_id.into(), now.into()],
    )
    .await
}

/// Lists an account's browsers whose sign-ins nobody has ended, newest first.
pub async fn of_account(
    db: &impl Executor,
    account_id: AccountId,
    now: UnixMillis,
) -> Result<Vec<SubscriptionRow>, DbError> {
    db.all(
        concat!(
            "select ",
            subscription_columns!(),
            " from push_subscriptions p where p.account_id = $1",
            not_ended!("$2"),
            " order by p.created_at desc, p.subscription_id desc"
        ),
        vec![account_id.into(), now.into()],
    )
    .await
}

pub async fn note_sent(
    db: &impl Executor,
    subscription_id: SubscriptionId,
    now: UnixMillis,
) -> Result<(), DbError> {
    db.execute(
        "update push_subscriptions set sent_at = $2, failing_since = null
         where subscription_id = $1",
        vec![subscription_id.into(), now.into()],
    )
    .await
    .map(drop)
}

/// Notes that a browser's push service refuses its messages, since when it first did.
pub async fn note_refused(
    db: &impl Executor,
    subscription_id: SubscriptionId,
    now: UnixMillis,
) -> Result<(), DbError> {
    db.execute(
        "update push_subscriptions set failing_since = $2
         where subscription_id = $1 and failing_since is null",
        vec![subscription_id.into(), now.into()],
    )
    .await
    .map(drop)
}

pub async fn delete(db: &impl Executor, subscription_id: SubscriptionId) -> Result<(), DbError> {
    db.execute(
        "delete from push_subscriptions where subscription_id = $1",
        vec![subscription_id.into()],
    )
    .await
    .map(drop)
}

/// Forgets a browser of an account. Says whether there was one.
pub async fn delete_own(
    db: &impl Executor,
    account_id: AccountId,
    subscription_id: SubscriptionId,
) -> Result<bool, DbError> {
    let deleted = db
        .execute(
            "delete from push_subscriptions where subscription_id = $1 and account_id = $2",
            vec![subscription_id.into(), account_id.into()],
        )
        .await?;
    Ok(deleted == 1)
}

/// Leaves the newest of an account's browsers.
pub async fn keep_newest(
    db: &impl Executor,
    account_id: AccountId,
    count: u32,
) -> Result<(), DbError> {
    db.execute(
        "delete from push_subscriptions where account_id = $1 and subscription_id not in
             (select subscription_id from push_subscriptions where account_id = $1
              order by created_at desc, subscription_id desc limit $2)",
        vec![account_id.into(), count.into()],
    )
    .await
    .map(drop)
}

/// Forgets browsers whose sign-in was ended, and not by time.
pub async fn delete_ended(db: &impl Executor, now: UnixMillis) -> Result<u64, DbError> {
    db.execute(
        "delete from push_subscriptions where sign_in_until > $1 and not exists
             (select 1 from sign_ins s where s.sign_in = push_subscriptions.sign_in
              and s.account_id = push_subscriptions.account_id)",
        vec![now.into()],
    )
    .await
}

/// Follows a sign-in that has another name now, and lasts anew.
pub(super) async fn rename_sign_in(
    db: &impl Executor,
    from: &str,
    to: &str,
    until: UnixMillis,
) -> Result<(), DbError> {
    db.execute(
        "update push_subscriptions set sign_in = $2, sign_in_until = $3 where sign_in = $1",
        vec![from.into(), to.into(), until.into()],
    )
    .await
    .map(drop)
}
