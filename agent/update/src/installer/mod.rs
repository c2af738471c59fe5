//! Installs as root: takes a package, secures the way back, installs, judges, keeps or takes back.
//!
//! Each step is written down, and synced, before it is done, and may be done again. Whatever a power
//! cut leaves, the next run goes on from there: by the unit of the package, or by a copy of this
//! program that no package replaces.

mod overtaken;
mod resume;
mod take;

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
    thread::sleep,
    time::Duration,
};

use nightjar_core::update::{FailedVersion, Journal, Step, Trial, Verdict, after_restart};
use nightjar_shared::release::{
    Manifest, PackageVersion, SignedManifest, UpdateProblem, UpdateState,
};
use rustix::fs::{FlockOperation, flock};

use crate::{
    Failure, Layout,
    agents::{self, Process},
    dpkg, files,
    handover::{self, Status},
    keys::KeyFile,
    signed::{check_package, check_signed},
};

const JOURNAL_BYTES_MAX: usize = 64 * 1024;
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing was to be done.
    Idle,
    Installed(PackageVersion),
    /// It did not work, and is not there any more.
    TakenBack(Failure),
    /// It was not begun.
    Refused(Failure),
    /// It goes on when this program runs next.
    Later(Failure),
}

pub struct Installer {
    layout: Layout,
}

impl Installer {
    pub fn new(layout: Layout) -> Self {
        Self { layout }
    }

    /// Finishes what was interrupted, then takes what agents ask for.
    pub fn run(&self) -> Result<Outcome, Failure> {
        self.alone(|| {
            let interrupted = self.go_on()?;
            if matches!(interrupted, Outcome::Later(_)) {
                return Ok(interrupted);
            }
            match self.take_requests()? {
                Outcome::Idle => Ok(interrupted),
                taken => Ok(taken),
            }
        })
    }

    /// Installs a package that somebody has at hand, with its manifest beside it. `again`: also one
    /// that was tried here before.
    pub fn install(&self, package: &Path, again: bool) -> Result<Outcome, Failure> {
        self.alone(|| {
            let interrupted = self.go_on()?;
            if matches!(interrupted, Outcome::Later(_)) {
                return Ok(interrupted);
            }
            self.take_file(package, again)
        })
    }

    /// Does something while no other run does anything.
    fn alone(&self, work: impl FnOnce() -> Result<Outcome, Failure>) -> Result<Outcome, Failure> {
        let path = self.layout.state("lock");
        let prepare = || -> io::Result<fs::File> {
            let directory = self.layout.state("packages");
            fs::DirBuilder::new().recursive(true).create(&directory)?;
            // Also for a root of careful ways: agents read what is said here.
            for open in [self.layout.state(""), directory] {
                fs::set_permissions(&open, fs::Permissions::from_mode(0o755))?;
            }
            let lock = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&path)?;
            flock(&lock, FlockOperation::LockExclusive)?;
            Ok(lock)
        };
        let _lock = prepare().map_err(|error| Failure::file("lock", &path, &error))?;
        work()
    }

    /// Goes on with what is written down, to its end.
    fn go_on(&self) -> Result<Outcome, Failure> {
        let Some(journal) = self.read_journal()? else {
            // Of one that was cut off before it was written down.
            resume::remove(&self.layout)?;
            return Ok(Outcome::Idle);
        };
        let interrupted = journal.step;
        let mut journal = after_restart(journal);
        if journal.step != interrupted {
            self.write(&journal)?;
        }
        loop {
            let (to, problem) = (journal.to.clone(), journal.problem);
            let step = journal.step;
            let next = match step {
                Step::Taken => self.secure(journal.clone()),
                Step::Secured => self.prepare(journal.clone()),
                Step::Installing => self.install_new(journal.clone()),
                Step::Trial => self.judge(journal.clone()),
                Step::Keeping => {
                    self.keep(&journal)?;
                    return Ok(Outcome::Installed(to));
                }
                Step::Restoring => self.restore(journal.clone()),
                Step::Restored => {
                    let failure =
                        self.remember(&journal, problem.unwrap_or(UpdateProblem::Failed))?;
                    return Ok(Outcome::TakenBack(failure));
                }
            };
            journal = match next {
                Ok(next) => next,
                Err(failure) if failure.problem == UpdateProblem::Overtaken => {
                    self.leave(&failure)?;
                    return Ok(Outcome::Refused(failure));
                }
                Err(failure) if is_for_later(&failure) => return self.put_off(&journal, failure),
                Err(failure) if step == Step::Restoring => return self.put_off(&journal, failure),
                Err(failure) if !journal.has_touched() => {
                    self.give_up(&journal.to, &failure)?;
                    return Ok(Outcome::Refused(failure));
                }
                Err(failure) => journal.taken_back(failure.problem, failure.detail),
            };
            self.write(&journal)?;
        }
    }

    /// Sees to it that there is something to go back to.
    fn secure(&self, journal: Journal) -> Result<Journal, Failure> {
        self.verified()?;
        let installed = self.still(&journal.from)?;
        let package = self.layout.package(journal.from.as_str());
        if !dpkg::is_package_of(&package, &installed) {
            let fresh = package.with_extension("new");
            dpkg::repack(&self.layout, &fresh)?;
            if !dpkg::is_package_of(&fresh, &installed) {
                let detail =
                    "the package made of the installed version cannot be read: reinstall it";
                return Err(Failure::new(UpdateProblem::NoWayBack, detail));
            }
            let kept = fs::File::open(&fresh).and_then(|file| file.sync_all());
            let kept = kept.and_then(|()| files::rename(&fresh, &package));
            kept.map_err(|error| Failure::file("write", &package, &error))?;
        }
        Ok(Journal { step: Step::Secured, ..journal })
    }

    /// Notes what the agents do: what they did when the update was taken is expected, too, for after a
    /// power cut they have only just begun.
    fn prepare(&self, mut journal: Journal) -> Result<Journal, Failure> {
        // Nothing is begun while somebody else is at the package database.
        drop(dpkg::lock(&self.layout, self.keys()?.trial.lock_wait())?);
        for (unit, does) in agents::expectations(&self.layout) {
            let expected = journal.expected.entry(unit).or_default();
            *expected = expected.or(does);
        }
        Ok(Journal { step: Step::Installing, ..journal })
    }

    fn install_new(&self, mut journal: Journal) -> Result<Journal, Failure> {
        let (manifest, keys) = self.verified()?;
        let lock = dpkg::lock(&self.layout, keys.trial.lock_wait())?;
        // Who held the database may have removed the package.
        self.either(&journal)?;
        journal.installs += 1;
        self.write(&journal)?;
        self.tell(UpdateState::Installing, &journal.to, None)?;
        self.put_in_place(&self.layout.incoming(), &manifest.version, &journal, &lock)?;
        Ok(Journal { step: Step::Trial, ..journal })
    }

    fn restore(&self, journal: Journal) -> Result<Journal, Failure> {
        let wait = self.keys().map_or(Duration::from_mins(10), |keys| keys.trial.lock_wait());
        let lock = dpkg::lock(&self.layout, wait)?;
        self.either(&journal)?;
        let package = self.layout.package(journal.from.as_str());
        self.put_in_place(&package, &journal.from, &journal, &lock)?;
        Ok(Journal { step: Step::Restored, ..journal })
    }

    /// Lets dpkg install a package, and the agents run what it brought.
    fn put_in_place(
        &self,
        package: &Path,
        version: &PackageVersion,
        journal: &Journal,
        lock: &dpkg::FrontendLock,
    ) -> Result<(), Failure> {
        let before: BTreeMap<String, Process> =
            journal.expected.keys().map(|unit| (unit.clone(), agents::process(unit))).collect();
        dpkg::install(&self.layout, package, lock)?;
        let installed = dpkg::installed(&self.layout)?;
        if !installed.is_some_and(|it| it.sound && it.version == *version) {
            let detail = format!("dpkg says that version {version} is not whole");
            return Err(Failure::new(UpdateProblem::InstallFailed, detail));
        }
        agents::reload_units();
        agents::restart(&before)
    }

    /// Watches the new version until it has shown that it works, or does not.
    fn judge(&self, mut journal: Journal) -> Result<Journal, Failure> {
        journal.trials += 1;
        self.write(&journal)?;
        self.tell(UpdateState::OnTrial, &journal.to, None)?;
        let limits = self.keys()?.trial.limits();
        let began = agents::now();
        let mut trials: Vec<(String, u32, Trial)> = journal
            .expected
            .iter()
            .map(|(unit, expected)| {
                let trial = Trial::new(limits, *expected, began);
                (unit.clone(), agents::process(unit).restarts, trial)
            })
            .collect();
        loop {
            let mut all_work = true;
            for (unit, restarts_before, trial) in &mut trials {
                let process = agents::process(unit);
                // A package that is removed has its agents stopped first.
                if process.pid == 0
                    && let Some(failure) = self.overtaken(&journal)
                {
                    return Err(failure);
                }
                let sighting = agents::sighting(&self.layout, unit, process);
                let restarts = process.restarts.saturating_sub(*restarts_before);
                match trial.see(agents::now(), sighting, restarts) {
                    Verdict::Works => {}
                    Verdict::Wait => all_work = false,
                    Verdict::Fails(problem) => {
                        let detail = format!("{unit} {}", explain(problem));
                        return Ok(journal.taken_back(problem, detail));
                    }
                }
            }
            if all_work {
                return Ok(Journal { step: Step::Keeping, ..journal });
            }
            sleep(LOOK_EVERY);
        }
    }

    /// Keeps the new package for the day on which the next one is to be taken back, and nothing else.
    fn keep(&self, journal: &Journal) -> Result<(), Failure> {
        let (incoming, package) =
            (self.layout.incoming(), self.layout.package(journal.to.as_str()));
        let failed = |error: io::Error| Failure::file("write", &package, &error);
        if incoming.exists() {
            files::rename(&incoming, &package).map_err(failed)?;
        }
        for entry in fs::read_dir(self.layout.state("packages")).map_err(failed)?.flatten() {
            if entry.path() != package {
                files::remove_all(&entry.path()).map_err(failed)?;
            }
        }
        self.tell(UpdateState::Installed, &journal.to, None)?;
        self.end()
    }

    /// Remembers what did not work, so that it is not tried again.
    fn remember(&self, journal: &Journal, problem: UpdateProblem) -> Result<Failure, Failure> {
        let (to, from) = (&journal.to, &journal.from);
        let why = journal.detail.clone().unwrap_or_else(|| explain(problem).to_owned());
        let detail = format!(
            "version {to} was taken back, {from} runs again: {why}. It is not tried again; offer a newer \
             one"
        );
        let failed = FailedVersion { version: to.clone(), sha256: journal.sha256.clone(), problem };
        handover::remember_failed(&self.layout, failed)
            .map_err(|error| Failure::file("write", &self.layout.failed(), &error))?;
        let failure = Failure::new(problem, detail);
        self.tell(UpdateState::RolledBack, to, Some(&failure))?;
        self.end()?;
        Ok(failure)
    }

    fn give_up(&self, to: &PackageVersion, failure: &Failure) -> Result<(), Failure> {
        self.tell(UpdateState::Refused, to, Some(failure))?;
        self.end()
    }

    /// Leaves everything for the next run, and says why.
    fn put_off(&self, journal: &Journal, failure: Failure) -> Result<Outcome, Failure> {
        let state =
            if journal.has_touched() { UpdateState::Installing } else { UpdateState::Waiting };
        self.tell(state, &journal.to, Some(&failure))?;
        Ok(Outcome::Later(failure))
    }

    /// Removes what an update leaves; its journal last.
    fn end(&self) -> Result<(), Failure> {
        let layout = &self.layout;
        for path in [layout.incoming(), layout.incoming_manifest()] {
            files::remove(&path).map_err(|error| Failure::file("remove", &path, &error))?;
        }
        resume::remove(layout)?;
        let journal = layout.journal();
        files::remove(&journal).map_err(|error| Failure::file("remove", &journal, &error))
    }

    fn keys(&self) -> Result<KeyFile, Failure> {
        KeyFile::read_own(&self.layout.keys())
    }

    /// Checks the package that lies here once more: signatures, and every byte.
    fn verified(&self) -> Result<(Manifest, KeyFile), Failure> {
        let path = self.layout.incoming_manifest();
        let read = files::read_small(&path, handover::REQUEST_BYTES_MAX);
        let text = read.map_err(|error| Failure::file("read", &path, &error))?.unwrap_or_default();
        let release: SignedManifest = serde_json::from_slice(&text).map_err(|error| {
            let detail = format!("the manifest beside the package cannot be read: {error}");
            Failure::new(UpdateProblem::InvalidManifest, detail)
        })?;
        let keys = self.keys()?;
        let manifest = check_signed(&release, &keys)?;
        check_package(&self.layout.incoming(), &manifest)?;
        Ok((manifest, keys))
    }

    fn tell(
        &self,
        state: UpdateState,
        target: &PackageVersion,
        failure: Option<&Failure>,
    ) -> Result<(), Failure> {
        let status = Status {
            state,
            target: Some(target.clone()),
            problem: failure.map(|failure| failure.problem),
            detail: failure.map(|failure| failure.detail.clone()),
        };
        let path = self.layout.status();
        status.write(&self.layout).map_err(|error| Failure::file("write", &path, &error))
    }

    /// Reads what is written down. It is replaced whole or not at all, so what cannot be read is
    /// another program's: it is an error, not the end of an update.
    fn read_journal(&self) -> Result<Option<Journal>, Failure> {
        let path = self.layout.journal();
        let failed = |error: io::Error| Failure::file("read", &path, &error);
        let Some(text) = files::read_small(&path, JOURNAL_BYTES_MAX).map_err(failed)? else {
            return Ok(None);
        };
        serde_json::from_slice(&text).map(Some).map_err(|error| failed(error.into()))
    }

    fn write(&self, journal: &Journal) -> Result<(), Failure> {
        let path = self.layout.journal();
        let failed = |error: io::Error| Failure::file("write", &path, &error);
        let text = serde_json::to_vec_pretty(journal).map_err(|error| failed(error.into()))?;
        files::replace(&path, &text, 0o600).map_err(failed)
    }
}

/// Returns whether waiting helps.
fn is_for_later(failure: &Failure) -> bool {
    failure.problem == UpdateProblem::DatabaseLocked
}

/// Says what a new version does wrong.
fn explain(problem: UpdateProblem) -> &'static str {
    match problem {
        UpdateProblem::Crashes => "ends again and again",
        UpdateProblem::Silent => "says nothing of itself",
        UpdateProblem::NoPicture => "gives no picture, which it did before",
        UpdateProblem::NotRecording => "does not record, which it did before",
        UpdateProblem::NotConnected => "does not reach the relay, which it did before",
        _ => "does not work",
    }
}
