//! What the database knows of one account, table by table, without what opens anything.

use nightjar_shared::ids::{AccountId, SiteId};
use serde_json::{Map, Value as Json};

use super::{DbError, Executor, Row, Value};

/// Rows of a site that are read at a time.
const ROWS_PER_STEP: u32 = 500;

/// A part of an export: its name, and the statement that reads it by the account.
pub type Table = (&'static str, &'static str);

/// What hangs on the account itself.
pub const OF_ACCOUNT: &[Table] = &[
    (
        "account",
        "select account_id, email, name, role, created_at, verified_at
         from accounts where account_id = $1",
    ),
    (
        "browsers",
        "select program, network, created_at, seen_at, expires_at
         from sessions where account_id = $1 order by created_at",
    ),
    (
        "programs",
        "select program, network, created_at, seen_at, expires_at
         from token_families where account_id = $1 order by created_at",
    ),
    (
        "known_devices",
        "select seen_at, expires_at from known_devices where account_id = $1 order by seen_at",
    ),
    (
        "memberships",
        "select m.site_id, s.name, m.role, m.created_at
         from members m join sites s on s.site_id = m.site_id
         where m.account_id = $1 order by m.created_at",
    ),
    (
        "views",
        "select view_id, site_id, reason, minutes, state, asked_at, ends_at, ended_at
         from views where account_id = $1 order by asked_at",
    ),
    (
        "live_sessions",
        "select session_id, camera_id, state, reason, started_at, ended_at
         from live_sessions where account_id = $1 order by started_at",
    ),
    (
        "shares",
        "select share_id, clip_id, created_at, expires_at
         from shares where created_by = $1 order by created_at",
    ),
    (
        "pairings",
        "select pairing_id, site_id, created_at, expires_at, camera_id
         from pairings where created_by = $1 order by created_at",
    ),
    (
        "passkeys",
        "select name, created_at, used_at from passkeys where account_id = $1 order by created_at",
    ),
    ("one_time_codes", "select created_at, confirmed_at from totp_secrets where account_id = $1"),
    (
        "api_keys",
        "select key_id, site_id, name, rights, created_at, expires_at, used_at
         from api_keys where account_id = $1 order by created_at",
    ),
    (
        "browsers_with_messages",
        "select subscription_id, program, service, created_at, sent_at
         from push_subscriptions where account_id = $1 order by created_at",
    ),
    (
        "webhooks",
        "select webhook_id, site_id, name, format, enabled, created_at
         from webhooks where account_id = $1 order by created_at",
    ),
    (
        "invitations",
        "select invitation_id, site_id, name, email, role, created_at, expires_at
         from invitations where invited_by = $1 order by created_at",
    ),
    (
        "links",
        "select purpose, email, expires_at
         from one_time_links where account_id = $1 order by expires_at",
    ),
    (
        "mails",
        "select kind, recipient, state, queued_at
         from mails where account_id = $1 order by queued_at",
    ),
    (
        "notifications",
        "select notification_id, kind, site_id, camera_id, event_id, details, happened_at, created_at,
             more, read_at
         from notifications where account_id = $1 order by created_at",
    ),
    (
        "notification_rules",
        "select kind, site_id, camera_id, channels, hours, cool_down_s
         from notification_rules where account_id = $1 order by position",
    ),
    (
        "notification_mutes",
        "select camera_id, kind, until_at from notification_mutes
         where account_id = $1 order by until_at",
    ),
    (
        "deliveries",
        "select channel, form, state, attempts, outcome, queued_at, ended_at
         from deliveries where account_id = $1 order by queued_at",
    ),
    (
        "seen_clips",
        "select clip_id, seen_at from seen_clips where account_id = $1 order by seen_at",
    ),
    (
        "seen_events",
        "select event_id, seen_at from seen_events where account_id = $1 order by seen_at",
    ),
    (
        "clip_views",
        "select clip_id, began_at, watched_ms from clip_views where account_id = $1 order by began_at",
    ),
    (
        "security_log",
        "select at, action, site_id, subject, address, details
         from audit_entries where account_id = $1 order by at",
    ),
];

/// What belongs to a site that the account owns. Each is read in steps, by the identifier that comes
/// first.
pub const OF_SITE: &[Table] = &[
    (
        "cameras",
        "select camera_id as id, name, model, agent_version, paired_at, last_seen_at,
             privacy, armed
         from cameras where site_id = $1 and camera_id > $2 order by camera_id limit $3",
    ),
    (
        "events",
        "select event_id as id, camera_id, kind, state, started_at, ended_at, clip_id, zones, reason,
             label, words as text, triggered_by, trigger_name
         from events where site_id = $1 and event_id > $2 order by event_id limit $3",
    ),
    (
        "clips",
        "select clip_id as id, camera_id, event_id, kind, state, started_at, ended_at, duration_ms,
             visibility, bytes, class, title, note, tags, protected_at, views, watched_ms
         from clips where site_id = $1 and clip_id > $2 order by clip_id limit $3",
    ),
];

pub async fn of_account(
    db: &impl Executor,
    (_, sql): Table,
    account_id: AccountId,
) -> Result<Vec<Map<String, Json>>, DbError> {
    let rows = db.query(sql, vec![account_id.into()]).await?;
    Ok(rows.iter().map(object).collect())
}

/// Reads rows of a site behind the one with the identifier `after`. Fewer than a step means that there are
/// no more.
pub async fn of_site(
    db: &impl Executor,
    (_, sql): Table,
    site_id: SiteId,
    after: &str,
) -> Result<(Vec<Map<String, Json>>, bool), DbError> {
    let rows = db.query(sql, vec![site_id.into(), after.into(), ROWS_PER_STEP.into()]).await?;
    let is_last = rows.len() < ROWS_PER_STEP as usize;
    Ok((rows.iter().map(object).collect(), is_last))
}

fn object(row: &Row) -> Map<String, Json> {
    let fields = row.columns.iter().zip(&row.values);
    fields.map(|(name, value)| (name.clone(), json(value))).collect()
}

fn json(value: &Value) -> Json {
    match value {
        Value::Integer(number) => (*number).into(),
        Value::Text(text) => text.as_str().into(),
        Value::Null | Value::Odd => Json::Null,
    }
}
