//! For how long a site keeps what: as its owner says, within what the relay's operator allows.
//!
//! ```text
//! rules ──► cutoffs, a limit ──► sweep: the oldest first ──► rows and what is due ──► objects
//! ```
//!
//! What is protected never goes. A clip's rows go in one transaction that notes its objects as due for
//! deletion, so a relay that is killed at any point goes on where it was.

mod deletion;
mod preview;
mod room;
mod rules;
mod sweep;
mod told;

pub use self::{
    preview::{ClassPreview, RetentionPreview, preview},
    rules::{LabelRule, RetentionRules},
};
pub(super) use self::{
    room::{make_room, near_full},
    sweep::sweep,
};

use std::time::Duration;

use nightjar_shared::{audit::Action, ids::SiteId, range::Check, time::UnixMillis};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    access::{self, Caller, Right},
    audit::{Entry, record},
};
use crate::{
    app::App,
    engines::db::{
        admin,
        retention::{self, RetentionRow},
        usage,
    },
    error::{Error, ProblemCode, Result},
};

/// New rules delete nothing for a day: who mistyped, or another owner who hears of it, has time.
const GRACE: Duration = Duration::from_hours(24);

/// For how long a site keeps what.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Retention {
    #[serde(flatten)]
    pub rules: RetentionRules,
    /// Give it with a change: it is refused where somebody else was faster.
    pub revision: u64,
    /// From when on footage is deleted by these rules: a day after they were changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub effective_at: Option<UnixMillis>,
    /// What the site has now.
    pub used_bytes: u64,
    /// What it may have, as the relay's operator says.
    pub quota_bytes: u64,
    /// The longest time that the operator lets footage be kept; for good when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days_max: Option<u32>,
}

/// New rules, in the place of those before.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub struct RetentionChange {
    #[serde(flatten)]
    pub rules: RetentionRules,
    /// Of the rules as they were read: refused with `changed_meanwhile` where somebody has changed them since.
    #[serde(default)]
    pub revision: Option<u64>,
}

impl Check for RetentionChange {}

pub async fn get(app: &App, caller: Caller, site_id: SiteId) -> Result<Retention> {
    access::site(app, caller, site_id, Right::SeeCameras).await?;
    let row = retention::of_site(&app.db, site_id).await?;
    let used = usage::of_site(&app.db, site_id).await?;
    let changed = row.as_ref().filter(|row| row.revision > 0);
    Ok(Retention {
        rules: row.as_ref().map(rules_of).transpose()?.unwrap_or_default(),
        revision: row.as_ref().map_or(0, |row| row.revision),
        effective_at: changed.map(|row| row.changed_at.plus(GRACE)),
        used_bytes: used.bytes,
        quota_bytes: quota_of(app, site_id).await?,
        days_max: app.settings.get().limits.days_max(),
    })
}

pub async fn change(
    app: &App,
    caller: Caller,
    site_id: SiteId,
    change: RetentionChange,
) -> Result<Retention> {
    access::site(app, caller, site_id, Right::Own).await?;
    let quota = quota_of(app, site_id).await?;
    let rules = change.rules.checked(&app.settings.get().limits, quota)?;
    let before = retention::of_site(&app.db, site_id).await?;
    let revision = before.as_ref().map_or(0, |row| row.revision);
    let changed_meanwhile = || {
        let title = "Somebody has changed these rules meanwhile: look at them again.";
        Error::conflict(ProblemCode::ChangedMeanwhile, title)
    };
    if change.revision.is_some_and(|given| given != revision) {
        return Err(changed_meanwhile());
    }
    let text = serde_json::to_string(&rules).map_err(anyhow::Error::from)?;
    let now = app.now();
    let transaction = app.db.begin().await?;
    if !retention::set(&transaction, site_id, text, revision, now).await? {
        return Err(changed_meanwhile());
    }
    let before = before.as_ref().map(rules_of).transpose()?.unwrap_or_default();
    let entry = Entry::new(Action::RetentionChanged, caller).site(site_id).subject(site_id);
    let json = |rules: &RetentionRules| serde_json::to_value(rules).unwrap_or_default();
    record(&transaction, now, entry.changed("rules", json(&before), json(&rules))).await?;
    transaction.commit().await?;
    get(app, caller, site_id).await
}

/// Returns how many bytes a site may have: as an administrator said of it, or what all may.
async fn quota_of(app: &App, site_id: SiteId) -> Result<u64> {
    let own = admin::sites::limits(&app.db, site_id).await?;
    Ok(own.of(app.settings.get().limits.of_site()).bytes)
}

/// Reads what an owner said; rules of a newer relay that this one cannot read delete nothing.
fn rules_of(row: &RetentionRow) -> Result<RetentionRules> {
    Ok(serde_json::from_str(&row.rules).map_err(anyhow::Error::from)?)
}

/// Returns whether rules have been there for long enough.
fn are_effective(row: &RetentionRow, now: UnixMillis) -> bool {
    row.revision == 0 || now >= row.changed_at.plus(GRACE)
}
