//! The authority that cameras pin is exchanged while they stay paired: by the relay's program, with a real agent.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{
    agent::Settings,
    programs,
    stack::{Scenario, Stack},
    wait,
};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(30);

/// Runs `nightjar-relay keys …` beside the relay that serves; gives whether it did it, and what it said.
fn keys(directory: &Path, arguments: &[&str]) -> Result<(bool, String)> {
    let mut program = Command::new(programs::find("nightjar-relay")?);
    program.arg("--config").arg(directory.join("relay.toml")).arg("keys").args(arguments);
    let output = program.output()?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8(said)?))
}

fn pinned(data_dir: &Path) -> Result<String> {
    let pairing = fs::read_to_string(data_dir.join("pairing.json"))?;
    let pairing: Value = serde_json::from_str(&pairing)?;
    Ok(pairing["ca_pem"].as_str().context("it pins nothing")?.to_owned())
}

async fn begin_again(stack: &mut Stack) -> Result<()> {
    stack.agent.stop(Duration::from_secs(10)).await?;
    stack.agent.start()
}

#[tokio::test]
async fn cameras_stay_paired_while_their_relay_gets_another_authority() -> Result<()> {
    Scenario::run("authority", |directory| async move {
        let mut stack = Stack::start(&directory, &Settings::still()).await?;
        let data_dir = stack.agent.data_dir().to_owned();
        let first = pinned(&data_dir)?;
        let (done, said) = keys(&directory, &["forget", "authority"])?;
        ensure!(!done, "there is one alone: {said}");

        let (done, said) = keys(&directory, &["rotate", "authority"])?;
        ensure!(done && said.contains("uses it"), "{said}");
        let (done, said) = keys(&directory, &["forget", "authority"])?;
        ensure!(!done && said.contains("1 cameras"), "its camera does not know it yet: {said}");
        // A camera hears of it with its next token, which comes within the hour: a new start asks at once.
        begin_again(&mut stack).await?;
        wait::until_true("the camera pins the new authority", SOON, async || {
            Ok(pinned(&data_dir)? != first)
        })
        .await?;
        wait::until_true("all cameras are known to pin it", SOON, async || {
            Ok(keys(&directory, &["forget", "authority"])?.0)
        })
        .await?;
        // By the one before nobody is known any more; the camera comes back all the same.
        begin_again(&mut stack).await?;
        let path = format!("cameras/{}", stack.camera_id);
        wait::until_true("the camera is back", SOON, async || {
            Ok(stack.owner.get(&path).await?.expect(200)?.json()["status"] == "online")
        })
        .await?;
        let (_, said) = keys(&directory, &["list"])?;
        ensure!(!said.contains("vouches"), "{said}");
        Ok(())
    })
    .await
}
