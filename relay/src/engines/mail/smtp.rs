//! SMTP, to a server that takes mail for others: with TLS from the start, or by STARTTLS.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor,
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, CertificateStore, Tls, TlsParameters},
        extension::ClientId,
    },
};
use tokio::time::timeout;

use super::{Failure, Letter, MailError, letter::Sender};

/// A whole conversation may take as long as so many steps: a server that says a word now and then holds
/// nobody for ever.
const STEPS_MAX: u32 = 4;
const REASON_CHARS_MAX: usize = 200;

pub struct SmtpSettings {
    pub host: String,
    pub port: u16,
    pub encryption: Encryption,
    /// User name and password.
    pub credentials: Option<(String, String)>,
    /// An authority to be trusted instead of the system's, PEM.
    pub authority: Option<Vec<u8>>,
    /// For each step of a conversation.
    pub step_max: Duration,
    /// How the relay calls itself.
    pub hello: String,
    pub from: Sender,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    Implicit,
    StartTls,
    /// To a server on this machine.
    None,
}

pub struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Sender,
    server: String,
    patience: Duration,
}

impl Smtp {
    pub(super) fn new(settings: SmtpSettings) -> anyhow::Result<Self> {
        let tls = || -> anyhow::Result<TlsParameters> {
            let mut parameters = TlsParameters::builder(settings.host.clone());
            if let Some(pem) = &settings.authority {
                let authority = Certificate::from_pem(pem)
                    .map_err(|error| anyhow!("mail.ca_file holds no certificate: {error}"))?;
                parameters = parameters
                    .certificate_store(CertificateStore::None)
                    .add_root_certificate(authority);
            }
            parameters.build().context("cannot prepare TLS to the mail server")
        };
        let tls = match settings.encryption {
            Encryption::Implicit => Tls::Wrapper(tls()?),
            Encryption::StartTls => Tls::Required(tls()?),
            Encryption::None => Tls::None,
        };
        // Not dangerous: the encryption follows.
        let mut transport =
            AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(settings.host.clone())
                .port(settings.port)
                .tls(tls)
                .hello_name(ClientId::Domain(settings.hello))
                .timeout(Some(settings.step_max));
        if let Some((user, password)) = settings.credentials {
            transport = transport.credentials(Credentials::new(user, password));
        }
        let server = format!("{}:{}", settings.host, settings.port);
        let patience = settings.step_max * STEPS_MAX;
        Ok(Self { transport: transport.build(), from: settings.from, server, patience })
    }

    pub(super) async fn send(&self, letter: &Letter) -> Result<(), MailError> {
        let message = letter.message(&self.from)?;
        match timeout(self.patience, self.transport.send(message)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(self.failed(&error, &letter.to)),
            Err(_) => Err(self.silent()),
        }
    }

    pub(super) async fn check(&self) -> Result<(), MailError> {
        match timeout(self.patience, self.transport.test_connection()).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => {
                Err(MailError::passing(format!("{} does not answer as expected", self.server)))
            }
            Ok(Err(error)) => Err(self.failed(&error, "")),
            Err(_) => Err(self.silent()),
        }
    }

    fn silent(&self) -> MailError {
        MailError::passing(format!("{} did not come to an end in time", self.server))
    }

    fn failed(&self, error: &lettre::transport::smtp::Error, recipient: &str) -> MailError {
        let code = error.status().map(u16::from);
        let failure = if error.is_permanent() && !code.is_some_and(is_about_us) {
            Failure::Refused
        } else {
            Failure::Passing
        };
        let said = if error.is_timeout() {
            "no answer in time".to_owned()
        } else {
            // The chain, as the topmost part alone says "Connection error".
            chain(error)
        };
        let said = if recipient.is_empty() { said } else { said.replace(recipient, "(recipient)") };
        let said: String = said
            .chars()
            .map(|letter| if letter.is_control() { ' ' } else { letter })
            .take(REASON_CHARS_MAX)
            .collect();
        MailError { reason: format!("{}: {said}", self.server), failure }
    }
}

/// Returns whether a refusal speaks of the relay's own sign-in, which an operator mends: the letter is
/// not to blame.
fn is_about_us(code: u16) -> bool {
    matches!(code, 530 | 534 | 535 | 538)
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
