//! The databases that tests run on: SQLite always, PostgreSQL where it is installed.

use std::{
    fs,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use tempfile::TempDir;

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
pub(crate) fn fresh(engine: Engine) -> String {
    match engine {
        Engine::Sqlite => "sqlite".to_owned(),
        Engine::Postgres => postgres().unwrap().new_database(),
    }
}

/// A cluster of our own, for all tests of this process.
struct Cluster {
    binaries: PathBuf,
    directory: TempDir,
    /// The server ends when our end of this pipe closes, however we end.
    _keeper: Child,
    databases: AtomicU32,
}

fn postgres() -> Option<&'static Cluster> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    CLUSTER.get_or_init(Cluster::start).as_ref()
}

impl Cluster {
    fn start() -> Option<Self> {
        let Some(binaries) = find_binaries() else {
            say("SKIPPED on PostgreSQL: Debian's package postgresql is not installed");
            return None;
        };
        let directory = tempfile::Builder::new().prefix("nj-pg").tempdir().unwrap();
        // PostgreSQL refuses to run as root; its package made a user for it.
        let as_user = if rustix::process::geteuid().is_root() {
            let owner = Command::new("chown").arg("postgres").arg(directory.path()).status();
            assert!(owner.unwrap().success(), "chown");
            "setpriv --reuid=postgres --regid=postgres --clear-groups"
        } else {
            ""
        };
        let script = format!(
            "cd {dir}
             {as_user} {bin}/initdb -D {dir}/data -U nightjar -A trust -E UTF8 --no-locale \\
                 --no-sync >{dir}/log 2>&1 || exit 1
             {as_user} {bin}/postgres -D {dir}/data -k {dir} -c listen_addresses= \\
                 -c fsync=off -c max_connections=400 >>{dir}/log 2>&1 &
             server=$!
             until {as_user} {bin}/pg_isready -q -h {dir} -U nightjar; do
                 kill -0 $server || exit 1
                 sleep 0.1
             done
             echo ready
             read -r _
             kill -QUIT $server
             wait $server
             rm -rf {dir}",
            dir = directory.path().display(),
            bin = binaries.display(),
        );
        let mut keeper = Command::new("sh")
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0; 6];
        if keeper.stdout.as_mut().unwrap().read_exact(&mut ready).is_err() {
            let log = fs::read_to_string(directory.path().join("log")).unwrap_or_default();
            panic!("PostgreSQL did not start:\n{log}");
        }
        Some(Self { binaries, directory, _keeper: keeper, databases: AtomicU32::new(0) })
    }

    fn new_database(&self) -> String {
        let name = format!("relay_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let directory = self.directory.path().display().to_string();
        let created = Command::new(self.binaries.join("createdb"))
            .args(["-h", &directory, "-U", "nightjar", &name])
            .status();
        assert!(created.unwrap().success(), "createdb {name}");
        format!("postgres://nightjar@{}/{name}", directory.replace('/', "%2F"))
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
