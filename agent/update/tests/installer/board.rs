//! A camera as a directory: a package database, the agent's package, keys, a spool.

use std::{
    fs,
    io::Write,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signer, SigningKey};
use nightjar_shared::{
    release::{
        AGENT_PACKAGE, Manifest, ManifestKind, ReleaseSignature, SignedManifest, UpdateProblem,
        UpdateState, manifest_file_name,
    },
    time::UnixMillis,
};
use nightjar_update::{Layout, handover::Status, installed};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

pub(crate) const OLD: &str = "0.1.0-1";
pub(crate) const NEW: &str = "0.2.0-1";

/// What the agent of a package does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Does {
    Works,
    Crashes,
    NeverConnects,
    StopsRecording,
    SeesNothing,
    SaysNothing,
}

impl Does {
    fn word(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::Crashes => "crashes",
            Self::NeverConnects => "never_connects",
            Self::StopsRecording => "stops_recording",
            Self::SeesNothing => "sees_nothing",
            Self::SaysNothing => "says_nothing",
        }
    }
}

/// A package file and what its maker signed of it.
pub(crate) struct Package {
    pub(crate) path: PathBuf,
    pub(crate) manifest: Manifest,
}

pub(crate) struct Board {
    directory: TempDir,
    /// The makers whom the camera trusts.
    pub(crate) makers: Vec<SigningKey>,
}

/// Says so where dpkg may not install.
pub(crate) fn may_install() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        drop(writeln!(std::io::stderr(), "SKIPPED: dpkg installs for root only"));
    }
    is_root
}

pub(crate) fn maker(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

impl Board {
    /// A camera with the old version, which works, and with two makers' keys of which one is enough.
    pub(crate) fn new() -> Self {
        let board = Self { directory: TempDir::new().unwrap(), makers: vec![maker(1), maker(2)] };
        for path in [
            "var/lib/dpkg/info",
            "var/lib/dpkg/updates",
            "var/lib/dpkg/triggers",
            "var/log",
            "var/lib/nightjar-agent/update",
            "etc/nightjar",
            "run",
            "tools",
        ] {
            fs::create_dir_all(board.path(path)).unwrap();
        }
        for path in ["var/lib/dpkg/status", "var/lib/dpkg/available"] {
            fs::write(board.path(path), "").unwrap();
        }
        let systemctl = board.path("tools/systemctl");
        fs::write(&systemctl, include_str!("systemctl")).unwrap();
        fs::set_permissions(&systemctl, fs::Permissions::from_mode(0o755)).unwrap();
        board.trust(1, "");
        let old = board.package(OLD, Does::Works);
        board.dpkg(&["--install", old.path.to_str().unwrap()]);
        board
    }

    pub(crate) fn root(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    pub(crate) fn layout(&self) -> Layout {
        Layout::at(self.root())
    }

    /// Writes whom the camera trusts. Trials are short: what is slow about them is the guest's part.
    pub(crate) fn trust(&self, signatures: usize, more: &str) {
        let keys = self.makers.iter().map(|maker| {
            let key = STANDARD.encode(maker.verifying_key().as_bytes());
            format!("[[keys]]\nname = \"a maker\"\npublic_key = \"{key}\"\n")
        });
        let keys: String = keys.collect();
        let trial = "[trial]\nwhole_s = 2\nmedia_s = 1\nsettle_s = 0\nlock_wait_s = 0\n";
        let text = format!("signatures = {signatures}\n{keys}{trial}{more}");
        fs::write(self.path("etc/nightjar/update.toml"), text).unwrap();
    }

    /// Has new versions tried for minutes.
    pub(crate) fn be_patient(&self) {
        let path = self.path("etc/nightjar/update.toml");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, text.replace("whole_s = 2\nmedia_s = 1", "whole_s = 120\nmedia_s = 120"))
            .unwrap();
    }

    /// Does something with the package, as a person may at any time.
    pub(crate) fn dpkg(&self, arguments: &[&str]) {
        let mut dpkg = Command::new("dpkg");
        dpkg.arg("--root").arg(self.root()).arg("--log=/dev/null").args(arguments);
        let done = dpkg.output().unwrap();
        assert!(done.status.success(), "{done:?}");
    }

    /// Makes a package whose agent does something.
    pub(crate) fn package(&self, version: &str, does: Does) -> Package {
        self.package_for(&architecture(), version, does)
    }

    pub(crate) fn package_for(&self, architecture: &str, version: &str, does: Does) -> Package {
        let work = TempDir::new().unwrap();
        let write = |path: &str, text: &str| {
            let path = work.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        fs::set_permissions(work.path(), fs::Permissions::from_mode(0o755)).unwrap();
        write(
            "DEBIAN/control",
            &format!(
                "Package: {AGENT_PACKAGE}\nVersion: {version}\nArchitecture: {architecture}\n\
                 Maintainer: Tests <tests@example.org>\nDescription: an agent of the tests\n \
                 that is a few files\n"
            ),
        );
        write("DEBIAN/conffiles", "/etc/nightjar/agent.toml\n");
        write("etc/nightjar/agent.toml", &format!("# of version {version}\n"));
        write("usr/bin/nightjar-agent", &format!("version {version}\n"));
        write("usr/share/nightjar-agent/does", does.word());
        let path = self.path(&format!("tools/{AGENT_PACKAGE}_{version}_{architecture}.deb"));
        let mut build = Command::new("dpkg-deb");
        build.args(["--root-owner-group", "-Zgzip", "--build"]).arg(work.path()).arg(&path);
        assert!(build.output().unwrap().status.success());
        let content = fs::read(&path).unwrap();
        let manifest = Manifest {
            kind: ManifestKind::Release,
            package: AGENT_PACKAGE.to_owned(),
            version: version.parse().unwrap(),
            architecture: architecture.to_owned(),
            size: content.len() as u64,
            sha256: hex::encode(Sha256::digest(&content)),
            minimum_version: None,
            created_at: UnixMillis(1_796_000_000_000),
            channel: "stable".to_owned(),
        };
        Package { path, manifest }
    }

    /// Lays a package down as the agent does, signed by the first maker.
    pub(crate) fn request(&self, package: &Package) {
        self.request_signed(package, &signed(&package.manifest, &self.makers[..1]));
    }

    pub(crate) fn request_signed(&self, package: &Package, release: &SignedManifest) {
        fs::copy(&package.path, self.spool("package.deb")).unwrap();
        let request = serde_json::json!({ "release": release });
        fs::write(self.spool("request.json"), request.to_string()).unwrap();
    }

    pub(crate) fn spool(&self, name: &str) -> PathBuf {
        self.path("var/lib/nightjar-agent/update").join(name)
    }

    /// Writes the manifest beside a package, for the installer by hand.
    pub(crate) fn lay_beside(&self, package: &Package) {
        let name = package.path.file_name().unwrap().to_str().unwrap();
        let beside = package.path.with_file_name(manifest_file_name(name));
        let release = signed(&package.manifest, &self.makers[..1]);
        fs::write(beside, serde_json::to_string(&release).unwrap()).unwrap();
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.command_of(Path::new(env!("CARGO_BIN_EXE_nightjar-update")), arguments)
    }

    fn command_of(&self, program: &Path, arguments: &[&str]) -> Command {
        let path = std::env::var("PATH").unwrap();
        let mut command = Command::new(program);
        command.arg("--root").arg(self.root()).args(arguments);
        command.env("PATH", format!("{}:{path}", self.path("tools").display()));
        command.env("NIGHTJAR_TEST_ROOT", self.root());
        command
    }

    /// Runs the installer as its unit does. Gives its exit code.
    pub(crate) fn run(&self) -> i32 {
        code(&self.command(&["run"]).output().unwrap())
    }

    /// Runs what goes on when the board starts anew. Gives its exit code.
    pub(crate) fn resume(&self) -> i32 {
        let kept = self.path("var/lib/nightjar-update/nightjar-update");
        code(&self.command_of(&kept, &["run"]).output().unwrap())
    }

    /// Starts the installer in a process group of its own, which can be killed whole.
    pub(crate) fn start(&self) -> Child {
        let mut command = self.command(&["run"]);
        command.stderr(Stdio::null()).process_group(0).spawn().unwrap()
    }

    pub(crate) fn status(&self) -> Status {
        Status::read(&self.layout()).unwrap()
    }

    /// What dpkg says is there, whole.
    pub(crate) fn version(&self) -> String {
        let installed = installed(&self.layout()).unwrap().unwrap();
        assert!(installed.sound, "the package is in halves: {installed:?}");
        installed.version.to_string()
    }

    /// What would run.
    pub(crate) fn program(&self) -> String {
        fs::read_to_string(self.path("usr/bin/nightjar-agent")).unwrap()
    }

    #[track_caller]
    pub(crate) fn assert_runs(&self, version: &str) {
        assert_eq!(self.version(), version);
        assert_eq!(self.program(), format!("version {version}\n"));
    }

    /// Nothing of an update is left: no journal, no request, no unit, no copy of the program.
    #[track_caller]
    pub(crate) fn assert_tidy(&self) {
        let state = self.path("var/lib/nightjar-update");
        for path in [
            state.join("journal.json"),
            state.join("incoming.deb"),
            state.join("incoming.release.json"),
            state.join("nightjar-update"),
            self.path("etc/systemd/system/nightjar-update-resume.service"),
            self.path("etc/systemd/system/multi-user.target.wants/nightjar-update-resume.service"),
            self.spool("request.json"),
            self.spool("package.deb"),
        ] {
            assert!(!path.exists() && !path.is_symlink(), "{} is left", path.display());
        }
    }

    #[track_caller]
    pub(crate) fn assert_refused(&self, problem: UpdateProblem, words: &str) {
        let status = self.status();
        assert_eq!((status.state, status.problem), (UpdateState::Refused, Some(problem)));
        let detail = status.detail.unwrap();
        assert!(detail.contains(words), "{detail}");
        self.assert_runs(OLD);
        self.assert_tidy();
    }
}

/// What makers sign of a package.
pub(crate) fn signed(manifest: &Manifest, makers: &[SigningKey]) -> SignedManifest {
    let manifest = serde_json::to_string(manifest).unwrap();
    let signature = |maker: &SigningKey| ReleaseSignature {
        public_key: STANDARD.encode(maker.verifying_key().as_bytes()),
        signature: STANDARD.encode(maker.sign(manifest.as_bytes()).to_bytes()),
    };
    let signatures = makers.iter().map(signature).collect();
    SignedManifest { manifest, signatures }
}

pub(crate) fn architecture() -> String {
    let output = Command::new("dpkg").arg("--print-architecture").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[track_caller]
pub(crate) fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("{output:?}"))
}
