//! Copies of the whole database: a SQLite file of the same schema, whichever engine it comes from or goes to.

mod file;
mod load;
mod unload;

use std::path::{Path, PathBuf};

use super::{
    Db, DbError, Engine,
    meters::Meters,
    migrations,
    sqlite::{Sqlite, blocking},
};
use crate::{
    engines::metrics::Metrics,
    progress::{Progress, Stage},
};

/// Values of one row, in the order of the table's columns.
type Values = Vec<super::Value>;

/// What becomes of a database that is not empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Former {
    /// Nothing is written then.
    Refused,
    /// Its tables go to another schema, and none is deleted.
    PutAside,
}

/// Returns the newest schema that this program knows.
pub fn newest_schema() -> i64 {
    migrations::newest(migrations::ALL)
}

/// Looks whether a copy is whole, and returns its schema's version.
pub async fn check_copy(path: &Path) -> Result<i64, DbError> {
    let path = path.to_owned();
    blocking(move || file::check(&path)).await
}

/// Brings a copy to the newest schema that this program knows.
pub async fn migrate_copy(path: &Path) -> Result<(), DbError> {
    let sqlite = Sqlite::open(path.to_owned(), Meters::new(&Metrics::default())).await?;
    sqlite.migrate(migrations::ALL).await?;
    drop(sqlite);
    let path = path.to_owned();
    blocking(move || file::make_single(&path)).await
}

impl Db {
    /// Returns the version of the schema: 0 where there is none yet.
    pub async fn schema_version(&self) -> Result<i64, DbError> {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.schema_version().await,
            Engine::Postgres(postgres) => postgres.schema_version().await,
        }
    }

    /// Returns whether a server holds the database, and not a file in the data directory.
    pub fn is_on_a_server(&self) -> bool {
        matches!(self.engine, Engine::Postgres(_))
    }

    /// Copies the database as it is at one moment into an empty file, while it serves.
    pub async fn copy_into(&self, path: &Path, progress: &Progress) -> Result<(), DbError> {
        progress.tell(Stage::CopyingDatabase, 0, None);
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.copy_into(path.to_owned()).await,
            Engine::Postgres(postgres) => {
                unload::unload(postgres, path.to_owned(), progress.clone()).await
            }
        }
    }

    /// Puts a copy in the place of a server's database, all at once, and brings it to the newest schema. Returns
    /// the schema in which the former tables are. `name` is kept with it: [`Db::is_restored_as`] asks for it.
    pub async fn load_from(
        &self,
        copy: PathBuf,
        name: &str,
        former: Former,
        progress: &Progress,
    ) -> Result<Option<String>, DbError> {
        match &self.engine {
            Engine::Sqlite(_) => Err(DbError::Copy("a file is exchanged, not loaded".to_owned())),
            Engine::Postgres(postgres) => {
                load::load(postgres, copy, name, former, progress.clone()).await
            }
        }
    }

    /// Returns whether what was loaded last was loaded by this name.
    pub async fn is_restored_as(&self, name: &str) -> Result<bool, DbError> {
        match &self.engine {
            Engine::Sqlite(_) => Ok(false),
            Engine::Postgres(postgres) => load::is_restored_as(postgres, name).await,
        }
    }
}
