//! Mails that have not left.

use nightjar_shared::{
    account::{MailKind, MailState},
    ids::AccountId,
    time::UnixMillis,
};

use super::{DbError, Executor, from_row};

pub struct NewMail {
    pub mail_id: String,
    pub account_id: Option<AccountId>,
    pub recipient: String,
    pub kind: MailKind,
    pub sealed: String,
    pub expires_at: UnixMillis,
}

/// A mail whose turn it is.
#[derive(Debug, Clone)]
pub struct DueMail {
    pub mail_id: String,
    pub recipient: String,
    pub kind: MailKind,
    pub sealed: String,
    /// With the one that begins now.
    pub attempts: u32,
    pub queued_at: UnixMillis,
    pub expires_at: UnixMillis,
}

from_row!(DueMail { mail_id, recipient, kind, sealed, attempts, queued_at, expires_at });

pub async fn insert(db: &impl Executor, mail: NewMail, now: UnixMillis) -> Result<(), DbError> {
    db.execute(
        "insert into mails (mail_id, account_id, recipient, kind, sealed, state, attempts,
             queued_at, due_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, 0, $7, $7, $8)",
        vec![
            mail.mail_id.into(),
            mail.account_id.into(),
            mail.recipient.into(),
            mail.kind.into(),
            mail.sealed.into(),
            MailState::Waiting.into(),
            now.into(),
            mail.expires_at.into(),
        ],
    )
    .await
    .map(drop)
}

pub async fn count_waiting(db: &impl Executor) -> Result<u64, DbError> {
    let row = db
        .query_one(
            "select count(*) as count from mails where state = $1",
            vec![MailState::Waiting.into()],
        )
        .await?;
    row.map_or(Ok(0), |row| row.get("count"))
}

/// When a mail's turn is.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    pub now: UnixMillis,
    /// Should whoever has it end before it has left, its turn comes again then.
    pub claimed_until: UnixMillis,
    /// No wait is so long: what is due only after this was put off by a clock that was ahead.
    pub far: UnixMillis,
}

/// Claims mails whose turn it is, oldest first.
pub async fn claim(db: &impl Executor, count: u32, turn: Turn) -> Result<Vec<DueMail>, DbError> {
    db.all(
        "update mails set due_at = $1, attempts = attempts + 1
         where state = $2 and (due_at <= $3 or due_at > $5) and mail_id in
             (select mail_id from mails where state = $2 and (due_at <= $3 or due_at > $5)
              order by due_at, mail_id limit $4)
         returning mail_id, recipient, kind, sealed, attempts, queued_at, expires_at",
        vec![
            turn.claimed_until.into(),
            MailState::Waiting.into(),
            turn.now.into(),
            count.into(),
            turn.far.into(),
        ],
    )
    .await
}

/// Forgets a mail that has left.
pub async fn delete(db: &impl Executor, mail_id: &str) -> Result<(), DbError> {
    db.execute("delete from mails where mail_id = $1", vec![mail_id.into()]).await.map(drop)
}

pub async fn postpone(
    db: &impl Executor,
    mail_id: &str,
    reason: &str,
    due_at: UnixMillis,
) -> Result<(), DbError> {
    db.execute(
        "update mails set due_at = $2, reason = $3 where mail_id = $1",
        vec![mail_id.into(), due_at.into(), reason.into()],
    )
    .await
    .map(drop)
}

/// Gives a mail up. What it said is kept, sealed, for as long as it is of use: somebody may try it again.
pub async fn fail(
    db: &impl Executor,
    mail_id: &str,
    reason: &str,
    now: UnixMillis,
) -> Result<(), DbError> {
    db.execute(
        "update mails set state = $2, reason = $3,
             sealed = case when expires_at > $4 then sealed else '' end
         where mail_id = $1",
        vec![mail_id.into(), MailState::Failed.into(), reason.into(), now.into()],
    )
    .await
    .map(drop)
}

/// Lets a mail that was given up leave again. Says whether there is one that is still of use.
pub async fn retry(db: &impl Executor, mail_id: &str, now: UnixMillis) -> Result<bool, DbError> {
    let changed = db
        .execute(
            "update mails set state = $2, attempts = 0, due_at = $4
             where mail_id = $1 and state = $3 and sealed <> '' and expires_at > $4",
            vec![mail_id.into(), MailState::Waiting.into(), MailState::Failed.into(), now.into()],
        )
        .await?;
    Ok(changed == 1)
}

/// Forgets what mails said whose time is over.
pub async fn forget_contents(db: &impl Executor, now: UnixMillis) -> Result<u64, DbError> {
    db.execute(
        "update mails set sealed = '' where state = $1 and expires_at <= $2 and sealed <> ''",
        vec![MailState::Failed.into(), now.into()],
    )
    .await
}

/// Forgets what was to be said to an address.
pub async fn delete_to(db: &impl Executor, recipient: &str) -> Result<(), DbError> {
    db.execute("delete from mails where recipient = $1", vec![recipient.into()]).await.map(drop)
}

/// Forgets those given up before a time.
pub async fn delete_failed(db: &impl Executor, before: UnixMillis) -> Result<u64, DbError> {
    db.execute(
        "delete from mails where state = $1 and queued_at < $2",
        vec![MailState::Failed.into(), before.into()],
    )
    .await
}

/// A mail as operators see it.
#[derive(Debug, Clone)]
pub struct WaitingMail {
    pub mail_id: String,
    pub recipient: String,
    pub kind: MailKind,
    pub state: MailState,
    pub attempts: u32,
    pub reason: Option<String>,
    pub queued_at: UnixMillis,
    pub due_at: UnixMillis,
}

from_row!(WaitingMail { mail_id, recipient, kind, state, attempts, reason, queued_at, due_at });

/// Lists what has not left, oldest first.
pub async fn list(db: &impl Executor, count: u32) -> Result<Vec<WaitingMail>, DbError> {
    db.all(
        "select mail_id, recipient, kind, state, attempts, reason, queued_at, due_at
         from mails order by queued_at, mail_id limit $1",
        vec![count.into()],
    )
    .await
}
