//! The program itself: what its command line does, how it starts and how it stops.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "cli/backups.rs"]
mod backups;
#[path = "support/small_disk.rs"]
#[expect(dead_code, reason = "other tests fill a disk to its last byte")]
mod small_disk;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread::{self, JoinHandle},
};

use tempfile::TempDir;

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nightjar-relay"));
    command.env_remove("RUST_LOG").env_remove("NOTIFY_SOCKET");
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
    store_url: String,
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
    let line = log.by_ref().map(Result::unwrap).find(|line| line.contains("the relay serves"));
    let value = |key: &str| {
        let (_, rest) = line.as_ref()?.split_once(&format!(" {key}=\""))?;
        Some(rest.split('"').next()?.to_owned())
    };
    let (url, store_url) = (value("url").unwrap(), value("store").unwrap());
    // The rest of the log is read, so that the relay never waits for us.
    let log = thread::spawn(move || log.map(|line| line.unwrap() + "\n").collect());
    Serving { child, url, store_url, log }
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
fn what_the_store_refuses_is_one_line_of_the_log_without_the_signature() {
    let directory = configured("");
    let serving = serve(directory.path());
    let address = serving.store_url.trim_start_matches("http://");
    let signature = "5ec7e7".repeat(11)[..64].to_owned();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(address).unwrap();
        let query = format!(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20200101T000000Z&X-Amz-Expires=60\
             &X-Amz-Credential=A%2F20200101%2Fnightjar%2Fs3%2Faws4_request\
             &X-Amz-SignedHeaders=host&X-Amz-Signature={signature}"
        );
        let head = format!("GET /clips/a/b/0.mp4?{query} HTTP/1.1\r\nHost: elsewhere\r\n");
        stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    }
    let (_, log) = serving.terminate();
    assert!(!log.contains(&signature), "{log}");
    let about = |line: &&str| ["clips/", "s3s", "expired"].iter().any(|word| line.contains(word));
    let lines: Vec<_> = log.lines().filter(about).collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(lines[0].contains("path=\"/clips/a/b/0.mp4\"") && lines[0].contains("why="), "{log}");
}

#[test]
fn a_store_is_prepared_only_where_there_is_one_to_prepare() {
    let directory = configured("");
    let output = run(directory.path(), &["store", "prepare"], "");
    assert!(output.status.success(), "{}", errors(&output));
    let config = "public_url = \"http://localhost:1\"\n[store]\nengine = \"s3\"\n\
                  endpoint = \"http://localhost:2\"\ncredentials_file = \"/nonexistent\"\n";
    fs::write(directory.path().join("relay.toml"), config).unwrap();
    let output = run(directory.path(), &["store", "prepare"], "");
    let errors = errors(&output);
    assert!(!output.status.success() && errors.contains("store.credentials_file"), "{errors}");
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

#[test]
fn the_factors_of_an_account_are_removed_at_the_command_line() {
    let directory = configured("");
    let create = ["admin", "create-account", "root@example.org", "--role", "admin"];
    assert!(run(directory.path(), &create, "correct horse battery\n").status.success());
    let unknown = run(directory.path(), &["admin", "remove-factors", "nobody@example.org"], "");
    assert_eq!(unknown.status.code(), Some(1));
    assert!(errors(&unknown).contains("no account with this address"), "{}", errors(&unknown));
    let removed = run(directory.path(), &["admin", "remove-factors", "Root@example.org"], "");
    assert!(removed.status.success(), "{}", errors(&removed));
    assert!(String::from_utf8(removed.stdout).unwrap().contains("no second factor"));
}

#[test]
fn the_trail_is_checked_at_the_command_line_against_an_anchor_kept_elsewhere() {
    let directory = configured("");
    let audit = |arguments: &[&str]| run(directory.path(), &[&["audit"], arguments].concat(), "");
    for name in ["root", "alice"] {
        let email = format!("{name}@example.org");
        let create = ["admin", "create-account", &email];
        assert!(run(directory.path(), &create, "correct horse battery\n").status.success());
    }
    let anchor = String::from_utf8(audit(&["anchor"]).stdout).unwrap().trim().to_owned();
    assert!(anchor.starts_with("2:"), "{anchor}");
    let whole = audit(&["verify", "--anchor", &anchor]);
    assert!(whole.status.success(), "{}", errors(&whole));
    let told = String::from_utf8(whole.stdout).unwrap();
    assert!(told.starts_with("2 entries, 1 to 2, are as they were written"), "{told}");
    for (number, says) in [("2", "written anew"), ("9", "ends at entry 2 and before the anchor")] {
        let other = audit(&["verify", "--anchor", &format!("{number}:{}", "0".repeat(64))]);
        assert_eq!(other.status.code(), Some(1));
        assert!(errors(&other).contains(says), "{}", errors(&other));
    }
    assert_eq!(audit(&["verify", "--anchor", "nonsense"]).status.code(), Some(2));
}

#[test]
fn files_for_a_batch_of_cameras_are_made_listed_and_taken_back() {
    let directory = configured("");
    let create = ["admin", "create-account", "root@example.org"];
    assert!(run(directory.path(), &create, "correct horse battery\n").status.success());
    let (csv, out) = (directory.path().join("cameras.csv"), directory.path().join("cards"));
    let provision = |table: &str| {
        fs::write(&csv, table).unwrap();
        let arguments = ["admin", "provision", "--csv", csv.to_str().unwrap(), "--out"];
        run(directory.path(), &[&arguments[..], &[out.to_str().unwrap()]].concat(), "")
    };
    let listed = || {
        let output = run(directory.path(), &["admin", "pairings"], "");
        String::from_utf8(output.stdout).unwrap()
    };
    let wrong = provision("name,site,wifi_ssid\nFront,Home,\nBack,Home,\"a\tb\"\n");
    assert!(!wrong.status.success() && errors(&wrong).contains("line 3"), "{}", errors(&wrong));
    assert!(!out.exists() && listed().is_empty());

    let table = "name,site,wifi_ssid,wifi_passphrase\nFront door,Home,Net,geheim-geheim\n\
                 Back,root@example.org/Home,,\n";
    let made = provision(table);
    assert!(made.status.success(), "{}", errors(&made));
    let file = out.join("1-front-door/nightjar.toml");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&file).unwrap();
    for part in ["name = \"Front door\"", "ssid = \"Net\"", "secret = ", "expires_at = "] {
        assert!(text.contains(part), "{text}");
    }
    let lines = listed();
    assert_eq!(lines.lines().count(), 2, "{lines}");
    assert!(lines.contains("719 h left\tFront door"), "{lines}");

    // Nothing is overwritten, and what was begun is undone.
    let again = provision(table);
    assert!(!again.status.success() && errors(&again).contains("nightjar.toml"));
    assert_eq!((listed().lines().count(), fs::read_to_string(&file).unwrap()), (2, text));

    let id = lines.split('\t').next().unwrap();
    assert!(run(directory.path(), &["admin", "take-back", id], "").status.success());
    assert_eq!(listed().lines().count(), 1);
    let twice = run(directory.path(), &["admin", "take-back", id], "");
    assert!(!twice.status.success() && errors(&twice).contains("admin pairings"));
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

/// Everything below a directory that others than its owner may look into.
fn open_to_others(directory: &Path) -> Vec<String> {
    let mut open = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        if metadata.permissions().mode() & 0o077 != 0 {
            open.push(entry.path().display().to_string());
        }
        if metadata.is_dir() {
            open.extend(open_to_others(&entry.path()));
        }
    }
    open
}

#[test]
fn nobody_else_reads_what_the_relay_keeps_whatever_was_there_before() {
    let directory = configured("");
    let data = directory.path().join("data");
    // As `install -d` makes it, and as an older relay left what lies in it.
    fs::create_dir_all(data.join("objects/aa")).unwrap();
    for old in ["relay.db", "objects/aa/clip.mp4"] {
        fs::write(data.join(old), "").unwrap();
    }
    for (path, mode) in [("", 0o755), ("relay.db", 0o644), ("objects/aa/clip.mp4", 0o666)] {
        fs::set_permissions(data.join(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    // Anybody may have laid a link while the directory was open.
    let elsewhere = directory.path().join("elsewhere");
    fs::write(&elsewhere, "").unwrap();
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o644)).unwrap();
    std::os::unix::fs::symlink(&elsewhere, data.join("link")).unwrap();

    let serving = serve(directory.path());
    assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
    fs::remove_file(data.join("link")).unwrap();
    assert_eq!(open_to_others(&data), [""; 0]);
    assert!(data.join("relay.db-wal").exists());
    assert_eq!(fs::metadata(&elsewhere).unwrap().permissions().mode() & 0o777, 0o644);
    assert_eq!(serving.terminate().0, Some(0));
}

/// A text as editors save it.
fn saved(text: &str) -> Vec<Vec<u8>> {
    let lines = text.replace('\n', "\r\n");
    [
        text.to_owned(),
        lines.clone(),
        format!("\u{feff}{text}"),
        format!("\u{feff}{lines}\r\n  \r\n"),
    ]
    .map(String::into_bytes)
    .to_vec()
}

fn utf16(text: &str) -> Vec<u8> {
    format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[test]
fn configuration_and_secrets_are_read_as_any_editor_saves_them() {
    let directory = configured("");
    let path = directory.path().join("relay.toml");
    let mut plain = fs::read_to_string(&path).unwrap();
    for bytes in saved(&plain) {
        fs::write(&path, bytes).unwrap();
        let output = run(directory.path(), &["migrate"], "");
        assert!(output.status.success(), "{}", errors(&output));
    }
    fs::write(&path, utf16(&plain)).unwrap();
    let refused = run(directory.path(), &["migrate"], "");
    assert_eq!(refused.status.code(), Some(2));
    let line = errors(&refused);
    assert!(line.lines().count() == 1 && line.contains("relay.toml"), "{line}");
    assert!(line.contains("save it as UTF-8"), "{line}");

    let create = ["admin", "create-account", "root@example.org"];
    fs::write(&path, &plain).unwrap();
    let made = run(directory.path(), &create, "\u{feff}correct horse battery\r\n");
    assert!(made.status.success(), "{}", errors(&made));

    let secret = directory.path().join("turn-secret");
    let secret_file = secret.display();
    let turn = format!(
        "[turn]\nengine = \"external\"\nurls = [\"turn:turn.example.org\"]\n\
         secret_file = \"{secret_file}\"\n"
    );
    plain.push_str(&turn);
    fs::write(&path, &plain).unwrap();
    fs::write(&secret, "\u{feff} north \r\n\r\n").unwrap();
    assert_eq!(serve(directory.path()).terminate().0, Some(0));
    for (bytes, problem) in [(utf16("north\n"), "UTF-16"), (b" \r\n".to_vec(), "empty")] {
        fs::write(&secret, bytes).unwrap();
        let refused = run(directory.path(), &["serve"], "");
        let line = errors(&refused);
        assert!(!refused.status.success() && line.contains("turn.secret_file"), "{line}");
        assert!(line.contains(problem), "{line}");
    }
}

/// A port that is free now.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// What `doctor` finds: whether all is well, and each finding's code, thing and verdict.
fn doctor(directory: &Path) -> (bool, Vec<[String; 3]>) {
    let output = run(directory, &["doctor", "--json"], "");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let healthy = report["healthy"].as_bool().unwrap();
    assert_eq!(output.status.code(), Some(i32::from(!healthy)), "{}", errors(&output));
    let checks = report["checks"].as_array().unwrap().iter().map(|check| {
        let is_good = check["verdict"] == "good";
        assert!(is_good || check["next_step"].is_string(), "{check}");
        ["code", "name", "verdict"].map(|key| check[key].as_str().unwrap().to_owned())
    });
    (healthy, checks.collect())
}

fn has(found: &[[String; 3]], code: &str, name: &str, verdict: &str) {
    let it = [code, name, verdict].map(str::to_owned);
    assert!(found.contains(&it), "no {it:?} in {found:#?}");
}

/// A directory, and the configuration of a relay with https, a store and TURN at these ports.
fn for_a_doctor([web, store, mqtt, turn]: [u16; 4]) -> (TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let config = format!(
        "public_url = \"https://localhost:{web}\"\nlisten = \"127.0.0.1:{web}\"\n\
         data_dir = \"{}\"\nregistration = \"open\"\n\
         [mqtt]\nlisten = \"127.0.0.1:{mqtt}\"\npublic_url = \"mqtts://localhost:{mqtt}\"\n\
         [store]\nlisten = \"127.0.0.1:{store}\"\npublic_url = \"https://localhost:{store}\"\n\
         [turn]\nengine = \"embedded\"\nlisten = \"127.0.0.1:{turn}\"\ntls = false\n\
         [limits]\nfree_percent = 0\nfree_megabytes = 1\n",
        directory.path().join("data").display(),
    );
    (directory, config)
}

#[test]
fn doctor_names_what_is_missing_and_finds_nothing_at_a_relay_that_serves() {
    let ports = [(); 4].map(|()| free_port());
    let (directory, config) = for_a_doctor(ports);
    let web = ports[0];
    fs::write(directory.path().join("relay.toml"), &config).unwrap();
    let (healthy, found) = doctor(directory.path());
    assert!(!healthy);
    has(&found, "no_data_dir", "data directory", "bad");
    has(&found, "unreachable", "app", "bad");
    has(&found, "unreachable", "store's address", "bad");
    has(&found, "registration_open", "registration", "warning");

    let serving = serve(directory.path());
    let (healthy, found) = doctor(directory.path());
    assert!(healthy, "{found:#?}");
    for (code, name) in [
        ("configuration", "configuration"),
        ("space", "data directory"),
        ("database", "database"),
        ("reached", "app"),
        ("reached", "store's address"),
        ("reached", "mqtt"),
        ("ready", "parts"),
        ("turn", "turn"),
    ] {
        has(&found, code, name, "good");
    }
    assert_eq!(found.iter().filter(|it| it[0] == "turn").count(), 2, "by UDP and by TCP");
    has(&found, "own_certificate", "certificate", "warning");
    // A hang-up does not end it: it looks at its files again.
    let pid = rustix::process::Pid::from_child(&serving.child);
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    assert!(doctor(directory.path()).0);
    // The name leads to something else.
    let (code, _) = serving.terminate();
    assert_eq!(code, Some(0));
    let foreign = configured("");
    let text = fs::read_to_string(foreign.path().join("relay.toml")).unwrap();
    let text = text.replacen("127.0.0.1:0", &format!("127.0.0.1:{web}"), 1);
    let text = text.replacen("http://localhost:0", &format!("http://localhost:{web}"), 1);
    fs::write(foreign.path().join("relay.toml"), text).unwrap();
    let serving = serve(foreign.path());
    let plain = config.replacen("https://localhost", "http://localhost", 1);
    fs::write(directory.path().join("relay.toml"), plain).unwrap();
    has(&doctor(directory.path()).1, "other_server", "app", "bad");
    serving.terminate();
}

#[test]
fn doctor_names_a_certificate_that_cannot_be_read_and_a_configuration_that_cannot_be_used() {
    let (directory, config) = for_a_doctor([(); 4].map(|()| free_port()));
    let tls = "[tls]\ncertificate = \"/nowhere/fullchain.pem\"\nkey = \"/nowhere/privkey.pem\"\n";
    fs::write(directory.path().join("relay.toml"), format!("{config}{tls}")).unwrap();
    let found = doctor(directory.path()).1;
    has(&found, "certificate_unreadable", "certificate", "bad");
    has(&found, "no_mail", "mail", "warning");
    let mail = "[mail]\nengine = \"smtp\"\nfrom = \"nightjar@example.org\"\nhost = \"localhost\"\n\
                tls = \"none\"\n";
    let mail = format!("{config}{mail}port = {}\n", free_port());
    fs::write(directory.path().join("relay.toml"), mail).unwrap();
    has(&doctor(directory.path()).1, "no_mail_server", "mail", "bad");

    fs::write(directory.path().join("relay.toml"), "regstration = 1").unwrap();
    let (_, found) = doctor(directory.path());
    has(&found, "bad_configuration", "configuration", "bad");
    assert_eq!(found.len(), 1);
}

/// Runs a task of administrators and reads its JSON.
fn administer(directory: &Path, arguments: &[&str]) -> serde_json::Value {
    let all: Vec<&str> = ["admin"].iter().chain(arguments).chain(&["--json"]).copied().collect();
    let output = run(directory, &all, "");
    assert!(output.status.success(), "{arguments:?}: {}", errors(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_relay_without_an_account_prints_the_link_of_its_first_administrator_past_the_log() {
    let directory = configured("");
    let (code, log) = serve(directory.path()).terminate();
    assert_eq!(code, Some(0), "{log}");
    let links: Vec<&str> =
        log.lines().map(str::trim).filter(|line| line.contains("/first-admin#")).collect();
    assert_eq!(links.len(), 1, "{log}");
    assert!(links[0].starts_with("http://localhost:"), "it stands on a line of its own: {log}");
    let made = ["admin", "create-account", "root@example.org", "--role", "admin"];
    assert!(run(directory.path(), &made, "correct horse battery\n").status.success());
    let (_, log) = serve(directory.path()).terminate();
    assert!(!log.contains("/first-admin#"), "{log}");
}

#[test]
fn administrators_work_at_the_command_line_in_columns_and_in_json() {
    let directory = configured("");
    let directory = directory.path();
    for (email, role) in [("root@example.org", "admin"), ("alice@example.org", "user")] {
        let made = ["admin", "create-account", email, "--role", role];
        assert!(run(directory, &made, "correct horse battery\n").status.success());
    }
    let accounts = administer(directory, &["account", "list", "--search", "ALICE"]);
    assert_eq!(accounts["items"].as_array().unwrap().len(), 1);
    let disabled = administer(directory, &["account", "disable", "alice@example.org"]);
    assert!(disabled["disabled_at"].is_i64());
    let text = run(directory, &["admin", "account", "list"], "");
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.starts_with("account_id") && text.contains("alice@example.org"), "{text}");
    administer(directory, &["account", "enable", "alice@example.org"]);
    let last = run(directory, &["admin", "account", "disable", "root@example.org"], "");
    assert_eq!(last.status.code(), Some(1));
    assert!(errors(&last).contains("no other administrator"), "{}", errors(&last));
    let refused = run(directory, &["admin", "account", "delete", "alice@example.org"], "");
    assert_eq!(refused.status.code(), Some(1));
    let shown = String::from_utf8(refused.stdout).unwrap();
    let site = shown.lines().nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    let delete = ["account", "delete", "alice@example.org", "--site", &site];
    assert!(administer(directory, &delete)["delete_after"].is_i64());
    administer(directory, &["account", "keep", "alice@example.org"]);
    let link = administer(directory, &["account", "reset", "alice@example.org"]);
    assert!(link["url"].as_str().unwrap().contains("/reset#"));
    let sites = administer(directory, &["site", "list"]);
    assert_eq!(sites["items"].as_array().unwrap().len(), 2);
    let limited = administer(directory, &["site", "limit", &site, "--megabytes", "500"]);
    assert_eq!(limited["limits"]["megabytes"], 500);
    let free = administer(directory, &["site", "limit", &site]);
    assert!(free["limits"].get("megabytes").is_none());
    assert_eq!(administer(directory, &["camera", "list"])["items"], serde_json::json!([]));
    assert_eq!(administer(directory, &["storage"])["clips"], 0);
    assert_eq!(administer(directory, &["live", "list"])["items"], serde_json::json!([]));
    administer(directory, &["job", "run", "old_trail"]);
    administer(directory, &["letter", "list"]);
    administer(directory, &["statistics"]);
    let trail = administer(directory, &["trail", "--scope", "security"]);
    let actions: Vec<&str> =
        trail["items"].as_array().unwrap().iter().filter_map(|it| it["action"].as_str()).collect();
    assert!(actions.contains(&"account_disabled") && actions.contains(&"password_voided"));
    for odd in [["log.level", "loud"], ["audit.keep_days", "1"], ["nothing", "1"]] {
        let refused = run(directory, &["admin", "setting", "set", odd[0], odd[1]], "");
        assert!(!refused.status.success(), "{odd:?}");
    }
}

#[test]
fn a_setting_of_the_command_line_is_in_force_in_the_relay_that_runs() {
    let directory = configured("registration = \"open\"");
    let serving = serve(directory.path());
    let set = ["setting", "set", "registration", "closed"];
    let found = administer(directory.path(), &set);
    let of = |list: &serde_json::Value| {
        let items = list["items"].as_array().unwrap().clone();
        let found = items.into_iter().find(|it| it["name"] == "registration").unwrap();
        (found["value"].clone(), found["source"].clone())
    };
    assert_eq!(of(&found), ("closed".into(), "admin".into()));
    let address = serving.url.trim_start_matches("http://").to_owned();
    let asks = || {
        let mut stream = TcpStream::connect(&address).unwrap();
        let head = "GET /api/v1/auth/registration HTTP/1.1\r\nHost: localhost\r\n";
        stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
    while !asks().contains("\"closed\"") {
        assert!(std::time::Instant::now() < deadline, "{}", asks());
        thread::sleep(std::time::Duration::from_millis(100));
    }
    let unset = administer(directory.path(), &["setting", "unset", "registration"]);
    assert_eq!(of(&unset), ("open".into(), "file".into()));
    serving.terminate();
}
