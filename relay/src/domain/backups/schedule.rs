//! Backups that the relay makes by itself, every so many hours.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use nightjar_shared::time::UnixMillis;

use super::{
    DIRECTORY,
    make::{Made, Order, make},
    read_passphrase,
};
use crate::{app::App, blocking::blocking, engines::private_file, progress::Progress};

const LOOK: Duration = Duration::from_mins(1);
/// After one that failed.
const AGAIN: Duration = Duration::from_mins(15);
/// A backup of the future was made before the clock was set back.
const CLOCKS_DIFFER: Duration = Duration::from_mins(10);

/// Backups of one kind in a directory. Their names count up, whatever the clock says.
#[derive(Debug, Clone)]
pub(super) struct Series {
    prefix: String,
}

impl Series {
    pub(super) fn regular() -> Self {
        Self { prefix: "nightjar-".to_owned() }
    }

    /// Made before a database was brought to this schema.
    pub(super) fn before(schema: i64) -> Self {
        Self { prefix: format!("before-schema-{schema:04}-") }
    }

    pub(super) fn before_any() -> Self {
        Self { prefix: "before-schema-".to_owned() }
    }

    /// Lists what is there, the newest last.
    fn list(&self, directory: &Path) -> Vec<PathBuf> {
        let is_one = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with(&self.prefix))
                && path.extension().is_some_and(|extension| extension == "tar")
        };
        let mut paths: Vec<_> = fs::read_dir(directory)
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(is_one)
            .collect();
        paths.sort();
        paths
    }

    pub(super) fn newest(&self, directory: &Path) -> Option<PathBuf> {
        self.list(directory).pop()
    }

    /// Returns the path of the next one: a number, and for people the day.
    pub(super) fn next(&self, directory: &Path, now: UnixMillis) -> PathBuf {
        let number = |path: &PathBuf| {
            let name = path.file_name()?.to_str()?.strip_prefix(&self.prefix)?;
            name.split(['-', '.']).next()?.parse::<u64>().ok()
        };
        let last = self.list(directory).iter().filter_map(number).max().unwrap_or_default();
        directory.join(format!("{}{:06}-{}.tar", self.prefix, last + 1, now.0 / 1_000))
    }
}

/// Deletes all but the newest.
pub(super) fn keep_newest(directory: &Path, series: &Series, kept: usize) {
    let mut paths = series.list(directory);
    paths.truncate(paths.len().saturating_sub(kept));
    for path in paths {
        match fs::remove_file(&path) {
            Ok(()) => tracing::info!(path = %path.display(), "an old backup is deleted"),
            Err(error) => tracing::warn!(path = %path.display(), %error, "cannot be deleted"),
        }
    }
}

/// Makes backups as `[backup]` says, until the relay stops.
pub async fn keep_making(app: Arc<App>) {
    let Some(every) = app.config.backup.every() else { return app.cancel.cancelled().await };
    let mut advances = app.clock.advances();
    let mut again_at = None;
    loop {
        let now = app.now();
        if again_at.is_none_or(|at| now >= at) {
            let made = app.cancel.run_until_cancelled(make_if_due(&app, every)).await;
            again_at = match made {
                None => return,
                Some(Ok(())) => None,
                Some(Err(error)) => {
                    count(&app, "failed");
                    tracing::error!("no backup could be made: {error:#}");
                    Some(now.plus(AGAIN))
                }
            };
        }
        tokio::select! {
            () = app.cancel.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
            () = advances.next() => {}
        }
    }
}

async fn make_if_due(app: &App, every: Duration) -> anyhow::Result<()> {
    let settings = &app.config.backup;
    let default = || app.config.data_dir.join(DIRECTORY);
    let directory = settings.directory.clone().unwrap_or_else(default);
    let now = app.now();
    let (place, series) = (directory.clone(), Series::regular());
    let target = blocking(move || next_if_due(&place, &series, every, now)).await??;
    let Some(target) = target else { return Ok(()) };
    let passphrase = settings.passphrase_file.as_deref().map(read_passphrase).transpose()?;
    let with_clips = settings.with_clips;
    let order = Order { target, overwrite: false, with_clips, passphrase };
    let made = make(&app.config, &app.db, order, now, &Progress::unheard()).await?;
    let Made { path, bytes, .. } = made;
    count(app, "made");
    tracing::info!(path = %path.display(), bytes, "a backup is made");
    let keep = usize::try_from(settings.keep).unwrap_or(usize::MAX);
    Ok(blocking(move || keep_newest(&directory, &Series::regular(), keep)).await?)
}

/// Looks at the file, and not into memory: a relay that restarts makes none too often.
fn next_if_due(
    directory: &Path,
    series: &Series,
    every: Duration,
    now: UnixMillis,
) -> anyhow::Result<Option<PathBuf>> {
    private_file::create_directory(directory)?;
    let newest = series.newest(directory);
    let made_at = newest.as_deref().and_then(made_at);
    let is_due = made_at
        .is_none_or(|made_at| now >= made_at.plus(every) || made_at > now.plus(CLOCKS_DIFFER));
    let named = || format!("cannot read {}", directory.display());
    fs::read_dir(directory).with_context(named)?;
    Ok(is_due.then(|| series.next(directory, now)))
}

/// Reads from a name when its backup was made.
fn made_at(path: &Path) -> Option<UnixMillis> {
    let seconds: i64 = path.file_stem()?.to_str()?.rsplit('-').next()?.parse().ok()?;
    Some(UnixMillis(seconds.checked_mul(1_000)?))
}

fn count(app: &App, outcome: &'static str) {
    let name = "nightjar_backups_total";
    let counter = app.metrics.counter(name, "Backups by schedule.", &[("outcome", outcome)]);
    counter.increment();
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn the_next_one_is_due_by_the_last_and_none_is_lost_when_the_clock_goes_back() {
        let directory = tempfile::tempdir().unwrap();
        let (path, series) = (directory.path(), Series::regular());
        let due = |now: i64| next_if_due(path, &series, DAY, UnixMillis(now * 1_000)).unwrap();
        let first = due(1_000_000).unwrap();
        fs::write(&first, "").unwrap();
        assert_eq!(due(1_000_001), None);
        assert_eq!(due(1_000_000 + 86_399), None);
        assert!(due(1_000_000 + 86_400).is_some());
        // The clock is set back by a year: the one of the future holds nothing up, and is the older one.
        let second = due(500_000).unwrap();
        fs::write(&second, "").unwrap();
        assert_eq!(due(500_060), None);
        keep_newest(path, &series, 1);
        assert!(second.exists() && !first.exists());
    }
}
