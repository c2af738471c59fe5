//! What would go by rules, before anybody makes them.

use nightjar_shared::{clip::FootageClass, ids::SiteId, time::UnixMillis};
use serde::Serialize;
use utoipa::ToSchema;

use super::{RetentionRules, quota_of, rules::cutoff};
use crate::{
    app::App,
    domain::access::{self, Caller, Right},
    engines::db::{Source, retention, usage},
    error::Result,
};

/// Clips that are looked at: what is more is told as such.
const CLIPS_MAX: u32 = 5_000;

/// What would go now.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RetentionPreview {
    pub clips: u64,
    pub bytes: u64,
    /// Of these, because of their age.
    pub by_age: u64,
    /// Of what each class has.
    pub classes: Vec<ClassPreview>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub oldest_at: Option<UnixMillis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    pub newest_at: Option<UnixMillis>,
    /// What stays, protected or not.
    pub left_bytes: u64,
    /// There is more that would go than was looked at.
    pub truncated: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct ClassPreview {
    #[schema(value_type = String)]
    pub class: FootageClass,
    pub clips: u64,
    pub bytes: u64,
}

/// Says what would go of a site by these rules, and deletes nothing.
pub async fn preview(
    app: &App,
    caller: Caller,
    site_id: SiteId,
    rules: RetentionRules,
) -> Result<RetentionPreview> {
    access::site(app, caller, site_id, Right::Own).await?;
    let quota = quota_of(app, site_id).await?;
    let rules = rules.checked(&app.settings.get().limits, quota)?;
    let (now, days_max) = (app.now(), app.settings.get().limits.days_max());
    let labels = rules.by_label(days_max);
    let names: Vec<&str> = labels.iter().map(|(label, _)| *label).collect();
    let mut doomed = Vec::new();
    for class in FootageClass::ALL {
        if let Some(days) = rules.days_of(*class, days_max) {
            let what = (*class, cutoff(now, days));
            let found = retention::of_class(&app.db, site_id, what, &names, CLIPS_MAX).await?;
            doomed.extend(found);
        }
    }
    for (place, (label, days)) in labels.iter().enumerate() {
        let what = (*label, cutoff(now, *days));
        let longer = &names[..place];
        doomed.extend(retention::of_label(&app.db, site_id, what, longer, CLIPS_MAX).await?);
    }
    let used = usage::of_site(&app.db, site_id).await?.bytes;
    let mut left: u64 = used.saturating_sub(doomed.iter().map(|clip| clip.bytes).sum());
    let by_age = doomed.len() as u64;
    if let Some(most) = rules.bytes_max(quota) {
        let known: std::collections::HashSet<_> = doomed.iter().map(|clip| clip.clip_id).collect();
        for clip in retention::oldest(&app.db, Source::Site(site_id), CLIPS_MAX).await? {
            if left <= most {
                break;
            }
            if !known.contains(&clip.clip_id) {
                left = left.saturating_sub(clip.bytes);
                doomed.push(clip);
            }
        }
    }
    let truncated = doomed.len() >= CLIPS_MAX as usize;
    let classes = FootageClass::ALL.iter().map(|class| {
        let of_class = doomed.iter().filter(|clip| clip.class == *class);
        let (clips, bytes) = of_class.fold((0, 0), |(n, bytes), clip| (n + 1, bytes + clip.bytes));
        ClassPreview { class: *class, clips, bytes }
    });
    Ok(RetentionPreview {
        clips: doomed.len() as u64,
        bytes: doomed.iter().map(|clip| clip.bytes).sum(),
        by_age,
        classes: classes.filter(|class| class.clips > 0).collect(),
        oldest_at: doomed.iter().map(|clip| clip.started_at).min(),
        newest_at: doomed.iter().map(|clip| clip.started_at).max(),
        left_bytes: left,
        truncated,
    })
}
