//! Packages on their way in: from the agent's spool, which the agent may change at any moment, or
//! from a file. What is checked is the copy that root alone can write.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use nightjar_core::update::{Camera, Journal, admit};
use nightjar_shared::release::{
    Manifest, PackageVersion, SignedManifest, UpdateProblem, UpdateState, manifest_file_name,
};

use super::{Installer, Outcome, resume};
use crate::{
    Failure, agents, dpkg,
    files::{self, open_directory, open_regular},
    handover::{self, PACKAGE_FILE, REQUEST_BYTES_MAX, REQUEST_FILE, Request, SPOOL, Status},
    room::check_room,
    signed::{check_signed, compare},
};

impl Installer {
    /// Takes the requests of all agents on this board, one after the other.
    pub(super) fn take_requests(&self) -> Result<Outcome, Failure> {
        let mut outcome = Outcome::Idle;
        for name in agents::data_directories(&self.layout) {
            let Some(spool) = self.open_spool(&name) else { continue };
            let Some(taken) = self.take_request(&spool)? else { continue };
            outcome = taken;
            if matches!(outcome, Outcome::Later(_)) {
                break;
            }
        }
        Ok(outcome)
    }

    fn open_spool(&self, name: &str) -> Option<File> {
        let state = File::open(self.layout.below("var/lib")).ok()?;
        let data = files::open_named_by_root(&state, name).ok()?;
        let spool = open_directory(&data, SPOOL);
        if let Err(error) = &spool
            && error.kind() != io::ErrorKind::NotFound
        {
            // A link to a directory with a request would start this program again and again.
            drop(files::remove_in(&data, SPOOL));
        }
        spool.ok()
    }

    /// Takes a request, if there is one. It is gone afterwards, whatever came of it: what is to be
    /// tried again is in the installer's own directory.
    fn take_request(&self, spool: &File) -> Result<Option<Outcome>, Failure> {
        let request = match open_regular(spool, REQUEST_FILE) {
            Ok(file) => files::read_bounded(file, REQUEST_BYTES_MAX),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => Err(error),
        };
        let taken = request
            .and_then(|text| Ok(serde_json::from_slice::<Request>(&text)?))
            .map_err(|error| unreadable(&error))
            .and_then(|request| {
                let package = open_regular(spool, PACKAGE_FILE).map_err(|error| unreadable(&error));
                self.take(&request.release, package)
            });
        let clear = || {
            for name in [REQUEST_FILE, PACKAGE_FILE] {
                let removed = files::remove_in(spool, name);
                removed.map_err(|error| Failure::file("remove", Path::new(name), &error))?;
            }
            Ok(())
        };
        self.end_taking(taken, clear).map(Some)
    }

    /// Takes a package file with its manifest beside it.
    pub(super) fn take_file(&self, package: &Path, again: bool) -> Result<Outcome, Failure> {
        let name = package.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let beside = package.with_file_name(manifest_file_name(name));
        let text =
            File::open(&beside).and_then(|file| files::read_bounded(file, REQUEST_BYTES_MAX));
        let text = text.map_err(|error| Failure::file("read", &beside, &error))?;
        let release: SignedManifest =
            serde_json::from_slice(&text).map_err(|error| unreadable(&error.into()))?;
        if again {
            self.forget_failed(&release)?;
        }
        let file = File::open(package).map_err(|error| Failure::file("read", package, &error));
        let taken = self.take(&release, file);
        self.end_taking(taken, || Ok(()))
    }

    /// Goes on with what was taken, or says why it was not. `clear` removes the request: who made it learns
    /// before that what becomes of it.
    fn end_taking(
        &self,
        taken: Result<(), Failure>,
        clear: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<Outcome, Failure> {
        match taken {
            Ok(()) => {
                clear()?;
                self.go_on()
            }
            Err(failure) => {
                files::remove(&self.layout.incoming())
                    .map_err(|error| Failure::file("remove", &self.layout.incoming(), &error))?;
                self.tell_refused(&failure)?;
                clear()?;
                Ok(Outcome::Refused(failure))
            }
        }
    }

    /// Copies and checks, and writes down that there is something to install.
    fn take(
        &self,
        release: &SignedManifest,
        package: Result<impl Read, Failure>,
    ) -> Result<(), Failure> {
        let manifest = check_signed(release, &self.keys()?)?;
        let from = self.admit(&manifest)?;
        check_room(&self.layout, manifest.size, 0)?;
        let incoming = self.layout.incoming();
        let copied = files::copy_synced(package?, &incoming, manifest.size);
        let copied = copied.map_err(|error| Failure::file("write", &incoming, &error))?;
        compare(&copied, &manifest)?;
        dpkg::check_fields(&incoming, &manifest)?;
        let path = self.layout.incoming_manifest();
        let failed = |error: io::Error| Failure::file("write", &path, &error);
        let text = serde_json::to_vec(release).map_err(|error| failed(error.into()))?;
        files::replace(&path, &text, 0o600).map_err(failed)?;
        // From now on nobody asks again: what is written down goes on after a power cut, too.
        resume::lay_down(&self.layout)?;
        let journal = Journal::new(from, manifest.version.clone(), manifest.sha256);
        self.write(&Journal { expected: agents::expectations(&self.layout), ..journal })?;
        self.tell(UpdateState::Waiting, &manifest.version, None)
    }

    /// Decides whether it is for this camera. Returns what is installed.
    fn admit(&self, manifest: &Manifest) -> Result<PackageVersion, Failure> {
        let installed = dpkg::installed(&self.layout)?.ok_or_else(|| {
            let detail = "the agent was not installed as a package: install it as one first";
            Failure::new(UpdateProblem::NoWayBack, detail)
        })?;
        let path = self.layout.failed();
        let failed = handover::failed_versions(&self.layout)
            .map_err(|error| Failure::file("read", &path, &error))?;
        let camera = Camera {
            installed: &installed.version,
            architecture: &installed.architecture,
            failed: &failed,
        };
        admit(manifest, &camera)?;
        Ok(installed.version)
    }

    fn forget_failed(&self, release: &SignedManifest) -> Result<(), Failure> {
        let manifest = check_signed(release, &self.keys()?)?;
        let path = self.layout.failed();
        let failed = |error: io::Error| Failure::file("write", &path, &error);
        let mut all = handover::failed_versions(&self.layout).map_err(failed)?;
        all.retain(|before| before.sha256 != manifest.sha256);
        let text = serde_json::to_vec_pretty(&all).map_err(|error| failed(error.into()))?;
        files::replace(&path, &text, 0o644).map_err(failed)
    }

    /// Says that nothing was begun. How an update ended is not written over by a request for the same,
    /// which a power cut left behind.
    pub(super) fn tell_refused(&self, failure: &Failure) -> Result<(), Failure> {
        let before = Status::read(&self.layout).unwrap_or(Status::IDLE);
        let is_echo =
            matches!(failure.problem, UpdateProblem::NotNewer | UpdateProblem::FailedBefore)
                && matches!(before.state, UpdateState::Installed | UpdateState::RolledBack);
        if is_echo {
            return Ok(());
        }
        let status = Status {
            state: UpdateState::Refused,
            target: None,
            problem: Some(failure.problem),
            detail: Some(failure.detail.clone()),
        };
        let path = self.layout.status();
        status.write(&self.layout).map_err(|error| Failure::file("write", &path, &error))
    }
}

fn unreadable(error: &io::Error) -> Failure {
    Failure::new(UpdateProblem::InvalidManifest, format!("the request cannot be read: {error}"))
}
