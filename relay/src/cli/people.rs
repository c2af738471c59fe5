//! Accounts, and mail to people.

use std::io::{BufRead as _, Read as _, Write as _};

use anyhow::Context as _;
use nightjar_shared::{role::AccountRole, text_file};

use super::open_database;
use crate::{
    app::passwords::{Cost, Hasher},
    clock::now,
    config::Config,
    domain::accounts::{self, SignUp},
    engines::db::mails,
};

/// Of a password that is read; no longer one is taken.
const LINE_BYTES_MAX: u64 = 8 * 1024;
/// Mails that are listed; more are behind the same cause.
const MAILS_MAX: u32 = 1_000;

pub(super) async fn create_account(
    config: &Config,
    email: String,
    role: AccountRole,
) -> anyhow::Result<()> {
    let mut line = Vec::new();
    let input = std::io::stdin().lock();
    input.take(LINE_BYTES_MAX).read_until(b'\n', &mut line).context("cannot read the password")?;
    let line = text_file::decode(&line).context("the password cannot be read")?;
    let password = line.trim_end_matches('\n').to_owned();
    let db = open_database(config).await?;
    let sign_up = SignUp { email, password, name: None };
    let caller =
        accounts::create(&db, &Hasher::new(Cost::PRODUCTION)?, sign_up, role, now()).await?;
    Ok(writeln!(std::io::stdout(), "{}", caller.account_id)?)
}

pub(super) async fn make_reset_link(config: &Config, email: &str) -> anyhow::Result<()> {
    let db = open_database(config).await?;
    let link = accounts::make_reset_link(&db, &config.public_url, email, now()).await;
    let link = link.with_context(|| format!("no link for {email}"))?;
    Ok(writeln!(std::io::stdout(), "{}", link.url)?)
}

pub(super) async fn list_mails(config: &Config) -> anyhow::Result<()> {
    let db = open_database(config).await?;
    let mut output = std::io::stdout();
    for mail in mails::list(&db, MAILS_MAX).await? {
        writeln!(
            output,
            "{}\t{}\t{}\t{}\tattempts {}\t{}",
            mail.mail_id,
            mail.state,
            mail.kind,
            mail.recipient,
            mail.attempts,
            mail.reason.as_deref().unwrap_or("-")
        )?;
    }
    Ok(())
}
