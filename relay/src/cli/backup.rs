//! `backup` and `restore`.

use std::{
    io::{Write as _, stdout},
    path::{Path, PathBuf},
};

use clap::Args;

use super::{progress::ProgressLine, unmigrated_database};
use crate::{
    clock::now,
    config::{Config, StoreEngine},
    domain::backups::{self, Order, RestoreOrder, read_passphrase},
    engines::{private_file, tls},
};

#[derive(Args)]
pub(super) struct BackupArguments {
    /// A tar archive, for the relay's user alone
    file: PathBuf,
    /// Clips and pictures, too: as large as they are
    #[arg(long)]
    with_clips: bool,
    /// Replaces a file of that name
    #[arg(long)]
    force: bool,
    /// Seals the backup with the first line of this file
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

#[derive(Args)]
pub(super) struct RestoreArguments {
    file: PathBuf,
    /// Puts aside what is there; nothing of it is deleted
    #[arg(long)]
    force: bool,
    /// Opens a backup that was sealed
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

pub(super) async fn backup(config: &Config, arguments: BackupArguments) -> anyhow::Result<()> {
    be_the_relays_user(&config.data_dir)?;
    let passphrase = arguments.passphrase_file.as_deref().map(read_passphrase).transpose()?;
    backups::settle(config).await?;
    let db = unmigrated_database(config).await?;
    anyhow::ensure!(
        db.schema_version().await? > 0,
        "there is no database yet: is {} the relay's data_dir?",
        config.data_dir.display()
    );
    let order = Order {
        target: arguments.file,
        overwrite: arguments.force,
        with_clips: arguments.with_clips,
        passphrase,
    };
    let line = ProgressLine::new();
    let made = backups::make(config, &db, order, now(), &line.progress()).await?;
    drop(line);
    let mut output = stdout();
    writeln!(
        output,
        "{}: {} bytes, schema {}",
        made.path.display(),
        made.bytes,
        made.schema_version
    )?;
    if made.objects.count > 0 {
        writeln!(output, "with {} clips and pictures", made.objects.count)?;
    }
    if arguments.with_clips && config.store.engine == StoreEngine::S3 {
        writeln!(output, "clips are in the external store: they are not in it")?;
    }
    for secret in outside(config) {
        writeln!(output, "not in it, since it lies elsewhere: {}", secret.display())?;
    }
    Ok(())
}

pub(super) async fn restore(config: &Config, arguments: RestoreArguments) -> anyhow::Result<()> {
    tls::install_crypto_provider();
    be_the_relays_user(&config.data_dir)?;
    let passphrase = arguments.passphrase_file.as_deref().map(read_passphrase).transpose()?;
    let (file, force) = (arguments.file, arguments.force);
    let line = ProgressLine::new();
    let order = RestoreOrder { file, force, passphrase };
    let restored = backups::restore(config, order, &line.progress()).await?;
    drop(line);
    let mut output = stdout();
    let header = &restored.header;
    writeln!(
        output,
        "restored: nightjar-relay {}, schema {}, {} clips and pictures",
        header.relay_version, header.schema_version, restored.objects
    )?;
    if let Some(aside) = &restored.aside {
        writeln!(output, "what was there before: {}", aside.display())?;
    }
    if let Some(schema) = &restored.aside_schema {
        writeln!(output, "the tables that were there before: schema {schema}")?;
    }
    if let Some(settings) = &restored.settings {
        writeln!(output, "the settings of then, to be compared: {}", settings.display())?;
    }
    for secret in outside(config) {
        writeln!(output, "bring back by yourself: {}", secret.display())?;
    }
    writeln!(output, "start the relay; what was revoked since the backup is to be revoked again")?;
    Ok(())
}

/// Lists secrets that an operator keeps outside the data directory.
fn outside(config: &Config) -> Vec<PathBuf> {
    config
        .secret_files()
        .into_iter()
        .map(|secret| secret.path)
        .filter(|path| !path.starts_with(&config.data_dir))
        .collect()
}

/// Refuses to make files of root's in a directory of the relay's: it could not read them.
pub(super) fn be_the_relays_user(data_dir: &Path) -> anyhow::Result<()> {
    let Some(owner) = private_file::owner(data_dir) else { return Ok(()) };
    let me = rustix::process::geteuid().as_raw();
    anyhow::ensure!(
        owner == me,
        "{} belongs to user {owner}, and this is user {me}: run it as sudo -u nightjar-relay",
        data_dir.display()
    );
    Ok(())
}
