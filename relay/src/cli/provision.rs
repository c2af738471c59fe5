//! `admin provision`: files for the boot partitions of many cameras, from a table; and what is done about
//! the pairings behind them.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, anyhow, bail, ensure};
use clap::Args;
use csv::{ReaderBuilder, StringRecord};
use nightjar_shared::{
    ids::PairingId,
    pairing::PROVISIONING_FILE,
    text_file,
    wifi::{InvalidWifi, Wifi},
};

use super::open_database;
use crate::{
    clock::now,
    config::Config,
    domain::pairings::prepare::{self, Batch, CameraToCome, DAYS_DEFAULT, DAYS_MAX},
    engines::{
        db::{Transaction, sites::SiteOfOwner},
        tls,
    },
};

const TABLE_BYTES_MAX: u64 = 4 * 1024 * 1024;
const CAMERAS_MAX: usize = 10_000;
/// Of a camera's name, in the name of its folder.
const SLUG_CHARS_MAX: usize = 40;
const DAY: Duration = Duration::from_hours(24);

#[derive(Args)]
pub(super) struct ProvisionArguments {
    /// A table with a header: name, site, and as wanted `wifi_ssid`, `wifi_passphrase`, `wifi_hidden`,
    /// `wifi_country`. A site is an id (see `admin sites`), a name, or owner@example.org/name.
    #[arg(long, value_name = "FILE")]
    csv: PathBuf,
    /// Where the files go: a folder for each camera. Made where it is missing.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How long the secrets last.
    #[arg(long, default_value_t = DAYS_DEFAULT, value_parser = clap::value_parser!(u16).range(1..=i64::from(DAYS_MAX)))]
    days: u16,
    /// The owner's key, as the app shows it: this browser may then watch past the relay.
    #[arg(long, value_name = "KEY")]
    owner_key: Option<String>,
}

/// Opens a pairing for each camera of the table and writes its file: all of them, or none.
pub(super) async fn provision(
    config: &Config,
    arguments: ProvisionArguments,
) -> anyhow::Result<()> {
    let table = read_table(&arguments.csv)?;
    let ca_sha256 = if config.shows_own_certificate() {
        let authority = tls::authority_sha256(&config.data_dir)?;
        Some(authority.context("the relay has no certificate authority yet: start it once")?)
    } else {
        None
    };
    let batch = Batch {
        relay_url: config.public_url.clone(),
        ca_sha256,
        owner_key: arguments.owner_key,
        lifetime: DAY * u32::from(arguments.days),
    };
    let db = open_database(config).await?;
    let cameras = read_cameras(&table, &prepare::sites(&db).await?)
        .with_context(|| arguments.csv.display().to_string())?;
    let count = cameras.len();
    let mut written = Written::default();
    let transaction = db.begin().await?;
    match write_all(&transaction, &batch, cameras, &arguments.out, &mut written).await {
        Ok(()) => transaction.commit().await.inspect_err(|_| written.remove())?,
        Err(error) => {
            written.remove();
            return Err(error);
        }
    }
    let out = arguments.out.display();
    let days = arguments.days;
    Ok(writeln!(
        io::stdout(),
        "{count} files in {out}; each works once, within {days} days. Copy each to the boot \
         partition of its camera, then delete it here."
    )?)
}

async fn write_all(
    transaction: &Transaction,
    batch: &Batch,
    cameras: Vec<CameraToCome>,
    out: &Path,
    written: &mut Written,
) -> anyhow::Result<()> {
    let digits = cameras.len().to_string().len();
    for (index, camera) in cameras.into_iter().enumerate() {
        let folder = format!("{:0digits$}-{}", index + 1, slug(&camera.name));
        let text = prepare::prepare(transaction, batch, camera, now()).await?;
        written.write(&out.join(folder).join(PROVISIONING_FILE), &text)?;
    }
    Ok(())
}

/// Files that are removed again when something goes wrong: their secrets would be worth nothing.
#[derive(Default)]
struct Written(Vec<PathBuf>);

impl Written {
    fn write(&mut self, path: &Path, text: &str) -> anyhow::Result<()> {
        let failed = || format!("cannot write {}", path.display());
        if let Some(folder) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(failed)?;
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .with_context(failed)?;
        self.0.push(path.to_owned());
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).with_context(failed)
    }

    /// What cannot be removed holds a secret that opens nothing.
    fn remove(&self) {
        for path in &self.0 {
            drop(fs::remove_file(path));
            drop(path.parent().map(fs::remove_dir));
        }
    }
}

/// Makes of a name what any file system takes.
fn slug(name: &str) -> String {
    let letters = name.chars().map(|it| if it.is_ascii_alphanumeric() { it } else { '-' });
    let text: String = letters.take(SLUG_CHARS_MAX).collect::<String>().to_ascii_lowercase();
    let words: Vec<&str> = text.split('-').filter(|word| !word.is_empty()).collect();
    if words.is_empty() { "camera".to_owned() } else { words.join("-") }
}

fn read_table(path: &Path) -> anyhow::Result<String> {
    let shown = path.display().to_string();
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(|| format!("cannot read {shown}"))?;
    file.take(TABLE_BYTES_MAX + 1).read_to_end(&mut bytes).context(shown.clone())?;
    ensure!(
        u64::try_from(bytes.len()).is_ok_and(|length| length <= TABLE_BYTES_MAX),
        "{shown}: larger than 4 MB; split it"
    );
    text_file::decode(&bytes).context(shown)
}

/// The place of each column that a table may have.
struct Columns {
    name: usize,
    site: usize,
    ssid: Option<usize>,
    passphrase: Option<usize>,
    hidden: Option<usize>,
    country: Option<usize>,
}

impl Columns {
    fn of(header: &StringRecord) -> anyhow::Result<Self> {
        const KNOWN: [&str; 6] =
            ["name", "site", "wifi_ssid", "wifi_passphrase", "wifi_hidden", "wifi_country"];
        let titles: Vec<String> =
            header.iter().map(|title| title.trim().to_ascii_lowercase()).collect();
        if let Some(other) = titles.iter().find(|title| !KNOWN.contains(&title.as_str())) {
            bail!("the column `{other}` is not known; there are {}", KNOWN.join(", "));
        }
        let place = |title: &str| titles.iter().position(|it| it == title);
        let needed = |title: &str| {
            place(title).with_context(|| format!("the header has no column `{title}`"))
        };
        Ok(Self {
            name: needed("name")?,
            site: needed("site")?,
            ssid: place("wifi_ssid"),
            passphrase: place("wifi_passphrase"),
            hidden: place("wifi_hidden"),
            country: place("wifi_country"),
        })
    }
}

fn read_cameras(table: &str, sites: &[SiteOfOwner]) -> anyhow::Result<Vec<CameraToCome>> {
    // Spreadsheets write semicolons where a comma stands in numbers.
    let header = table.lines().next().unwrap_or_default();
    let delimiter = if header.contains(';') && !header.contains(',') { b';' } else { b',' };
    let mut reader = ReaderBuilder::new().delimiter(delimiter).from_reader(table.as_bytes());
    let columns = Columns::of(reader.headers().context("the header cannot be read")?)?;
    let mut cameras = Vec::new();
    for record in reader.records() {
        let record = record.context("a row cannot be read")?;
        let line = record.position().map_or(0, csv::Position::line);
        let camera =
            read_camera(&record, &columns, sites).with_context(|| format!("line {line}"))?;
        cameras.push(camera);
        ensure!(cameras.len() <= CAMERAS_MAX, "more than {CAMERAS_MAX} cameras; split it");
    }
    ensure!(!cameras.is_empty(), "there is no camera below the header");
    Ok(cameras)
}

fn read_camera(
    record: &StringRecord,
    columns: &Columns,
    sites: &[SiteOfOwner],
) -> anyhow::Result<CameraToCome> {
    let cell = |place: Option<usize>| {
        place.and_then(|place| record.get(place)).filter(|text| !text.trim().is_empty())
    };
    let name = prepare::name(cell(Some(columns.name)).unwrap_or_default())
        .map_err(|_| anyhow!("name: it has 1 to 80 characters, and none that cannot be seen"))?;
    let meant = cell(Some(columns.site)).context("site: it is empty")?;
    let site_id = match prepare::sites_meant(sites, meant).as_slice() {
        [site] => site.site_id,
        [] => bail!("site: there is none that is called `{meant}`; see `admin sites`"),
        several => bail!(
            "site: {} are called `{meant}`; say which by its id or as owner@example.org/name, see \
             `admin sites`",
            several.len()
        ),
    };
    let wifi = cell(columns.ssid).map(|ssid| {
        let country = cell(columns.country).map(|text| text.trim().parse()).transpose()?;
        Ok::<_, InvalidWifi>(Wifi {
            ssid: ssid.parse()?,
            passphrase: cell(columns.passphrase).map(str::parse).transpose()?,
            hidden: false,
            country,
        })
    });
    let mut wifi = wifi.transpose()?;
    let without_ssid = [columns.passphrase, columns.hidden, columns.country];
    ensure!(
        wifi.is_some() || without_ssid.into_iter().all(|place| cell(place).is_none()),
        "wifi_ssid: it is empty, and something else of the Wi-Fi is not"
    );
    if let (Some(wifi), Some(hidden)) = (&mut wifi, cell(columns.hidden)) {
        wifi.hidden = read_truth(hidden)?;
    }
    Ok(CameraToCome { name, site_id, wifi })
}

fn read_truth(text: &str) -> anyhow::Result<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" => Ok(true),
        "false" | "no" | "0" => Ok(false),
        _ => bail!("wifi_hidden: write yes or no"),
    }
}

/// Lists all sites: id, name, and an owner.
pub(super) async fn list_sites(config: &Config) -> anyhow::Result<()> {
    let db = open_database(config).await?;
    let mut output = io::stdout().lock();
    for site in prepare::sites(&db).await? {
        writeln!(output, "{}\t{}/{}", site.site_id, site.email, site.name)?;
    }
    Ok(())
}

/// Lists the files of batches that no camera has used: id, site, end, name.
pub(super) async fn list_prepared(config: &Config) -> anyhow::Result<()> {
    let db = open_database(config).await?;
    let now = now();
    let mut output = io::stdout().lock();
    for row in prepare::prepared(&db, now).await? {
        let hours = row.expires_at.since(now).as_secs() / 3_600;
        let name = row.name.unwrap_or_default();
        writeln!(output, "{}\t{}\t{} h left\t{name}", row.pairing_id, row.site_id, hours)?;
    }
    Ok(())
}

/// Takes back a file that no camera has used.
pub(super) async fn take_back(config: &Config, pairing_id: PairingId) -> anyhow::Result<()> {
    let db = open_database(config).await?;
    ensure!(
        prepare::take_back(&db, pairing_id, now()).await?,
        "{pairing_id}: no camera could use it any more; see `admin pairings`"
    );
    Ok(writeln!(io::stdout(), "{pairing_id}: no camera can use it any more")?)
}

#[cfg(test)]
mod tests {
    use nightjar_shared::ids::SiteId;

    use super::*;

    fn sites() -> Vec<SiteOfOwner> {
        [("Home", "alice@example.org"), ("Home", "bob@example.org"), ("Shop", "bob@example.org")]
            .map(|(name, email)| SiteOfOwner {
                site_id: SiteId::generate(),
                name: name.to_owned(),
                email: email.to_owned(),
            })
            .to_vec()
    }

    #[test]
    fn a_table_is_read_as_spreadsheets_write_it() {
        let sites = sites();
        let table = "Name;Site;wifi_ssid;wifi_passphrase;wifi_hidden\n\
                     Front;Shop;Home;\"pass;word \";yes\nBack;Bob@Example.org/Home;;;\n";
        let cameras = read_cameras(table, &sites).unwrap();
        let wifi = cameras[0].wifi.as_ref().unwrap();
        assert_eq!(wifi.passphrase.as_ref().unwrap().reveal(), "pass;word ");
        assert!(wifi.hidden && cameras[0].site_id == sites[2].site_id);
        assert!(cameras[1].wifi.is_none() && cameras[1].site_id == sites[1].site_id);
        let mut sites = sites;
        for (name, email) in [("North/Gate", "bob@example.org"), ("Gate", "mallory@example.org")] {
            let (name, email) = (name.to_owned(), email.to_owned());
            sites.push(SiteOfOwner { site_id: SiteId::generate(), name, email });
        }
        for text in ["North/Gate", "bob@example.org/North/Gate"] {
            let cameras = read_cameras(&format!("name,site\nA,{text}\n"), &sites).unwrap();
            assert_eq!(cameras[0].site_id, sites[3].site_id, "{text} is another owner's site");
        }
        let by_id = format!("name,site\nA,{}\n", sites[0].site_id);
        assert_eq!(read_cameras(&by_id, &sites).unwrap()[0].site_id, sites[0].site_id);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line_and_column() {
        let sites = sites();
        for (table, named) in [
            ("", "column `name`"),
            ("name\nA\n", "column `site`"),
            ("name,site,colour\n", "`colour`"),
            ("name,site\n", "no camera"),
            ("name,site\nA,Shop\n,Shop\n", "line 3: name"),
            ("name,site\nA,Home\n", "line 2: site: 2 are called"),
            ("name,site\nA,Barn\n", "line 2: site: there is none"),
            ("name,site,wifi_ssid\nA,Shop,\"a\tb\"\n", "line 2: the Wi-Fi's name"),
            (
                "name,site,wifi_ssid,wifi_passphrase\nA,Shop,Home,short\n",
                "line 2: the Wi-Fi's pass",
            ),
            ("name,site,wifi_passphrase\nA,Shop,geheim-geheim\n", "wifi_ssid"),
            ("name,site,wifi_ssid,wifi_hidden\nA,Shop,Home,maybe\n", "wifi_hidden"),
            ("name,site\nA,Shop,extra\n", "a row cannot be read"),
        ] {
            let message = format!("{:#}", read_cameras(table, &sites).unwrap_err());
            assert!(message.contains(named), "{table:?}: {message}");
            assert!(!message.contains("geheim"), "{message}");
        }
    }

    #[test]
    fn a_folder_is_named_after_its_camera() {
        assert_eq!(slug("Front door (left)"), "front-door-left");
        assert_eq!(slug("../../etc"), "etc");
        assert_eq!(slug("Über"), "ber");
        assert_eq!(slug("門"), "camera");
    }
}
