//! Mail servers: one that others wrote, and ones that behave badly. Whatever they do, no mail is lost, and
//! nobody waits for them.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use nightjar_relay::{
    config::{Config, MailEngine, MailTls},
    engines::{
        db::mails::{WaitingMail, list},
        tls::Certificates,
    },
};
use nightjar_shared::account::{MailKind, MailState};
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader as AsyncBufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_util::task::TaskTracker;

use crate::{
    databases::Engine,
    mail::token_of,
    relay::{TestRelay, eventually},
    support,
};

/// Debian's aiosmtpd, which takes mail by TLS and with a password.
struct Aiosmtpd {
    child: Child,
    port: u16,
    directory: TempDir,
}

impl Aiosmtpd {
    /// Nothing where it is not installed.
    fn start(kind: &str) -> Option<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/http/smtp_server.py");
        // Debian's own Python: packages of others are not asked.
        let python = || Command::new("/usr/bin/python3");
        let is_there = python().args(["-c", "import aiosmtpd"]).stderr(Stdio::null()).status();
        if !is_there.is_ok_and(|status| status.success()) {
            let _ =
                writeln!(std::io::stderr(), "SKIPPED: Debian's python3-aiosmtpd is not installed");
            return None;
        }
        let directory = support::directory();
        let now = nightjar_relay::clock::now();
        Certificates::load_or_create(directory.path(), &[], now).unwrap();
        let mails = directory.path().join("mails");
        fs::create_dir(&mails).unwrap();
        let mut child = python()
            .arg(script)
            .arg(kind)
            .args([directory.path().join("server.pem"), directory.path().join("server-key.pem")])
            .arg(&mails)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().parse().expect("aiosmtpd did not start");
        Some(Self { child, port, directory })
    }

    fn configure(&self, config: &mut Config, tls: MailTls) {
        by_smtp(config, self.port);
        config.mail.tls = tls;
        "localhost".clone_into(&mut config.mail.host);
        config.mail.ca_file = Some(self.directory.path().join("ca.pem"));
        config.mail.user = Some("relay".to_owned());
        let password = self.directory.path().join("password");
        fs::write(&password, "mail canary\n").unwrap();
        config.mail.password_file = password;
        config.mail.timeout_ms = 15_000;
    }

    fn mails(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path().join("mails")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let whole = paths.filter(|path| path.extension().is_some_and(|it| it == "eml"));
        whole.map(|path| fs::read_to_string(path).unwrap()).collect()
    }
}

impl Drop for Aiosmtpd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn by_smtp(config: &mut Config, port: u16) {
    config.mail.engine = MailEngine::Smtp;
    "Nightjar <relay@example.org>".clone_into(&mut config.mail.from);
    "127.0.0.1".clone_into(&mut config.mail.host);
    config.mail.port = Some(port);
    config.mail.tls = MailTls::None;
    config.mail.timeout_ms = 500;
}

/// Attempts that have ended like this.
fn ended(relay: &TestRelay, outcome: &str) -> u64 {
    relay.app().metrics.counter("nightjar_mails_total", "", &[("outcome", outcome)]).get()
}

#[tokio::test]
async fn mail_leaves_by_both_kinds_of_tls_and_with_a_password() {
    for (kind, tls) in [("starttls", MailTls::Starttls), ("implicit", MailTls::Implicit)] {
        let Some(server) = Aiosmtpd::start(kind) else { return };
        let relay = TestRelay::start(Engine::Sqlite, |config| server.configure(config, tls)).await;
        relay.person("alice").await;
        let mail = eventually(async || server.mails(), |mails| !mails.is_empty()).await.remove(0);
        let head = "MAIL FROM relay@example.org RCPT TO alice@example.org\n";
        assert!(mail.starts_with(head), "{kind}: {mail}");
        let token = json!({"token": token_of(&mail)});
        relay.stranger().post("auth/email/verify", token).await.body(204);
        eventually(async || waiting(&relay).await, Vec::is_empty).await;
        relay.app().mailer.check().await.unwrap();
        relay.stop().await;
    }
}

#[tokio::test]
async fn a_server_whose_certificate_nobody_vouches_for_gets_no_mail_and_no_password() {
    let Some(server) = Aiosmtpd::start("starttls") else { return };
    let other = support::directory();
    Certificates::load_or_create(other.path(), &[], nightjar_relay::clock::now()).unwrap();
    let relay = TestRelay::start(Engine::Sqlite, |config| {
        server.configure(config, MailTls::Starttls);
        config.mail.ca_file = Some(other.path().join("ca.pem"));
    })
    .await;
    relay.person("alice").await;
    let failed = eventually(async || waiting(&relay).await, |mails| has_reason(mails)).await;
    assert!(reason(&failed).contains("certificate"), "{failed:?}");
    assert!(server.mails().is_empty());
    relay.stop().await;
}

#[tokio::test]
async fn a_wrong_password_is_named_and_the_mail_waits() {
    let Some(server) = Aiosmtpd::start("starttls") else { return };
    let relay = TestRelay::start(Engine::Sqlite, |config| {
        server.configure(config, MailTls::Starttls);
        fs::write(&config.mail.password_file, "wrong canary\n").unwrap();
    })
    .await;
    relay.person("alice").await;
    // More often than a mail is tried that is refused itself.
    for attempts in 1..=4 {
        eventually(async || ended(&relay, "postponed"), |ended| *ended == attempts).await;
        relay.pass(Duration::from_hours(1));
    }
    let failed = eventually(async || waiting(&relay).await, |mails| has_reason(mails)).await;
    assert!(reason(&failed).contains("535"), "{failed:?}");
    assert!(!reason(&failed).contains("canary"), "{failed:?}");
    assert_eq!(failed[0].state, MailState::Waiting);
    relay.stop().await;
}

/// How a server of ours behaves: what it says to each command, by its first word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Takes,
    /// Says nothing at all.
    Mute,
    /// Greets, and is silent from then on.
    Forgets,
    /// Not now: 451.
    Later,
    /// Never: 550, with the recipient's address in it.
    Never,
    /// Closes in the middle of the message.
    HangsUp,
    /// Says what no mail server says.
    Odd,
}

struct BadServer {
    manner: watch::Sender<Manner>,
    port: u16,
    mails: Arc<std::sync::Mutex<Vec<String>>>,
    tasks: TaskTracker,
}

impl BadServer {
    async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (manner, said) = watch::channel(manner);
        let mails: Arc<std::sync::Mutex<Vec<String>>> = Arc::default();
        let tasks = TaskTracker::new();
        let (kept, spawner) = (mails.clone(), tasks.clone());
        tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let manner = *said.borrow();
                spawner.spawn(serve(stream, manner, kept.clone()));
            }
        });
        Self { manner, port, mails, tasks }
    }

    fn mails(&self) -> Vec<String> {
        self.mails.lock().unwrap().clone()
    }
}

async fn serve(stream: TcpStream, manner: Manner, mails: Arc<std::sync::Mutex<Vec<String>>>) {
    let (read, mut write) = stream.into_split();
    let mut lines = AsyncBufReader::new(read).lines();
    if manner == Manner::Mute {
        // Until the relay has had enough.
        let _ = lines.next_line().await;
        return;
    }
    let greeting = if manner == Manner::Odd { "hello there\r\n" } else { "220 here\r\n" };
    let _ = write.write_all(greeting.as_bytes()).await;
    let (mut message, mut in_message) = (String::new(), false);
    while let Ok(Some(line)) = lines.next_line().await {
        if manner == Manner::Forgets {
            continue;
        }
        if in_message && line != "." {
            message += &(line + "\n");
            if manner == Manner::HangsUp {
                return;
            }
            continue;
        }
        let answer = match line.get(..4) {
            _ if in_message => {
                mails.lock().unwrap().push(std::mem::take(&mut message));
                "250 taken"
            }
            Some("RCPT") if manner == Manner::Later => "451 4.7.1 later",
            Some("RCPT") if manner == Manner::Never => "550 5.1.1 <alice@example.org> unknown",
            Some("DATA") => "354 go on",
            Some("QUIT") => "221 bye",
            _ => "250 fine",
        };
        in_message = answer.starts_with("354");
        if write.write_all(format!("{answer}\r\n").as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn waiting(relay: &TestRelay) -> Vec<WaitingMail> {
    list(&relay.app().db, 100).await.unwrap()
}

fn has_reason(mails: &[WaitingMail]) -> bool {
    mails.first().is_some_and(|mail| mail.reason.is_some())
}

fn reason(mails: &[WaitingMail]) -> &str {
    mails[0].reason.as_deref().unwrap()
}

#[tokio::test]
async fn a_mail_outlives_every_bad_manner_of_its_server_and_leaves_once() {
    for manner in
        [Manner::Mute, Manner::Forgets, Manner::Later, Manner::Never, Manner::HangsUp, Manner::Odd]
    {
        let server = BadServer::start(manner).await;
        let relay = TestRelay::start(Engine::Sqlite, |config| by_smtp(config, server.port)).await;
        // Nobody waits for the mail server: this would never end.
        let alice = relay.person("alice").await;
        let waits = eventually(async || waiting(&relay).await, |mails| has_reason(mails)).await;
        let WaitingMail { kind, state, attempts, .. } = &waits[0];
        assert_eq!((*kind, *state), (MailKind::VerifyAddress, MailState::Waiting), "{manner:?}");
        assert_eq!(*attempts, 1, "{manner:?}");
        assert!(!reason(&waits).contains("alice@example.org"), "{manner:?}: {waits:?}");
        assert!(reason(&waits).contains(&server.port.to_string()), "{manner:?}: {waits:?}");
        alice.get("auth/me").await.body(200);

        server.manner.send_replace(Manner::Takes);
        let relay = relay.restart().await;
        relay.pass(Duration::from_mins(1));
        eventually(async || waiting(&relay).await, Vec::is_empty).await;
        let mails = server.mails();
        assert_eq!(mails.len(), 1, "{manner:?}: {mails:?}");
        let token = json!({"token": token_of(&mails[0])});
        relay.stranger().post("auth/email/verify", token).await.body(204);
        relay.stop().await;
        server.tasks.close();
    }
}

#[tokio::test]
async fn a_mail_that_is_refused_is_given_up_after_three_attempts_and_says_why() {
    let server = BadServer::start(Manner::Never).await;
    let relay = TestRelay::start(Engine::Sqlite, |config| by_smtp(config, server.port)).await;
    relay.person("alice").await;
    for attempts in 1..=2 {
        eventually(async || ended(&relay, "postponed"), |ended| *ended == attempts).await;
        relay.pass(Duration::from_mins(3));
    }
    let failed = async || waiting(&relay).await;
    let failed = eventually(failed, |mails| mails[0].state == MailState::Failed).await;
    assert!(reason(&failed).contains("550"), "{failed:?}");
    assert_eq!(failed[0].attempts, 3);
    // Operators see it for a month.
    relay.pass(Duration::from_hours(31 * 24));
    nightjar_relay::domain::jobs::sweep_slow(relay.app()).await;
    assert!(waiting(&relay).await.is_empty());
    relay.stop().await;
}

#[tokio::test]
async fn where_no_server_listens_mails_wait_and_a_link_that_is_over_is_not_sent() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let relay = TestRelay::start(Engine::Sqlite, |config| by_smtp(config, port)).await;
    relay.person("alice").await;
    let waits = eventually(async || waiting(&relay).await, |mails| has_reason(mails)).await;
    assert_eq!(waits[0].state, MailState::Waiting, "{waits:?}");
    relay.app().mailer.check().await.unwrap_err();
    relay.pass(Duration::from_hours(49));
    let failed = async || waiting(&relay).await;
    let failed = eventually(failed, |mails| mails[0].state == MailState::Failed).await;
    assert_eq!(reason(&failed), "it could not leave while it was of use");
    relay.stop().await;
}

#[tokio::test]
async fn a_mail_that_was_put_off_by_a_clock_that_was_ahead_leaves_when_it_is_set_right() {
    const YEARS_MS: i64 = 10 * 365 * 86_400_000;
    let server = BadServer::start(Manner::Later).await;
    let relay = TestRelay::start(Engine::Sqlite, |config| by_smtp(config, server.port)).await;
    relay.app().clock.be_wrong_by(YEARS_MS);
    relay.person("alice").await;
    eventually(async || waiting(&relay).await, |mails| has_reason(mails)).await;
    server.manner.send_replace(Manner::Takes);
    relay.app().clock.be_wrong_by(0);
    eventually(async || server.mails(), |mails| !mails.is_empty()).await;
    relay.stop().await;
}

#[tokio::test]
async fn what_a_mail_says_stands_in_no_database() {
    use nightjar_relay::engines::db::Executor as _;
    let server = BadServer::start(Manner::Later).await;
    let relay = TestRelay::start(Engine::Sqlite, |config| by_smtp(config, server.port)).await;
    relay.person("alice").await;
    eventually(async || waiting(&relay).await, |mails| has_reason(mails)).await;
    let rows = relay.app().db.query("select * from mails", vec![]).await.unwrap();
    let text = format!("{rows:?}");
    assert!(!text.contains("verify#") && !text.contains("Confirm"), "{text}");
    let link = relay.app().db.query("select * from one_time_links", vec![]).await.unwrap();
    server.manner.send_replace(Manner::Takes);
    relay.pass(Duration::from_mins(1));
    eventually(async || server.mails(), |mails| !mails.is_empty()).await;
    let token = token_of(&server.mails()[0]);
    assert!(!text.contains(&token) && !format!("{link:?}").contains(&token));
    relay.stop().await;
}

#[tokio::test]
async fn letters_into_a_folder_are_read_by_the_relay_s_user_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = support::directory();
    let folder = directory.path().join("letters");
    let relay = TestRelay::start(Engine::Sqlite, |config| {
        config.mail.engine = MailEngine::File;
        "relay@example.org".clone_into(&mut config.mail.from);
        config.mail.directory = Some(folder.clone());
    })
    .await;
    relay.person("alice").await;
    let files = async || {
        let entries = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.extension().is_some_and(|it| it == "eml")).collect::<Vec<_>>()
    };
    let files = eventually(files, |files| files.len() == 1).await;
    let mode = fs::metadata(&files[0]).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let token = json!({"token": token_of(&fs::read_to_string(&files[0]).unwrap())});
    relay.stranger().post("auth/email/verify", token).await.body(204);
    relay.stop().await;
}
