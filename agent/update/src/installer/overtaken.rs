//! Somebody else at the package while an update of it is under way: who removes it, or installs another
//! version, has the last word.

use nightjar_core::update::Journal;
use nightjar_shared::release::{PackageVersion, UpdateProblem};

use super::Installer;
use crate::{
    Failure,
    dpkg::{self, Installed},
};

impl Installer {
    /// Returns what is installed, where it is still this version.
    pub(super) fn still(&self, version: &PackageVersion) -> Result<Installed, Failure> {
        self.one_of(&[version])
    }

    /// Returns what is installed, where it is either of an update's versions, whole or in halves.
    pub(super) fn either(&self, journal: &Journal) -> Result<Installed, Failure> {
        self.one_of(&[&journal.from, &journal.to])
    }

    /// Returns what somebody else did. A database that cannot be read just now says nothing of that.
    pub(super) fn overtaken(&self, journal: &Journal) -> Option<Failure> {
        let failure = self.either(journal).err()?;
        (failure.problem == UpdateProblem::Overtaken).then_some(failure)
    }

    fn one_of(&self, versions: &[&PackageVersion]) -> Result<Installed, Failure> {
        let what = match dpkg::installed(&self.layout)? {
            Some(installed) if versions.contains(&&installed.version) => return Ok(installed),
            Some(installed) => format!("version {} was installed", installed.version),
            None => "the package was removed".to_owned(),
        };
        let detail = format!("{what} while an update was under way: it is left so");
        Err(Failure::new(UpdateProblem::Overtaken, detail))
    }

    /// Ends an update that was overtaken.
    pub(super) fn leave(&self, failure: &Failure) -> Result<(), Failure> {
        // A purge takes the installer's own directory, too.
        if self.layout.state("").is_dir() {
            self.tell_refused(failure)?;
        }
        self.end()
    }
}
