//! Who takes the relay's mail.

use std::time::Duration;

use anyhow::Context as _;

use super::read_text;
use crate::{
    config::{Config, MailConfig, MailEngine, MailTls},
    engines::mail::{Encryption, Mailer, Sender, SmtpSettings},
};

/// Makes the mailer that the configuration names. Does not ask whether the server is there: it may come
/// later.
pub async fn mailer(config: &Config) -> anyhow::Result<Mailer> {
    let settings = &config.mail;
    match settings.engine {
        MailEngine::None => Ok(Mailer::None),
        MailEngine::Memory => Ok(Mailer::memory(sender(settings)?)),
        MailEngine::File => {
            let default = || config.data_dir.join("mails");
            let directory = settings.directory.clone().unwrap_or_else(default);
            Mailer::folder(&directory, sender(settings)?)
        }
        MailEngine::Smtp => Mailer::smtp(smtp(config, settings).await?),
    }
}

fn sender(settings: &MailConfig) -> anyhow::Result<Sender> {
    Sender::parse(&settings.from)
        .with_context(|| format!("mail.from = \"{}\": no mail can come from there", settings.from))
}

async fn smtp(config: &Config, settings: &MailConfig) -> anyhow::Result<SmtpSettings> {
    let credentials = match &settings.user {
        None => None,
        Some(user) => {
            let path = &settings.password_file;
            let text = read_text(path).await.with_context(|| {
                format!("mail.password_file = \"{}\": cannot read it", path.display())
            })?;
            let password = text.trim_end_matches(['\n', '\r']).to_owned();
            anyhow::ensure!(
                !password.is_empty(),
                "mail.password_file = \"{}\": the file is empty; write the password of mail.user \
                 into it",
                path.display()
            );
            Some((user.clone(), password))
        }
    };
    let authority =
        match &settings.ca_file {
            None => None,
            Some(path) => Some(tokio::fs::read(path).await.with_context(|| {
                format!("mail.ca_file = \"{}\": cannot read it", path.display())
            })?),
        };
    Ok(SmtpSettings {
        host: settings.host.clone(),
        port: settings.port(),
        encryption: match settings.tls {
            MailTls::Implicit => Encryption::Implicit,
            MailTls::Starttls => Encryption::StartTls,
            MailTls::None => Encryption::None,
        },
        credentials,
        authority,
        step_max: Duration::from_millis(settings.timeout_ms),
        hello: config.host().to_owned(),
        from: sender(settings)?,
    })
}
