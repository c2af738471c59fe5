//! Schemathesis, a program that others wrote, holds the API's description against the doors: it draws
//! requests from the document and judges each answer.

use std::{fs, io::Write, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use nightjar_shared::{
    ids::{ClipId, EventId},
    topic::Channel,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::process::Command;

use crate::{
    api::{Api, text},
    fake_camera::{self, FakeCamera},
    relay::{Place, Ports, Relay},
    stack::{EMAIL, PASSWORD, Scenario},
};

/// Requests that are drawn for each operation, above those that cover the description's corners.
const EXAMPLES: &str = "40";
const RUN_LIMIT: Duration = Duration::from_mins(20);

/// Session descriptions are texts, of types that it has no way to write by itself.
const HOOKS: &str = r#"
import schemathesis

@schemathesis.serializer("application/sdp", "application/trickle-ice-sdpfrag")
def text(ctx, value):
    return str(value).encode("utf-8", "replace")
"#;

/// Runs it with all checks against a relay of its own; fails when it finds anything.
pub(super) async fn run(program: &Path) -> Result<()> {
    Scenario::run("schemathesis", async |directory| {
        let relay = Relay::start(&directory, Place::loopback(Ports::free()?)).await?;
        let subject = Subject::prepare(&relay).await?;
        let config = directory.join("schemathesis.toml");
        fs::write(&config, subject.config()).context("cannot write schemathesis.toml")?;
        fs::write(directory.join("hooks.py"), HOOKS).context("cannot write hooks.py")?;
        // What takes things away comes last.
        let found_none = judge(program, &directory, &relay.url(), "--exclude-method").await?
            & judge(program, &directory, &relay.url(), "--include-method").await?;
        ensure!(found_none, "schemathesis found what is said above");
        Ok(())
    })
    .await
}

/// Runs it with all operations but `DELETE`, or with `DELETE` alone; returns whether it found nothing.
async fn judge(program: &Path, directory: &Path, url: &str, methods: &str) -> Result<bool> {
    let run = Command::new(program)
        .arg("--config-file")
        .arg(directory.join("schemathesis.toml"))
        .args(["run", &format!("{url}/openapi.json"), methods, "DELETE"])
        .args(["--checks", "all", "--max-examples", EXAMPLES, "--continue-on-failure"])
        // Drawn alike each time, so that what it says changes with the programs alone.
        .args(["--seed", "1"])
        .current_dir(directory)
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(RUN_LIMIT, run).await.context("it did not end")??;
    std::io::stdout().write_all(&output.stdout)?;
    std::io::stderr().write_all(&output.stderr)?;
    Ok(output.status.success())
}

/// What requests can be about.
struct Subject {
    owner: Api,
    /// Signed in once more: one session is for signing out.
    leaver: Api,
    device: FakeCamera,
    site: String,
    event: EventId,
    clip: ClipId,
    command: String,
    pairing: String,
}

impl Subject {
    async fn prepare(relay: &Relay) -> Result<Self> {
        let (owner, site) = relay.api()?.register(EMAIL, PASSWORD).await?;
        let leaver = relay.api()?.login(EMAIL, PASSWORD).await?;
        let device = FakeCamera::pair(&owner, &site).await?;
        let mut connected = device.connect().await?;
        connected.say(Channel::UpHealth, &fake_camera::health()).await?;
        let settings = json!({ "motion_sensitivity": 0.5 });
        connected.say(Channel::UpConfiguration, &settings).await?;
        let (event, clip) = (EventId::generate(), ClipId::generate());
        for (state, at) in [("started", 1_000), ("ended", 5_000)] {
            let body = fake_camera::event(event, state, at);
            connected.say(Channel::UpEvent, &body).await?;
        }
        let body = json!({ "clip_id": clip, "event_id": event, "started_at": 1_000 });
        device.api.post("agent/clips", body).await?.expect(200)?;
        upload(&device.api, clip).await?;
        let body = json!({ "kind": "snapshot" });
        let issued = owner.post(&format!("cameras/{}/commands", device.id), body).await?;
        let command = text(&issued.expect(202)?.json(), "command_id").context("no command")?;
        let opened = owner.post(&format!("sites/{site}/pairings"), json!({})).await?.expect(201)?;
        let pairing = text(&opened.json(), "pairing_id").context("no pairing")?;
        Ok(Self { owner, leaver, device, site, event, clip, command, pairing })
    }

    /// Who calls, and what the ids in paths are. Nothing is told for what would take the subject
    /// away: there an id is drawn, and names nothing.
    fn config(&self) -> String {
        let token = |api: &Api| api.token().unwrap_or_default().to_owned();
        let mut parts = vec![format!(
            "hooks = \"hooks.py\"\n[auth.openapi.access_token]\nbearer = \"{}\"\n\
             [auth.openapi.device_token]\nbearer = \"{}\"\n\
             # The document says of what kind a value is. What else is asked of it is said by 422, \
             by 415 where the body is of none of the types, by 426 where the agent is newer.\n\
             [checks.positive_data_acceptance]\n\
             expected-statuses = [\"2xx\", 401, 403, 404, 409, 415, 422, 426, 429]\n",
            token(&self.owner),
            token(&self.device.api),
        )];
        let ids = [
            ("/api/v1/cameras/{id}", self.device.id.to_string()),
            ("/api/v1/sites/{id}", self.site.clone()),
            ("/api/v1/events/{id}", self.event.to_string()),
            ("/api/v1/clips/{id}", self.clip.to_string()),
            ("/api/v1/agent/clips/{id}", self.clip.to_string()),
            ("/api/v1/commands/{id}", self.command.clone()),
            ("/api/v1/pairings/{id}", self.pairing.clone()),
        ];
        parts.extend(ids.map(|(path, id)| {
            let path = path.replace('{', "[{]").replace('}', "[}]");
            format!(
                "[[operations]]\ninclude-path-regex = \"^{path}\"\nexclude-method = \"DELETE\"\n\
                 parameters = {{ \"path.id\" = \"{id}\" }}\n"
            )
        }));
        // A WebSocket begins with a handshake, which no drawn request has.
        parts.extend(["/api/v1/ws", "/mqtt"].map(|path| {
            format!(
                "[[operations]]\ninclude-path = \"{path}\"\n\
                 [operations.checks.positive_data_acceptance]\nexpected-statuses = [400, 401]\n"
            )
        }));
        // What two parameters ask of each other is not in the document.
        parts.push(
            "[[operations]]\ninclude-path = \"/api/v1/cameras/{id}/timeline\"\n\
             [operations.checks.positive_data_acceptance]\nexpected-statuses = [\"2xx\", 400]\n"
                .to_owned(),
        );
        parts.push(format!(
            "[[operations]]\ninclude-path = \"/api/v1/auth/logout\"\n\
             headers = {{ Authorization = \"Bearer {}\" }}\n",
            token(&self.leaver)
        ));
        parts.concat()
    }
}

/// Uploads a clip of one file and completes it.
async fn upload(device: &Api, clip: ClipId) -> Result<()> {
    let content = vec![7_u8; 10_000];
    let part = json!([{
        "index": 0, "kind": "file", "length": content.len(),
        "sha256": hex::encode(Sha256::digest(&content)), "content_type": "video/mp4",
    }]);
    let permitted = device.post(&format!("agent/clips/{clip}/parts"), part).await?;
    let permitted: Value = permitted.expect(200)?.json();
    device.put(&permitted[0], content).await?.expect(200)?;
    let parts = json!({ "parts": [0] });
    device.post(&format!("agent/clips/{clip}/stored"), parts).await?.expect(200)?;
    let body = json!({ "parts": [0], "ended_at": 5_000, "duration_ms": 4_000 });
    device.post(&format!("agent/clips/{clip}/complete"), body).await?.expect(200)?;
    Ok(())
}
