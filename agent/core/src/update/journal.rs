//! The steps of an update, as they are written down before they are done, and what is done about one
//! that a power cut interrupted.

use std::collections::BTreeMap;

use nightjar_shared::release::{PackageVersion, UpdateProblem};
use serde::{Deserialize, Serialize};

use super::Expectation;

/// How often an installation is begun. Power that fails each time may be the new version's fault.
pub const INSTALLS_MAX: u32 = 3;
/// How often a trial is begun: a new version that takes the whole board down is not tried for ever.
pub const TRIALS_MAX: u32 = 3;

/// How far an update is. It is written down, and on the disk, before the step begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The new package lies where root alone writes, and was checked there.
    Taken,
    /// So does the package to go back to.
    Secured,
    /// dpkg works on the new one.
    Installing,
    /// The new one runs, and must show that it works.
    Trial,
    /// It works: the rest is to tidy up.
    Keeping,
    /// dpkg works on the old one.
    Restoring,
    /// The old one runs again: the rest is to remember why.
    Restored,
}

/// What is written down of an update that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    pub step: Step,
    pub from: PackageVersion,
    pub to: PackageVersion,
    /// Of the new package.
    pub sha256: String,
    /// Begun so often.
    #[serde(default)]
    pub installs: u32,
    #[serde(default)]
    pub trials: u32,
    /// What each agent did before, by the name of its unit.
    #[serde(default)]
    pub expected: BTreeMap<String, Expectation>,
    /// Why it is taken back.
    #[serde(default)]
    pub problem: Option<UpdateProblem>,
    #[serde(default)]
    pub detail: Option<String>,
}

impl Journal {
    pub fn new(from: PackageVersion, to: PackageVersion, sha256: String) -> Self {
        Self {
            step: Step::Taken,
            from,
            to,
            sha256,
            installs: 0,
            trials: 0,
            expected: BTreeMap::new(),
            problem: None,
            detail: None,
        }
    }

    /// Turns back, for a reason.
    #[must_use]
    pub fn taken_back(self, problem: UpdateProblem, detail: impl Into<String>) -> Self {
        Self { step: Step::Restoring, problem: Some(problem), detail: Some(detail.into()), ..self }
    }

    /// Returns whether the new version may lie on the disk, whole or in part.
    pub fn has_touched(&self) -> bool {
        !matches!(self.step, Step::Taken | Step::Secured)
    }
}

/// Decides how an interrupted update goes on. What was begun is done again: dpkg finishes what it was
/// at. Only what was begun too often is taken back.
#[must_use]
pub fn after_restart(journal: Journal) -> Journal {
    let too_often = match journal.step {
        Step::Installing => journal.installs >= INSTALLS_MAX,
        Step::Trial => journal.trials >= TRIALS_MAX,
        _ => false,
    };
    if too_often {
        let detail = "it was interrupted again and again: see to the camera's power";
        return journal.taken_back(UpdateProblem::Interrupted, detail);
    }
    journal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal(step: Step, begun: u32) -> Journal {
        let new = Journal::new("1".parse().unwrap(), "2".parse().unwrap(), "ab".to_owned());
        Journal { step, installs: begun, trials: begun, ..new }
    }

    #[test]
    fn an_interrupted_step_is_done_again() {
        for step in [
            Step::Taken,
            Step::Secured,
            Step::Installing,
            Step::Trial,
            Step::Keeping,
            Step::Restoring,
            Step::Restored,
        ] {
            assert_eq!(after_restart(journal(step, 1)), journal(step, 1));
        }
    }

    #[test]
    fn what_was_interrupted_too_often_is_taken_back() {
        for step in [Step::Installing, Step::Trial] {
            let next = after_restart(journal(step, INSTALLS_MAX));
            assert_eq!(next.step, Step::Restoring);
            assert_eq!(next.problem, Some(UpdateProblem::Interrupted));
        }
        // Going back has no alternative.
        assert_eq!(after_restart(journal(Step::Restoring, 99)).step, Step::Restoring);
    }

    #[test]
    fn a_journal_survives_its_file() {
        let written =
            journal(Step::Trial, 2).taken_back(UpdateProblem::Crashes, "it ended 3 times");
        let text = serde_json::to_string(&written).unwrap();
        assert_eq!(serde_json::from_str::<Journal>(&text).unwrap(), written);
    }
}
