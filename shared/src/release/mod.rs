//! Releases of the camera's package: what its maker signs, what a relay offers, and how far a camera
//! is with it.

mod version;

use serde::{Deserialize, Serialize};

pub use self::version::{InvalidVersion, PackageVersion, compare};
use crate::{first_protocol, time::UnixMillis, word::words};

/// The package that a relay offers to cameras.
pub const AGENT_PACKAGE: &str = "nightjar-agent";

/// No package is larger, bytes: a camera refuses to begin with one.
pub const PACKAGE_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// Of a manifest as text; what is longer is not read.
pub const MANIFEST_BYTES_MAX: usize = 4 * 1024;

/// What a manifest is of. It stands in what is signed, so that no signature over something else can be
/// taken for one over a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ManifestKind {
    #[serde(rename = "nightjar-release")]
    Release,
}

/// What a maker says of one package, and signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub kind: ManifestKind,
    pub package: String,
    pub version: PackageVersion,
    /// As dpkg names it.
    pub architecture: String,
    pub size: u64,
    /// Hexadecimal, lower case.
    pub sha256: String,
    /// The oldest version from which it may be installed; any, where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_version: Option<PackageVersion>,
    pub created_at: UnixMillis,
    /// For whom it is made, such as `stable`.
    pub channel: String,
}

/// One key's signature over the bytes of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ReleaseSignature {
    /// Ed25519 public key, base64 (standard, padded). It counts where the camera trusts it.
    pub public_key: String,
    /// Ed25519 over exactly the bytes of the manifest's text, base64 (standard, padded).
    pub signature: String,
}

/// A manifest as its signers saw it, byte by byte, with their signatures. Also a file beside the
/// package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SignedManifest {
    /// JSON, a [`Manifest`]. Kept as text: signatures are over bytes, not over what they mean.
    pub manifest: String,
    pub signatures: Vec<ReleaseSignature>,
}

/// Names the file of a signed manifest beside its package: `nightjar-agent_1.0-1_arm64.release.json`
/// for `nightjar-agent_1.0-1_arm64.deb`.
pub fn manifest_file_name(package_file: &str) -> String {
    format!("{}.release.json", package_file.strip_suffix(".deb").unwrap_or(package_file))
}

/// `POST agent/update`: how far a camera is, by which it asks what there is for it, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct UpdateReport {
    #[serde(default = "first_protocol")]
    pub protocol: u32,
    /// What is installed, as dpkg names it.
    #[cfg_attr(
        feature = "schema",
        schema(
            value_type = String,
            max_length = 64,
            pattern = r"^([0-9]{1,9}:)?[0-9]([A-Za-z0-9.+~-]*[A-Za-z0-9.+~])?$"
        )
    )]
    pub version: PackageVersion,
    pub architecture: String,
    pub state: UpdateState,
    /// The version that the state is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "schema",
        schema(
            value_type = Option<String>,
            max_length = 64,
            pattern = r"^([0-9]{1,9}:)?[0-9]([A-Za-z0-9.+~-]*[A-Za-z0-9.+~])?$"
        )
    )]
    pub target: Option<PackageVersion>,
    /// Why it is not installed, or not any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<UpdateProblem>,
    /// The same as a sentence, with the remedy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// A person wants it now, whatever part of the cameras has its turn.
    #[serde(default)]
    pub asked: bool,
}

/// The answer: nothing in it, where there is nothing for this camera.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct UpdateAnswer {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer: Option<UpdateOffer>,
}

/// A release for this camera now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct UpdateOffer {
    pub release: SignedManifest,
    /// Where the package is read, for a few minutes.
    pub url: String,
}

words! {
    /// How far a camera is with an update.
    UpdateState {
        /// Nothing is under way.
        Idle = "idle",
        Downloading = "downloading",
        /// Handed to the installer, which has not begun, or waits for the package database.
        Waiting = "waiting",
        Installing = "installing",
        /// The new version runs and must show that it works.
        OnTrial = "on_trial",
        /// The last update holds.
        Installed = "installed",
        /// The last update did not work; the version from before runs again.
        RolledBack = "rolled_back",
        /// It was not installed.
        Refused = "refused",
    } or Unknown
}

words! {
    /// Why an update is not installed, or not any more.
    UpdateProblem {
        /// Signed by nobody, or by too few, whom this camera trusts.
        ForeignSigner = "foreign_signer",
        /// Not the bytes that were signed.
        Tampered = "tampered",
        /// Fewer bytes than were signed.
        CutOff = "cut_off",
        /// No manifest that can be read.
        InvalidManifest = "invalid_manifest",
        OtherPackage = "other_package",
        OtherArchitecture = "other_architecture",
        /// Older than what is installed, or the same.
        NotNewer = "not_newer",
        /// Another version is to be installed first.
        NeedsNewer = "needs_newer",
        /// It was tried before, and did not work.
        FailedBefore = "failed_before",
        TooLarge = "too_large",
        NoSpace = "no_space",
        /// This camera knows no key that may sign.
        NoKeys = "no_keys",
        /// There is nothing to go back to.
        NoWayBack = "no_way_back",
        /// Somebody else installed another version meanwhile, or removed the package.
        Overtaken = "overtaken",
        /// Another program holds the package database.
        DatabaseLocked = "database_locked",
        /// dpkg could not install it.
        InstallFailed = "install_failed",
        /// Power was lost again and again while it was installed or tried.
        Interrupted = "interrupted",
        /// It ends again and again.
        Crashes = "crashes",
        /// It says nothing of itself.
        Silent = "silent",
        /// No picture where there was one before.
        NoPicture = "no_picture",
        /// Does not record, which the version before did.
        NotRecording = "not_recording",
        /// Does not reach the relay, which the version before did.
        NotConnected = "not_connected",
        Failed = "failed",
    } or Unknown
}

words! {
    /// What a relay does with a release.
    ReleaseState {
        /// Offered to those who are chosen.
        Offered = "offered",
        /// Offered to nobody for now.
        Paused = "paused",
        /// Never offered again.
        Withdrawn = "withdrawn",
    }
}
