//! `keys`: which there are, and a new one in the place of an old one while the relay serves.

use std::{
    fs,
    io::{Write as _, stdout},
    path::Path,
};

use anyhow::Context as _;
use clap::{Subcommand, ValueEnum};

use super::{backup::be_the_relays_user, open_database, progress::ProgressLine};
use crate::{
    clock::now,
    config::{Config, StoreEngine, TurnEngine},
    domain::{keys, push},
    engines::{
        data_lock::DataLock,
        db::cameras,
        objects::Objects,
        private_file, seal,
        seal::Seal,
        tls::{Certificates, authority_sha256},
    },
    wiring,
};

#[derive(Subcommand)]
pub(super) enum KeysTask {
    /// Lists all keys and secrets: where they lie, and how each is exchanged.
    List,
    /// Makes a new key. The old one is good until nobody needs it; cameras and browsers stay connected.
    Rotate {
        name: KeyName,
        /// Does what may lose somebody something, too
        #[arg(long)]
        yes: bool,
    },
    /// Forgets the keys before the newest, once nothing needs them.
    Forget {
        name: KeyName,
        /// Does what may lose somebody something, too
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum KeyName {
    /// By which secrets in the database are sealed
    Secrets,
    /// By which the relay's own server certificate is signed, and which cameras pin
    Authority,
    /// Of the relay's own server certificate
    Tls,
    /// What signs the URLs of the embedded store
    Store,
    /// By which browsers know whose messages they get (VAPID)
    Push,
}

pub(super) async fn run(task: KeysTask, config: &Config) -> anyhow::Result<()> {
    if matches!(task, KeysTask::List) {
        return list(config);
    }
    be_the_relays_user(&config.data_dir)?;
    match task {
        KeysTask::List => Ok(()),
        KeysTask::Rotate { name: KeyName::Secrets, .. } => rotate_secrets(config).await,
        KeysTask::Rotate { name: KeyName::Authority, .. } => {
            Certificates::rotate_authority(&config.data_dir, &wiring::hosts(config), now())?;
            said(
                config,
                "a new authority is made, for which the one before vouches: cameras stay paired, and pin the new one \
                 within an hour of being online; browsers that trust the old one, and pairing files and codes that were \
                 made before, need the new one. Once all cameras have it: nightjar-relay keys forget authority",
            )
        }
        KeysTask::Forget { name: KeyName::Authority, yes } => forget_authority(config, yes).await,
        KeysTask::Rotate { name: KeyName::Tls, .. } => {
            Certificates::reissue(&config.data_dir, &wiring::hosts(config), now())?;
            said(config, "a new server certificate is made; the authority that cameras pin stays")
        }
        KeysTask::Rotate { name: KeyName::Store, .. } => {
            anyhow::ensure!(
                config.store.engine == StoreEngine::Embedded,
                "the store is external: make new credentials there, and write them into {}",
                config.store.credentials_file.display()
            );
            let _alone = private_file::hold_keys(&config.data_dir)?;
            Objects::rotate_credentials(&config.data_dir)?;
            said(config, "URLs are signed by a new key; those of before are good until they end")
        }
        KeysTask::Rotate { name: KeyName::Push, .. } => {
            let (db, seal) =
                (open_database(config).await?, Seal::load_or_create(&config.data_dir)?);
            push::make_key(&db, &seal, now()).await?;
            said(
                config,
                "browsers subscribe by a new key; those that did by another get messages by that",
            )
        }
        KeysTask::Forget { name: KeyName::Secrets, yes } => forget_secrets(config, yes).await,
        KeysTask::Forget { name: KeyName::Tls | KeyName::Store | KeyName::Push, .. } => {
            anyhow::bail!("nothing is to be forgotten: what was before ends by itself")
        }
    }
}

async fn rotate_secrets(config: &Config) -> anyhow::Result<()> {
    let db = open_database(config).await?;
    let _alone = private_file::hold_keys(&config.data_dir)?;
    let seal = Seal::load_or_create(&config.data_dir)?;
    let line = ProgressLine::new();
    let was_cut_off = seal.former() > 0 && {
        let rest = keys::seal_anew(&db, &seal, &line.progress()).await?;
        refuse_lost(rest.lost, false)?;
        rest.anew > 0
    };
    if was_cut_off {
        drop(line);
        return said(config, "the exchange that was cut off is finished");
    }
    if seal.former() > 0 {
        seal.forget_former()?;
    }
    seal.rotate()?;
    let done = keys::seal_anew(&db, &seal, &line.progress()).await?;
    drop(line);
    writeln!(stdout(), "{} secrets are sealed by the new key", done.anew)?;
    said(config, "the old key still opens; forget it with: nightjar-relay keys forget secrets")
}

async fn forget_secrets(config: &Config, yes: bool) -> anyhow::Result<()> {
    let db = open_database(config).await?;
    let _alone = private_file::hold_keys(&config.data_dir)?;
    let seal = Seal::load_or_create(&config.data_dir)?;
    anyhow::ensure!(seal.former() > 0, "there is one key alone");
    let line = ProgressLine::new();
    let rest = keys::seal_anew(&db, &seal, &line.progress()).await?;
    drop(line);
    refuse_lost(rest.lost, yes)?;
    seal.forget_former()?;
    Ok(writeln!(stdout(), "the keys before the newest are forgotten")?)
}

/// Lets the authority before vouch no more. Cameras that pin it still would stay away.
async fn forget_authority(config: &Config, yes: bool) -> anyhow::Result<()> {
    let db = open_database(config).await?;
    let pinned = authority_sha256(&config.data_dir)?.context("there is no authority yet")?;
    let behind = cameras::count_without_authority(&db, &pinned).await?;
    anyhow::ensure!(
        behind == 0 || yes,
        "{behind} cameras are not known to pin the new authority: they were offline since, or their agents are older. \
         Wait for them, or lose them until they are paired again with: keys forget authority --yes"
    );
    let was_vouched =
        Certificates::forget_authority(&config.data_dir, &wiring::hosts(config), now())?;
    anyhow::ensure!(was_vouched, "there is one authority alone");
    said(config, "the authority before is forgotten")
}

fn refuse_lost(lost: u64, yes: bool) -> anyhow::Result<()> {
    anyhow::ensure!(
        lost == 0 || yes,
        "{lost} secrets open by no key of secrets.key, as the log says: bring the key back from a backup, or \
         give them up with: keys forget secrets --yes"
    );
    Ok(())
}

/// Has a relay that serves look again, and says what happened.
fn said(config: &Config, what: &str) -> anyhow::Result<()> {
    let mut output = stdout();
    writeln!(output, "{what}")?;
    let Some(process) = DataLock::server_of(&config.data_dir) else { return Ok(()) };
    let told = rustix::process::Pid::from_raw(process)
        .map(|process| rustix::process::kill_process(process, rustix::process::Signal::HUP));
    match told {
        Some(Ok(())) => writeln!(output, "the relay that runs (process {process}) uses it")?,
        _ => writeln!(
            output,
            "have the relay that runs look again: systemctl reload nightjar-relay"
        )?,
    }
    Ok(())
}

fn list(config: &Config) -> anyhow::Result<()> {
    let mut output = stdout();
    let data_dir = &config.data_dir;
    let mut line = |name: &str, path: &Path, how: &str| {
        let is_elsewhere = path.starts_with("(database, sealed)") || path.starts_with("(memory)");
        let is_there = is_elsewhere || fs::metadata(path).is_ok();
        let state = if is_there { "" } else { " (not there)" };
        writeln!(output, "{name}\t{}{state}\t{how}", path.display())
    };
    let secrets = data_dir.join(seal::FILE);
    line("secrets", &secrets, "keys rotate secrets")?;
    line("authority", &data_dir.join("ca-key.pem"), "keys rotate authority; pinned by cameras")?;
    line("tls", &data_dir.join("server-key.pem"), "keys rotate tls; by itself, once a year")?;
    if config.tls.acme.is_some() {
        line("public certificate", &data_dir.join("acme"), "by itself, at each renewal")?;
    }
    if let Some(key) = &config.tls.key {
        line("public certificate", key, "exchange the files; the relay sees it")?;
    }
    if config.store.engine == StoreEngine::Embedded {
        line("store", &data_dir.join("store-credentials.json"), "keys rotate store")?;
    }
    line("push", Path::new("(database, sealed)"), "keys rotate push")?;
    if config.turn_engine() == TurnEngine::Embedded {
        line("turn", Path::new("(memory)"), "by itself, at each start")?;
    }
    for secret in config.secret_files() {
        line(secret.key, &secret.path, "write the new one into the file, and restart the relay")?;
    }
    if let Ok(text) = fs::read_to_string(&secrets)
        && text.lines().count() > 1
    {
        writeln!(output, "secrets: an older key still opens; keys forget secrets ends that")?;
    }
    if Certificates::is_vouched(data_dir)? {
        writeln!(
            output,
            "authority: the one before vouches for it; keys forget authority ends that"
        )?;
    }
    Ok(())
}
