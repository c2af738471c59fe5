//! What can be found, each with its sentence and its remedy.

use std::net::SocketAddr;

use nightjar_shared::finding::{Finding, bad, good, warning};

use super::server::{CertificateFinding, Server, ServerFinding};

#[derive(Debug)]
pub(super) enum RelayFinding {
    Configuration { problem: Option<String> },
    Registration { is_open: bool, word: &'static str },
    Data(DataFinding),
    Database(DatabaseFinding),
    Server { server: Server, host: String, port: u16, found: ServerFinding },
    Certificate(CertificateFinding),
    Parts { missing: Vec<String> },
    Store(StoreFinding),
    Mail(MailFinding),
    PlainHttp { address: String, problem: Option<String> },
    Turn { url: String, found: TurnFinding },
    TurnUntried { cause: String },
    Clock(ClockFinding),
}

impl From<RelayFinding> for Finding {
    fn from(finding: RelayFinding) -> Self {
        match finding {
            RelayFinding::Configuration { problem } => configuration(problem),
            RelayFinding::Registration { is_open, word } => registration(is_open, word),
            RelayFinding::Data(found) => found.written(),
            RelayFinding::Database(found) => found.written(),
            RelayFinding::Server { server, host, port, found } => {
                found.written(server, &format!("{host}:{port}"))
            }
            RelayFinding::Certificate(found) => found.written(),
            RelayFinding::Parts { missing } => parts(&missing),
            RelayFinding::Store(found) => found.written(),
            RelayFinding::Mail(found) => found.written(),
            RelayFinding::PlainHttp { address, problem } => plain_http(&address, problem),
            RelayFinding::Turn { url, found } => found.written(&url),
            RelayFinding::TurnUntried { cause } => warning(
                "turn",
                "turn_untried",
                cause,
                "start the relay, and run this as its user: sudo -u nightjar-relay",
            ),
            RelayFinding::Clock(found) => found.written(),
        }
    }
}

fn configuration(problem: Option<String>) -> Finding {
    let name = "configuration";
    match problem {
        None => good(name, "configuration", "can be used"),
        Some(problem) => {
            bad(name, "bad_configuration", problem, "correct it: docs/operations.md has every key")
        }
    }
}

fn registration(is_open: bool, word: &str) -> Finding {
    let found = format!("is {word}");
    if is_open {
        let step =
            "nothing, if anybody may make an account here; else registration = \"invitation\"";
        warning("registration", "registration_open", found, step)
    } else {
        good("registration", "registration", found)
    }
}

fn parts(missing: &[String]) -> Finding {
    let name = "parts";
    if missing.is_empty() {
        return good(name, "ready", "the running relay says that all its parts are ready");
    }
    let found =
        format!("the running relay says of these that they are not ready: {}", missing.join(", "));
    bad(name, "not_ready", found, "read its log: journalctl -u nightjar-relay")
}

fn plain_http(address: &str, problem: Option<String>) -> Finding {
    let name = "plain http";
    match problem {
        None => good(name, "plain_http", format!("{address} leads to https")),
        Some(problem) => bad(
            name,
            "no_plain_http",
            format!("{address}: {problem}"),
            "let TCP to port 80 in, and to tls.http_listen; http-01 is proven there",
        ),
    }
}

#[derive(Debug)]
pub(super) enum DataFinding {
    Free { megabytes: u64 },
    Low { megabytes: u64, kept: u64 },
    Unreadable { cause: String },
}

impl DataFinding {
    fn written(self) -> Finding {
        let name = "data directory";
        match self {
            Self::Free { megabytes } => good(name, "space", format!("{megabytes} MB are free")),
            Self::Low { megabytes, kept } => bad(
                name,
                "no_space",
                format!(
                    "{megabytes} MB are free, of which {kept} MB stay free: uploads are refused"
                ),
                "delete clips, or give the relay a larger disk",
            ),
            Self::Unreadable { cause } => bad(
                name,
                "no_data_dir",
                cause,
                "start the relay once, and run this as its user: sudo -u nightjar-relay",
            ),
        }
    }
}

#[derive(Debug)]
pub(super) enum DatabaseFinding {
    Answers,
    NotYet,
    Silent { cause: String },
}

impl DatabaseFinding {
    fn written(self) -> Finding {
        let name = "database";
        match self {
            Self::Answers => good(name, "database", "answers"),
            Self::NotYet => {
                warning(name, "no_database", "there is none yet", "start the relay: it makes it")
            }
            Self::Silent { cause } => bad(
                name,
                "no_database_answer",
                cause,
                "check database.url and that the server runs; of a damaged file restore a backup",
            ),
        }
    }
}

#[derive(Debug)]
pub(super) enum StoreFinding {
    Answers,
    Silent { cause: String },
}

impl StoreFinding {
    fn written(self) -> Finding {
        let name = "store";
        match self {
            Self::Answers => good(name, "store", "the external store answers"),
            Self::Silent { cause } => bad(
                name,
                "no_store",
                cause,
                "check store.endpoint and store.credentials_file; `nightjar-relay store prepare` says more",
            ),
        }
    }
}

#[derive(Debug)]
pub(super) enum MailFinding {
    NotConfigured,
    Answers,
    Silent { cause: String },
}

impl MailFinding {
    fn written(self) -> Finding {
        let name = "mail";
        match self {
            Self::NotConfigured => warning(
                name,
                "no_mail",
                "this relay sends none",
                "nothing, where an admin hands out links; else [mail] in docs/operations.md",
            ),
            Self::Answers => good(name, "mail", "the mail server would take mail"),
            Self::Silent { cause } => bad(
                name,
                "no_mail_server",
                cause,
                "check [mail]: host, port, tls, user and password_file; let the relay out to that port",
            ),
        }
    }
}

#[derive(Debug)]
pub(super) enum TurnFinding {
    Relays { at: SocketAddr },
    NoPlace { cause: String },
}

impl TurnFinding {
    fn written(self, url: &str) -> Finding {
        let name = "turn";
        match self {
            Self::Relays { at } => good(name, "turn", format!("{url} gave a place at {at}")),
            Self::NoPlace { cause } => bad(
                name,
                "no_turn",
                format!("{url} gave no place: {cause}"),
                "let UDP and TCP to its port in, and see that turn.address and the secret are right",
            ),
        }
    }
}

#[derive(Debug)]
pub(super) enum ClockFinding {
    Right { by: String },
    Apart { by: String, seconds: u64, is_ahead: bool },
    Unknown { cause: String },
}

impl ClockFinding {
    fn written(self) -> Finding {
        let name = "clock";
        match self {
            Self::Right { by } => good(name, "clock_set", format!("agrees with that of {by}")),
            Self::Apart { by, seconds, is_ahead } => {
                let side = if is_ahead { "ahead of" } else { "behind" };
                bad(
                    name,
                    "clock_apart",
                    format!("{seconds} s {side} that of {by}"),
                    "set this machine's clock: timedatectl set-ntp true",
                )
            }
            Self::Unknown { cause } => warning(
                name,
                "clock_unknown",
                cause,
                "name a server that is asked by https: --time-from HOST",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use nightjar_shared::finding::Verdict;

    use super::*;
    use crate::engines::tls::{TlsFailure, Trouble};

    #[test]
    fn whatever_is_not_good_has_a_next_step() {
        let host = || "cam.example".to_owned();
        let found =
            |found| RelayFinding::Server { server: Server::App, host: host(), port: 443, found };
        let findings = [
            RelayFinding::Configuration { problem: Some("x".to_owned()) },
            RelayFinding::Registration { is_open: true, word: "open" },
            RelayFinding::Data(DataFinding::Low { megabytes: 1, kept: 2 }),
            RelayFinding::Database(DatabaseFinding::NotYet),
            found(ServerFinding::Failed(TlsFailure::NoName("none".to_owned()))),
            found(ServerFinding::Silent { status: Some(502) }),
            RelayFinding::Certificate(CertificateFinding::Wrong(Trouble::OtherKey)),
            RelayFinding::Clock(ClockFinding::Unknown { cause: "none".to_owned() }),
        ];
        for finding in findings.map(Finding::from) {
            assert_ne!(finding.verdict, Verdict::Good, "{finding:?}");
            assert!(finding.next_step.is_some_and(|step| !step.is_empty()));
        }
    }
}
