//! One request is followed through the logs of relay and camera, by its name.

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{
    agent::{Agent, Settings},
    api::text,
    relay::{Place, Ports},
    stack::{PASSWORD, Scenario, Stack},
    wait,
};
use serde_json::{Value, json};

const SOON: std::time::Duration = std::time::Duration::from_secs(20);

/// Lines of a log that is JSON: every one must be an object.
fn lines(log: &str) -> Result<Vec<Value>> {
    let line = |line: &str| {
        let value: Value =
            serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))?;
        ensure!(value.is_object() && value["level"].is_string(), "no line of a log: {line}");
        Ok(value)
    };
    log.lines().map(line).collect()
}

/// What is said in the lines that name this request, in themselves or around them.
fn said_of(log: &str, request_id: &str) -> Result<Vec<String>> {
    let is_of_request = |line: &Value| {
        let spans = line["spans"].as_array().into_iter().flatten();
        line["request_id"] == request_id
            || spans.into_iter().any(|it| it["request_id"] == request_id)
    };
    let lines = lines(log)?.into_iter().filter(is_of_request);
    Ok(lines.filter_map(|line| text(&line, "message")).collect())
}

#[tokio::test]
async fn a_request_is_found_by_its_name_in_the_logs_of_relay_and_camera() -> Result<()> {
    Scenario::run("request_followed", |directory| async move {
        let settings = Settings { json_log: true, ..Settings::brief() };
        let more = "[log]\nformat = \"json\"\n".to_owned();
        let place = Place { more, ..Place::loopback(Ports::free()?) };
        let agent = Agent::prepare(&directory, &settings)?;
        let mut stack = Stack::start_with(&directory, place, agent, PASSWORD).await?;
        // A name that is made to look like a line of a log.
        let name = "yard\", \"level\":\"ERROR\"} {";
        let camera = format!("cameras/{}", stack.camera_id);
        stack.owner.patch(&camera, json!({ "name": name })).await?.expect(200)?;

        let body = json!({ "kind": "arm" });
        let issued = stack.owner.post(&stack.camera_path("commands"), body).await?.expect(202)?;
        let request_id = issued.request_id.clone().context("an answer without its name")?;
        let agent_said = wait::until("the camera logs the request", SOON, async || {
            let said = said_of(&stack.agent.log_text(), &request_id)?;
            Ok((!said.is_empty()).then_some(said))
        });
        ensure!(agent_said.await? == ["command carried out"]);
        let ended = wait::until("the relay logs the end of the command", SOON, async || {
            let said = said_of(&stack.relay.log_text(), &request_id)?;
            let is_ended = said.iter().any(|line| line == "a command has ended");
            Ok(is_ended.then_some(said))
        });
        ensure!(ended.await?.contains(&"sent a command".to_owned()));
        // Another request has another name.
        let other = stack.owner.get("auth/me").await?.expect(200)?;
        ensure!(other.request_id.is_some_and(|other| other != request_id));
        stack.stop().await;
        lines(&stack.agent.log_text())?;
        lines(&stack.relay.log_text())?;
        Ok(())
    })
    .await
}
