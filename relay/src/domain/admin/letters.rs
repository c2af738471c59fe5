//! What waits to leave, and what was given up: an administrator tries it again, or drops it.

use nightjar_shared::{account::MailState, admin::LetterChannel, audit::Action, time::UnixMillis};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Desk;
use crate::{
    domain::{List, PageRequest, audit::record},
    engines::db::{
        Transaction,
        admin::letters::{self as rows, LetterRow},
    },
    error::{Error, ProblemCode, Result},
};

/// Something that waits to leave, or was given up.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Letter {
    /// By this it is tried again.
    pub letter_id: String,
    pub channel: LetterChannel,
    /// Says what a mail to an address is about, or what a message tells of.
    pub kind: String,
    /// An address, or that of the account.
    pub recipient: String,
    pub state: MailState,
    pub attempts: u32,
    /// Why the last attempt failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub queued_at: UnixMillis,
    /// When it is tried again, unless it was given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_at: Option<UnixMillis>,
}

impl From<LetterRow> for Letter {
    fn from(row: LetterRow) -> Self {
        Self {
            letter_id: row.letter_id,
            channel: row.channel,
            kind: row.kind,
            recipient: row.recipient,
            state: row.state,
            attempts: row.attempts,
            reason: row.reason,
            queued_at: row.queued_at,
            due_at: (row.state == MailState::Waiting).then_some(row.due_at),
        }
    }
}

/// Which letters a list shows. Absent means any.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LetterSelection {
    pub state: Option<MailState>,
}

/// Lists letters, newest first.
pub async fn list(
    desk: &Desk<'_>,
    selection: &LetterSelection,
    page: &PageRequest,
) -> Result<List<Letter>> {
    let position = page.position()?;
    let rows = rows::page(desk.db, &position.page, selection.state).await?;
    Ok(position.list(rows, |row| (row.queued_at, row.letter_id.clone()), Letter::from))
}

/// Tries a letter again that was given up, as long as it is of use and its text is there.
pub async fn retry(desk: &Desk<'_>, letter_id: &str) -> Result<()> {
    let transaction = desk.db.begin().await?;
    desk.hold(&transaction).await?;
    check_is_there(&transaction, letter_id).await?;
    if !rows::retry(&transaction, letter_id, desk.now).await? {
        return Err(Error::conflict(
            ProblemCode::NotReady,
            "It is of no use any more: its time is over, or its text is gone.",
        ));
    }
    let entry = desk.entry(Action::LetterRetried).subject(letter_id);
    record(&transaction, desk.now, entry).await?;
    transaction.commit().await?;
    if let Some(app) = desk.app {
        app.mails_due.notify_one();
        app.due.all();
    }
    Ok(())
}

/// Refuses a letter that is not there, or has left.
async fn check_is_there(transaction: &Transaction, letter_id: &str) -> Result<()> {
    if rows::exists(transaction, letter_id).await? { Ok(()) } else { Err(Error::not_found()) }
}

/// Drops a letter: nobody gets it.
pub async fn remove(desk: &Desk<'_>, letter_id: &str) -> Result<()> {
    let transaction = desk.db.begin().await?;
    desk.hold(&transaction).await?;
    check_is_there(&transaction, letter_id).await?;
    rows::delete(&transaction, letter_id).await?;
    let entry = desk.entry(Action::LetterDropped).subject(letter_id);
    record(&transaction, desk.now, entry).await?;
    Ok(transaction.commit().await?)
}
