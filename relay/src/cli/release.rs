//! `admin release`: signing packages for cameras, which needs no relay, and offering them.

use std::{
    fs,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;
use clap::Subcommand;
use nightjar_shared::{
    audit::Action,
    ids::{ReleaseId, SiteId},
    release::{
        AGENT_PACKAGE, Manifest, ManifestKind, PACKAGE_BYTES_MAX, PackageVersion, ReleaseState,
        SignedManifest, manifest_file_name,
    },
};
use sha2::{Digest, Sha256};

use super::open_database;
use crate::{
    clock::now,
    config::Config,
    domain::{
        audit::{self, Actor},
        releases::{self, SigningKeyFile},
    },
    engines::{db::releases as rows, private_file, tls},
    wiring::store_package,
};

#[derive(Subcommand)]
pub(super) enum ReleaseTask {
    /// Makes a key to sign with. Keep it away from any relay.
    Keygen {
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Signs a package: writes, or adds a signature to, the .release.json beside it.
    Sign {
        #[arg(value_name = "PACKAGE.deb")]
        package: PathBuf,
        /// A maker's private key; may be given twice
        #[arg(long = "key", value_name = "FILE", required = true)]
        keys: Vec<PathBuf>,
        /// The oldest version from which it may be installed
        #[arg(long, value_name = "VERSION")]
        minimum_version: Option<PackageVersion>,
        #[arg(long, default_value = "stable")]
        channel: String,
    },
    /// Puts a signed package into the object store. Nobody is offered it yet.
    Add {
        #[arg(value_name = "PACKAGE.deb")]
        package: PathBuf,
    },
    /// Lists releases and who is offered them.
    List,
    /// Offers a version to a share of the cameras, at some sites or at all.
    Stage {
        version: PackageVersion,
        #[arg(long, value_parser = clap::value_parser!(u32).range(0..=100))]
        percent: u32,
        /// A site; may be given several times. Without, all sites.
        #[arg(long = "site", value_name = "SITE_ID")]
        sites: Vec<SiteId>,
    },
    /// Offers a version to nobody for now.
    Pause { version: PackageVersion },
    /// Never offers a version again.
    Withdraw { version: PackageVersion },
}

pub(super) async fn run(task: ReleaseTask, config: &Config) -> anyhow::Result<()> {
    match task {
        ReleaseTask::Keygen { file } => keygen(&file),
        ReleaseTask::Sign { package, keys, minimum_version, channel } => {
            sign(&package, &keys, minimum_version, channel)
        }
        ReleaseTask::Add { package } => add(config, &package).await,
        ReleaseTask::List => list(config).await,
        ReleaseTask::Stage { version, percent, sites } => {
            let entry = audit::Entry::new(Action::ReleaseStaged, Actor::Relay)
                .text("version", version.as_str())
                .fact("percent", &percent)
                .fact("sites", sites.as_slice());
            let db = open_database(config).await?.begin().await?;
            let staged = rows::stage(&db, &version, ReleaseState::Offered, percent, &sites).await?;
            ensure_some(staged, &version)?;
            audit::record(&db, now(), entry).await?;
            Ok(db.commit().await?)
        }
        ReleaseTask::Pause { version } => set(config, &version, ReleaseState::Paused).await,
        ReleaseTask::Withdraw { version } => set(config, &version, ReleaseState::Withdrawn).await,
    }
}

async fn set(config: &Config, version: &PackageVersion, state: ReleaseState) -> anyhow::Result<()> {
    let action = match state {
        ReleaseState::Withdrawn => Action::ReleaseWithdrawn,
        _ => Action::ReleasePaused,
    };
    let db = open_database(config).await?.begin().await?;
    ensure_some(rows::set_state(&db, version, state).await?, version)?;
    let entry = audit::Entry::new(action, Actor::Relay).text("version", version.as_str());
    audit::record(&db, now(), entry).await?;
    Ok(db.commit().await?)
}

fn ensure_some(changed: u64, version: &PackageVersion) -> anyhow::Result<()> {
    anyhow::ensure!(changed > 0, "there is no version {version}, or it was withdrawn");
    Ok(())
}

fn keygen(file: &Path) -> anyhow::Result<()> {
    let (key, pem) = releases::make_key()?;
    anyhow::ensure!(!file.exists(), "{} is there already; name another file", file.display());
    private_file::write(file, pem.as_bytes())?;
    let public_key = key.public_key();
    Ok(writeln!(
        std::io::stdout(),
        "# for /etc/nightjar/update.toml of the cameras\n[[keys]]\nname = \"{}\"\npublic_key = \
         \"{public_key}\"",
        file.file_stem().unwrap_or_default().to_string_lossy()
    )?)
}

fn sign(
    package: &Path,
    keys: &[PathBuf],
    minimum_version: Option<PackageVersion>,
    channel: String,
) -> anyhow::Result<()> {
    let keys = keys.iter().map(|path| SigningKeyFile::read(path)).collect::<Result<Vec<_>, _>>()?;
    let manifest = describe(package, minimum_version, channel)?;
    let beside = manifest_path(package);
    let before = match fs::read(&beside) {
        Ok(text) => Some(read_signed(&text, &beside)?),
        Err(_) => None,
    };
    if let Some(before) = &before {
        let signed = releases::read_manifest(before)?;
        let same = signed.sha256 == manifest.sha256 && signed.version == manifest.version;
        let path = beside.display();
        anyhow::ensure!(same, "{path} is of another package; remove it to sign this one anew");
    }
    let signed = releases::sign(&manifest, before, &keys)?;
    let text = serde_json::to_string_pretty(&signed)? + "\n";
    fs::write(&beside, text).with_context(|| format!("cannot write {}", beside.display()))?;
    let (path, count) = (beside.display(), signed.signatures.len());
    Ok(writeln!(std::io::stdout(), "{path}: {count} signatures")?)
}

/// Reads of a package what is signed of it.
fn describe(
    package: &Path,
    minimum_version: Option<PackageVersion>,
    channel: String,
) -> anyhow::Result<Manifest> {
    let output = Command::new("dpkg-deb")
        .args(["--showformat", "${Package}\t${Version}\t${Architecture}", "--show"])
        .arg(package)
        .output()
        .context("cannot run dpkg-deb; sign on a Debian")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let fields: Vec<&str> = text.trim_end().split('\t').collect();
    let [name, version, architecture] = fields[..] else {
        anyhow::bail!("{} is no Debian package", package.display());
    };
    anyhow::ensure!(name == AGENT_PACKAGE, "{name} is not the cameras' package, {AGENT_PACKAGE}");
    let content = read_package(package)?;
    Ok(Manifest {
        kind: ManifestKind::Release,
        package: name.to_owned(),
        version: version.parse()?,
        architecture: architecture.to_owned(),
        size: content.len() as u64,
        sha256: hex::encode(Sha256::digest(&content)),
        minimum_version,
        created_at: now(),
        channel,
    })
}

fn read_package(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut content = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(PACKAGE_BYTES_MAX + 1).read_to_end(&mut content))
        .with_context(|| format!("cannot read {}", path.display()))?;
    anyhow::ensure!(
        content.len() as u64 <= PACKAGE_BYTES_MAX,
        "{} is larger than cameras take ({} MB)",
        path.display(),
        PACKAGE_BYTES_MAX / 1_000_000
    );
    Ok(content)
}

fn manifest_path(package: &Path) -> PathBuf {
    let name = package.file_name().unwrap_or_default().to_string_lossy();
    package.with_file_name(manifest_file_name(&name))
}

fn read_signed(text: &[u8], path: &Path) -> anyhow::Result<SignedManifest> {
    serde_json::from_slice(text).with_context(|| format!("{} is no release", path.display()))
}

async fn add(config: &Config, package: &Path) -> anyhow::Result<()> {
    let beside = manifest_path(package);
    let text = fs::read(&beside)
        .with_context(|| format!("cannot read {}; sign the package first", beside.display()))?;
    let signed = read_signed(&text, &beside)?;
    let manifest = releases::read_manifest(&signed)?;
    let content = read_package(package)?;
    anyhow::ensure!(
        hex::encode(Sha256::digest(&content)) == manifest.sha256,
        "{} is not what was signed; sign it anew",
        package.display()
    );
    let db = open_database(config).await?;
    tls::install_crypto_provider();
    let release_id = ReleaseId::generate();
    let key = releases::object_key(release_id)?;
    store_package(config, &key, content).await?;
    let version = manifest.version.clone();
    let entry = audit::Entry::new(Action::ReleaseAdded, Actor::Relay)
        .subject(release_id)
        .text("version", version.as_str());
    let transaction = db.begin().await?;
    releases::add(&transaction, release_id, &key, signed, manifest, now()).await?;
    audit::record(&transaction, now(), entry).await?;
    transaction.commit().await?;
    Ok(writeln!(std::io::stdout(), "{release_id}: {version}; offer it with `stage`")?)
}

async fn list(config: &Config) -> anyhow::Result<()> {
    let db = open_database(config).await?;
    let mut output = std::io::stdout();
    for row in rows::list(&db).await? {
        let sites = match row.sites.len() {
            0 => "all sites".to_owned(),
            count => format!("{count} sites"),
        };
        writeln!(
            output,
            "{}\t{}\t{}\t{}\t{} %\t{sites}\t{} signatures",
            row.version,
            row.architecture,
            row.channel,
            row.state,
            row.percent,
            row.signed.0.signatures.len()
        )?;
    }
    Ok(())
}
