//! People, cameras and events by the thousand, put into the relay's database while it does not run: by its
//! doors they would take hours, as limits are there for.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use nightjar_shared::ids::{AccountId, CameraId, EventId, SiteId};
use sha2::{Digest as _, Sha256};

use super::postgres::Postgres;
use crate::{
    api::Api,
    bench::machine,
    relay::{Place, Relay},
};

/// Rows of one statement.
const BATCH: usize = 500;
const DAY_MS: i64 = 86_400_000;
const START_LIMIT: Duration = Duration::from_secs(20);

/// Somebody with a site, who is signed in.
pub(super) struct Owner {
    pub(super) account_id: AccountId,
    pub(super) site_id: SiteId,
    pub(super) token: String,
}

impl Owner {
    pub(super) fn api(&self, relay: &Relay) -> Result<Api> {
        Ok(relay.api()?.with_token(self.token.clone()))
    }
}

/// A paired camera with a token.
#[derive(Clone)]
pub(super) struct Camera {
    pub(super) id: CameraId,
    pub(super) site_id: SiteId,
    pub(super) token: String,
}

/// Where a relay keeps its rows.
pub(super) enum Rows<'a> {
    Sqlite,
    Postgres(&'a Postgres),
}

/// A world of rows that is being made.
#[derive(Default)]
pub(super) struct People {
    pub(super) owners: Vec<Owner>,
    pub(super) cameras: Vec<Camera>,
    sql: Vec<String>,
}

impl People {
    /// Makes owners with as many cameras each.
    pub(super) fn new(owners: usize, cameras_each: usize) -> Result<Self> {
        let now = machine::whole_unix_millis()?;
        let mut people = Self::default();
        let (mut accounts, mut sites, mut members) = (Vec::new(), Vec::new(), Vec::new());
        let (mut families, mut tokens) = (Vec::new(), Vec::new());
        let (mut cameras, mut device_tokens) = (Vec::new(), Vec::new());
        for number in 0..owners {
            let owner = Owner {
                account_id: AccountId::generate(),
                site_id: SiteId::generate(),
                token: format!("person-{number}-{}", SiteId::generate()),
            };
            let Owner { account_id, site_id, token } = &owner;
            accounts.push(format!(
                "('{account_id}', 'p{number}@example.org', 'P', 'user', 'none', {now})"
            ));
            sites.push(format!("('{site_id}', 'Home', {now})"));
            members.push(format!("('{site_id}', '{account_id}', 'owner', {now})"));
            families.push(format!("('family-{site_id}', '{account_id}', {now}, {})", now + DAY_MS));
            tokens.push(format!(
                "('{}', 'family-{site_id}', '{account_id}', {})",
                hash(token),
                now + DAY_MS
            ));
            for place in 0..cameras_each {
                let camera = Camera {
                    id: CameraId::generate(),
                    site_id: *site_id,
                    token: format!("camera-{number}-{place}-{}", SiteId::generate()),
                };
                let (id, token) = (camera.id, hash(&camera.token));
                cameras.push(format!(
                    "('{id}', '{site_id}', 'Front door', 'fake', '0.1.0', '{token}', {now})"
                ));
                device_tokens.push(format!("('{token}', '{id}', {})", now + DAY_MS));
                people.cameras.push(camera);
            }
            people.owners.push(owner);
        }
        for (table, rows) in [
            ("accounts (account_id, email, name, role, password_hash, created_at)", accounts),
            ("sites (site_id, name, created_at)", sites),
            ("members (site_id, account_id, role, created_at)", members),
            ("token_families (family_id, account_id, created_at, expires_at)", families),
            ("access_tokens (token_hash, family_id, account_id, expires_at)", tokens),
            (
                "cameras (camera_id, site_id, name, model, agent_version, public_key, paired_at)",
                cameras,
            ),
            ("device_tokens (token_hash, camera_id, expires_at)", device_tokens),
        ] {
            people.insert(table, &rows);
        }
        Ok(people)
    }

    /// Adds events to the first camera, a minute apart, the last of them now.
    pub(super) fn with_events(mut self, count: i64) -> Result<Self> {
        let now = machine::whole_unix_millis()?;
        let camera = self.cameras.first().context("nobody has a camera")?.clone();
        let rows: Vec<String> = (0..count)
            .map(|number| {
                let at = now - (count - number) * 60_000;
                format!(
                    "('{}', '{}', '{}', 'motion', 'ended', {at}, {}, 'synced', '{}', 5000, \
                     '[{{\"x\":0.1,\"y\":0.1,\"width\":0.2,\"height\":0.2}}]', '[\"drive\"]')",
                    EventId::generate(),
                    camera.id,
                    camera.site_id,
                    at + 8_000,
                    EventId::generate(),
                )
            })
            .collect();
        self.insert(
            "events (event_id, camera_id, site_id, kind, state, started_at, ended_at, clock, \
             boot_id, uptime_ms, boxes, zones)",
            &rows,
        );
        Ok(self)
    }

    fn insert(&mut self, table: &str, rows: &[String]) {
        let statements = rows.chunks(BATCH);
        self.sql.extend(
            statements.map(|rows| format!("insert into {table} values {};", rows.join(",\n"))),
        );
    }

    /// Starts a relay once for its schema, puts everybody in and starts it for good.
    pub(super) async fn move_in(
        &self,
        directory: &Path,
        place: Place,
        rows: Rows<'_>,
    ) -> Result<Relay> {
        let mut relay = Relay::start(directory, place.clone()).await?;
        relay.stop(START_LIMIT).await?;
        let sql = format!("begin;\n{}\ncommit;\n", self.sql.join("\n"));
        let mut program = match rows {
            Rows::Sqlite => {
                let mut program = Command::new("sqlite3");
                program.arg("-bail").arg(directory.join("relay/relay.db"));
                program
            }
            Rows::Postgres(postgres) => postgres.psql(),
        };
        feed(&mut program, &sql)?;
        drop(relay);
        Relay::start(directory, place).await
    }
}

fn feed(program: &mut Command, sql: &str) -> Result<()> {
    let name = program.get_program().to_string_lossy().into_owned();
    let mut child = program
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {name}: is its package installed?"))?;
    child.stdin.take().context("a child without its input")?.write_all(sql.as_bytes())?;
    ensure!(child.wait()?.success(), "{name} refused the rows");
    Ok(())
}

/// As the relay keeps tokens.
fn hash(token: &str) -> String {
    hex::encode(Sha256::digest(token.as_bytes()))
}
