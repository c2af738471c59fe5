//! Settings that are changed while the relay runs.

use std::collections::BTreeMap;

use nightjar_shared::{
    admin::{LogLevel, Setting, SettingSource},
    audit::Action,
    range::Check,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::Desk;
use crate::{
    app::{
        App,
        settings::{Current, InvalidSetting},
    },
    config::{Config, MailEngine},
    domain::audit::record,
    engines::db::{
        Executor,
        admin::settings::{self as rows, SettingRow},
    },
    error::{Error, ProblemCode, Result},
    logging,
};

impl From<InvalidSetting> for Error {
    fn from(invalid: InvalidSetting) -> Self {
        let title = "A setting does not take this value.";
        Self::invalid(ProblemCode::InvalidSetting, title).with_detail(invalid.to_string())
    }
}

/// A setting, and where its value comes from.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SettingView {
    pub name: Setting,
    /// `null` where nothing is set.
    #[schema(value_type = Object)]
    pub value: Value,
    pub source: SettingSource,
    /// When an administrator set it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<UnixMillis>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SettingList {
    pub items: Vec<SettingView>,
}

/// New values by the names of settings; `null` puts the configuration's in force again.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = Object)]
pub struct SettingChanges(pub BTreeMap<String, Value>);

impl Check for SettingChanges {}

/// Makes the values in force: of the configuration, and above them those that were set. A value that is not
/// taken any more is as good as not set.
fn in_force(config: &Config, rows: &[SettingRow]) -> Current {
    let mut current = Current::of(config);
    for row in rows {
        if let Err(error) = current.set(row.name, &row.value) {
            tracing::warn!(%error, "a setting of the database is left out");
        }
    }
    current
}

/// Puts in force what is set in the database.
pub async fn load(app: &App) -> Result<()> {
    // A change between the two is read again with the next look.
    let version = rows::version(&app.db).await?;
    let current = in_force(&app.config, &rows::all(&app.db).await?);
    if current.log_level != app.settings.get().log_level {
        logging::set_level(current.log_level.map(LogLevel::as_str));
    }
    app.settings.put(current, version);
    Ok(())
}

/// Puts in force what somebody else has set: another replica, or the command line.
pub(in crate::domain) async fn look_again(app: &App) -> Result<()> {
    if app.settings.is_of(rows::version(&app.db).await?) { Ok(()) } else { load(app).await }
}

pub async fn list(desk: &Desk<'_>, config: &Config) -> Result<SettingList> {
    views(desk.db, config).await
}

async fn views(db: &impl Executor, config: &Config) -> Result<SettingList> {
    let rows = rows::all(db).await?;
    let current = in_force(config, &rows);
    let view = |name: Setting| {
        let set = rows.iter().find(|row| row.name == name);
        let source = match set {
            Some(_) => SettingSource::Admin,
            None if config.said.contains(name.as_str()) => SettingSource::File,
            None => SettingSource::Default,
        };
        SettingView {
            name,
            value: current.get(name),
            source,
            changed_at: set.map(|row| row.changed_at),
        }
    };
    Ok(SettingList { items: Setting::ALL.iter().copied().map(view).collect() })
}

/// Changes settings: all that are named, or none of them.
pub async fn change(
    desk: &Desk<'_>,
    config: &Config,
    changes: &SettingChanges,
) -> Result<SettingList> {
    let transaction = desk.db.begin().await?;
    desk.hold(&transaction).await?;
    let before = in_force(config, &rows::all(&transaction).await?);
    for (name, value) in &changes.0 {
        let setting = known(name)?;
        let mut tried = before.clone();
        let kept = if value.is_null() {
            None
        } else {
            tried.set(setting, value)?;
            Some(tried.get(setting).to_string())
        };
        rows::set(&transaction, setting, kept, desk.now).await?;
    }
    let after = in_force(config, &rows::all(&transaction).await?);
    check_together(config, &after)?;
    for name in changes.0.keys() {
        let setting = known(name)?;
        let (old, new) = (before.get(setting), after.get(setting));
        let entry = desk.entry(Action::SettingChanged).subject(setting);
        record(&transaction, desk.now, entry.changed(setting.as_str(), old, new)).await?;
    }
    rows::count_change(&transaction).await?;
    transaction.commit().await?;
    if let Some(app) = desk.app {
        load(app).await?;
        app.mails_due.notify_one();
    }
    views(desk.db, config).await
}

fn known(name: &str) -> Result<Setting> {
    name.parse().map_err(|_| {
        let shown: String = name.chars().filter(|it| !it.is_control()).take(64).collect();
        Error::invalid(ProblemCode::InvalidSetting, "There is no such setting.").with_detail(shown)
    })
}

/// Refuses what would let nobody in.
fn check_together(config: &Config, current: &Current) -> Result<()> {
    let sends_mail = config.mail.engine != MailEngine::None && current.mail_on;
    if current.require_verified && !sends_mail {
        let remedy = "addresses are confirmed by mail: let mail leave first".to_owned();
        return Err(InvalidSetting { setting: Setting::MailRequireVerified, remedy }.into());
    }
    Ok(())
}
