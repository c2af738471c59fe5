//! A camera by paho, and a program for S3 by boto3: libraries that others wrote, in a few lines of Python
//! each, which say what they found on standard error.

use std::{ffi::OsStr, fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use nightjar_shared::ids::ClipId;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    api::text,
    fake_camera::{self, FakeCamera},
    process,
    relay::{Place, Ports, Relay},
    stack::{EMAIL, PASSWORD, Scenario},
};

const PAHO: &str = include_str!("../../suites/paho_camera.py");
const BOTO3: &str = include_str!("../../suites/boto3_store.py");
/// Below the relay's data directory.
const STORE_CREDENTIALS: &str = "store-credentials.json";
const CONTENT_BYTES: usize = 10_000;

pub(super) async fn paho(python: &Path) -> Result<()> {
    Scenario::run("paho", async |directory| {
        let relay = Relay::start(&directory, Place::loopback(Ports::free()?)).await?;
        let (owner, site) = relay.api()?.register(EMAIL, PASSWORD).await?;
        let camera = FakeCamera::pair(&owner, &site).await?;
        let other = FakeCamera::pair(&owner, &site).await?;
        let subject = json!({
            "port": relay.ports().mqtt, "ca": relay.ca(), "camera": camera.id, "other": other.id,
            "token": camera.api.token(), "health": fake_camera::health(),
            "url": format!("{}/api/v1/cameras/{}/commands", relay.url(), camera.id),
            "person": owner.token(),
        });
        judge(python, &directory, PAHO, &subject)?;
        let told = owner.get(&format!("cameras/{}/health", camera.id)).await?.expect(200)?.json();
        ensure!(told["agent_version"] == "0.1.0", "what paho said was not taken: {told}");
        let commands = owner.list(&format!("cameras/{}/commands", camera.id)).await?;
        ensure!(commands[0]["state"] == "acked", "paho's answer was not taken: {}", commands[0]);
        Ok(())
    })
    .await
}

pub(super) async fn boto3(python: &Path) -> Result<()> {
    Scenario::run("boto3", async |directory| {
        let relay = Relay::start(&directory, Place::loopback(Ports::free()?)).await?;
        let (owner, site) = relay.api()?.register(EMAIL, PASSWORD).await?;
        let camera = FakeCamera::pair(&owner, &site).await?;
        let clip = ClipId::generate();
        let body = json!({ "clip_id": clip, "started_at": 1_000 });
        camera.api.post("agent/clips", body).await?.expect(200)?;
        let content = vec![7_u8; CONTENT_BYTES];
        let part = json!([{
            "index": 0, "kind": "file", "length": content.len(),
            "sha256": hex::encode(Sha256::digest(&content)), "content_type": "video/mp4",
        }]);
        let path = format!("agent/clips/{clip}/parts");
        let permitted: Value = camera.api.post(&path, part).await?.expect(200)?.json();
        let url = text(&permitted[0], "url").context("a permission without its URL")?;
        let credentials = directory.join("relay").join(STORE_CREDENTIALS);
        let credentials: Value = serde_json::from_slice(&fs::read(credentials)?)?;
        let subject = json!({
            "credentials": credentials, "url": url, "headers": permitted[0]["headers"],
            "length": CONTENT_BYTES,
        });
        judge(python, &directory, BOTO3, &subject)?;
        let sent = json!({ "parts": [0] });
        let path = format!("agent/clips/{clip}/stored");
        let stored = camera.api.post(&path, sent).await?.expect(200)?.json();
        ensure!(
            stored["stored"] == json!([0]),
            "what boto3's session stored is not there: {stored}"
        );
        Ok(())
    })
    .await
}

/// Runs a script with its subject on standard input.
fn judge(python: &Path, directory: &Path, script: &str, subject: &Value) -> Result<()> {
    let file = directory.join("script.py");
    fs::write(&file, script).context("cannot write a script")?;
    let arguments: [&OsStr; 1] = [file.as_os_str()];
    let (status, output, error) = process::run(python, &arguments, &subject.to_string())?;
    ensure!(status.success(), "{output}{error}");
    Ok(())
}
