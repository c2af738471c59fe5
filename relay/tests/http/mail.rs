//! Mail, as its readers see it.

use nightjar_relay::config::{Config, MailEngine};

use crate::relay::{TestRelay, eventually};

/// Has the relay keep its mail in memory.
pub(crate) fn in_memory(config: &mut Config) {
    config.mail.engine = MailEngine::Memory;
    "Nightjar <relay@example.org>".clone_into(&mut config.mail.from);
}

/// Waits until so many mails have left, and returns them.
pub(crate) async fn mails(relay: &TestRelay, count: usize) -> Vec<String> {
    eventually(async || relay.app().mailer.kept(), |kept| kept.len() >= count).await
}

/// Waits for a mail with this subject.
pub(crate) async fn mail_about(relay: &TestRelay, subject: &str) -> String {
    let subject = format!("Subject: {subject}");
    let find = async || relay.app().mailer.kept().into_iter().find(|mail| mail.contains(&subject));
    eventually(find, Option::is_some).await.unwrap()
}

/// What stands behind the `#` of the link in a mail.
pub(crate) fn token_of(mail: &str) -> String {
    let text = mail.replace("=\r\n", "");
    let pages = ["/reset#", "/verify#", "/invitation#"];
    let link = text.lines().find(|line| pages.iter().any(|page| line.contains(page)));
    let link = link.unwrap_or_else(|| panic!("no link in:\n{mail}"));
    link.split('#').nth(1).unwrap().trim().to_owned()
}
