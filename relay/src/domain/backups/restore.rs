//! Puts a backup back: read whole before anything is written, laid out beside what is there, exchanged in one
//! moment.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, Read, Seek as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use rustix::fs::OFlags;

use super::{
    archive::{DATA, DATABASE, FORMAT, Header, OBJECTS, SETTINGS, SETTINGS_FILE},
    gather::is_left_out,
    reading::{self, Contents, Nobody, Receiver},
    swap::{self, Staging},
};
use crate::{
    blocking::blocking,
    config::{Config, is_postgres},
    engines::{
        data_lock::DataLock,
        db::{Db, DbError, DbReserve, copies, copies::Former},
        metrics::Metrics,
        passphrase::{self, Opening},
        private_file,
    },
    progress::{Progress, Stage},
    space::space_at,
};

/// A backup that is to be put back.
#[derive(Debug, Clone)]
pub struct RestoreOrder {
    pub file: PathBuf,
    /// Whether what is there is put aside.
    pub force: bool,
    pub passphrase: Option<String>,
}

/// What was put back.
#[derive(Debug)]
pub struct Restored {
    pub header: Header,
    /// Clips and pictures.
    pub objects: u64,
    /// Where lies what was there before.
    pub aside: Option<PathBuf>,
    /// The schema, of a server's database, in which its former tables are.
    pub aside_schema: Option<String>,
    /// Whether the backup's `relay.toml` lies in the data directory.
    pub settings: Option<PathBuf>,
}

/// Restores a backup. Whatever fails before its end leaves what was there.
pub async fn restore(
    config: &Config,
    order: RestoreOrder,
    progress: &Progress,
) -> anyhow::Result<Restored> {
    let contents = check(&order, progress).await?;
    let data_dir = &config.data_dir;
    private_file::prepare_data_directory(data_dir)?;
    let Some(_alone) = DataLock::alone(data_dir)? else {
        bail!("a relay serves from {}: stop it first", data_dir.display());
    };
    swap::settle_alone(config).await?;
    ensure!(
        order.force || swap::is_empty(data_dir)?,
        "{} is not empty: --force puts aside what is there, and deletes none of it",
        data_dir.display()
    );
    let free = space_at(data_dir)?.free;
    ensure!(
        contents.bytes < free,
        "the backup needs {} bytes in {}, and {free} are free",
        contents.bytes,
        data_dir.display()
    );
    let number = swap::next_number(data_dir)?;
    let staging = Staging::begin(data_dir)?;
    let aside_schema = match lay_out(config, &order, &contents, &staging, number, progress).await {
        Ok(aside_schema) => aside_schema,
        Err(error) => {
            // A server that was lost at the last word may have taken it.
            swap::settle_alone(config).await?;
            return Err(error);
        }
    };
    let aside = staging.exchange()?;
    let settings = data_dir.join(SETTINGS_FILE);
    Ok(Restored {
        header: contents.header,
        objects: contents.objects.count,
        aside,
        aside_schema,
        settings: settings.exists().then_some(settings),
    })
}

/// Reads all of it, and writes nothing.
async fn check(order: &RestoreOrder, progress: &Progress) -> anyhow::Result<Contents> {
    let (order, progress) = (order.clone(), progress.clone());
    blocking(move || {
        let (input, bytes) = open(&order)?;
        let tell = |done| progress.tell(Stage::Checking, done, Some(bytes));
        reading::read(input, &mut Nobody, judge, tell)
    })
    .await?
}

/// Refuses what a newer version wrote.
fn judge(header: &Header) -> anyhow::Result<()> {
    let newest = copies::newest_schema();
    let Header { format, schema_version, relay_version, .. } = header;
    ensure!(
        *format <= FORMAT && *schema_version <= newest,
        "the backup is of nightjar-relay {relay_version} (format {format}, schema {schema_version}); this is \
         {} (format {FORMAT}, schema {newest}): install that version or a newer one first",
        env!("CARGO_PKG_VERSION")
    );
    Ok(())
}

/// Opens a plain file, and nothing that would be waited for.
fn open(order: &RestoreOrder) -> anyhow::Result<(Box<dyn Read>, u64)> {
    let path = order.file.display();
    let named = || format!("cannot read {path}");
    let flags = i32::try_from(OFlags::NONBLOCK.bits())?;
    let mut file =
        OpenOptions::new().read(true).custom_flags(flags).open(&order.file).with_context(named)?;
    let metadata = file.metadata().with_context(named)?;
    ensure!(metadata.is_file(), "{path} is no plain file");
    let mut magic = Vec::new();
    file.by_ref()
        .take(passphrase::MAGIC.len() as u64)
        .read_to_end(&mut magic)
        .with_context(named)?;
    let is_sealed = magic == passphrase::MAGIC;
    match &order.passphrase {
        Some(passphrase) if is_sealed => {
            let opening = Opening::new(BufReader::new(file), passphrase).with_context(named)?;
            Ok((Box::new(opening), metadata.len()))
        }
        None if is_sealed => bail!("{path} is sealed: give its passphrase by --passphrase-file"),
        _ => {
            file.rewind().with_context(named)?;
            Ok((Box::new(BufReader::new(file)), metadata.len()))
        }
    }
}

async fn lay_out(
    config: &Config,
    order: &RestoreOrder,
    contents: &Contents,
    staging: &Staging,
    number: u64,
    progress: &Progress,
) -> anyhow::Result<Option<String>> {
    let unpacking = Unpacking { coming: staging.coming(), copy: staging.copy() };
    unpack(order, contents, unpacking, progress).await?;
    let copy = staging.copy();
    let found = copies::check_copy(&copy).await?;
    let named = contents.header.schema_version;
    ensure!(found == named, "the backup is damaged: its database has schema {found}, not {named}");
    let restore_id = uuid::Uuid::now_v7().simple().to_string();
    if !is_postgres(&config.database.url) {
        progress.tell(Stage::Migrating, 0, None);
        copies::migrate_copy(&copy).await?;
        fs::rename(&copy, staging.coming().join("relay.db"))?;
        staging.ready(&restore_id, number, false)?;
        return Ok(None);
    }
    let metrics = Metrics::default();
    let db = Db::open(&config.database, &config.data_dir, DbReserve::NONE, &metrics).await?;
    staging.ready(&restore_id, number, true)?;
    let former = if order.force { Former::PutAside } else { Former::Refused };
    let loaded = db.load_from(copy, &restore_id, former, progress).await;
    loaded.map_err(|error| match error {
        DbError::NotEmpty => anyhow::anyhow!(
            "the database of database.url is not empty: --force moves its tables to another schema"
        ),
        other => anyhow::Error::from(other).context("the database is as it was"),
    })
}

async fn unpack(
    order: &RestoreOrder,
    contents: &Contents,
    mut unpacking: Unpacking,
    progress: &Progress,
) -> anyhow::Result<()> {
    let (order, progress, bytes) = (order.clone(), progress.clone(), contents.bytes);
    let read = blocking(move || {
        let (input, _) = open(&order)?;
        let tell = |done| progress.tell(Stage::Unpacking, done, Some(bytes));
        reading::read(input, &mut unpacking, judge, tell)
    })
    .await??;
    // It was checked a moment ago, and might be another file by now.
    ensure!(
        read.header.backup_id == contents.header.backup_id && read.bytes == contents.bytes,
        "the backup changed while it was read"
    );
    Ok(())
}

/// Lays entries out below the stage.
struct Unpacking {
    coming: PathBuf,
    copy: PathBuf,
}

impl Unpacking {
    fn place(&self, name: &str) -> Option<PathBuf> {
        if name == DATABASE {
            Some(self.copy.clone())
        } else if name == SETTINGS {
            Some(self.coming.join(SETTINGS_FILE))
        } else if name.starts_with(OBJECTS) {
            Some(self.coming.join(name))
        } else {
            let below = name.strip_prefix(DATA)?;
            // No backup has them now; older ones hold what a restore before laid there, and those of strangers
            // what would keep this one from its end.
            let top = below.split('/').next()?;
            (!is_left_out(top)).then(|| self.coming.join(below))
        }
    }
}

impl Receiver for Unpacking {
    fn receive(&mut self, name: &str, content: &mut dyn Read) -> anyhow::Result<()> {
        let Some(path) = self.place(name) else { return Ok(()) };
        let named = || format!("cannot write {}: check free space", path.display());
        private_file::create_directory(path.parent().unwrap_or(&self.coming))?;
        let mut file = create(&path).with_context(named)?;
        io::copy(content, &mut file).with_context(named)?;
        Ok(())
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_keep_a_restore_from_its_end_is_not_laid_out() {
        let unpacking = Unpacking { coming: "/c".into(), copy: "/copy".into() };
        let place = |name: &str| unpacking.place(name);
        for name in [
            "data/.restoring/state.json",
            "data/backups/x",
            "data/ballast",
            "data/objects",
            "data/relay.db-wal",
            "data/relay.lock",
            "data/relay.toml.of-the-backup",
            "data/replaced-1/x",
        ] {
            assert_eq!(place(name), None, "{name}");
        }
        assert_eq!(place("data/acme/key.pem"), Some("/c/acme/key.pem".into()));
        assert_eq!(place("settings/relay.toml"), Some("/c/relay.toml.of-the-backup".into()));
    }
}
