//! What owners say, and what follows from it.

use std::{collections::BTreeMap, time::Duration};

use nightjar_shared::{clip::FootageClass, text, time::UnixMillis};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    config::LimitsConfig,
    engines::db::retention::LABELS_MAX,
    error::{Error, ProblemCode, Result},
};

const DAYS_MAX: u32 = 3_650;
/// Less than a clip or two would delete what was just recorded.
const BYTES_MIN: u64 = 10_000_000;
const LABEL_CHARS_MAX: usize = 40;

/// For how long footage is kept, and how much of it. What is absent has no end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RetentionRules {
    /// What the site may have in the store: the oldest goes for what is new. 10 MB at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// For what has no rule below: 1 to 3,650.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<u32>,
    /// Clips of motion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub motion_days: Option<u32>,
    /// Clips that somebody or something asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manual_days: Option<u32>,
    /// Clips that were recorded whether anything happened or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continuous_days: Option<u32>,
    /// Single pictures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture_days: Option<u32>,
    /// What people brought, counted from then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported_days: Option<u32>,
    /// Of clips whose event has one of these labels; where it has several, the longest counts. At most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<LabelRule>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LabelRule {
    /// As the event has it.
    pub label: String,
    pub days: u32,
}

impl RetentionRules {
    /// Refuses what is impossible, or more than the operator allows: `quota` is what the site may have.
    pub(super) fn checked(self, limits: &LimitsConfig, quota: u64) -> Result<Self> {
        let invalid = |detail: String| {
            Error::invalid(ProblemCode::InvalidRetention, "These rules are not right.")
                .with_detail(detail)
        };
        if let Some(bytes) = self.bytes
            && !(BYTES_MIN.min(quota)..=quota).contains(&bytes)
        {
            return Err(invalid(format!("bytes is {BYTES_MIN} to {quota}")));
        }
        let longest = limits.days_max().unwrap_or(DAYS_MAX).min(DAYS_MAX);
        let of_classes = FootageClass::ALL.iter().filter_map(|class| self.own_days(*class));
        let of_labels = self.labels.iter().map(|rule| rule.days);
        let mut days = self.days.into_iter().chain(of_classes).chain(of_labels);
        if days.any(|days| !(1..=longest).contains(&days)) {
            return Err(invalid(format!("days are 1 to {longest}")));
        }
        if self.labels.len() > LABELS_MAX {
            return Err(invalid(format!("at most {LABELS_MAX} labels have rules")));
        }
        let mut labels = BTreeMap::new();
        for rule in &self.labels {
            let label = text::name(&rule.label, LABEL_CHARS_MAX)
                .ok_or_else(|| invalid("a label has 1 to 40 characters".to_owned()))?;
            if labels.insert(label, rule.days).is_some() {
                return Err(invalid("a label has one rule".to_owned()));
            }
        }
        let labels = labels.into_iter().map(|(label, days)| LabelRule { label, days }).collect();
        Ok(Self { labels, ..self })
    }

    fn own_days(&self, class: FootageClass) -> Option<u32> {
        match class {
            FootageClass::Motion => self.motion_days,
            FootageClass::Manual => self.manual_days,
            FootageClass::Continuous => self.continuous_days,
            FootageClass::Picture => self.picture_days,
            FootageClass::Imported => self.imported_days,
        }
    }

    /// Returns for how many days a class is kept; for good when there is none.
    pub(super) fn days_of(&self, class: FootageClass, days_max: Option<u32>) -> Option<u32> {
        shortest(self.own_days(class).or(self.days), days_max)
    }

    /// Returns the labels that have rules, those that are kept for longest first.
    pub(super) fn by_label(&self, days_max: Option<u32>) -> Vec<(&str, u32)> {
        let rule = |rule: &'_ LabelRule| days_max.map_or(rule.days, |most| rule.days.min(most));
        let mut rules: Vec<_> =
            self.labels.iter().map(|it| (it.label.as_str(), rule(it))).collect();
        rules.sort_by_key(|(_, days)| std::cmp::Reverse(*days));
        rules
    }

    /// Returns the longest time that anything is kept, where everything has an end.
    pub(super) fn longest_days(&self, days_max: Option<u32>) -> Option<u32> {
        let classes = FootageClass::ALL.iter().map(|class| self.days_of(*class, days_max));
        let longest = classes.collect::<Option<Vec<u32>>>()?.into_iter().max();
        let of_labels = self.by_label(days_max).first().map(|(_, days)| *days);
        longest.max(of_labels)
    }

    /// Returns how much the site may have before the oldest goes.
    pub(super) fn bytes_max(&self, quota: u64) -> Option<u64> {
        self.bytes.map(|bytes| bytes.min(quota))
    }
}

fn shortest(days: Option<u32>, days_max: Option<u32>) -> Option<u32> {
    match (days, days_max) {
        (Some(days), Some(most)) => Some(days.min(most)),
        (days, most) => days.or(most),
    }
}

/// Returns before when something goes that is kept for so many days.
pub(super) fn cutoff(now: UnixMillis, days: u32) -> UnixMillis {
    now.minus(Duration::from_hours(u64::from(days) * 24))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> RetentionRules {
        RetentionRules {
            days: Some(30),
            picture_days: Some(7),
            labels: vec![
                LabelRule { label: "cat".to_owned(), days: 3 },
                LabelRule { label: "person".to_owned(), days: 90 },
            ],
            ..RetentionRules::default()
        }
    }

    #[test]
    fn a_class_has_its_own_days_and_the_operator_the_last_word() {
        assert_eq!(rules().days_of(FootageClass::Motion, None), Some(30));
        assert_eq!(rules().days_of(FootageClass::Picture, None), Some(7));
        assert_eq!(rules().days_of(FootageClass::Motion, Some(10)), Some(10));
        let none = RetentionRules::default();
        assert_eq!(none.days_of(FootageClass::Motion, None), None);
        assert_eq!(none.days_of(FootageClass::Motion, Some(10)), Some(10));
        assert_eq!(rules().longest_days(None), Some(90));
        assert_eq!(RetentionRules { days: None, ..rules() }.longest_days(None), None);
        assert_eq!(rules().by_label(None), [("person", 90), ("cat", 3)]);
    }

    #[test]
    fn impossible_rules_are_refused() {
        let limits = LimitsConfig { site_megabytes: 100, ..LimitsConfig::default() };
        let twice = [rules().labels, rules().labels].concat();
        for wrong in [
            RetentionRules { days: Some(0), ..rules() },
            RetentionRules { picture_days: Some(3_651), ..rules() },
            RetentionRules { motion_days: Some(u32::MAX), ..rules() },
            RetentionRules { bytes: Some(0), ..rules() },
            RetentionRules { bytes: Some(100_000_001), ..rules() },
            RetentionRules { bytes: Some(u64::MAX), ..rules() },
            RetentionRules { labels: twice, ..rules() },
            RetentionRules {
                labels: vec![LabelRule { label: "a\0b".to_owned(), days: 1 }],
                ..rules()
            },
        ] {
            let code = wrong.clone().checked(&limits, limits.of_site().bytes).unwrap_err().code();
            assert_eq!(code, ProblemCode::InvalidRetention, "{wrong:?}");
        }
        rules().checked(&limits, limits.of_site().bytes).unwrap();
    }
}
