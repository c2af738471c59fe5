//! Whether what is deleted by its age may be deleted now: not on the word of a clock that leapt.

use std::sync::PoisonError;

use crate::{app::App, engines::db::clock, error::Result};

/// Looks at the clock, and says whether it may be believed.
pub(super) async fn may_forget(app: &App) -> Result<bool> {
    let (wall, counted) = app.clock.both();
    let (held, untold, believed) = {
        let mut leaps = app.leaps.lock().unwrap_or_else(PoisonError::into_inner);
        (leaps.look(wall, counted), leaps.untold(), leaps.believed())
    };
    if let Some(held) = untold {
        tracing::warn!(
            clock = %wall,
            expected = %held.before,
            "the clock leapt ahead: for a day nothing is deleted by its age; look whether the time is \
             right (timedatectl)"
        );
    }
    app.metrics
        .gauge(
            "nightjar_clock_leapt",
            "1 while nothing is deleted by its age, as the clock leapt.",
            &[],
        )
        .set(i64::from(held.is_some()));
    clock::note(&app.db.unsynced(), believed).await?;
    Ok(held.is_none())
}
