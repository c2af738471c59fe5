//! Backups, restores and migrations by the command line: what is refused, and what is left when one is killed.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use tempfile::TempDir;

use crate::{configured, errors, program, run, serve, small_disk::SmallDisk};

/// The last schema before members had terms: some steps are behind it.
const OLD_SCHEMA: i64 = 10;

fn times(short: u32, long: u32) -> u32 {
    if std::env::var_os("NIGHTJAR_SOAK").is_some() { long } else { short }
}

/// Numbers that look like chance and are the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit.max(1)
    }
}

fn data(directory: &Path) -> PathBuf {
    directory.join("data")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &errors(output)
}

fn done(directory: &Path, arguments: &[&str]) -> String {
    let output = run(directory, arguments, "");
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    said(&output)
}

fn refused(directory: &Path, arguments: &[&str], why: &str) {
    let output = run(directory, arguments, "");
    let said = said(&output);
    assert!(!output.status.success() && said.contains(why), "{arguments:?}: {said}");
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn create_account(directory: &Path, email: &str) {
    let output = run(directory, &["admin", "create-account", email], "correct horse battery\n");
    assert!(output.status.success(), "{}", said(&output));
}

/// A relay that has run: keys, an account, and some clips.
fn lived_in(email: &str) -> TempDir {
    let directory = configured("");
    create_account(directory.path(), email);
    let (code, log) = serve(directory.path()).terminate();
    assert_eq!(code, Some(0), "{log}");
    for name in 0..20 {
        let clip =
            data(directory.path()).join(format!("objects/site/camera-{}/{name}.mp4", name % 3));
        fs::create_dir_all(clip.parent().unwrap()).unwrap();
        fs::write(clip, vec![b'0' + name; 100_000]).unwrap();
    }
    directory
}

fn emails(database: &Path) -> Vec<String> {
    let connection = Connection::open(database).unwrap();
    let whole: String =
        connection.query_row("pragma integrity_check(1)", [], |row| row.get(0)).unwrap();
    assert_eq!(whole, "ok");
    let mut statement = connection.prepare("select email from accounts order by email").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

fn schema(database: &Path) -> i64 {
    let newest = "select max(version) from schema_migrations";
    Connection::open(database).unwrap().query_row(newest, [], |row| row.get(0)).unwrap()
}

#[test]
fn a_backup_holds_all_and_is_for_its_owner_alone() {
    let directory = lived_in("alice@example.org");
    let file = directory.path().join("relay.tar");
    done(directory.path(), &["backup", text(&file), "--with-clips"]);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    refused(directory.path(), &["backup", text(&file)], "--force");
    done(directory.path(), &["backup", text(&file), "--with-clips", "--force"]);
    let left: Vec<_> = fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with('.'))
        .collect();
    assert!(left.is_empty(), "{left:?}");

    let other = configured("");
    let said = done(other.path(), &["restore", text(&file)]);
    assert!(said.contains("20 clips") && said.contains("checking the backup"), "{said}");
    assert_eq!(emails(&data(other.path()).join("relay.db")), ["alice@example.org"]);
    for name in [
        "ca.pem",
        "ca-key.pem",
        "server.pem",
        "secrets.key",
        "store-credentials.json",
        "objects/site/camera-1/1.mp4",
    ] {
        let content = |directory: &Path| fs::read(data(directory).join(name)).unwrap();
        assert_eq!(content(directory.path()), content(other.path()), "{name}");
        let mode = fs::metadata(data(other.path()).join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}");
    }
    assert!(data(other.path()).join("relay.toml.of-the-backup").exists());
    done(other.path(), &["audit", "verify"]);
    let (code, log) = serve(other.path()).terminate();
    assert_eq!(code, Some(0), "{log}");

    // The settings that the restore laid there are no part of the next backup, which is put back, too.
    let next = other.path().join("next.tar");
    done(other.path(), &["backup", text(&next)]);
    done(other.path(), &["restore", "--force", text(&next)]);
    assert_eq!(emails(&data(other.path()).join("relay.db")), ["alice@example.org"]);
}

#[test]
fn of_two_exchanges_of_the_authority_at_once_one_is_made() {
    let directory = lived_in("alice@example.org");
    let exchanges: Vec<_> = (0..2)
        .map(|_| {
            let path = directory.path().to_owned();
            thread::spawn(move || run(&path, &["keys", "rotate", "authority"], ""))
        })
        .collect();
    let outputs: Vec<_> = exchanges.into_iter().map(|it| it.join().unwrap()).collect();
    let made = outputs.iter().filter(|output| output.status.success()).count();
    let said: Vec<_> = outputs.iter().map(said).collect();
    assert_eq!(made, 1, "{said:?}");
    assert!(said.iter().any(|said| said.contains("still vouches")), "{said:?}");
}

#[test]
fn a_restore_into_a_relay_that_runs_or_has_lived_changes_nothing() {
    let directory = lived_in("alice@example.org");
    let file = directory.path().join("relay.tar");
    done(directory.path(), &["backup", text(&file)]);
    create_account(directory.path(), "bob@example.org");
    let database = data(directory.path()).join("relay.db");
    let serving = serve(directory.path());
    refused(directory.path(), &["restore", "--force", text(&file)], "stop it first");
    done(directory.path(), &["backup", "--force", text(&directory.path().join("other.tar"))]);
    serving.terminate();
    refused(directory.path(), &["restore", text(&file)], "--force");
    assert_eq!(emails(&database), ["alice@example.org", "bob@example.org"]);

    let said = done(directory.path(), &["restore", "--force", text(&file)]);
    assert!(said.contains("replaced-1"), "{said}");
    assert_eq!(emails(&database), ["alice@example.org"]);
    let aside = data(directory.path()).join("replaced-1");
    assert_eq!(emails(&aside.join("relay.db")), ["alice@example.org", "bob@example.org"]);
    // Clips that are on the disk stay, where the backup has none.
    assert!(data(directory.path()).join("objects/site/camera-1/1.mp4").exists());
    done(directory.path(), &["restore", "--force", text(&file)]);
    assert!(data(directory.path()).join("replaced-2").exists());
}

#[test]
fn what_is_no_backup_or_of_a_newer_relay_is_refused_before_anything_is_written() {
    let directory = lived_in("alice@example.org");
    let file = directory.path().join("relay.tar");
    done(directory.path(), &["backup", text(&file)]);
    let whole = fs::read(&file).unwrap();
    let newer = String::from_utf8_lossy(&whole[..1024]).contains("\"schema_version\":");
    assert!(newer);
    let other = configured("");
    let bad = directory.path().join("bad.tar");
    let is_refused = |content: &[u8], why: &str| {
        fs::write(&bad, content).unwrap();
        refused(other.path(), &["restore", text(&bad)], why);
        assert!(!data(other.path()).exists(), "{why}");
    };
    is_refused(b"", "no backup");
    is_refused(b"no tar at all", "no backup");
    is_refused(&vec![0; 4096], "no backup");
    is_refused(&whole[..whole.len() / 2], "damaged");
    let mut changed = whole.clone();
    changed[whole.len() / 2] ^= 1;
    is_refused(&changed, "damaged");
    is_refused(&[&whole[..], b"more"].concat(), "follows");
    let text_of = |from: &str, to: &str| {
        let head = String::from_utf8_lossy(&whole[512..1024]).into_owned();
        let at = 512 + head.find(from).unwrap();
        let mut changed = whole.clone();
        changed[at..at + to.len()].copy_from_slice(to.as_bytes());
        changed
    };
    is_refused(&text_of("\"format\":1", "\"format\":9"), "newer one first");
    is_refused(&text_of("\"schema_version\":", "\"schema_version\":9"), "newer one first");

    let fifo = directory.path().join("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, 0o600.into()).unwrap();
    for odd in [text(&fifo), "/dev/zero", text(directory.path())] {
        refused(other.path(), &["restore", odd], "no plain file");
        refused(directory.path(), &["backup", "--force", odd], "no plain file");
    }
    refused(other.path(), &["restore", "/nonexistent"], "cannot read");
    refused(directory.path(), &["backup", "/nonexistent/relay.tar"], "cannot write");
    refused(directory.path(), &["backup", "/"], "no name");
    refused(other.path(), &["backup", text(&bad)], "there is no database yet");
}

#[test]
fn a_sealed_backup_opens_by_its_passphrase_alone() {
    let directory = lived_in("alice@example.org");
    let file = directory.path().join("relay.tar");
    let write = |name: &str, content: &str| {
        let path = directory.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    let (right, wrong) = (write("right", "correct horse\n"), write("wrong", "another horse\n"));
    let short = write("short", "horse\n");
    let with = |passphrase: &Path| format!("--passphrase-file={}", passphrase.display());
    refused(directory.path(), &["backup", text(&file), &with(&short)], "10 characters");
    done(directory.path(), &["backup", text(&file), &with(&right)]);
    let sealed = fs::read(&file).unwrap();
    assert!(!sealed.windows(15).any(|window| window == b"BEGIN CERTIFICA"));
    let other = configured("");
    refused(other.path(), &["restore", text(&file)], "--passphrase-file");
    refused(other.path(), &["restore", text(&file), &with(&wrong)], "no backup");
    done(other.path(), &["restore", text(&file), &with(&right)]);
    assert_eq!(emails(&data(other.path()).join("relay.db")), ["alice@example.org"]);
}

#[test]
fn a_full_disk_leaves_no_half_of_a_backup_and_all_of_what_was_there() {
    let Some(disk) = SmallDisk::mount(8) else { return };
    let directory = lived_in("alice@example.org");
    let file = directory.path().join("relay.tar");
    done(directory.path(), &["backup", text(&file), "--with-clips"]);
    disk.fill_but(1_000_000);
    let there = disk.path().join("relay.tar");
    let output = run(directory.path(), &["backup", text(&there), "--with-clips"], "");
    assert!(!output.status.success(), "{}", said(&output));
    let names = || {
        let entries = fs::read_dir(disk.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(names(), ["filler"]);

    let other = configured("");
    let config = fs::read_to_string(other.path().join("relay.toml")).unwrap();
    let small = disk.path().join("data");
    let config = config.replace(text(&data(other.path())), text(&small));
    fs::write(other.path().join("relay.toml"), config).unwrap();
    refused(other.path(), &["restore", text(&file)], "free");
    assert!(!small.join("relay.db").exists() && !small.join("ca.pem").exists());
    assert!(!small.join(".restoring").exists());
}

/// Kills a command after a while; true when it had ended by itself before.
fn killed(directory: &Path, arguments: &[&str], after: Duration) -> bool {
    let mut child = program()
        .arg("--config")
        .arg(directory.join("relay.toml"))
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    thread::sleep(after);
    let had_ended = child.try_wait().unwrap().is_some();
    child.kill().unwrap();
    child.wait().unwrap();
    had_ended
}

/// How long it takes when nobody kills it, microseconds.
fn takes(work: impl FnOnce()) -> u64 {
    let began = Instant::now();
    work();
    u64::try_from(began.elapsed().as_micros()).unwrap()
}

#[test]
fn a_killed_backup_is_whole_or_not_there() {
    let directory = lived_in("alice@example.org");
    let file = directory.path().join("relay.tar");
    let arguments = ["backup", "--with-clips", "--force", text(&file)];
    let whole = takes(|| drop(done(directory.path(), &arguments)));
    let mut chance = Chance(1);
    for round in 0..times(8, 100) {
        fs::remove_file(&file).ok();
        killed(directory.path(), &arguments, Duration::from_micros(chance.below(whole)));
        if file.exists() {
            let other = configured("");
            done(other.path(), &["restore", text(&file)]);
        }
        // What it left is in nobody's way.
        if round % 4 == 0 {
            done(directory.path(), &arguments);
        }
    }
    done(directory.path(), &arguments);
    let left = fs::read_dir(directory.path()).unwrap();
    let left = left.filter(|entry| {
        entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(".nightjar-backup")
    });
    assert_eq!(left.count(), 0);
}

#[test]
fn a_killed_restore_leaves_the_old_relay_or_the_new_one() {
    let (old, new) = (lived_in("old@example.org"), lived_in("new@example.org"));
    let file = new.path().join("relay.tar");
    done(new.path(), &["backup", "--with-clips", text(&file)]);
    let keys = |directory: &Path| fs::read(data(directory).join("secrets.key")).unwrap();
    let before = old.path().join("old.tar");
    done(old.path(), &["backup", "--with-clips", text(&before)]);
    let (old_keys, new_keys) = (keys(old.path()), keys(new.path()));
    let arguments = ["restore", "--force", text(&file)];
    let whole = takes(|| drop(done(old.path(), &arguments)));
    let (mut chance, mut outcomes) = (Chance(2), [0, 0]);
    for _ in 0..times(10, 100) {
        done(old.path(), &["restore", "--force", text(&before)]);
        // The last moments are those in which both change places.
        let after = whole / 3 + chance.below(whole * 2 / 3);
        killed(old.path(), &arguments, Duration::from_micros(after));
        done(old.path(), &["migrate"]);
        let database = data(old.path()).join("relay.db");
        let is_new = emails(&database) == ["new@example.org"];
        assert!(is_new || emails(&database) == ["old@example.org"]);
        assert_eq!(keys(old.path()), if is_new { &new_keys[..] } else { &old_keys[..] });
        assert!(data(old.path()).join("objects/site/camera-2/2.mp4").exists());
        assert!(!data(old.path()).join(".restoring").exists());
        outcomes[usize::from(is_new)] += 1;
    }
    let mut output = std::io::stderr();
    writeln!(output, "{} killed before their moment, {} after", outcomes[0], outcomes[1]).unwrap();
    let (code, log) = serve(old.path()).terminate();
    assert_eq!(code, Some(0), "{log}");
}

/// A database as an older relay left it, with so many accounts.
fn of_an_older_relay(directory: &Path, accounts: u32) {
    let database = data(directory).join("relay.db");
    fs::create_dir_all(data(directory)).unwrap();
    let mut connection = Connection::open(database).unwrap();
    let transaction = connection.transaction().unwrap();
    transaction
        .execute_batch("create table schema_migrations (version bigint primary key)")
        .unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engines/db/migrations");
    let mut steps: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    steps.sort();
    for (step, version) in steps.iter().zip(1..=OLD_SCHEMA) {
        let sql = fs::read_to_string(step).unwrap();
        let sql = sql.replace(" bigint", " integer").replace("\n);", "\n) strict;");
        transaction.execute_batch(&sql).unwrap();
        transaction.execute("insert into schema_migrations values (?1)", [version]).unwrap();
    }
    for number in 0..accounts {
        transaction
            .execute(
                "insert into accounts (account_id, email, name, role, password_hash, created_at)
                 values (?1, ?2, 'Alice', 'user', 'hash', 0)",
                (format!("00000000-0000-7000-8000-{number:012}"), format!("{number}@example.org")),
            )
            .unwrap();
    }
    transaction.commit().unwrap();
}

#[test]
fn a_killed_migration_leaves_the_old_schema_or_the_new_one_and_loses_nothing() {
    const ACCOUNTS: u32 = 5_000;
    let base = configured("");
    of_an_older_relay(base.path(), ACCOUNTS);
    let fresh = || {
        let directory = configured("");
        fs::create_dir_all(data(directory.path())).unwrap();
        let place = |directory: &Path| data(directory).join("relay.db");
        fs::copy(place(base.path()), place(directory.path())).unwrap();
        directory
    };
    let first = fresh();
    let whole = takes(|| drop(done(first.path(), &["migrate"])));
    let newest = schema(&data(first.path()).join("relay.db"));
    let mut chance = Chance(3);
    let mut directory = fresh();
    for _ in 0..times(10, 100) {
        let after = Duration::from_micros(chance.below(whole));
        killed(directory.path(), &["migrate"], after);
        let database = data(directory.path()).join("relay.db");
        let found = schema(&database);
        assert!([OLD_SCHEMA, newest].contains(&found), "{found}");
        assert_eq!(emails(&database).len(), ACCOUNTS as usize);
        if found == newest {
            directory = fresh();
        }
    }
    done(directory.path(), &["migrate"]);
    let database = data(directory.path()).join("relay.db");
    assert_eq!((schema(&database), emails(&database).len()), (newest, ACCOUNTS as usize));
    // The way back: as many backups as are kept, and nothing half.
    let backups = fs::read_dir(data(directory.path()).join("backups")).unwrap();
    let names: Vec<_> =
        backups.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let is_kept = |name: &String| name.starts_with("before-schema-");
    assert!((1..=3).contains(&names.len()) && names.iter().all(is_kept), "{names:?}");
}

#[test]
fn a_newer_schema_is_refused_and_the_backup_from_before_is_named_and_works() {
    let directory = configured("");
    of_an_older_relay(directory.path(), 3);
    done(directory.path(), &["migrate"]);
    let database = data(directory.path()).join("relay.db");
    let newest = schema(&database);
    let backups = data(directory.path()).join("backups");
    let before = fs::read_dir(&backups).unwrap().next().unwrap().unwrap().path();
    // A newer relay goes on from here, and leaves a backup of its own.
    let of_newer = backups.join(format!("before-schema-{:04}-000001-1.tar", newest + 1));
    done(directory.path(), &["backup", text(&of_newer)]);
    Connection::open(&database)
        .unwrap()
        .execute("insert into schema_migrations values (?1)", [newest + 1])
        .unwrap();
    for arguments in [&["migrate"][..], &["serve"], &["admin", "sites"]] {
        refused(directory.path(), arguments, text(&of_newer));
        refused(directory.path(), arguments, &format!("schema version {}", newest + 1));
    }
    let newer = directory.path().join("newer.tar");
    done(directory.path(), &["backup", text(&newer)]);
    refused(directory.path(), &["restore", "--force", text(&newer)], "newer one first");
    done(directory.path(), &["restore", "--force", text(&of_newer)]);
    assert_eq!(schema(&database), newest);
    // One of an older relay comes forward.
    done(directory.path(), &["restore", "--force", text(&before)]);
    assert_eq!((schema(&database), emails(&database).len()), (newest, 3));
}

#[test]
fn no_migration_begins_without_room_for_its_backup() {
    let Some(disk) = SmallDisk::mount(6) else { return };
    let directory = configured("");
    let config = fs::read_to_string(directory.path().join("relay.toml")).unwrap();
    let small = disk.path().join("data");
    let config = config.replace(text(&data(directory.path())), text(&small));
    fs::write(directory.path().join("relay.toml"), config).unwrap();
    let elsewhere = configured("");
    of_an_older_relay(elsewhere.path(), 5_000);
    fs::create_dir_all(&small).unwrap();
    fs::copy(data(elsewhere.path()).join("relay.db"), small.join("relay.db")).unwrap();
    disk.fill_but(500_000);
    refused(directory.path(), &["migrate"], "no backup can be made");
    assert_eq!(schema(&small.join("relay.db")), OLD_SCHEMA);
    fs::remove_file(disk.path().join("filler")).unwrap();
    done(directory.path(), &["migrate"]);
}

#[test]
fn a_configuration_is_checked_for_all_its_faults_at_once() {
    let directory = configured("regstration = \"open\"\nsource_url = \"git\"\n");
    let path = directory.path().join("relay.toml");
    let mut config = fs::read_to_string(&path).unwrap();
    config += "[limits]\nfree_percent = 99\n[mail]\nengine = \"smtp\"\nfrom = \"a@b\"\nhost = \"h\"\nuser = \"u\"\n\
               password_file = \"/nonexistent/secret\"\n";
    fs::write(&path, &config).unwrap();
    let output = run(directory.path(), &["config", "check"], "");
    let first = said(&output);
    assert_eq!(output.status.code(), Some(2), "{first}");
    for named in ["regstration", "source_url", "free_percent"] {
        assert!(first.contains(named), "{first}");
    }
    let mended = config
        .replace("regstration = \"open\"\n", "")
        .replace("source_url = \"git\"\n", "")
        .replace("free_percent = 99", "free_percent = 9");
    fs::write(&path, &mended).unwrap();
    let second = said(&run(directory.path(), &["config", "check"], ""));
    assert!(second.contains("mail.password_file") && second.contains("mail-password"), "{second}");

    let secret = directory.path().join("mail-password");
    fs::write(&secret, "hunter2\n").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&path, mended.replace("/nonexistent/secret", text(&secret))).unwrap();
    let third = done(directory.path(), &["config", "check", text(&path)]);
    assert!(third.contains("others may read it") && !third.contains("hunter2"), "{third}");

    // systemd gives it, and the file names none.
    let line = "password_file = \"/nonexistent/secret\"\n";
    fs::write(&path, mended.replace(line, "")).unwrap();
    let shown = program()
        .arg("--config")
        .arg(&path)
        .args(["config", "show"])
        .env("CREDENTIALS_DIRECTORY", directory.path())
        .output()
        .unwrap();
    let shown = said(&shown);
    assert!(shown.contains("mail-password\"  # credential"), "{shown}");
    assert!(shown.contains("limits.free_percent = 9  # line"), "{shown}");
    assert!(shown.contains("audit.keep_days = 365  # default"), "{shown}");
}

#[test]
fn a_port_in_use_is_named_unless_the_relay_itself_uses_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let directory = configured("");
    let path = directory.path().join("relay.toml");
    let config = fs::read_to_string(&path).unwrap();
    let config = config.replacen("listen = \"127.0.0.1:0\"", &format!("listen = \"{address}\""), 1);
    fs::write(&path, config).unwrap();
    refused(directory.path(), &["config", "check"], "stop what listens there");
    drop(taken);
    let serving = serve(directory.path());
    let said = done(directory.path(), &["config", "check"]);
    assert!(said.contains("by the relay that runs"), "{said}");
    serving.terminate();
}
