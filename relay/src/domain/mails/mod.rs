//! Mail to people: what it says, and the outbox that it leaves by. A mail is written down in the
//! transaction of what it tells, and leaves later: a mail server that is away holds nobody up.

mod outbox;
mod texts;

use nightjar_shared::{ids::AccountId, role::Role, time::UnixMillis};

pub(super) use self::outbox::{deliver, forget_old};
pub use self::outbox::{retry, waiting};
use self::texts::Text;
use super::email;
use crate::{
    app::App,
    engines::db::{Executor, accounts::AccountRow, mails},
    error::{Error, ProblemCode, Result},
};

/// Mails that may wait. When so many do, the mail server has been away for long: what would bring
/// another one is refused.
const WAITING_MAX: u64 = 10_000;

/// What is to be told. A link is a whole address, with its secret.
#[derive(Debug, Clone)]
pub enum Mail<'a> {
    /// Asks whether an address is right.
    VerifyAddress {
        link: &'a str,
        expires_at: UnixMillis,
    },
    /// Lets somebody set a new password.
    ResetPassword {
        link: &'a str,
        expires_at: UnixMillis,
    },
    /// The same, by an administrator: the old one works no more.
    PasswordVoided {
        link: &'a str,
        expires_at: UnixMillis,
    },
    PasswordChanged,
    /// A second factor came, went, or was replaced.
    FactorsChanged,
    /// To the old address.
    AddressChanged {
        new: &'a str,
    },
    /// From a browser or program that has not signed in before.
    NewSignIn {
        program: &'a str,
        network: &'a str,
    },
    /// Somebody wanted to sign up with an address that has an account.
    AccountExists,
    AccountDeleted,
    /// By an administrator.
    AccountDisabled,
    /// By an administrator, who can take it back until then.
    DeletionBegun {
        at: UnixMillis,
    },
    /// To an owner: an administrator asks to see a site.
    ViewAsked {
        by: &'a str,
        site: &'a str,
        reason: &'a str,
        minutes: u32,
        page: &'a str,
        expires_at: UnixMillis,
    },
    /// To a site, by a member of it. `by` is a name that this person chose.
    Invitation {
        link: &'a str,
        by: &'a str,
        site: &'a str,
        role: Role,
        expires_at: UnixMillis,
    },
}

/// Whom a mail goes to.
#[derive(Debug, Clone, Copy)]
pub struct Recipient<'a> {
    /// Whose end is the mail's end, too.
    pub account_id: Option<AccountId>,
    pub email: &'a str,
}

/// Returns whether this relay sends mail at all.
pub(super) fn is_there(app: &App) -> bool {
    app.mailer.is_there() && app.settings.get().mail_on
}

/// Tells somebody what has happened: where too many mails wait, it happens untold.
pub async fn tell(
    app: &App,
    transaction: &impl Executor,
    to: Recipient<'_>,
    mail: Mail<'_>,
) -> Result<()> {
    match queue(app, transaction, to, mail).await {
        Err(error) if error.code() == ProblemCode::Busy => Ok(()),
        outcome => outcome,
    }
}

/// Tells an account the same, where mail to its address is known to arrive.
pub(super) async fn tell_owner(
    app: &App,
    transaction: &impl Executor,
    account: &AccountRow,
    mail: Mail<'_>,
) -> Result<()> {
    if account.verified_at.is_none() {
        return Ok(());
    }
    let to = Recipient { account_id: Some(account.account_id), email: &account.email };
    tell(app, transaction, to, mail).await
}

/// Writes a mail down, to leave once the transaction is committed. Does nothing where there is no mail.
pub async fn queue(
    app: &App,
    transaction: &impl Executor,
    to: Recipient<'_>,
    mail: Mail<'_>,
) -> Result<()> {
    if !is_there(app) {
        return Ok(());
    }
    if mails::count_waiting(transaction).await? >= WAITING_MAX {
        tracing::warn!("the outbox of mails is full: look after the mail server");
        return Err(Error::unavailable(
            ProblemCode::Busy,
            "Too many mails wait for the mail server; try again later.",
        ));
    }
    let now = app.now();
    let Text { kind, subject, body, expires_at } = texts::write(&mail, &app.config.public_url, now);
    let mail_id = uuid::Uuid::now_v7().to_string();
    let content = serde_json::to_string(&(subject, body)).map_err(anyhow::Error::from)?;
    let row = mails::NewMail {
        sealed: app.seal.seal(&context(&mail_id), content.as_bytes())?,
        mail_id,
        account_id: to.account_id,
        recipient: email::for_mail(to.email),
        kind,
        expires_at,
    };
    mails::insert(transaction, row, now).await?;
    app.mails_due.notify_one();
    Ok(())
}

/// What a mail's content is sealed for: it opens as no other mail's.
fn context(mail_id: &str) -> String {
    format!("mail {mail_id}")
}
