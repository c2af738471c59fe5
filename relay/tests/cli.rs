//! The program itself: what its command line does, how it starts and how it stops.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread::{self, JoinHandle},
};

use tempfile::TempDir;

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nightjar-relay"));
    command.env("RUST_LOG", "info").env_remove("NOTIFY_SOCKET");
    command
}

/// A directory with a configuration for ports of its own; `more` goes before its tables.
fn configured(more: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let config = format!(
        "public_url = \"http://localhost:0\"\nlisten = \"127.0.0.1:0\"\ndata_dir = \"{}\"\n{more}\n\
         [mqtt]\nlisten = \"127.0.0.1:0\"\npublic_url = \"mqtts://localhost:0\"\n\
         [store]\nlisten = \"127.0.0.1:0\"\npublic_url = \"http://localhost:0\"\n",
        directory.path().join("data").display(),
    );
    fs::write(directory.path().join("relay.toml"), config).unwrap();
    directory
}

fn run(directory: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = program()
        .arg("--config")
        .arg(directory.join("relay.toml"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

struct Serving {
    child: Child,
    url: String,
    log: JoinHandle<String>,
}

/// Starts the relay and reads from its log where it serves.
fn serve(directory: &Path) -> Serving {
    let mut child = program()
        .args(["serve", "--config"])
        .arg(directory.join("relay.toml"))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let url = log
        .by_ref()
        .map(Result::unwrap)
        .find_map(|line| {
            let (_, rest) = line.split_once("the relay serves url=\"")?;
            Some(rest.split('"').next()?.to_owned())
        })
        .unwrap();
    // The rest of the log is read, so that the relay never waits for us.
    let log = thread::spawn(move || log.map(|line| line.unwrap() + "\n").collect());
    Serving { child, url, log }
}

impl Serving {
    /// Stops it as systemd would; gives its exit code, and what it still said.
    fn terminate(mut self) -> (Option<i32>, String) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        (self.child.wait().unwrap().code(), self.log.join().unwrap())
    }
}

#[test]
fn a_wrong_configuration_is_told_on_one_line_with_exit_code_2() {
    for (more, named) in
        [("regstration = \"open\"", "regstration"), ("registration = \"everybody\"", "everybody")]
    {
        let directory = configured(more);
        let output = run(directory.path(), &["serve"], "");
        let errors = errors(&output);
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.lines().count() == 1 && errors.contains(named), "{errors}");
    }
    let nowhere = run(Path::new("/nonexistent"), &["serve"], "");
    assert_eq!(nowhere.status.code(), Some(2), "{}", errors(&nowhere));
}

#[test]
fn the_description_needs_no_database() {
    let directory = configured("");
    let output = run(directory.path(), &["openapi"], "");
    assert!(output.status.success());
    let description: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(description["paths"]["/api/v1/cameras"]["get"].is_object());
    assert!(!directory.path().join("data").exists());
}

#[tokio::test]
async fn the_first_administrator_is_made_at_the_command_line_and_signs_in() {
    let directory = configured("registration = \"closed\"");
    let create = ["admin", "create-account", "root@example.org", "--role", "admin"];
    let weak = run(directory.path(), &create, "short\n");
    assert_eq!(weak.status.code(), Some(1));
    assert!(errors(&weak).contains("weak_password"), "{}", errors(&weak));
    let made = run(directory.path(), &create, "correct horse battery\n");
    assert!(made.status.success(), "{}", errors(&made));
    let again = run(directory.path(), &create, "correct horse battery\n");
    assert!(errors(&again).contains("email_taken"), "{}", errors(&again));

    let relay = serve(directory.path());
    nightjar_relay::engines::tls::install_crypto_provider();
    let credentials =
        serde_json::json!({"email": "root@example.org", "password": "correct horse battery"});
    let answer = reqwest::Client::new()
        .post(format!("{}/api/v1/auth/login", relay.url))
        .json(&credentials)
        .send()
        .await
        .unwrap();
    let me: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(me["account"]["role"], "admin", "{me}");
    assert_eq!(relay.terminate().0, Some(0));
}

#[tokio::test]
async fn a_relay_that_is_told_to_stop_stops_in_order_and_leaves_nothing_behind() {
    let directory = configured("");
    let relay = serve(directory.path());
    nightjar_relay::engines::tls::install_crypto_provider();
    // A connection that stays open, and one that never says anything.
    let client = reqwest::Client::new();
    let healthy = client.get(format!("{}/healthz", relay.url)).send().await.unwrap();
    assert_eq!(healthy.status(), 200);
    let address = relay.url.trim_start_matches("http://").to_owned();
    let _silent = tokio::net::TcpStream::connect(address).await.unwrap();
    let (code, log) = relay.terminate();
    assert_eq!(code, Some(0), "{log}");
    // What does not end within the time that systemd grants is given up, and said to be.
    assert!(!log.contains("left behind"), "{log}");
}

#[test]
fn a_database_of_a_newer_relay_is_left_alone() {
    let directory = configured("");
    let migrated = run(directory.path(), &["migrate"], "");
    assert!(migrated.status.success(), "{}", errors(&migrated));
    let again = run(directory.path(), &["migrate"], "");
    assert!(again.status.success(), "{}", errors(&again));
    let database = rusqlite::Connection::open(directory.path().join("data/relay.db")).unwrap();
    database.execute("insert into schema_migrations (version) values (9999)", []).unwrap();
    let refused = run(directory.path(), &["serve"], "");
    assert_eq!(refused.status.code(), Some(1));
    assert!(errors(&refused).contains("schema version 9999"), "{}", errors(&refused));
}
