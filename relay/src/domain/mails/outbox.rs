//! How mails leave: a few at a time, again with growing waits, and at last not at all.

use std::time::Duration;

use futures::future::join_all;

use crate::{
    app::App,
    engines::{
        db::mails::{self, DueMail, Turn, WaitingMail},
        mail::{Failure, Letter, MailError},
    },
    error::Result,
};

/// Conversations with the mail server at a time.
const AT_ONCE: u32 = 4;
/// Longer than an attempt may take: should the relay end in its middle, another is made then.
const CLAIMED_FOR: Duration = Duration::from_mins(10);
/// How long a mail waits after its first, second, … attempt that failed. After the last wait it has one
/// more: that was for two days.
const WAITS: [Duration; 10] = [
    Duration::from_secs(30),
    Duration::from_mins(2),
    Duration::from_mins(10),
    Duration::from_mins(30),
    Duration::from_hours(1),
    Duration::from_hours(3),
    Duration::from_hours(6),
    Duration::from_hours(12),
    Duration::from_hours(12),
    Duration::from_hours(12),
];
/// Longer than the longest wait.
const PUT_OFF_MAX: Duration = Duration::from_hours(24);
/// Attempts with a mail that the server refuses for good: what refused it may be mended meanwhile.
const REFUSED_MAX: usize = 3;
/// Mails that one look shows.
const LISTED_MAX: u32 = 200;
const FAILED_KEPT: Duration = Duration::from_hours(30 * 24);

/// Sends what is due.
pub(in crate::domain) async fn deliver(app: &App) -> Result<()> {
    if !super::is_there(app) {
        return Ok(());
    }
    loop {
        let now = app.now();
        let turn = Turn { now, claimed_until: now.plus(CLAIMED_FOR), far: now.plus(PUT_OFF_MAX) };
        let due = mails::claim(&app.db, AT_ONCE, turn).await?;
        let are_all = due.len() < AT_ONCE as usize;
        for outcome in join_all(due.into_iter().map(|mail| attempt(app, mail))).await {
            outcome?;
        }
        if are_all {
            return Ok(());
        }
    }
}

/// Forgets mails that were given up long ago.
pub(in crate::domain) async fn forget_old(app: &App) -> Result<()> {
    let now = app.now();
    mails::forget_contents(&app.db, now).await?;
    mails::delete_failed(&app.db, now.minus(FAILED_KEPT)).await?;
    Ok(())
}

/// Lists mails that have not left, oldest first, for who runs the relay.
pub async fn waiting(app: &App) -> Result<Vec<WaitingMail>> {
    Ok(mails::list(&app.db, LISTED_MAX).await?)
}

/// Lets a mail that was given up leave again. Says whether there is one that is still of use.
pub async fn retry(app: &App, mail_id: &str) -> Result<bool> {
    let is_waiting = mails::retry(&app.db, mail_id, app.now()).await?;
    app.mails_due.notify_one();
    Ok(is_waiting)
}

async fn attempt(app: &App, mail: DueMail) -> Result<()> {
    if mail.expires_at <= app.now() {
        return give_up(app, &mail, "it could not leave while it was of use").await;
    }
    let letter = match letter(app, &mail) {
        Ok(letter) => letter,
        Err(error) => return give_up(app, &mail, &format!("{error:#}")).await,
    };
    let kind = mail.kind.as_str();
    match app.mailer.send(&letter).await {
        Ok(()) => {
            count(app, "sent");
            tracing::info!(mail = mail.mail_id, kind, "a mail has left");
            Ok(mails::delete(&app.db, &mail.mail_id).await?)
        }
        Err(error) => match next_attempt(&error, mail.attempts) {
            Some(wait) => {
                count(app, "postponed");
                let MailError { reason, .. } = &error;
                tracing::warn!(mail = mail.mail_id, kind, reason, "a mail did not leave; it waits");
                let due_at = app.now().plus(wait);
                Ok(mails::postpone(&app.db, &mail.mail_id, reason, due_at).await?)
            }
            None => give_up(app, &mail, &error.reason).await,
        },
    }
}

fn letter(app: &App, mail: &DueMail) -> anyhow::Result<Letter> {
    let content = app.seal.open(&super::context(&mail.mail_id), &mail.sealed)?;
    let (subject, text) = serde_json::from_slice(&content)?;
    Ok(Letter {
        id: mail.mail_id.clone(),
        to: mail.recipient.clone(),
        subject,
        text,
        picture: None,
        at: mail.queued_at,
    })
}

async fn give_up(app: &App, mail: &DueMail, reason: &str) -> Result<()> {
    count(app, "failed");
    tracing::error!(mail = mail.mail_id, kind = mail.kind.as_str(), reason, "a mail is given up");
    Ok(mails::fail(&app.db, &mail.mail_id, reason, app.now()).await?)
}

/// Returns how long a mail waits that has failed so often: nothing once it is given up.
fn next_attempt(error: &MailError, attempts: u32) -> Option<Duration> {
    let made = usize::try_from(attempts).unwrap_or(usize::MAX);
    if error.failure == Failure::Refused && made >= REFUSED_MAX {
        return None;
    }
    WAITS.get(made.saturating_sub(1)).copied()
}

fn count(app: &App, outcome: &'static str) {
    app.metrics
        .counter(
            "nightjar_mails_total",
            "Attempts with mails, by outcome.",
            &[("outcome", outcome)],
        )
        .increment();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(failure: Failure) -> MailError {
        MailError { reason: String::new(), failure }
    }

    #[test]
    fn waits_grow_and_end_after_two_days() {
        let waits: Vec<_> =
            (1..20).map_while(|made| next_attempt(&failed(Failure::Passing), made)).collect();
        assert_eq!(waits.len(), WAITS.len());
        assert!(waits.is_sorted());
        assert!(waits.iter().sum::<Duration>() > Duration::from_hours(46));
    }

    #[test]
    fn a_mail_that_is_refused_has_three_attempts() {
        let made =
            (1..).take_while(|made| next_attempt(&failed(Failure::Refused), *made).is_some());
        assert_eq!(made.count() + 1, REFUSED_MAX);
    }
}
