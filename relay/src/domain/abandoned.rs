//! Clips whose cameras do not come back: closed from the parts that arrived, given up where
//! none did. A camera that returns opens them again.

use std::time::Duration;

use nightjar_shared::{clip::ClipState, time::UnixMillis};

use super::{arrived, objects, playback::Footage};
use crate::{
    app::App,
    engines::db::{
        clips::{self, OpenClip, Progress},
        parts::{self, PartRow},
    },
    error::Result,
};

/// A clip of a camera that is offline ends when nothing of it has come for this long.
const OFFLINE_PATIENCE: Duration = Duration::from_mins(1);
/// A camera that is there may have others to send first.
const ONLINE_PATIENCE: Duration = Duration::from_mins(10);
/// What can never be played is not kept for longer.
const LONGEST_WAIT: Duration = Duration::from_hours(24);
const LOOK_EVERY: Duration = Duration::from_secs(15);
const LOOKS_AT_ONCE: u32 = 50;

/// Notes that something of an open clip has just arrived.
pub(super) fn progress(now: UnixMillis) -> Progress {
    Progress { at: now, look_at: now.plus(OFFLINE_PATIENCE) }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Judgement {
    /// It ends where its parts end.
    Close,
    GiveUp,
    LookAgain(UnixMillis),
}

fn judge(clip: &OpenClip, playable: bool, now: UnixMillis) -> Judgement {
    let silent = now.since(clip.progress_at);
    let patience = match (playable, clip.camera_online) {
        (true, true) => ONLINE_PATIENCE,
        (true, false) => OFFLINE_PATIENCE,
        (false, _) => LONGEST_WAIT,
    };
    match playable {
        true if silent >= patience => Judgement::Close,
        false if silent >= patience => Judgement::GiveUp,
        true => Judgement::LookAgain(now.plus(LOOK_EVERY)),
        false => Judgement::LookAgain(now.plus(ONLINE_PATIENCE)),
    }
}

/// Looks at open clips whose time has come.
pub(super) async fn sweep(app: &App) -> Result<()> {
    let now = app.now();
    for clip in clips::due_looks(&app.db, now, LOOKS_AT_ONCE).await? {
        look_at(app, &clip, now).await?;
    }
    Ok(())
}

async fn look_at(app: &App, clip: &OpenClip, now: UnixMillis) -> Result<()> {
    let OpenClip { clip_id, camera_id, progress_at, .. } = *clip;
    // The camera may have been cut off between sending a part and saying so.
    let found = arrived::look_for_parts(app, clip_id, None).await?;
    let footage = Footage::of(&found.parts);
    let changed = match judge(clip, footage.is_some(), now) {
        Judgement::LookAgain(at) => {
            clips::look_again(&app.db, clip_id, at).await?;
            !found.stored.is_empty()
        }
        Judgement::Close => {
            let duration_ms = footage.map_or(0, |footage| footage.duration_ms());
            let row = arrived::own(app, camera_id, clip_id).await?;
            let ended_at = row.started_at.plus(Duration::from_millis(duration_ms));
            let end = Some((ended_at, duration_ms));
            clips::mark_truncated(&app.db, clip_id, progress_at, ClipState::Ready, end).await?
        }
        Judgement::GiveUp => give_up(app, clip, &found.parts, now).await?,
    };
    if changed {
        arrived::tell_all(app, camera_id, clip_id).await?;
    }
    Ok(())
}

async fn give_up(app: &App, clip: &OpenClip, parts: &[PartRow], now: UnixMillis) -> Result<bool> {
    let OpenClip { clip_id, progress_at, .. } = *clip;
    let transaction = app.db.begin().await?;
    if !clips::mark_truncated(&transaction, clip_id, progress_at, ClipState::Failed, None).await? {
        return Ok(false);
    }
    // The pictures of the event are worth keeping without its footage.
    for part in parts.iter().filter(|part| !part.kind.is_illustration()) {
        parts::delete(&transaction, clip_id, part, objects::deletion_due(now)).await?;
    }
    transaction.commit().await?;
    tracing::info!(clip.id = %clip_id, "a clip that never arrived is given up");
    Ok(true)
}

#[cfg(test)]
mod tests {
    use nightjar_shared::ids::{CameraId, ClipId};

    use super::*;

    fn judged(playable: bool, camera_online: bool, silent: Duration) -> Judgement {
        let now = UnixMillis(1_000_000_000);
        let clip = OpenClip {
            clip_id: ClipId::generate(),
            camera_id: CameraId::generate(),
            progress_at: now.minus(silent),
            camera_online,
        };
        judge(&clip, playable, now)
    }

    #[test]
    fn footage_is_closed_sooner_when_its_camera_is_away() {
        let (minute, hour) = (Duration::from_mins(1), Duration::from_hours(1));
        assert_eq!(judged(true, false, minute), Judgement::Close);
        assert!(matches!(judged(true, true, minute), Judgement::LookAgain(_)));
        assert_eq!(judged(true, true, hour), Judgement::Close);
    }

    #[test]
    fn what_cannot_be_played_is_waited_for_a_day() {
        assert!(matches!(judged(false, false, Duration::from_hours(23)), Judgement::LookAgain(_)));
        assert_eq!(judged(false, false, Duration::from_hours(24)), Judgement::GiveUp);
    }
}
