//! Programs that are told what happens at a site.

use nightjar_shared::{
    ids::{AccountId, SiteId, WebhookId},
    notification::Kind,
    time::UnixMillis,
    webhook::WebhookFormat,
};

use super::{DbError, Executor, Value, columns, from_row};

#[derive(Debug, Clone)]
pub struct WebhookRow {
    pub webhook_id: WebhookId,
    pub site_id: SiteId,
    pub account_id: AccountId,
    pub name: String,
    pub format: WebhookFormat,
    pub kinds: Vec<Kind>,
    pub origin: String,
    pub sealed_address: String,
    pub sealed_secret: String,
    pub sealed_old_secret: Option<String>,
    pub old_secret_until: Option<UnixMillis>,
    pub enabled: bool,
    pub created_at: UnixMillis,
    pub failing_since: Option<UnixMillis>,
    pub given_up_at: Option<UnixMillis>,
}

from_row!(WebhookRow {
    webhook_id,
    site_id,
    account_id,
    name,
    format,
    kinds,
    origin,
    sealed_address,
    sealed_secret,
    sealed_old_secret,
    old_secret_until,
    enabled,
    created_at,
    failing_since,
    given_up_at
});

macro_rules! webhook_columns {
    () => {
        columns!(
            "w.": webhook_id,
            site_id,
            account_id,
            name,
            format,
            kinds,
            origin,
            sealed_address,
            sealed_secret,
            sealed_old_secret,
            old_secret_until,
            enabled,
            created_at,
            failing_since,
            given_up_at
        )
    };
}

pub async fn insert(db: &impl Executor, row: &WebhookRow) -> Result<(), DbError> {
    db.execute(
        "insert into webhooks (webhook_id, site_id, account_id, name, format, kinds, origin,
             sealed_address, sealed_secret, enabled, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        vec![
            row.webhook_id.into(),
            row.site_id.into(),
            row.account_id.into(),
            row.name.as_str().into(),
            row.format.into(),
            Value::json(&row.kinds)?,
            row.origin.as_str().into(),
            row.sealed_address.as_str().into(),
            row.sealed_secret.as_str().into(),
            row.enabled.into(),
            row.created_at.into(),
        ],
    )
    .await
    .map(drop)
}

/// Writes down what a person may change. Whoever turns it on starts anew.
pub async fn update(db: &impl Executor, row: &WebhookRow) -> Result<(), DbError> {
    db.execute(
        "update webhooks set name = $2, kinds = $3, origin = $4, sealed_address = $5, enabled = $6,
             failing_since = $7, given_up_at = $8, account_id = $9, format = $10
         where webhook_id = $1",
        vec![
            row.webhook_id.into(),
            row.name.as_str().into(),
            Value::json(&row.kinds)?,
            row.origin.as_str().into(),
            row.sealed_address.as_str().into(),
            row.enabled.into(),
            row.failing_since.into(),
            row.given_up_at.into(),
            row.account_id.into(),
            row.format.into(),
        ],
    )
    .await
    .map(drop)
}

pub async fn by_id(
    db: &impl Executor,
    webhook_id: WebhookId,
) -> Result<Option<WebhookRow>, DbError> {
    db.one(
        concat!("select ", webhook_columns!(), " from webhooks w where w.webhook_id = $1"),
        vec![webhook_id.into()],
    )
    .await
}

/// Lists a site's webhooks, oldest first.
pub async fn of_site(db: &impl Executor, site_id: SiteId) -> Result<Vec<WebhookRow>, DbError> {
    db.all(
        concat!(
            "select ",
            webhook_columns!(),
            " from webhooks w where w.site_id = $1 order by w.created_at, w.webhook_id"
        ),
        vec![site_id.into()],
    )
    .await
}

/// Lists the webhooks that are on and act for an account: at one site, or at all where it is not said.
pub async fn of_account(
    db: &impl Executor,
    account_id: AccountId,
    site_id: Option<SiteId>,
) -> Result<Vec<WebhookRow>, DbError> {
    db.all(
        concat!(
            "select ",
            webhook_columns!(),
            " from webhooks w where w.account_id = $1 and w.enabled = 1
                 and (cast($2 as text) is null or w.site_id = $2)
             order by w.created_at, w.webhook_id"
        ),
        vec![account_id.into(), site_id.into()],
    )
    .await
}

/// Takes another secret; the one before it counts until `until`.
pub async fn replace_secret(
    db: &impl Executor,
    webhook_id: WebhookId,
    sealed: &str,
    until: UnixMillis,
) -> Result<(), DbError> {
    db.execute(
        "update webhooks set sealed_old_secret = sealed_secret, old_secret_until = $3,
             sealed_secret = $2
         where webhook_id = $1",
        vec![webhook_id.into(), sealed.into(), until.into()],
    )
    .await
    .map(drop)
}

/// Forgets secrets whose time beside their successors is over.
pub async fn forget_old_secrets(db: &impl Executor, now: UnixMillis) -> Result<(), DbError> {
    db.execute(
        "update webhooks set sealed_old_secret = null, old_secret_until = null
         where old_secret_until is not null and old_secret_until <= $1",
        vec![now.into()],
    )
    .await
    .map(drop)
}

pub async fn note_taken(db: &impl Executor, webhook_id: WebhookId) -> Result<(), DbError> {
    db.execute(
        "update webhooks set failing_since = null
         where webhook_id = $1 and failing_since is not null",
        vec![webhook_id.into()],
    )
    .await
    .map(drop)
}

pub async fn note_failed(
    db: &impl Executor,
    webhook_id: WebhookId,
    now: UnixMillis,
) -> Result<(), DbError> {
    db.execute(
        "update webhooks set failing_since = $2
         where webhook_id = $1 and failing_since is null",
        vec![webhook_id.into(), now.into()],
    )
    .await
    .map(drop)
}

/// Turns a webhook off. Says whether it was on: of two that do so at once, one does.
pub async fn give_up(
    db: &impl Executor,
    webhook_id: WebhookId,
    now: UnixMillis,
) -> Result<bool, DbError> {
    let changed = db
        .execute(
            "update webhooks set enabled = 0, given_up_at = $2
             where webhook_id = $1 and enabled = 1",
            vec![webhook_id.into(), now.into()],
        )
        .await?;
    Ok(changed == 1)
}

pub async fn delete(db: &impl Executor, webhook_id: WebhookId) -> Result<(), DbError> {
    db.execute("delete from webhooks where webhook_id = $1", vec![webhook_id.into()])
        .await
        .map(drop)
}

/// What came of one attempt.
#[derive(Debug, Clone)]
pub struct AttemptRow {
    /// Sorts by time.
    pub attempt_id: String,
    pub webhook_id: WebhookId,
    pub message_id: String,
    pub kind: Kind,
    pub attempted_at: UnixMillis,
    pub duration_ms: u64,
    pub status: Option<u32>,
    pub reason: Option<String>,
}

from_row!(AttemptRow {
    attempt_id,
    webhook_id,
    message_id,
    kind,
    attempted_at,
    duration_ms,
    status,
    reason
});

/// Writes an attempt down, and forgets all but the newest.
pub async fn insert_attempt(db: &impl Executor, row: AttemptRow, kept: u32) -> Result<(), DbError> {
    let webhook_id = row.webhook_id;
    db.execute(
        "insert into webhook_attempts (attempt_id, webhook_id, message_id, kind, attempted_at,
             duration_ms, status, reason)
         select cast($1 as text), w.webhook_id, cast($3 as text), cast($4 as text),
             cast($5 as bigint), cast($6 as bigint), cast($7 as bigint), cast($8 as text)
         from webhooks w where w.webhook_id = $2",
        vec![
            row.attempt_id.into(),
            webhook_id.into(),
            row.message_id.into(),
            row.kind.into(),
            row.attempted_at.into(),
            row.duration_ms.into(),
            row.status.into(),
            row.reason.into(),
        ],
    )
    .await?;
    db.execute(
        "delete from webhook_attempts where webhook_id = $1 and attempt_id not in
             (select attempt_id from webhook_attempts where webhook_id = $1
              order by attempt_id desc limit $2)",
        vec![webhook_id.into(), kept.into()],
    )
    .await
    .map(drop)
}

/// Lists the last attempts with a webhook, newest first.
pub async fn attempts(
    db: &impl Executor,
    webhook_id: WebhookId,
) -> Result<Vec<AttemptRow>, DbError> {
    db.all(
        "select attempt_id, webhook_id, message_id, kind, attempted_at, duration_ms, status, reason
         from webhook_attempts where webhook_id = $1 order by attempt_id desc",
        vec![webhook_id.into()],
    )
    .await
}
