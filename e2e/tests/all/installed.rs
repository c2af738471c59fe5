//! Packages on a board: a Debian 13 whose init is systemd, in a guest with Debian's kernel and its virtual
//! camera. The relay that the camera is paired with is on this machine.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use nightjar_e2e::{
    api::{Api, text},
    footage::{self, Footage},
    guest::{Architecture, Guest, Machine, System, build},
    players::skipped,
    programs,
    relay::{Place, Ports, Relay},
    stack::{EMAIL, PASSWORD, Scenario},
    wait,
};
use serde_json::{Value, json};

/// What is added to the configuration that the package brings: the guest's processor is emulated.
pub(crate) const EMULATED: &str = "[source]\nwidth = 640\nheight = 480\nfps = 5\nfit_to_encoder = false\n\
                        [recording]\nmode = \"continuous\"\n";

/// A sign-in lasts fifteen minutes, and is used for [`LIMIT`] at most.
const SIGNED_IN: Duration = Duration::from_mins(9);

/// From an order in the guest until the relay knows.
const LIMIT: Duration = Duration::from_mins(5);

/// What a person may have to download, and what it takes of a card; GStreamer is Debian's.
const PACKAGE_BYTES_MAX: u64 = 25_000_000;
const INSTALLED_BYTES_MAX: u64 = 80_000_000;

/// A camera, and what a card with a boot partition takes.
const MODULES: [&str; 6] = [
    "vivid n_devs=1 node_types=0x1 num_inputs=1 input_types=0x00",
    "loop",
    "vfat",
    "nls_cp437",
    "nls_ascii",
    "nls_utf8",
];

pub(crate) const STATE: &str = "/var/lib/nightjar-agent";
pub(crate) const APT: &str =
    "DEBIAN_FRONTEND=noninteractive apt-get -qq -o APT::Sandbox::User=root";

/// A board with nothing of Nightjar on it, and a relay elsewhere.
pub(crate) struct Board {
    pub(crate) guest: Guest,
    pub(crate) directory: PathBuf,
    relay: Relay,
    /// As of when it was signed in.
    owner: Mutex<(Api, Instant)>,
    site_id: String,
    /// Once it is paired.
    pub(crate) camera_id: String,
}

/// The command that adds lines to the board's configuration. dash's printf takes `\"` as it stands.
pub(crate) fn configured(lines: &str) -> String {
    format!("printf '{}' >>/etc/nightjar/agent.toml", lines.replace('\n', "\\n"))
}

impl Board {
    pub(crate) async fn boot(directory: &Path, architecture: Architecture) -> Result<Option<Self>> {
        Self::boot_from(directory, architecture, None).await
    }

    /// From an image of a card, where there is one.
    async fn boot_from(
        directory: &Path,
        architecture: Architecture,
        image: Option<PathBuf>,
    ) -> Result<Option<Self>> {
        let Some(system) = System::board(architecture)? else { return Ok(None) };
        let modules = MODULES.into_iter().map(Into::into).collect();
        let machine = Machine { system: Some(system), image, modules, ..Machine::default() };
        let relay = Relay::start(directory, Place::loopback(Ports::free()?)).await?;
        let (owner, site_id) = relay.api()?.register(EMAIL, PASSWORD).await?;
        let Some(mut guest) = Guest::boot(directory, &machine)? else { return Ok(None) };
        guest.run("rm -rf /etc/apt/sources.list*").await?;
        let directory = directory.to_owned();
        let owner = Mutex::new((owner, Instant::now()));
        Ok(Some(Self { guest, directory, relay, owner, site_id, camera_id: String::new() }))
    }

    /// The owner at the relay, for some minutes: an emulated board takes longer than a sign-in lasts.
    pub(crate) async fn owner(&self) -> Result<Api> {
        let (api, since) = self.owner.lock().map_err(|_| anyhow!("a test panicked"))?.clone();
        if since.elapsed() < SIGNED_IN {
            return Ok(api);
        }
        let api = self.relay.api()?.login(EMAIL, PASSWORD).await?;
        let signed_in = (api.clone(), Instant::now());
        *self.owner.lock().map_err(|_| anyhow!("a test panicked"))? = signed_in;
        Ok(api)
    }

    /// Makes a signed repository of packages, known to the board's apt from then on.
    pub(crate) async fn publish(&mut self, packages: &[PathBuf]) -> Result<()> {
        let here = self.directory.display().to_string();
        let made = Command::new(build("apt-repository"))
            .arg(self.directory.join("apt"))
            .arg(self.directory.join("key.asc"))
            .args(packages)
            .status()
            .context("cannot start build/apt-repository")?;
        ensure!(made.success(), "build/apt-repository: {made}");
        self.guest
            .run(&format!(
                "mkdir -p /etc/apt/sources.list.d && cp {here}/apt/nightjar.gpg /usr/share/keyrings/ &&\n\
                 echo 'deb [signed-by=/usr/share/keyrings/nightjar.gpg] copy:{here}/apt stable main' \
                 >/etc/apt/sources.list.d/nightjar.list && {APT} update"
            ))
            .await?;
        Ok(())
    }

    /// Opens a place for a camera, which reaches the relay from now on.
    pub(crate) async fn open_pairing(&mut self) -> Result<Value> {
        // In the guest, this machine is 10.0.2.2.
        self.guest.run("echo '10.0.2.2 localhost' >/etc/hosts").await?;
        let path = format!("sites/{}/pairings", self.site_id);
        Ok(self.owner().await?.post(&path, json!({})).await?.expect(201)?.json())
    }

    /// Learns which camera took a place that was opened.
    pub(crate) async fn know_camera_of(&mut self, pairing: &Value) -> Result<()> {
        let id = text(pairing, "pairing_id").context("a pairing without an id")?;
        let claimed = self.owner().await?.get(&format!("pairings/{id}")).await?.expect(200)?.json();
        self.camera_id = text(&claimed, "camera_id").context("the pairing was not claimed")?;
        Ok(())
    }

    /// Says who the board's camera belongs to, by a code that is typed there.
    pub(crate) async fn pair(&mut self) -> Result<()> {
        let pairing = self.open_pairing().await?;
        let code = text(&pairing, "code").context("a pairing without a code")?;
        let relay = self.relay.url();
        self.guest.run(&format!("echo {code} | nightjar-agent pair --relay {relay}")).await?;
        self.know_camera_of(&pairing).await
    }

    pub(crate) async fn online(&self) -> Result<()> {
        self.owner().await?.camera_is(&self.camera_id, "online", LIMIT).await.map(drop)
    }

    /// Waits until the relay hears that the camera sees, or does not.
    pub(crate) async fn sees(&self, expected: bool) -> Result<()> {
        let path = format!("cameras/{}", self.camera_id);
        wait::until(&format!("the camera sees: {expected}"), LIMIT, async || {
            let owner = self.owner().await?;
            let camera = owner.get(&path).await?.expect(200)?.json();
            ensure!(camera["status"] != "offline", "{camera}");
            let health = owner.get(&format!("{path}/health")).await?.expect(200)?.json();
            let capture: &Value = &health["capture"];
            ensure!(capture["running"] == expected, "{capture}");
            Ok(Some(()))
        })
        .await
    }

    /// Waits in the guest until a line of shell succeeds.
    pub(crate) async fn until(&mut self, condition: &str) -> Result<()> {
        let order = format!(
            "n=0; until {condition}; do n=$((n + 1)); [ $n -lt 600 ] || exit 1; sleep 0.5; done"
        );
        let (status, said) = self.guest.status_of(&format!("( {order} )")).await?;
        if status != "0" {
            let log =
                "systemctl status --no-pager nightjar-agent; journalctl --namespace nightjar -n 40";
            let (_, log) = self.guest.status_of(log).await?;
            anyhow::bail!("waited for `{condition}`: {said}{log}");
        }
        Ok(())
    }

    /// Waits until systemd has started the agent again this often since it was installed.
    async fn restarted(&mut self, times: u32) -> Result<()> {
        let count = "$(systemctl show --property NRestarts --value nightjar-agent)";
        self.until(&format!("[ {count} = {times} ] && systemctl -q is-active nightjar-agent")).await
    }

    /// Waits until a file is being recorded.
    pub(crate) async fn records(&mut self) -> Result<()> {
        self.until(&format!("ls {STATE}/recordings | grep -q mp4.part")).await
    }

    /// Copies what was recorded to this machine and plays all that is closed.
    pub(crate) async fn footage_plays(&mut self) -> Result<()> {
        let here = self.directory.display().to_string();
        let copied = format!("rm -rf {here}/recordings; cp -r {STATE}/recordings {here}/");
        self.guest.run(&copied).await?;
        let mut clips = footage::on_disk(&self.directory.join("recordings"));
        clips.retain(|clip| clip.extension().is_some_and(|extension| extension == "mp4"));
        ensure!(!clips.is_empty(), "nothing was recorded");
        for clip in clips {
            let facts = Footage::probe(&clip)?;
            ensure!(facts.codec == "h264" && facts.frames > 0, "{}: {facts:?}", clip.display());
        }
        Ok(())
    }

    pub(crate) async fn stop(mut self) -> Result<()> {
        self.guest.stop().await?;
        self.relay.stop(Duration::from_secs(5)).await?;
        Ok(())
    }
}

/// Says a figure; what the goals are stands in docs/benchmarks.md.
pub(crate) fn measured(figure: &str) {
    writeln!(std::io::stderr(), "MEASURED {figure}").ok();
}

/// Where cargo leaves the release programs of an architecture.
fn compiled(architecture: Architecture) -> Result<PathBuf> {
    let target = programs::target()?;
    Ok(match architecture {
        Architecture::Amd64 => target.join("release"),
        Architecture::Arm64 => target.join("aarch64-unknown-linux-gnu/release"),
    })
}

/// Packs the release programs in a version of its own, quickly rather than small.
pub(crate) fn pack(
    directory: &Path,
    architecture: Architecture,
    version: &str,
) -> Result<Vec<PathBuf>> {
    let output = Command::new(build("deb"))
        .arg(directory.join(version))
        .arg(architecture.as_str())
        .arg(compiled(architecture)?)
        .arg(version)
        .env("SYSROOT", programs::target()?.join("arm64/sysroot"))
        .env("COMPRESSION", "gzip -z1")
        .output()
        .context("cannot start build/deb")?;
    ensure!(output.status.success(), "build/deb: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(PathBuf::from).collect())
}

/// Before and after an upgrade.
const OLD: &str = "0.1.0~1";
const NEW: &str = "0.1.0~2";

#[tokio::test]
#[ignore = "takes minutes in an emulated machine: make test-packages"]
async fn packages_install_start_recover_upgrade_and_leave_as_debian_policy_says() -> Result<()> {
    Scenario::run("installed", |directory| async move {
        let old = pack(&directory, Architecture::Amd64, OLD)?;
        let new = pack(&directory, Architecture::Amd64, NEW)?;
        let Some(mut board) = Board::boot(&directory, Architecture::Amd64).await? else {
            return Ok(());
        };
        installs_and_starts(&mut board, &old).await?;
        board.pair().await?;
        board.guest.run(&configured(EMULATED)).await?;
        board.guest.run("systemctl restart nightjar-agent").await?;
        board.sees(true).await?;
        recovers(&mut board).await?;
        upgrades_while_recording(&mut board, &new).await?;
        leaves(&mut board).await?;
        board.stop().await
    })
    .await
}

/// From a signed repository, without a file edited or a question answered.
async fn installs_and_starts(board: &mut Board, packages: &[PathBuf]) -> Result<()> {
    board.publish(packages).await?;
    // A board whose owner keeps the journal in memory.
    board.guest.run("journalctl --relinquish-var && rm -r /var/log/journal").await?;
    let said = board.guest.run(&format!("{APT} -y install nightjar-agent nightjar-relay")).await?;
    ensure!(said.contains("nightjar-agent pair"), "the next step is not named: {said}");
    ensure!(said.contains("admin create-account"), "the first account is not named: {said}");
    board.guest.run("systemctl is-active nightjar-agent nightjar-relay").await?;
    board.until("curl -sf http://localhost:8080/healthz").await?;
    board
        .guest
        .run(
            "echo 'correct horse battery' | sudo -u nightjar-relay nightjar-relay admin \
             create-account owner@example.org",
        )
        .await?;
    // Nobody looks into what they keep, and their log is a journal of its own, in memory.
    board
        .guest
        .run(&format!(
            "stat -c '%U %a' {STATE} | grep -qx 'nightjar-agent 700' && \
             ls /run/log/journal/*.nightjar >/dev/null && [ ! -e /var/log/journal ]"
        ))
        .await?;
    Ok(())
}

/// The program killed, stopped, and its camera taken away.
async fn recovers(board: &mut Board) -> Result<()> {
    let before =
        board.guest.run("systemctl show --property NRestarts --value nightjar-agent").await?;
    let before: u32 = before.trim().parse().context("systemd counts restarts")?;
    board.guest.run("systemctl kill --signal KILL nightjar-agent").await?;
    board.restarted(before + 1).await?;
    board.sees(true).await?;
    // The watchdog ends what does not answer.
    board
        .guest
        .run("kill -STOP $(systemctl show --property MainPID --value nightjar-agent)")
        .await?;
    board.restarted(before + 2).await?;
    board.sees(true).await?;

    let driver = "/sys/bus/platform/drivers/vivid";
    board.guest.run(&format!("echo vivid.0 >{driver}/unbind")).await?;
    board.sees(false).await?;
    board.guest.run(&format!("echo vivid.0 >{driver}/bind")).await?;
    board.sees(true).await?;
    board.restarted(before + 2).await
}

/// The new program goes on where the old one was stopped: same camera, same footage, and little of it
/// missing in between.
async fn upgrades_while_recording(board: &mut Board, packages: &[PathBuf]) -> Result<()> {
    board.records().await?;
    board.publish(packages).await?;
    let key = board.guest.run(&format!("sha256sum {STATE}/identity.pem /etc/nightjar/*")).await?;
    board.guest.run(&format!("{APT} -y upgrade")).await?;
    let version = board.guest.run("dpkg-query -W -f '${Version}' nightjar-agent").await?;
    ensure!(version.trim() == NEW, "installed is {version}");
    board.sees(true).await?;
    board.records().await?;
    let kept = board.guest.run(&format!("sha256sum {STATE}/identity.pem /etc/nightjar/*")).await?;
    ensure!(kept == key, "an upgrade changed {key} to {kept}");
    board.footage_plays().await?;
    let lost_ms = lost_at_the_last_start(board).await?;
    measured(&format!("upgrade while recording: {lost_ms} ms of footage missing"));
    Ok(())
}

/// From the end of the last clip but one to the begin of the last, as the camera's index has it.
async fn lost_at_the_last_start(board: &mut Board) -> Result<i64> {
    let here = board.directory.display().to_string();
    board
        .guest
        .run(&format!("mkdir -p {here}/index && cp {STATE}/agent.db* {here}/index/"))
        .await?;
    let ask = "import sqlite3, sys\n\
               rows = sqlite3.connect(sys.argv[1]).execute(\"select started_at, ended_at from clips \
               where kind = 'continuous' order by sequence desc limit 2\").fetchall()\n\
               print(rows[0][0] - rows[1][1])";
    let index = board.directory.join("index/agent.db");
    let output = Command::new("python3").args(["-c", ask]).arg(index).output()?;
    let printed = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    printed.trim().parse().with_context(|| format!("the index has no two clips: {error}"))
}

/// Removed: configuration, key and footage stay, and serve when it comes again. Purged: footage alone.
async fn leaves(board: &mut Board) -> Result<()> {
    board.guest.run(&format!("{APT} -y remove nightjar-agent nightjar-relay")).await?;
    board
        .guest
        .run(&format!(
            "! systemctl -q is-active nightjar-agent && ! command -v nightjar-agent && \
             [ -e /etc/nightjar/agent.toml ] && [ -e {STATE}/identity.pem ] && \
             [ -e /var/lib/nightjar-relay/relay.db ]"
        ))
        .await?;
    board.guest.run(&format!("{APT} -y install nightjar-agent nightjar-relay")).await?;
    board.sees(true).await?;

    // As an update leaves it that a power cut interrupted.
    board
        .guest
        .run(
            "cd /etc/systemd/system && mkdir -p multi-user.target.wants && \
             touch nightjar-update-resume.service && \
             ln -s ../nightjar-update-resume.service multi-user.target.wants/",
        )
        .await?;
    let said = board.guest.run(&format!("{APT} -y purge nightjar-agent nightjar-relay")).await?;
    ensure!(said.contains("footage is kept"), "it does not say what is left: {said}");
    board
        .guest
        .run(&format!(
            "ls -A {STATE} /etc/nightjar /var/lib/nightjar-relay /var/cache/nightjar-agent 2>/dev/null\n\
             [ ! -e /etc/nightjar ] && [ ! -e /var/lib/nightjar-relay ] && \
             [ ! -e /etc/systemd/system/nightjar-update-resume.service ] && \
             [ ! -h /etc/systemd/system/multi-user.target.wants/nightjar-update-resume.service ] && \
             [ ! -e /var/cache/nightjar-agent ] && [ \"$(ls -A {STATE})\" = recordings ] && \
             ls {STATE}/recordings | grep -q mp4 && [ -z \"$(systemctl --failed --quiet --plain | grep nightjar)\" ]"
        ))
        .await?;
    Ok(())
}

#[tokio::test]
#[ignore = "takes minutes in an emulated machine: make test-packages"]
async fn the_package_for_arm64_is_installed_paired_and_records() -> Result<()> {
    Scenario::run("installed_arm64", |directory| async move {
        let packages = pack(&directory, Architecture::Arm64, NEW)?;
        let Some(mut board) = Board::boot(&directory, Architecture::Arm64).await? else {
            return Ok(());
        };
        board.publish(&packages).await?;
        board.guest.run(&format!("{APT} -y install nightjar-agent")).await?;
        board.guest.run("systemctl is-active nightjar-agent").await?;
        board.guest.run(&configured(EMULATED)).await?;
        board.guest.run("systemctl restart nightjar-agent").await?;
        board.pair().await?;
        board.sees(true).await?;
        board.records().await?;
        board.guest.run("systemctl stop nightjar-agent").await?;
        board.footage_plays().await?;
        board.stop().await
    })
    .await
}

/// What `make image` left, as it is flashed.
#[tokio::test]
#[ignore = "needs an image: make image, then make test-packages"]
async fn the_image_boots_into_a_camera_that_is_online() -> Result<()> {
    let made = programs::target()?.join("image/nightjar.img.xz");
    if !made.exists() {
        skipped("there is no target/image/nightjar.img.xz: make image");
        return Ok(());
    }
    Scenario::run("image", |directory| async move {
        let image = directory.join("nightjar.img");
        let unpacked = Command::new("xz")
            .args(["--decompress", "--stdout"])
            .arg(&made)
            .stdout(fs::File::create(&image)?)
            .status()?;
        ensure!(unpacked.success(), "xz: {unpacked}");
        says_what_imager_wants(&made, &image)?;
        let began = Instant::now();
        let board = Board::boot_from(&directory, Architecture::Arm64, Some(image)).await?;
        let Some(mut board) = board else { return Ok(()) };
        board.until("systemctl -q is-active nightjar-agent").await?;
        measured(&format!(
            "image: the agent runs {:.0} s after power-on",
            began.elapsed().as_secs_f32()
        ));
        board.guest.run("findmnt /boot/firmware && [ -s /etc/machine-id ]").await?;
        board.pair().await?;
        board.online().await?;
        measured(&format!("image: online {:.0} s after power-on", began.elapsed().as_secs_f32()));
        board.stop().await
    })
    .await
}

/// Imager refuses an image whose checksum is another, and asks for Wi-Fi and user only where it is told how
/// to hand them over.
fn says_what_imager_wants(compressed: &Path, image: &Path) -> Result<()> {
    let manifest = fs::read(compressed.with_file_name("nightjar.rpi-imager-manifest"))?;
    let manifest: Value = serde_json::from_slice(&manifest)?;
    let entry = &manifest["os_list"][0];
    let sum = Command::new("sha256sum").arg(image).output()?.stdout;
    let sum = String::from_utf8_lossy(&sum);
    ensure!(entry["extract_sha256"].as_str() == sum.split_whitespace().next(), "{entry}");
    ensure!(entry["extract_size"] == fs::metadata(image)?.len(), "{entry}");
    ensure!(entry["image_download_size"] == fs::metadata(compressed)?.len(), "{entry}");
    ensure!(entry["init_format"] == "cloudinit-rpi", "{entry}");
    for key in ["name", "description", "icon", "url", "release_date"] {
        ensure!(entry[key].as_str().is_some_and(|text| !text.is_empty()), "{key}: {entry}");
    }
    Ok(())
}

/// Those that `make deb` left for people.
#[test]
#[ignore = "needs release packages: make test-packages"]
fn a_package_is_quickly_downloaded_and_leaves_room_on_a_card() -> Result<()> {
    let directory = programs::target()?.join("deb");
    let mut packages = 0;
    for entry in fs::read_dir(&directory).with_context(|| format!("no {}", directory.display()))? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "deb") {
            continue;
        }
        packages += 1;
        let bytes = fs::metadata(&path)?.len();
        let installed =
            Command::new("dpkg-deb").arg("-f").arg(&path).arg("Installed-Size").output()?;
        let kib: u64 = String::from_utf8_lossy(&installed.stdout).trim().parse()?;
        let name = path.file_name().unwrap_or_default().display().to_string();
        measured(&format!("{name}: {bytes} bytes, {} installed", kib * 1024));
        ensure!(
            bytes <= PACKAGE_BYTES_MAX && kib * 1024 <= INSTALLED_BYTES_MAX,
            "{name} is too large"
        );
    }
    ensure!(packages > 0, "{} holds no package", directory.display());
    Ok(())
}
