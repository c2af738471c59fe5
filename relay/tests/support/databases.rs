//! The databases that tests run on: SQLite always, PostgreSQL where it is installed.

use std::{
    env,
    fs::{self, File},
    io::Write as _,
    os::unix::process::{CommandExt as _, parent_id},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use tokio_postgres::NoTls;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::support::place_for;

/// Nothing is worth keeping after the tests, and nobody but they may connect.
const SETTINGS: &str = "-c fsync=off -c full_page_writes=off -c max_wal_size=64MB \
     -c listen_addresses= -c max_connections=400";

/// With the tables of a few hundred relays.
const CLUSTER_BYTES: u64 = 512 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

/// All that can be used here. Says aloud what is left out.
pub(crate) fn engines() -> Vec<Engine> {
    if postgres().is_some() { vec![Engine::Sqlite, Engine::Postgres] } else { vec![Engine::Sqlite] }
}

/// A fresh, empty database, as `database.url` names it.
pub(crate) async fn fresh(engine: Engine) -> String {
    match engine {
        Engine::Sqlite => "sqlite".to_owned(),
        Engine::Postgres => postgres().unwrap().fresh().await,
    }
}

/// A PostgreSQL server for all tests of one run.
struct Cluster {
    binaries: PathBuf,
    directory: PathBuf,
}

fn postgres() -> Option<&'static Cluster> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    CLUSTER.get_or_init(Cluster::of_this_run).as_ref()
}

/// The name of this run of the tests, and the process at whose end it is over. nextest gives each test
/// a process of its own, whose parent it is.
fn run() -> (String, u32) {
    match env::var("NEXTEST_RUN_ID") {
        Ok(run) => (format!("{run}-{}", parent_id()), parent_id()),
        Err(_) => (Uuid::new_v4().to_string(), std::process::id()),
    }
}

impl Cluster {
    /// The first test starts the server, the others wait until it serves.
    fn of_this_run() -> Option<Self> {
        let Some(binaries) = find_binaries() else {
            say("SKIPPED on PostgreSQL: Debian's package postgresql is not installed");
            return None;
        };
        let (run, owner) = run();
        let directory = place_for(CLUSTER_BYTES).join(format!("nj-pg-{run}"));
        fs::create_dir_all(&directory).unwrap();
        let lock = File::create(directory.join("lock")).unwrap();
        lock.lock().unwrap();
        let cluster = Self { binaries, directory };
        if !cluster.socket().exists() {
            cluster.start(owner);
        }
        Some(cluster)
    }

    fn socket(&self) -> PathBuf {
        self.directory.join(".s.PGSQL.5432")
    }

    /// Starts the server. It ends, and its directory goes, when its owner has ended, however that came.
    fn start(&self, owner: u32) {
        let directory = &self.directory;
        // PostgreSQL refuses to run as root; its package made a user for it.
        let as_user = if rustix::process::geteuid().is_root() {
            let given = Command::new("chown").arg("postgres").arg(directory).status();
            assert!(given.unwrap().success(), "chown");
            "setpriv --reuid=postgres --regid=postgres --clear-groups"
        } else {
            ""
        };
        let script = format!(
            "cd {dir}
             {as_user} {bin}/initdb -D {dir}/data -U nightjar -A trust -E UTF8 --no-locale \
                 --no-sync || exit 1
             {as_user} {bin}/pg_ctl -D {dir}/data -w start -o '-k {dir} {SETTINGS}' || exit 1
             (
                 tail --pid={owner} -f /dev/null
                 {as_user} {bin}/pg_ctl -D {dir}/data -m immediate stop
                 rm -rf {dir}
             ) &",
            dir = directory.display(),
            bin = self.binaries.display(),
        );
        let log = File::create(directory.join("log")).unwrap();
        let started = Command::new("sh")
            .args(["-c", &script])
            // What ends a test, a signal to its group or a look for what it left, ends no server.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .status();
        let log = fs::read_to_string(directory.join("log")).unwrap_or_default();
        assert!(started.unwrap().success(), "PostgreSQL did not start:\n{log}");
    }

    /// An empty schema of its own is all that a relay can tell from an empty database, and is made in
    /// a tenth of the time.
    async fn fresh(&self) -> String {
        let schema = format!("relay_{}", Uuid::new_v4().simple());
        let host = self.directory.display().to_string().replace('/', "%2F");
        let url = format!("postgres://nightjar@{host}/postgres");
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        let connection = TaskTracker::new().spawn(connection);
        client.batch_execute(&format!("create schema {schema}")).await.unwrap();
        drop(client);
        connection.await.unwrap().unwrap();
        format!("{url}?options=-csearch_path%3D{schema}")
    }
}

fn find_binaries() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut binaries: Vec<PathBuf> = versions
        .filter_map(|version| Some(version.ok()?.path().join("bin")))
        .filter(|binaries| has(binaries, "initdb") && has(binaries, "postgres"))
        .collect();
    binaries.sort();
    binaries.pop()
}

fn has(binaries: &Path, program: &str) -> bool {
    binaries.join(program).is_file()
}

/// Past the capture of the test harness: a test that was left out must be seen.
fn say(what: &str) {
    let _ = writeln!(std::io::stderr(), "{what}");
}
