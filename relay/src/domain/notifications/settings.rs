//! What somebody wants to be told of, by what, and when.

use nightjar_shared::{
    audit::Action,
    configuration::Period,
    ids::{CameraId, SiteId},
    notification::{Channel, Kind},
    range::Check,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    mutes::{self, Mute},
    policy::COOL_DOWN_MAX,
};
use crate::{
    app::App,
    domain::{
        access::{self, Caller, Right},
        audit::{Entry, record},
    },
    engines::db::{
        factors,
        notification_rules::{self as rules, RuleRow},
    },
    error::{Error, ProblemCode, Result},
};

/// Rules of one account.
const RULES_MAX: usize = 100;
/// Hours of one rule: each day of a week in four pieces.
const HOURS_MAX: usize = 28;
const MINUTES_A_DAY: u16 = 24 * 60;
/// Nobody is told of the same more often, by any channel.
const COOL_DOWN_MIN_S: u64 = 30;

/// One wish. The rules for a camera count before those for its site, and those before the ones for all; several
/// for the same add up. Without any rule for a kind, it goes as the relay thinks best.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rule {
    pub kind: Kind,
    /// Absent: of all sites.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub site_id: Option<SiteId>,
    /// Absent: of all cameras.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub camera_id: Option<CameraId>,
    /// None: not told at all. `app` is the list in the app.
    #[schema(max_items = 4)]
    pub channels: Vec<Channel>,
    /// Of a week, in the site's time zone. Outside them the list in the app alone is told. None: always.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 28)]
    pub hours: Vec<Period>,
    /// How long more of the same is counted instead of told, 30 to 86,400.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 30, maximum = 86400)]
    pub cool_down_s: Option<u64>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Settings {
    pub rules: Vec<Rule>,
    /// What is spared now.
    pub mutes: Vec<Mute>,
}

/// All rules of an account, in the place of those before.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub struct NewSettings {
    #[schema(max_items = 100)]
    pub rules: Vec<Rule>,
}

impl Check for NewSettings {}

pub async fn settings(app: &App, caller: Caller) -> Result<Settings> {
    access::in_person(caller)?;
    let account_id = caller.account_id;
    let mut kept = Vec::new();
    for rule in rules::of_account(&app.db, account_id).await? {
        // Of what somebody may not see any more they are not reminded.
        if is_seen(app, caller, &rule).await? {
            kept.push(Rule::from(rule));
        }
    }
    Ok(Settings { rules: kept, mutes: mutes::of_account(app, account_id).await? })
}

async fn is_seen(app: &App, caller: Caller, rule: &RuleRow) -> Result<bool> {
    let found = match (rule.camera_id, rule.site_id) {
        (Some(camera_id), _) => {
            access::camera(app, caller, camera_id, Right::SeeCameras).await.map(drop)
        }
        (None, Some(site_id)) => {
            access::site(app, caller, site_id, Right::SeeCameras).await.map(drop)
        }
        (None, None) => Ok(()),
    };
    match found {
        Ok(()) => Ok(true),
        Err(Error::Refused(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

impl From<RuleRow> for Rule {
    fn from(row: RuleRow) -> Self {
        Self {
            kind: row.kind,
            site_id: row.site_id,
            camera_id: row.camera_id,
            channels: row.channels,
            hours: row.hours,
            cool_down_s: row.cool_down_s,
        }
    }
}

pub async fn change(app: &App, caller: Caller, new: NewSettings) -> Result<Settings> {
    access::in_person(caller)?;
    validate(&new.rules)?;
    for rule in &new.rules {
        if let Some(camera_id) = rule.camera_id {
            access::camera(app, caller, camera_id, Right::SeeCameras).await?;
        } else if let Some(site_id) = rule.site_id {
            access::site(app, caller, site_id, Right::SeeCameras).await?;
        }
    }
    let account_id = caller.account_id;
    let row = |rule: Rule| RuleRow {
        account_id,
        kind: rule.kind,
        // A camera's rule goes with the camera, wherever that is.
        site_id: rule.site_id.filter(|_| rule.camera_id.is_none()),
        camera_id: rule.camera_id,
        channels: rule.channels,
        hours: rule.hours,
        cool_down_s: rule.cool_down_s,
    };
    let rows: Vec<RuleRow> = new.rules.into_iter().map(row).collect();
    let transaction = app.db.begin().await?;
    // Of two who change them at once, one comes after the other.
    factors::hold_account(&transaction, account_id).await?;
    rules::replace(&transaction, account_id, &rows).await?;
    let count = u64::try_from(rows.len()).unwrap_or(u64::MAX);
    let entry = Entry::new(Action::NotificationsChanged, caller).fact("rules", &count);
    record(&transaction, app.now(), entry).await?;
    transaction.commit().await?;
    settings(app, caller).await
}

/// Checks what the types leave open.
fn validate(rules: &[Rule]) -> Result<()> {
    let wrong = |detail: String| {
        let title = "These rules are not right.";
        Err(Error::invalid(ProblemCode::InvalidRules, title).with_detail(detail))
    };
    if rules.len() > RULES_MAX {
        return wrong(format!("there are at most {RULES_MAX} rules"));
    }
    for (number, rule) in rules.iter().enumerate() {
        let sound = |period: &Period| {
            period.from_minute < period.until_minute && period.until_minute <= MINUTES_A_DAY
        };
        if rule.hours.len() > HOURS_MAX || !rule.hours.iter().all(sound) {
            return wrong(format!(
                "rules[{number}].hours: at most {HOURS_MAX}, each from_minute < until_minute <= \
                 {MINUTES_A_DAY}"
            ));
        }
        let cool_down = COOL_DOWN_MIN_S..=COOL_DOWN_MAX.as_secs();
        if rule.cool_down_s.is_some_and(|seconds| !cool_down.contains(&seconds)) {
            return wrong(format!("rules[{number}].cool_down_s: 30 to 86400"));
        }
        let mut seen = Vec::new();
        for channel in &rule.channels {
            if seen.contains(channel) {
                return wrong(format!("rules[{number}].channels: `{channel}` is there twice"));
            }
            seen.push(*channel);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use nightjar_shared::configuration::Weekday;

    use super::*;

    fn rule() -> Rule {
        Rule {
            kind: Kind::Motion,
            site_id: None,
            camera_id: None,
            channels: vec![Channel::App],
            hours: Vec::new(),
            cool_down_s: None,
        }
    }

    #[test]
    fn what_is_no_rule_is_named() {
        validate(&[rule(), rule()]).unwrap();
        let period =
            |from_minute, until_minute| Period { day: Weekday::Monday, from_minute, until_minute };
        for wrong in [
            Rule { hours: vec![period(10, 10)], ..rule() },
            Rule { hours: vec![period(0, 1441)], ..rule() },
            Rule { hours: vec![period(0, 1); HOURS_MAX + 1], ..rule() },
            Rule { cool_down_s: Some(0), ..rule() },
            Rule { cool_down_s: Some(86_401), ..rule() },
            Rule { channels: vec![Channel::App, Channel::App], ..rule() },
        ] {
            assert_eq!(validate(&[wrong]).unwrap_err().code(), ProblemCode::InvalidRules);
        }
        validate(&vec![rule(); RULES_MAX + 1]).unwrap_err();
    }
}
