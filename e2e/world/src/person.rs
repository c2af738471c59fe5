//! What owners ask of the relay, by the same doors as the app.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::{Value, json};

use crate::{model::Command, network::Fate, relay::request, world::World};

/// A command's mark: a setting of each camera that nothing else here uses.
const FIRST_MARK: u64 = 1 << 40;

impl World {
    /// Asks without a network in between. None while the relay does not run.
    pub(crate) async fn ask(
        &self,
        owner: usize,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Option<(u16, Value)> {
        let headers = BTreeMap::from([
            ("cookie", self.owners[owner].cookie.clone()),
            ("sec-fetch-site", "same-origin".to_owned()),
        ]);
        let path = format!("/api/v1/{path}");
        let request = request(method, &path, &headers, body.as_ref());
        let response = self.relay.running()?.answer(request).await?;
        let answer = serde_json::from_slice(response.body()).unwrap_or(Value::Null);
        self.check_own(owner, &answer.to_string(), &path);
        Some((response.status().as_u16(), answer))
    }

    /// Asks over a network that loses requests and answers. What a browser sends, it sends once.
    pub(crate) async fn try_to_ask(
        &self,
        owner: usize,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Option<(u16, Value)> {
        let fate = self.network.fate();
        self.network.travel().await;
        if matches!(fate, Fate::Lost | Fate::Refused) {
            return None;
        }
        let answer = self.ask(owner, method, path, body).await?;
        if fate == Fate::AnswerLost {
            return None;
        }
        self.network.travel().await;
        Some(answer)
    }

    /// An owner tells a camera something, which may be another owner's.
    pub(crate) fn give_command(self: &Arc<Self>) {
        let (owner, camera, expires_in_ms, restart) = {
            let mut chance = self.chance();
            let owner = chance.index(self.owners.len());
            let expires_in_ms = [1_000, 5_000, 15_000, 60_000][chance.index(4)];
            (owner, chance.index(self.cameras.len()), expires_in_ms, chance.percent(5))
        };
        let Some(camera_id) = self.cameras[camera].camera_id() else { return };
        let is_own = self.cameras[camera].owner == owner;
        let mark = FIRST_MARK + self.model().next_command();
        let body = if restart {
            json!({"kind": "restart", "expires_in_ms": expires_in_ms})
        } else {
            let arguments = json!({"max_bytes": mark});
            json!({"kind": "configure", "arguments": arguments, "expires_in_ms": expires_in_ms})
        };
        let name = mark - FIRST_MARK;
        if is_own && !restart {
            self.model().commands.insert(
                mark,
                Command {
                    camera,
                    asked_at: self.relay.now(),
                    expires_in_ms,
                    accepted: false,
                    runs: 0,
                    done_at: None,
                    cut_short: false,
                },
            );
        }
        self.note(&format!("owner {owner} gives command {name} to camera {camera}: {body}"));
        let world = self.clone();
        tokio::spawn(async move {
            let path = format!("cameras/{camera_id}/commands");
            let answer = world.try_to_ask(owner, "POST", &path, Some(body)).await;
            let status = answer.as_ref().map(|(status, _)| *status);
            world.note(&format!("command {name} is answered: {status:?}"));
            match status {
                Some(202) if is_own => {
                    if let Some(command) = world.model().commands.get_mut(&mark) {
                        command.accepted = true;
                    }
                }
                Some(status) if !is_own && status != 404 => {
                    world.violate(format!(
                        "owner {owner} got {status} for a command to the foreign camera {camera}"
                    ));
                }
                _ => {}
            }
        });
    }

    /// An owner deletes a clip, which may be another's.
    pub(crate) fn delete_clip(self: &Arc<Self>) {
        let owner = self.chance().index(self.owners.len());
        let chosen = {
            let clips: Vec<_> =
                self.model().clips.iter().map(|(id, it)| (*id, it.camera)).collect();
            if clips.is_empty() {
                return;
            }
            clips[self.chance().index(clips.len())]
        };
        let (clip_id, camera) = chosen;
        let is_own = self.cameras[camera].owner == owner;
        if is_own && let Some(clip) = self.model().clips.get_mut(&clip_id) {
            clip.to_be_deleted = true;
        }
        let world = self.clone();
        tokio::spawn(async move {
            let answer = world.try_to_ask(owner, "DELETE", &format!("clips/{clip_id}"), None).await;
            let status = answer.map(|(status, _)| status);
            let name = world.trace().named(&clip_id);
            world.note(&format!("owner {owner} deletes {name}: {status:?}"));
            if !is_own && status.is_some_and(|status| status != 404) {
                world.violate(format!(
                    "owner {owner} gets {status:?} for deleting the foreign {name}"
                ));
            }
            if is_own
                && status == Some(204)
                && let Some(clip) = world.model().clips.get_mut(&clip_id)
            {
                clip.deleted = true;
            }
        });
    }

    /// A camera begins to carry a command out.
    pub(crate) fn command_begins(&self, camera: usize, mark: u64) {
        let name = mark.wrapping_sub(FIRST_MARK);
        self.note(&format!("camera {camera} runs command {name}"));
        let now = self.relay.now();
        let mut wrong = Vec::new();
        {
            let mut model = self.model();
            let Some(command) = model.commands.get_mut(&mark) else {
                drop(model);
                return self.violate(format!("camera {camera} runs a command that nobody gave"));
            };
            command.runs += 1;
            if command.camera != camera {
                wrong.push(format!("command {name} is not for camera {camera}, which runs it"));
            }
            if command.runs > 1 {
                wrong.push(format!("command {name} runs for the {}. time", command.runs));
            }
            let latest = command
                .asked_at
                .plus(Duration::from_millis(command.expires_in_ms))
                .plus(LONGEST_ON_THE_WAY);
            if now > latest {
                wrong.push(format!("command {name} runs {:?} too late", now.since(latest)));
            }
        }
        for text in wrong {
            self.violate(text);
        }
    }

    /// Nothing in what an owner is told may be another's.
    pub(crate) fn check_own(&self, owner: usize, told: &str, place: &str) {
        for camera in self.cameras.iter().filter(|camera| camera.owner != owner) {
            let foreign = camera.camera_id().is_some_and(|id| told.contains(&id.to_string()));
            if foreign && !place.contains("commands") {
                let number = camera.number;
                self.violate(format!(
                    "owner {owner} hears of the foreign camera {number}: {place}"
                ));
            }
        }
    }
}

/// A request takes up to three seconds to the relay; a message to a camera as long, and what was sent
/// just before a network was cut arrives when it is back, or not at all after fifteen; MQTT counts
/// whole seconds.
const LONGEST_ON_THE_WAY: Duration = Duration::from_secs(3 + 3 + 15 + 3 + 1);
