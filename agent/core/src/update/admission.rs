//! Which releases a camera takes. Whose signature it is, and whether the bytes are those that were
//! signed, is checked before.

use nightjar_shared::release::{
    AGENT_PACKAGE, Manifest, PACKAGE_BYTES_MAX, PackageVersion, UpdateProblem, compare,
};
use serde::{Deserialize, Serialize};

/// A release that was tried here and did not work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedVersion {
    pub version: PackageVersion,
    pub sha256: String,
    pub problem: UpdateProblem,
}

/// What a release meets.
#[derive(Debug, Clone, Copy)]
pub struct Camera<'a> {
    pub installed: &'a PackageVersion,
    pub architecture: &'a str,
    pub failed: &'a [FailedVersion],
}

/// Why a release is not for this camera.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("it is the package {found}, not {AGENT_PACKAGE}: offer the camera's own package")]
    OtherPackage { found: String },
    #[error("it is for {found}, this camera is {own}: offer the package for {own}")]
    OtherArchitecture { found: String, own: String },
    #[error("version {found} is not newer than {installed}, which is installed: nothing to do")]
    NotNewer { found: PackageVersion, installed: PackageVersion },
    #[error(
        "it needs version {minimum} or newer, {installed} is installed: install {minimum} first"
    )]
    NeedsNewer { minimum: PackageVersion, installed: PackageVersion },
    #[error(
        "version {version} was tried here and did not work ({problem}): offer a newer one, or install \
         this one by hand with --again"
    )]
    FailedBefore { version: PackageVersion, problem: UpdateProblem },
    #[error("its {bytes} bytes are more than a package may have")]
    TooLarge { bytes: u64 },
}

impl Refusal {
    pub fn problem(&self) -> UpdateProblem {
        match self {
            Self::OtherPackage { .. } => UpdateProblem::OtherPackage,
            Self::OtherArchitecture { .. } => UpdateProblem::OtherArchitecture,
            Self::NotNewer { .. } => UpdateProblem::NotNewer,
            Self::NeedsNewer { .. } => UpdateProblem::NeedsNewer,
            Self::FailedBefore { .. } => UpdateProblem::FailedBefore,
            Self::TooLarge { .. } => UpdateProblem::TooLarge,
        }
    }
}

/// Decides whether a release may be installed here. One that was withdrawn long ago is older than
/// what is installed, and refused as such whoever sends it again.
pub fn admit(manifest: &Manifest, camera: &Camera<'_>) -> Result<(), Refusal> {
    let Camera { installed, architecture, failed } = *camera;
    if manifest.package != AGENT_PACKAGE {
        return Err(Refusal::OtherPackage { found: manifest.package.chars().take(64).collect() });
    }
    if manifest.architecture != architecture {
        return Err(Refusal::OtherArchitecture {
            found: manifest.architecture.chars().take(32).collect(),
            own: architecture.to_owned(),
        });
    }
    if manifest.size > PACKAGE_BYTES_MAX {
        return Err(Refusal::TooLarge { bytes: manifest.size });
    }
    if compare(&manifest.version, installed).is_le() {
        let (found, installed) = (manifest.version.clone(), installed.clone());
        return Err(Refusal::NotNewer { found, installed });
    }
    if let Some(minimum) = &manifest.minimum_version
        && compare(installed, minimum).is_lt()
    {
        let (minimum, installed) = (minimum.clone(), installed.clone());
        return Err(Refusal::NeedsNewer { minimum, installed });
    }
    if let Some(before) = failed.iter().find(|before| before.sha256 == manifest.sha256) {
        let (version, problem) = (manifest.version.clone(), before.problem);
        return Err(Refusal::FailedBefore { version, problem });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use nightjar_shared::{release::ManifestKind, time::UnixMillis};

    use super::*;

    fn version(text: &str) -> PackageVersion {
        text.parse().unwrap()
    }

    fn manifest() -> Manifest {
        Manifest {
            kind: ManifestKind::Release,
            package: AGENT_PACKAGE.to_owned(),
            version: version("2.0-1"),
            architecture: "arm64".to_owned(),
            size: 1_000,
            sha256: "ab".repeat(32),
            minimum_version: Some(version("1.0-1")),
            created_at: UnixMillis(0),
            channel: "stable".to_owned(),
        }
    }

    fn problem(manifest: &Manifest, installed: &str) -> Option<UpdateProblem> {
        let failed = [FailedVersion {
            version: version("1.9-1"),
            sha256: "cd".repeat(32),
            problem: UpdateProblem::Crashes,
        }];
        let installed = version(installed);
        let camera = Camera { installed: &installed, architecture: "arm64", failed: &failed };
        admit(manifest, &camera).err().map(|refusal| refusal.problem())
    }

    #[test]
    fn a_newer_release_for_this_board_is_taken_and_nothing_else() {
        use UpdateProblem::{
            FailedBefore, NeedsNewer, NotNewer, OtherArchitecture, OtherPackage, TooLarge,
        };
        let good = manifest();
        assert_eq!(problem(&good, "1.0-1"), None);
        assert_eq!(problem(&good, "2.0~rc1-1"), None);
        assert_eq!(problem(&good, "2.0-1"), Some(NotNewer));
        assert_eq!(problem(&good, "2.0-2"), Some(NotNewer));
        assert_eq!(problem(&good, "0.9-1"), Some(NeedsNewer));
        let foreign = Manifest { architecture: "amd64".to_owned(), ..good.clone() };
        assert_eq!(problem(&foreign, "1.0-1"), Some(OtherArchitecture));
        let other = Manifest { package: "nightjar-relay".to_owned(), ..good.clone() };
        assert_eq!(problem(&other, "1.0-1"), Some(OtherPackage));
        let failed = Manifest { sha256: "cd".repeat(32), ..good.clone() };
        assert_eq!(problem(&failed, "1.0-1"), Some(FailedBefore));
        let large = Manifest { size: PACKAGE_BYTES_MAX + 1, ..good };
        assert_eq!(problem(&large, "1.0-1"), Some(TooLarge));
    }
}
