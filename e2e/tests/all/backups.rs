//! A relay is lost and comes back from its backup: a real camera finds it again as if nothing had been.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{
    agent::Settings,
    api::text,
    fake_camera::FakeCamera,
    footage, programs,
    stack::{Scenario, Stack},
};
use serde_json::json;

const ONLINE_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_secs(10);

fn relay(directory: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new(programs::find("nightjar-relay")?)
        .arg("--config")
        .arg(directory.join("relay.toml"))
        .args(arguments)
        .output()
        .context("cannot run nightjar-relay")?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    ensure!(output.status.success(), "{arguments:?}: {said}");
    Ok(said)
}

#[tokio::test]
async fn a_camera_returns_to_a_relay_that_was_restored_and_to_one_with_new_keys() -> Result<()> {
    Scenario::run("backups", |directory| async move {
        let mut stack = Stack::start(&directory, &Settings::brief()).await?;
        let other = FakeCamera::pair(&stack.owner, &stack.site_id).await?;
        let first = footage::begin(&stack).await?;
        footage::end(&stack, &first).await?;
        footage::ready(&stack.owner, &first).await?;

        // While it serves, and the camera records on.
        let second = footage::begin(&stack).await?;
        let file = directory.join("relay.tar");
        let file = file.to_str().context("an odd path")?;
        let said = relay(&directory, &["backup", "--with-clips", file])?;
        ensure!(said.contains("clips and pictures"), "{said}");
        for name in ["secrets", "tls", "store"] {
            let said = relay(&directory, &["keys", "rotate", name])?;
            ensure!(name == "secrets" || said.contains("uses it"), "{said}");
            stack.owner.camera_is(&stack.camera_id, "online", ONLINE_LIMIT).await?;
        }
        relay(&directory, &["keys", "forget", "secrets"])?;

        stack.relay.stop(STOP_LIMIT).await?;
        fs::remove_dir_all(directory.join("relay")).context("cannot lose the relay")?;
        relay(&directory, &["restore", file])?;
        let said = relay(&directory, &["audit", "verify"])?;
        ensure!(said.contains("as they were written"), "{said}");
        stack.relay.crash_and_restart().await?;

        let Stack { owner, camera_id, .. } = &stack;
        owner.camera_is(camera_id, "online", ONLINE_LIMIT).await?;
        footage::examine(owner, &first, &directory).await?;
        // What it recorded meanwhile arrives: nothing of it was the backup's.
        footage::end(&stack, &second).await?;
        footage::ready(owner, &second).await?;
        footage::examine(owner, &second, &directory).await?;
        let cameras = owner.list("cameras").await?;
        let ids: Vec<_> = cameras.iter().filter_map(|camera| text(camera, "camera_id")).collect();
        ensure!(ids.contains(&other.id.to_string()), "the other camera is gone: {ids:?}");
        other.api.post("agent/clips", json!({})).await?.expect(400)?;
        Ok(())
    })
    .await
}
