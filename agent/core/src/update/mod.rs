//! Updates of the package: which may be installed, which step comes next and what a power cut leaves,
//! and whether a new version works. `nightjar-update` carries it out.

mod admission;
mod journal;
mod trial;

pub use self::{
    admission::{Camera, FailedVersion, Refusal, admit},
    journal::{INSTALLS_MAX, Journal, Step, TRIALS_MAX, after_restart},
    trial::{Expectation, Limits, RESTARTS_MAX, Sighting, Trial, Verdict},
};
