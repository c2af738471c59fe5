//! A backup before each migration: the way back to the version before.

use std::path::PathBuf;

use anyhow::Context as _;
use nightjar_shared::time::UnixMillis;

use super::{
    DIRECTORY,
    make::{Order, make},
    schedule::{Series, keep_newest},
};
use crate::{
    config::Config,
    engines::{
        db::{Db, DbError, copies},
        private_file,
    },
    progress::Progress,
};

/// As many upgrades may be taken back.
const KEPT: usize = 3;

/// Brings the database's schema up to date. What was there before is in a backup then; where none can be made,
/// nothing is changed.
pub async fn migrate(
    config: &Config,
    db: &Db,
    now: UnixMillis,
    progress: &Progress,
) -> anyhow::Result<()> {
    let found = db.schema_version().await?;
    let newest = copies::newest_schema();
    if (1..newest).contains(&found) {
        back_up(config, db, newest, now, progress).await.with_context(|| {
            format!(
                "the database stays at schema {found}: no backup can be made before it is brought to {newest}"
            )
        })?;
    }
    match db.migrate().await {
        Err(error @ DbError::NewerSchema { .. }) => {
            Err(anyhow::Error::from(error).context(explain_newer(config)))
        }
        migrated => migrated.context("cannot bring the database's schema up to date"),
    }
}

/// Names the backup by which an older version gets its database back.
pub fn explain_newer(config: &Config) -> String {
    let directory = config.data_dir.join(DIRECTORY);
    // Named by the schema that came after them: made by this version or an older one.
    let newest = (1..=copies::newest_schema() + 1)
        .rev()
        .find_map(|schema| Series::before(schema).newest(&directory));
    match newest {
        Some(path) => format!(
            "a newer relay has used this database; to go back to what was before the upgrade: \
             nightjar-relay restore --force {}",
            path.display()
        ),
        None => format!(
            "a newer relay has used this database, and {} holds no backup from before",
            directory.display()
        ),
    }
}

async fn back_up(
    config: &Config,
    db: &Db,
    schema: i64,
    now: UnixMillis,
    progress: &Progress,
) -> anyhow::Result<()> {
    let directory = config.data_dir.join(DIRECTORY);
    private_file::create_directory(&directory)?;
    let series = Series::before(schema);
    let path = write(config, db, series.next(&directory, now), now, progress).await?;
    tracing::info!(path = %path.display(), "a backup from before the migration");
    keep_newest(&directory, &Series::before_any(), KEPT);
    Ok(())
}

async fn write(
    config: &Config,
    db: &Db,
    target: PathBuf,
    now: UnixMillis,
    progress: &Progress,
) -> anyhow::Result<PathBuf> {
    let order = Order { target, overwrite: false, with_clips: false, passphrase: None };
    Ok(make(config, db, order, now, progress).await?.path)
}
