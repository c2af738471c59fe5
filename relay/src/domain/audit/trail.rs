//! The trail as it is read: owners read what was done at their sites, people what was done by and to
//! them, administrators what concerns no site. Nobody reads more, and nobody changes it.

use nightjar_shared::{
    admin::TrailScope,
    audit::ActorKind,
    ids::{AccountId, AuditEntryId, CameraId, SiteId},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::{
    app::App,
    domain::{
        List, PageRequest,
        access::{self, Caller, Right},
    },
    engines::db::{
        Db,
        audit::{self, EntryRow, Wanted},
    },
    error::{Error, ProblemCode, Result},
};

/// Who did what, when, to what, from where.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AuditEntry {
    #[schema(value_type = String)]
    pub entry_id: AuditEntryId,
    #[schema(value_type = i64)]
    pub at: UnixMillis,
    /// One of the words of protocol.md; newer relays have more.
    pub action: String,
    pub actor: ActorKind,
    /// The account that did it, or for which its key did.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub account_id: Option<AccountId>,
    /// Absent when the account is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_name: Option<String>,
    /// The camera, link or key that did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub site_id: Option<SiteId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub camera_id: Option<CameraId>,
    /// Absent when the camera is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub camera_name: Option<String>,
    /// The id of what it was done to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// From where. Absent where it tells nobody apart, or was forgotten.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// What more there is to say: `changed` has what was there before and after.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub details: Option<Value>,
}

impl From<EntryRow> for AuditEntry {
    fn from(row: EntryRow) -> Self {
        Self {
            entry_id: row.entry_id,
            at: row.at,
            action: row.action,
            actor: row.actor,
            account_id: row.account_id,
            account_name: row.account_name,
            actor_id: row.actor_id,
            site_id: row.site_id,
            camera_id: row.camera_id,
            camera_name: row.camera_name,
            subject: row.subject,
            address: row.address,
            details: row.details.and_then(|text| serde_json::from_str(&text).ok()),
        }
    }
}

/// Which entries a list shows. Absent means any.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AuditSelection {
    /// Then or later, Unix milliseconds.
    #[param(value_type = Option<i64>)]
    pub from: Option<UnixMillis>,
    /// Before, Unix milliseconds.
    #[param(value_type = Option<i64>)]
    pub to: Option<UnixMillis>,
    /// One action's word.
    #[param(pattern = "^[a-z_]*$")]
    pub action: Option<String>,
    /// An account's id, or `account`, `key`, `camera`, `link`, `stranger` or `relay`.
    #[param(
        pattern = "^(account|key|camera|link|stranger|relay|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$"
    )]
    pub actor: Option<String>,
    #[param(format = "uuid")]
    pub camera: Option<String>,
}

impl AuditSelection {
    fn wanted(&self) -> Result<Wanted> {
        let invalid = |title| Error::bad_request(ProblemCode::InvalidQuery, title);
        let camera_id = self.camera.as_deref().map(str::parse).transpose();
        let is_word = |word: &String| word.bytes().all(|it| it.is_ascii_lowercase() || it == b'_');
        if !self.action.as_ref().is_none_or(is_word) {
            return Err(invalid("action is a word like `signed_in`."));
        }
        let mut wanted = Wanted {
            from: self.from,
            to: self.to,
            action: self.action.clone(),
            camera_id: camera_id.map_err(|_| invalid("camera is a UUID."))?,
            ..Wanted::default()
        };
        if let Some(actor) = &self.actor {
            match (actor.parse(), actor.parse()) {
                (Ok(account_id), _) => wanted.account_id = Some(account_id),
                (_, Ok(kind)) => wanted.actor = Some(kind),
                _ => return Err(invalid("actor is an account's UUID, or a kind like `camera`.")),
            }
        }
        Ok(wanted)
    }
}

/// Lists what was done at a site, for its owners.
pub async fn of_site(
    app: &App,
    caller: Caller,
    site_id: SiteId,
    selection: &AuditSelection,
    page: &PageRequest,
) -> Result<List<AuditEntry>> {
    access::site(app, caller, site_id, Right::Audit).await?;
    let (position, wanted) = (page.position()?, selection.wanted()?);
    let rows = audit::of_site(&app.db, &position.page, site_id, &wanted).await?;
    Ok(position.list(rows, key, AuditEntry::from))
}

/// Lists what an account did and what was done to it, and who saw what at the sites that it owns.
pub async fn of_account(
    app: &App,
    caller: Caller,
    selection: &AuditSelection,
    page: &PageRequest,
) -> Result<List<AuditEntry>> {
    access::in_person(caller)?;
    let (position, wanted) = (page.position()?, selection.wanted()?);
    let reader = access::reader(app, caller, Right::Audit);
    let mut rows = audit::of_account(&app.db, &position.page, reader, &wanted).await?;
    let own = caller.account_id.to_string();
    for row in rows.iter_mut().filter(|row| row.subject.as_ref() == Some(&own)) {
        // From where others acted is for who owns the site.
        if row.account_id.is_some_and(|doer| doer != caller.account_id) {
            row.address = None;
        }
    }
    Ok(position.list(rows, key, AuditEntry::from))
}

/// Which part of the trail an administrator reads.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RelayTrail {
    /// By default `relay`.
    #[param(value_type = Option<String>)]
    pub scope: Option<TrailScope>,
    /// Of one site alone.
    #[param(format = "uuid")]
    pub site: Option<String>,
}

/// Lists what concerns no site, and what was prepared for sites, for administrators; or what was done at
/// all sites. What was seen is a site's, so no administrator reads of it, nor from where people act there.
pub async fn of_relay(
    app: &App,
    caller: Caller,
    part: &RelayTrail,
    selection: &AuditSelection,
    page: &PageRequest,
) -> Result<List<AuditEntry>> {
    access::administrator(app, caller).await?;
    in_relay(&app.db, part, selection, page).await
}

/// The same, for who runs the relay.
pub async fn in_relay(
    db: &Db,
    part: &RelayTrail,
    selection: &AuditSelection,
    page: &PageRequest,
) -> Result<List<AuditEntry>> {
    let (position, wanted) = (page.position()?, selection.wanted()?);
    let site_id = part
        .site
        .as_deref()
        .map(str::parse)
        .transpose()
        .map_err(|_| Error::bad_request(ProblemCode::InvalidQuery, "site is a UUID."))?;
    let scope = part.scope.unwrap_or(TrailScope::Relay);
    let mut rows = audit::of_relay(db, &position.page, scope, site_id, &wanted).await?;
    if scope != TrailScope::Relay {
        for row in rows.iter_mut().filter(|row| row.site_id.is_some()) {
            (row.address, row.details) = (None, None);
        }
    }
    Ok(position.list(rows, key, AuditEntry::from))
}

fn key(row: &EntryRow) -> (UnixMillis, AuditEntryId) {
    (row.at, row.entry_id)
}
