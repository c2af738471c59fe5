//! What waits to leave, by mail to an address or by any channel to an account, and what was given up.

use nightjar_shared::{account::MailState, admin::LetterChannel, time::UnixMillis};

use crate::engines::db::{DbError, Executor, Page, deliveries, from_row, mails, newest_first};

/// One of them as who runs the relay sees it: nothing of what it says.
#[derive(Debug, Clone)]
pub struct LetterRow {
    pub letter_id: String,
    pub channel: LetterChannel,
    /// The word of a kind of mail, or of a kind of notification.
    pub kind: String,
    /// An address, or that of the account.
    pub recipient: String,
    pub state: MailState,
    pub attempts: u32,
    pub reason: Option<String>,
    pub queued_at: UnixMillis,
    pub due_at: UnixMillis,
}

from_row!(LetterRow {
    letter_id,
    channel,
    kind,
    recipient,
    state,
    attempts,
    reason,
    queued_at,
    due_at
});

/// Lists what has not left, newest first.
pub async fn page(
    db: &impl Executor,
    page: &Page,
    state: Option<MailState>,
) -> Result<Vec<LetterRow>, DbError> {
    let statement = concat!(
        "select letter_id, channel, kind, recipient, state, attempts, reason, queued_at, due_at from
             (select mail_id as letter_id, 'mail' as channel, kind, recipient, state, attempts,
                  reason, queued_at, due_at
              from mails
              union all
              select d.delivery_id, d.channel, n.kind, a.email, d.state, d.attempts, d.outcome,
                  d.queued_at, d.due_at
              from deliveries d
              join notifications n on n.notification_id = d.notification_id
              join accounts a on a.account_id = d.account_id
              where d.state <> 'sent') as letters
         where (cast($4 as text) is null or state = $4)",
        newest_first!("queued_at", "letter_id")
    );
    page.read(db, ("queued_at", "letter_id"), statement, [state.into()]).await
}

/// Says whether there is one that has not left.
pub async fn exists(db: &impl Executor, letter_id: &str) -> Result<bool, DbError> {
    let found = db
        .query_one(
            "select 1 as found from mails where mail_id = $1
             union all
             select 1 from deliveries where delivery_id = $1 and state <> 'sent'",
            vec![letter_id.into()],
        )
        .await?;
    Ok(found.is_some())
}

/// Lets one that was given up wait again. Says whether it is still of use.
pub async fn retry(db: &impl Executor, letter_id: &str, now: UnixMillis) -> Result<bool, DbError> {
    Ok(mails::retry(db, letter_id, now).await? || deliveries::retry(db, letter_id, now).await?)
}

pub async fn delete(db: &impl Executor, letter_id: &str) -> Result<(), DbError> {
    mails::delete(db, letter_id).await?;
    deliveries::drop_unsent(db, letter_id).await
}
