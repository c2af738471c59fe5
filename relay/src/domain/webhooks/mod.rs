//! Webhooks: other programs that are told what happens at a site. Each acts for the person who wrote it down
//! or changed it last, and is told what that person may hear, by their rules.

mod deliver;
mod request;
mod secret;
mod trial;

use nightjar_shared::{
    audit::Action,
    ids::{SiteId, WebhookId},
    notification::Kind,
    range::Check,
    role::Right,
    time::UnixMillis,
    webhook::WebhookFormat,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(super) use self::deliver::{deliver, give_up};
pub use self::{
    secret::{NewSecret, replace_secret},
    trial::{Attempt, attempts, try_out},
};
use super::{
    List,
    access::{self, Caller},
    audit::{Entry, record},
    members, text,
};
use crate::{
    app::App,
    engines::{
        db::webhooks::{self, WebhookRow},
        webhook_signature::Secret,
    },
    error::{Error, ProblemCode, Result},
};

/// Of one site.
const WEBHOOKS_MAX: usize = 20;
/// Of the password that a server asks for.
const TOKEN_BYTES_MAX: usize = 512;

/// A program that is told. Its address is shown without what may be a secret.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Webhook {
    #[schema(value_type = String)]
    pub webhook_id: WebhookId,
    #[schema(value_type = String)]
    pub site_id: SiteId,
    pub name: String,
    /// `standard`, `ntfy` or `gotify`.
    #[schema(value_type = String)]
    pub format: WebhookFormat,
    #[schema(value_type = Vec<String>)]
    pub kinds: Vec<Kind>,
    /// Scheme, host and port.
    pub origin: String,
    pub enabled: bool,
    /// Whether it acts for the caller.
    pub own: bool,
    #[schema(value_type = i64)]
    pub created_at: UnixMillis,
    /// Since when nothing was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub failing_since: Option<UnixMillis>,
    /// When the relay turned it off, because nothing was taken for days or the address was said to be gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub given_up_at: Option<UnixMillis>,
    /// Until when the secret before this one signs, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub old_secret_until: Option<UnixMillis>,
}

impl Webhook {
    fn new(caller: Caller, row: WebhookRow) -> Self {
        Self {
            webhook_id: row.webhook_id,
            site_id: row.site_id,
            name: row.name,
            format: row.format,
            kinds: row.kinds,
            origin: row.origin,
            enabled: row.enabled,
            own: row.account_id == caller.account_id,
            created_at: row.created_at,
            failing_since: row.failing_since,
            given_up_at: row.given_up_at,
            old_secret_until: row.old_secret_until,
        }
    }
}

#[derive(Deserialize, ToSchema)]
pub struct NewWebhook {
    #[schema(min_length = 1, max_length = 80)]
    pub name: String,
    /// Where requests go: https, of the public internet, or of a network that the operator allows. For ntfy
    /// with its topic, for Gotify with `/message`.
    #[schema(max_length = 2048)]
    pub url: String,
    /// `standard` when absent.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub format: Option<WebhookFormat>,
    /// Of what it is told: one at least.
    #[schema(value_type = Vec<String>, min_items = 1, max_items = 20)]
    pub kinds: Vec<Kind>,
    /// What an ntfy or Gotify server asks for.
    #[serde(default)]
    #[schema(max_length = 512)]
    pub token: Option<String>,
}

impl Check for NewWebhook {}

/// What is absent stays.
#[derive(Deserialize, ToSchema)]
pub struct WebhookChange {
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    #[schema(max_length = 2048)]
    pub url: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>, min_items = 1, max_items = 20)]
    pub kinds: Option<Vec<Kind>>,
    /// With a new address; an empty one takes it away.
    #[serde(default)]
    #[schema(max_length = 512)]
    pub token: Option<String>,
    /// Turning it on begins anew with what the relay knows of its failures.
    #[serde(default)]
    pub enabled: Option<bool>,
}

impl Check for WebhookChange {}

/// A webhook that was made just now.
#[derive(Clone, Serialize, ToSchema)]
pub struct MadeWebhook {
    pub webhook: Webhook,
    /// By which requests in the form `standard` are signed. Shown once.
    pub secret: String,
}

/// What is kept sealed of where requests go.
#[derive(Serialize, Deserialize)]
struct Destination {
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

impl Destination {
    fn seal(&self, app: &App, id: WebhookId) -> Result<String> {
        let text = serde_json::to_vec(self).map_err(anyhow::Error::from)?;
        Ok(app.seal.seal(&address_context(id), &text)?)
    }

    fn open(app: &App, row: &WebhookRow) -> Result<Self> {
        let text = app.seal.open(&address_context(row.webhook_id), &row.sealed_address)?;
        Ok(serde_json::from_slice(&text).map_err(anyhow::Error::from)?)
    }
}

fn address_context(id: WebhookId) -> String {
    format!("webhook address {id}")
}

/// Returns what is right of an address, or says what is wrong with it.
fn destination(app: &App, url: &str, token: Option<String>) -> Result<(Destination, String)> {
    let address = app.outgoing.address(url).map_err(|problem| {
        let title = "The relay sends nothing to this address.";
        Error::invalid(ProblemCode::InvalidAddress, title).with_detail(problem.to_string())
    })?;
    let token = token.filter(|token| !token.is_empty());
    let is_odd = |token: &String| {
        token.len() > TOKEN_BYTES_MAX || !token.bytes().all(|byte| byte.is_ascii_graphic())
    };
    if token.as_ref().is_some_and(is_odd) {
        let title = "A token has at most 512 letters, digits and signs, and no spaces.";
        return Err(Error::invalid(ProblemCode::InvalidAddress, title));
    }
    let destination = Destination { url: address.as_str().to_owned(), token };
    Ok((destination, address.origin()))
}

/// Brings kinds to one order, each of them once.
fn sorted(mut kinds: Vec<Kind>) -> Result<Vec<Kind>> {
    kinds.retain(|kind| *kind != Kind::Test);
    kinds.sort_unstable();
    kinds.dedup();
    if kinds.is_empty() {
        let title = "A webhook is told of something: name one kind at least.";
        return Err(Error::invalid(ProblemCode::InvalidRules, title));
    }
    Ok(kinds)
}

fn deed(action: Action, caller: Caller, row: &WebhookRow) -> Entry {
    Entry::new(action, caller).site(row.site_id).subject(row.webhook_id)
}

/// Lists a site's webhooks: at most 20.
pub async fn list(app: &App, caller: Caller, site_id: SiteId) -> Result<List<Webhook>> {
    access::in_person(caller)?;
    access::site(app, caller, site_id, Right::Manage).await?;
    let rows = webhooks::of_site(&app.db, site_id).await?;
    let items = rows.into_iter().map(|row| Webhook::new(caller, row)).collect();
    Ok(List { items, next_cursor: None })
}

/// Makes a webhook, which acts for the caller.
pub async fn create(
    app: &App,
    caller: Caller,
    site_id: SiteId,
    new: NewWebhook,
) -> Result<MadeWebhook> {
    access::in_person(caller)?;
    let (transaction, _) = members::begin(app, caller, site_id, Right::Manage).await?;
    let now = app.now();
    app.limits.webhooks.take(&caller.account_id.to_string(), now)?;
    let name = text::name(&new.name)?;
    let kinds = sorted(new.kinds)?;
    let (destination, origin) = destination(app, &new.url, new.token)?;
    if webhooks::of_site(&transaction, site_id).await?.len() >= WEBHOOKS_MAX {
        let title = "A site has at most 20 webhooks.";
        return Err(Error::conflict(ProblemCode::TooManyWebhooks, title));
    }
    let webhook_id = WebhookId::generate();
    let secret = secret::make()?;
    let row = WebhookRow {
        webhook_id,
        site_id,
        account_id: caller.account_id,
        name,
        format: new.format.unwrap_or(WebhookFormat::Standard),
        kinds,
        origin,
        sealed_address: destination.seal(app, webhook_id)?,
        sealed_secret: secret::seal(app, webhook_id, &secret)?,
        sealed_old_secret: None,
        old_secret_until: None,
        enabled: true,
        created_at: now,
        failing_since: None,
        given_up_at: None,
    };
    webhooks::insert(&transaction, &row).await?;
    let entry = deed(Action::WebhookAdded, caller, &row);
    record(&transaction, now, entry.text("name", &row.name).text("origin", &row.origin)).await?;
    transaction.commit().await?;
    Ok(MadeWebhook { webhook: Webhook::new(caller, row), secret: secret.text() })
}

/// Changes a webhook, which acts for the caller from then on.
pub async fn change(
    app: &App,
    caller: Caller,
    webhook_id: WebhookId,
    change: WebhookChange,
) -> Result<Webhook> {
    let found = access::webhook(app, caller, webhook_id).await?;
    let (transaction, _) = members::begin(app, caller, found.site_id, Right::Manage).await?;
    let now = app.now();
    app.limits.webhooks.take(&caller.account_id.to_string(), now)?;
    let mut row = webhooks::by_id(&transaction, webhook_id).await?.ok_or_else(Error::not_found)?;
    if let Some(name) = change.name {
        row.name = text::name(&name)?;
    }
    if let Some(kinds) = change.kinds {
        row.kinds = sorted(kinds)?;
    }
    if let Some(url) = change.url {
        // A password is for one server: a new address does not get the old one's.
        let (destination, origin) = destination(app, &url, change.token)?;
        row.sealed_address = destination.seal(app, webhook_id)?;
        row.origin = origin;
    } else if change.token.is_some() {
        let known = Destination::open(app, &row)?;
        let (destination, _) = destination(app, &known.url, change.token)?;
        row.sealed_address = destination.seal(app, webhook_id)?;
    }
    if let Some(enabled) = change.enabled {
        row.enabled = enabled;
        if enabled {
            (row.failing_since, row.given_up_at) = (None, None);
        }
    }
    row.account_id = caller.account_id;
    webhooks::update(&transaction, &row).await?;
    let entry = deed(Action::WebhookChanged, caller, &row).text("name", &row.name);
    record(&transaction, now, entry.text("origin", &row.origin)).await?;
    transaction.commit().await?;
    Ok(Webhook::new(caller, row))
}

pub async fn remove(app: &App, caller: Caller, webhook_id: WebhookId) -> Result<()> {
    super::even_when_full(app, async || {
        let row = access::webhook(app, caller, webhook_id).await?;
        let transaction = app.db.begin().await?;
        webhooks::delete(&transaction, webhook_id).await?;
        let entry = deed(Action::WebhookRemoved, caller, &row).text("name", &row.name);
        record(&transaction, app.now(), entry).await?;
        Ok(transaction.commit().await?)
    })
    .await
}

/// Forgets secrets whose time is over.
pub(super) async fn forget_old(app: &App) -> Result<()> {
    webhooks::forget_old_secrets(&app.db, app.now()).await?;
    Ok(())
}

/// Opens the secrets by which a request is signed now: the newest first.
fn secrets_of(app: &App, row: &WebhookRow) -> Result<Vec<Secret>> {
    let mut secrets = vec![secret::open(app, row.webhook_id, &row.sealed_secret)?];
    if let (Some(sealed), Some(until)) = (&row.sealed_old_secret, row.old_secret_until)
        && app.now() < until
    {
        secrets.push(secret::open(app, row.webhook_id, sealed)?);
    }
    Ok(secrets)
}
