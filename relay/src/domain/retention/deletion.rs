//! Clips that go by the rules of their site.

use nightjar_shared::{audit::Action, ids::SiteId};

use crate::{
    app::App,
    domain::{
        audit::{Actor, Entry, record},
        objects,
    },
    engines::db::{
        clips,
        retention::{self, Doomed},
    },
    error::Result,
};

/// Why footage goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    Age,
    Size,
}

impl Reason {
    fn as_str(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Size => "size",
        }
    }
}

/// What went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Gone {
    pub(super) clips: u64,
    pub(super) bytes: u64,
}

/// Deletes clips of a site, but for those that were protected, or opened again, meanwhile.
pub(super) async fn delete(
    app: &App,
    site_id: SiteId,
    doomed: &[Doomed],
    reason: Reason,
) -> Result<Gone> {
    if doomed.is_empty() {
        return Ok(Gone::default());
    }
    let (now, mut gone) = (app.now(), Gone::default());
    let due = objects::deletion_due(now);
    let transaction = app.db.begin().await?;
    for clip in doomed {
        if retention::hold(&transaction, clip.clip_id).await? {
            clips::delete(&transaction, (clip.clip_id, clip.camera_id), due).await?;
            gone.clips += 1;
            gone.bytes = gone.bytes.saturating_add(clip.bytes);
        }
    }
    if gone.clips > 0 {
        let entry = Entry::new(Action::FootageExpired, Actor::Relay).site(site_id).subject(site_id);
        let entry = entry.fact("clips", &gone.clips).fact("bytes", &gone.bytes);
        record(&transaction, now, entry.text("reason", reason.as_str())).await?;
    }
    transaction.commit().await?;
    app.deletions_due.notify_one();
    app.metrics
        .counter(
            "nightjar_expired_clips_total",
            "Clips that went by the rules of their sites, by why.",
            &[("reason", reason.as_str())],
        )
        .add(gone.clips);
    Ok(gone)
}

/// Takes as many of the oldest as have so many bytes.
pub(super) fn first_of(oldest: &[Doomed], bytes: u64) -> Vec<Doomed> {
    let mut freed = 0_u64;
    let is_needed = |clip: &&Doomed| {
        let needed = freed < bytes;
        freed = freed.saturating_add(clip.bytes);
        needed
    };
    oldest.iter().take_while(is_needed).copied().collect()
}
