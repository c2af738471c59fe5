//! What becomes of a provisioning file, as sentences with their remedy.

use std::path::PathBuf;

use nightjar_shared::{
    finding::{Finding, Verdict},
    wifi::WifiProblem,
};

use super::boot::BootProblem;

/// What there is to say about provisioning.
#[derive(Debug)]
pub enum ProvisioningFinding {
    HandedOver {
        path: PathBuf,
    },
    /// It was read, and its secret still lies where it was.
    NotWiped {
        path: PathBuf,
        cause: String,
    },
    Unusable {
        path: PathBuf,
        problem: BootProblem,
    },
    /// Its secret was used here before.
    Used {
        path: PathBuf,
    },
    Expired,
    /// Nobody has looked at it.
    NotTaken {
        path: PathBuf,
    },
    NotHandedOver {
        cause: String,
    },
    /// It waits for its relay.
    Waiting {
        relay: String,
        cause: String,
    },
    /// What answers is not the relay of the file.
    ForeignRelay {
        relay: String,
        cause: String,
    },
    Refused {
        relay: String,
    },
    Paired {
        relay: String,
    },
    Wifi {
        problem: WifiProblem,
        cause: String,
        next_step: &'static str,
    },
    CodeShown {
        relay: String,
        code: String,
    },
    NotAnnounced {
        relay: String,
        cause: String,
    },
}

impl ProvisioningFinding {
    /// Returns whether it holds for as long as the file lies there. What else is said happened once.
    pub fn is_standing(&self) -> bool {
        matches!(self, Self::NotWiped { .. } | Self::Unusable { .. } | Self::NotHandedOver { .. })
    }
}

const NEW_FILE: &str =
    "make a new file in the app (Add a camera) and copy it to the boot partition";

impl From<ProvisioningFinding> for Finding {
    fn from(finding: ProvisioningFinding) -> Self {
        use ProvisioningFinding as P;
        match finding {
            P::HandedOver { path } => {
                good("handed_over", format!("{} was taken and wiped", path.display()))
            }
            P::NotWiped { path, cause } => warning(
                "not_wiped",
                format!("{} was read, but could not be wiped: {cause}", path.display()),
                "delete it by hand: make the partition writable, or put the card into another machine",
            ),
            P::Unusable { path, problem } => {
                bad(problem.code(), format!("{}: {problem}", path.display()), problem.remedy())
            }
            P::Used { path } => bad(
                "used",
                format!("the secret of {} was used before and works no more", path.display()),
                NEW_FILE,
            ),
            P::Expired => bad("expired", "the file's time was over; it was wiped", NEW_FILE),
            P::NotTaken { path } => warning(
                "not_taken",
                format!("{} has not been taken yet", path.display()),
                "start the board anew; if it stays, enable nightjar-provision.service",
            ),
            P::NotHandedOver { cause } => bad(
                "not_handed_over",
                format!("nightjar.toml could not be handed to the agent: {cause}"),
                "make room on the disk and see that /var/lib/nightjar-agent is there; the file stays \
                 where it is and is tried again at the next start",
            ),
            P::Waiting { relay, cause } => warning(
                "relay_unreachable",
                format!("{relay} does not pair this camera yet: {cause}"),
                "check network and address; the camera goes on trying",
            ),
            P::ForeignRelay { relay, cause } => bad(
                "foreign_relay",
                format!("what answers at {relay} is not the relay of the file: {cause}"),
                "check the network: something stands in between, or the relay has a new certificate \
                 authority; then make a new file. The camera goes on trying",
            ),
            P::Refused { relay } => bad(
                "refused",
                format!(
                    "{relay} does not take the file's secret: it expired, was used or taken back"
                ),
                NEW_FILE,
            ),
            P::Paired { relay } => good("paired", format!("this camera is paired with {relay}")),
            P::Wifi { problem, cause, next_step } => {
                bad(problem.as_str(), cause, format!("{next_step}; the camera goes on trying"))
            }
            P::CodeShown { relay, code } => warning(
                "code_shown",
                format!("this camera belongs to nobody yet; its code is {code}"),
                format!("in the app at {relay}: Add a camera, The camera shows a code"),
            ),
            P::NotAnnounced { relay, cause } => warning(
                "not_announced",
                format!("{relay} gives this camera no code to show: {cause}"),
                "check network and address; the camera goes on trying",
            ),
        }
    }
}

fn good(code: &str, found: impl Into<String>) -> Finding {
    finding(code, Verdict::Good, found.into(), None)
}

fn warning(code: &str, found: impl Into<String>, next_step: impl Into<String>) -> Finding {
    finding(code, Verdict::Warning, found.into(), Some(next_step.into()))
}

fn bad(code: &str, found: impl Into<String>, next_step: impl Into<String>) -> Finding {
    finding(code, Verdict::Bad, found.into(), Some(next_step.into()))
}

fn finding(code: &str, verdict: Verdict, found: String, next_step: Option<String>) -> Finding {
    let name = "provisioning".to_owned();
    Finding { name, code: code.to_owned(), verdict, found, next_step }
}
