//! One order at an ACME server, from the account to the chain.

use std::{sync::Arc, time::Duration};

use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeType, Error, ExternalAccountKey,
    Identifier, NewAccount, NewOrder, OrderStatus, RetryPolicy,
};
use nightjar_shared::time::UnixMillis;
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::{pki_types::PrivateKeyDer, sign::CertifiedKey};

use super::{
    super::{public::Public, trouble::Trouble},
    AcmeSettings,
    http::{Http, trouble_of},
    kept::{Kept, KeptAccount},
};
use crate::config::ChallengeKind;

/// How far clocks may be apart before new certificates would look as if they had not begun, or had ended.
const CLOCKS_APART_MAX: Duration = Duration::from_mins(15);
/// For the server to look at what proves a name, and to sign.
const PATIENCE: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(250))
    .backoff(1.5)
    .timeout(Duration::from_secs(90));
/// Of what a server says, in our words.
const DETAIL_CHARS_MAX: usize = 400;

/// What an order needs.
pub(super) struct Order<'a> {
    pub(super) settings: &'a AcmeSettings,
    pub(super) kept: &'a Kept,
    pub(super) public: &'a Arc<Public>,
    pub(super) http: &'a Http,
    pub(super) way: ChallengeKind,
    /// The certificate whose place it takes, for servers that want to know.
    pub(super) replaced: Option<CertificateIdentifier<'static>>,
    pub(super) now: UnixMillis,
}

/// What a server's error is about, as far as we do something of our own about it (RFC 8555, 6.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ErrorKind {
    RateLimited,
    NoAccount,
    BadNonce,
    Other,
}

impl ErrorKind {
    fn of(problem: &instant_acme::Problem) -> Self {
        let name = problem.r#type.as_deref().and_then(|it| it.rsplit(':').next());
        match name {
            Some("rateLimited") => Self::RateLimited,
            Some("accountDoesNotExist") => Self::NoAccount,
            Some("badNonce") => Self::BadNonce,
            _ => Self::Other,
        }
    }
}

impl Order<'_> {
    /// Has a certificate made; returns its chain and its key as one text in PEM.
    pub(super) async fn place(&self) -> Result<String, Trouble> {
        let first = self.with_account().await;
        let kind = match &first {
            Err(Error::Api(problem)) => ErrorKind::of(problem),
            _ => ErrorKind::Other,
        };
        match kind {
            // A server that was set up anew, or forgot us.
            ErrorKind::NoAccount => self.kept.forget_account()?,
            // More of them than the client bears by itself: the server was restarted, or is several.
            ErrorKind::BadNonce => self.public.forget_proofs(),
            ErrorKind::RateLimited | ErrorKind::Other => return first.map_err(trouble)?,
        }
        self.with_account().await.map_err(trouble)?
    }

    async fn with_account(&self) -> Result<Result<String, Trouble>, Error> {
        let account = match self.account().await? {
            Ok(account) => account,
            Err(trouble) => return Ok(Err(trouble)),
        };
        if let Some(apart) = self.clocks_apart() {
            return Ok(Err(apart));
        }
        self.certificate(&account).await
    }

    /// Takes the account that is kept, or makes one.
    async fn account(&self) -> Result<Result<Account, Trouble>, Error> {
        let contact: Vec<&str> = self.settings.contact.iter().map(String::as_str).collect();
        let builder = Account::builder_with_http(Box::new(self.http.clone()));
        let kept = match self.kept.account() {
            Ok(kept) => kept,
            Err(trouble) => return Ok(Err(trouble)),
        };
        if let Some(KeptAccount { contact: known, credentials }) = kept {
            let account = builder.from_credentials(credentials).await?;
            if known != self.settings.contact {
                account.update_contacts(&contact).await?;
                if let Err(trouble) = self.note_contact() {
                    return Ok(Err(trouble));
                }
            }
            return Ok(Ok(account));
        }
        // The configuration says that its terms were agreed to, or there is no order.
        let new = NewAccount {
            contact: &contact,
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let directory = self.settings.directory.clone();
        let external = self.settings.external_account.as_ref();
        let external = external.map(|it| ExternalAccountKey::new(it.key_id.clone(), &it.key));
        let (account, credentials) = builder.create(&new, directory, external.as_ref()).await?;
        let contact = self.settings.contact.clone();
        let written = self.kept.write_account(&KeptAccount { contact, credentials });
        Ok(written.map(|()| account))
    }

    fn note_contact(&self) -> Result<(), Trouble> {
        let Some(kept) = self.kept.account()? else { return Ok(()) };
        let contact = self.settings.contact.clone();
        self.kept.write_account(&KeptAccount { contact, ..kept })
    }

    fn clocks_apart(&self) -> Option<Trouble> {
        let server = self.http.server_time()?;
        let apart = self.now.since(server).max(server.since(self.now));
        (apart > CLOCKS_APART_MAX)
            .then(|| Trouble::ClockApart { seconds: apart.as_secs(), is_ahead: self.now > server })
    }

    async fn certificate(&self, account: &Account) -> Result<Result<String, Trouble>, Error> {
        let names: Vec<_> =
            self.settings.names.iter().map(|name| Identifier::Dns(name.clone())).collect();
        let mut new = NewOrder::new(&names);
        if let Some(replaced) = &self.replaced {
            new = new.replaces(replaced.clone());
        }
        let mut order = account.new_order(&new).await?;
        if let Err(trouble) = self.prove_all(&mut order).await? {
            return Ok(Err(trouble));
        }
        let said = match order.poll_ready(&PATIENCE).await {
            Ok(OrderStatus::Ready) => None,
            Ok(_) => Some(Ok(Err(Trouble::Refused("the order is invalid".to_owned())))),
            Err(error @ Error::Api(_)) => Some(Err(error)),
            Err(error) => return Err(error),
        };
        if let Some(said) = said {
            // Of a name that is at fault more is known than of the order.
            return self.why_not_proven(&mut order).await?.map_or(said, |trouble| Ok(Err(trouble)));
        }
        let key = order.finalize().await?;
        let chain = order.poll_certificate(&PATIENCE).await?;
        Ok(Ok(format!("{chain}\n{key}")))
    }

    /// Lays out what proves each name that is not proven yet, and says so.
    async fn prove_all(
        &self,
        order: &mut instant_acme::Order,
    ) -> Result<Result<(), Trouble>, Error> {
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            if authorization.status == AuthorizationStatus::Valid {
                continue;
            }
            let name = authorization.identifier().to_string();
            let Some(mut challenge) = authorization.challenge(challenge_type(self.way)) else {
                return Ok(Err(Trouble::WayNotOffered { name, way: self.way }));
            };
            let proof = challenge.key_authorization();
            match self.way {
                ChallengeKind::Http01 => {
                    let answer = proof.as_str().to_owned();
                    self.public.answer_with(challenge.token.clone(), answer);
                }
                ChallengeKind::TlsAlpn01 => match proof_certificate(&name, proof.digest().as_ref())
                {
                    Ok(key) => self.public.shown().prove(&name, key),
                    Err(error) => return Ok(Err(Trouble::Unusable(format!("{error:#}")))),
                },
            }
            challenge.set_ready().await?;
        }
        Ok(Ok(()))
    }

    /// Finds the name that could not be proven, and what the server says of it.
    async fn why_not_proven(
        &self,
        order: &mut instant_acme::Order,
    ) -> Result<Option<Trouble>, Error> {
        let way = self.way;
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            authorization.refresh().await?;
            if authorization.status == AuthorizationStatus::Valid {
                continue;
            }
            let name = authorization.identifier().to_string();
            let failed = authorization.challenges.iter().find_map(|it| it.error.as_ref());
            let cause = failed.and_then(|it| it.detail.clone()).unwrap_or_else(|| {
                format!("the server says {:?} and no more", authorization.status)
            });
            return Ok(Some(Trouble::NotProven { name, way, cause: short(&cause) }));
        }
        Ok(None)
    }
}

fn challenge_type(way: ChallengeKind) -> ChallengeType {
    match way {
        ChallengeKind::Http01 => ChallengeType::Http01,
        ChallengeKind::TlsAlpn01 => ChallengeType::TlsAlpn01,
    }
}

/// Makes the certificate that proves a name to who asks for it by name in TLS (RFC 8737, 3).
fn proof_certificate(name: &str, digest: &[u8]) -> anyhow::Result<Arc<CertifiedKey>> {
    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    let key = PrivateKeyDer::try_from(key.serialize_der())
        .map_err(|error| anyhow::anyhow!("a key of our own cannot be read: {error}"))?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let chain = vec![certificate.der().clone()];
    // Not `from_der`, which would read the certificate: that extension is critical, and rustls knows it not.
    Ok(Arc::new(CertifiedKey::new(chain, provider.key_provider.load_private_key(key)?)))
}

fn trouble(error: Error) -> Trouble {
    match error {
        Error::Api(problem) => {
            let said = short(&problem.to_string());
            match ErrorKind::of(&problem) {
                ErrorKind::RateLimited => Trouble::RateLimited(said),
                _ => Trouble::Refused(said),
            }
        }
        Error::Timeout(_) => Trouble::NoAnswer,
        Error::Other(inner) => trouble_of(inner.as_ref())
            .unwrap_or_else(|| Trouble::Nonsense(short(&inner.to_string()))),
        other => Trouble::Nonsense(short(&other.to_string())),
    }
}

/// What strangers say comes into our log: one line, and no book.
fn short(text: &str) -> String {
    let plain = text.chars().map(|it| if it.is_control() { ' ' } else { it });
    plain.take(DETAIL_CHARS_MAX).collect()
}
