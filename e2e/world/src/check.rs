//! The invariants.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use tokio::time::Instant;

use crate::{model::Footage, world::World};

/// A camera whose connection ended counts as online for a while: the relay waits whether it comes
/// back, and looks every two seconds here.
const OFFLINE_AFTER: Duration = Duration::from_secs(5 + 2 + 2);
/// After the relay's start cameras have longer to be back.
const OFFLINE_AFTER_START: Duration = Duration::from_secs(30 + 2 + 2);
/// A camera that died without a word: the broker notices that after 22.5 s.
const OFFLINE_AFTER_DEATH: Duration = Duration::from_secs(23 + 9);
const ONLINE_AFTER: Duration = Duration::from_secs(5);
/// The relay ends a command this long after its time.
const COMMAND_ENDED_AFTER: Duration = Duration::from_secs(10 + 4);

impl World {
    /// A look at the relay's database from aside.
    pub(crate) fn database(&self) -> MutexGuard<'_, Connection> {
        let open = || {
            let path = self.relay.data_dir.join("relay.db");
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
            Mutex::new(Connection::open_with_flags(path, flags).unwrap())
        };
        self.database.get_or_init(open).lock().unwrap()
    }

    /// Takes an object away that the relay has seen in the store.
    pub(crate) fn lose_object(&self) {
        let key: Option<String> = self
            .database()
            .query_row(
                "select object_key from clip_parts where stored = 1 and kind = 'segment'
                 order by clip_id, part_index limit 1",
                [],
                |row| row.get(0),
            )
            .ok();
        if let Some(key) = key {
            // It may be gone already.
            let _ = std::fs::remove_file(self.relay.data_dir.join("objects").join(key));
        }
    }

    /// What must hold at any time.
    pub(crate) async fn check_now(&self) {
        let Some(relay_since) = self.model().relay_since() else { return };
        self.check_presence(relay_since).await;
        if relay_since.elapsed() < Duration::from_secs(5) {
            return;
        }
        let before = self.relay.now().minus(COMMAND_ENDED_AFTER);
        let open: i64 = self
            .database()
            .query_row(
                "select count(*) from commands
                 where state in ('queued', 'sent') and expires_at < ?1",
                [before.0],
                |row| row.get(0),
            )
            .unwrap();
        if open > 0 {
            self.violate(format!("{open} commands do not end"));
        }
    }

    /// The relay says of each camera what is true, within its limits.
    async fn check_presence(&self, relay_since: Instant) {
        let relay_runs = relay_since.elapsed();
        for (owner, _) in self.owners.iter().enumerate() {
            let Some((200, list)) = self.ask(owner, "GET", "cameras", None).await else { continue };
            let said: BTreeMap<String, String> = items(&list)
                .map(|camera| (text(camera, "camera_id"), text(camera, "status")))
                .collect();
            for camera in self.cameras.iter().filter(|camera| camera.owner == owner) {
                let Some(camera_id) = camera.camera_id() else { continue };
                let Some(status) = said.get(&camera_id.to_string()) else {
                    self.violate(format!("owner {owner} does not see camera {}", camera.number));
                    continue;
                };
                let is_offline = status == "offline";
                let down = self.model().down_since(camera.number).map(|since| since.elapsed());
                let is_dead = down.is_some_and(|down| down >= OFFLINE_AFTER_DEATH)
                    && relay_runs >= OFFLINE_AFTER_START;
                let (connected, since) = self.broker.state(camera_id);
                let since = since.map_or(relay_runs, |since| since.elapsed().min(relay_runs));
                let is_gone =
                    !connected && relay_runs >= OFFLINE_AFTER_START && since >= OFFLINE_AFTER;
                let is_there = connected && since >= ONLINE_AFTER;
                if (is_dead || is_gone) && !is_offline {
                    self.violate(format!("camera {} is gone and told as {status}", camera.number));
                }
                if is_there && is_offline {
                    self.violate(format!("camera {} is there and told as offline", camera.number));
                }
            }
        }
    }

    /// What is still on its way.
    pub(crate) async fn what_is_left(&self) -> String {
        let mut left = Vec::new();
        for camera in &self.cameras {
            let number = camera.number;
            let Some(process) = camera.process() else {
                left.push(format!("camera {number}"));
                continue;
            };
            let queue = process.store.queue_length().await.unwrap();
            if queue > 0 {
                left.push(format!("a queue of {queue} at camera {number}"));
            }
            if !camera.camera_id().is_some_and(|id| self.broker.state(id).0) {
                left.push(format!("the connection of camera {number}"));
            }
        }
        let open: i64 = self
            .database()
            .query_row(
                "select count(*) from commands where state in ('queued', 'sent')",
                [],
                |row| row.get(0),
            )
            .unwrap();
        if open > 0 {
            left.push(format!("the end of {open} commands"));
        }
        let open: i64 = self
            .database()
            .query_row(
                "select count(*) from live_sessions where state in ('requested', 'streaming')",
                [],
                |row| row.get(0),
            )
            .unwrap();
        if open > 0 {
            left.push(format!("the end of {open} live sessions"));
        }
        left.join(", ")
    }

    /// What must hold once nothing is on its way any more.
    pub(crate) async fn check_end(&self) {
        self.check_now().await;
        self.check_commands();
        self.check_events().await;
        self.check_clips().await;
        self.check_foreign().await;
    }

    /// Each command has ended, and says what became of it.
    fn check_commands(&self) {
        let mut states = BTreeMap::new();
        {
            let database = self.database();
            let mut statement = database
                .prepare("select arguments, state from commands where kind = 'configure'")
                .unwrap();
            let rows = statement
                .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))
                .unwrap();
            for (arguments, state) in rows.map(Result::unwrap) {
                let arguments: Value = serde_json::from_str(&arguments).unwrap();
                let mark = arguments["max_bytes"].as_u64().unwrap();
                if states.insert(mark, state).is_some() {
                    self.violate(format!("the relay has command {mark} twice"));
                }
            }
        }
        let commands = self.model().commands.clone();
        for (number, (mark, command)) in commands.iter().enumerate() {
            let state = states.get(mark).map(String::as_str);
            let wrong = match state {
                None => command.accepted || command.runs > 0,
                Some("acked") => command.done_at.is_none(),
                // A camera that dies in the middle and stays away cannot tell before the time is over.
                Some("expired") => command.runs > 0 && !command.cut_short,
                Some("failed") => command.done_at.is_some() && !command.cut_short,
                Some(_) => true,
            };
            if wrong {
                let ran = command.runs;
                let done = command.done_at.is_some();
                self.violate(format!(
                    "command {number} is {state:?} at the end; it ran {ran} times, to its end: {done}"
                ));
            }
        }
    }

    /// Each event is at the relay, once, ended where it has ended.
    async fn check_events(&self) {
        for (owner, _) in self.owners.iter().enumerate() {
            let told = self.all(owner, "events").await;
            let own = |camera: usize| self.cameras[camera].owner == owner;
            let mut expected = BTreeMap::new();
            for (event_id, event) in &self.model().events {
                if own(event.camera) {
                    let state = if event.ended { "ended" } else { "started" };
                    expected.insert(event_id.to_string(), state.to_owned());
                }
            }
            let told: Vec<(String, String)> =
                told.iter().map(|event| (text(event, "event_id"), text(event, "state"))).collect();
            self.compare("events", owner, &expected, &told);
        }
    }

    /// Each clip whose footage was kept is at the relay, with every part of it once, and its objects
    /// are in the store.
    async fn check_clips(&self) {
        for (owner, _) in self.owners.iter().enumerate() {
            let told = self.all(owner, "clips").await;
            let told: Vec<(String, String)> =
                told.iter().map(|clip| (text(clip, "clip_id"), text(clip, "state"))).collect();
            let mut expected = BTreeMap::new();
            let clips = self.model().clips.clone();
            let own = |camera: usize| self.cameras[camera].owner == owner;
            for (clip_id, clip) in clips.iter().filter(|(_, clip)| own(clip.camera)) {
                let id = clip_id.to_string();
                let certain = clip.footage == Footage::Whole && !clip.to_be_deleted;
                let state =
                    told.iter().find(|(told, _)| *told == id).map(|(_, state)| state.as_str());
                match state {
                    _ if certain => drop(expected.insert(id.clone(), "ready".to_owned())),
                    Some(_) if clip.deleted => {}
                    Some(state @ ("ready" | "failed")) => {
                        expected.insert(id.clone(), state.to_owned());
                    }
                    _ => {}
                }
                if certain {
                    self.check_parts(&id, &clip.parts);
                }
            }
            self.compare("clips", owner, &expected, &told);
        }
    }

    fn check_parts(&self, clip_id: &str, parts: &BTreeMap<u32, String>) {
        let database = self.database();
        let mut statement = database
            .prepare(
                "select part_index, sha256, object_key, stored from clip_parts where clip_id = ?1",
            )
            .unwrap();
        let rows = statement.query_map([clip_id], |row| {
            Ok((
                row.get::<_, u32>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, String>(2)?,
                row.get::<_, i64>(3)?,
            ))
        });
        let mut found = BTreeMap::new();
        for (index, sha256, key, stored) in rows.unwrap().map(Result::unwrap) {
            let object = std::fs::read(self.relay.data_dir.join("objects").join(&key));
            let same = object.is_ok_and(|bytes| crate::recorder::sha256(&bytes) == sha256);
            if !same || stored == 0 {
                self.violate(format!(
                    "part {index} of {} is not in the store",
                    self.trace().named(&clip_id)
                ));
            }
            found.insert(index, sha256);
        }
        if found != *parts {
            let indexes = |parts: &BTreeMap<u32, String>| parts.keys().copied().collect::<Vec<_>>();
            self.violate(format!(
                "{} has other parts at the relay, {:?}, than on its camera, {:?}",
                self.trace().named(&clip_id),
                indexes(&found),
                indexes(parts)
            ));
        }
    }

    /// Nothing of another owner can be asked for by its name.
    async fn check_foreign(&self) {
        let mut paths = Vec::new();
        for camera in &self.cameras {
            if let Some(camera_id) = camera.camera_id() {
                paths.push((camera.owner, format!("cameras/{camera_id}")));
                paths.push((camera.owner, format!("cameras/{camera_id}/commands")));
            }
        }
        {
            let model = self.model();
            let owner = |camera: usize| self.cameras[camera].owner;
            let events = model.events.iter().take(3);
            paths.extend(events.map(|(id, it)| (owner(it.camera), format!("events/{id}"))));
            let clips = model.clips.iter().take(3);
            paths.extend(clips.map(|(id, it)| (owner(it.camera), format!("clips/{id}"))));
        }
        for (owner, path) in paths {
            for asking in (0..self.owners.len()).filter(|asking| *asking != owner) {
                let answer = self.ask(asking, "GET", &path, None).await;
                let status = answer.map(|(status, _)| status);
                if status != Some(404) {
                    self.violate(format!("owner {asking} asks for {path} and gets {status:?}"));
                }
            }
        }
    }

    fn compare(
        &self,
        what: &str,
        owner: usize,
        expected: &BTreeMap<String, String>,
        told: &[(String, String)],
    ) {
        let name = |id: &str| self.trace().named(&id);
        for (id, state) in expected {
            let states: Vec<&str> =
                told.iter().filter(|(it, _)| it == id).map(|(_, state)| state.as_str()).collect();
            if states != [state.as_str()] {
                let name = name(id);
                self.violate(format!("{what}: {name} is told as {states:?}, and is {state}"));
            }
        }
        for (id, state) in told {
            if !expected.contains_key(id) {
                let name = name(id);
                self.violate(format!("{what}: owner {owner} is told of {name} ({state})"));
            }
        }
    }

    /// All pages of a list.
    async fn all(&self, owner: usize, list: &str) -> Vec<Value> {
        let mut found = Vec::new();
        let mut path = format!("{list}?limit=100");
        while let Some((200, page)) = self.ask(owner, "GET", &path, None).await {
            found.extend(items(&page).cloned());
            match page["next_cursor"].as_str() {
                Some(cursor) => path = format!("{list}?limit=100&cursor={cursor}"),
                None => break,
            }
        }
        found
    }
}

pub(crate) fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list["items"].as_array().into_iter().flatten()
}

pub(crate) fn text(object: &Value, key: &str) -> String {
    object[key].as_str().unwrap_or_default().to_owned()
}
