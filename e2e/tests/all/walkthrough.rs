//! docs/walkthrough.md, run as it stands.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{
    agent::{Agent, Settings},
    process::Process,
    programs,
    relay::{Place, Ports, Relay},
    stack::Scenario,
};

const LIMIT: Duration = Duration::from_mins(2);

/// What stands for the machine that the text is written for: an installed relay and an installed agent, whose
/// service is this shell's own child.
fn prelude(relay: &Path, agent: &Path, url: &str) -> Result<String> {
    let (relay_program, agent_program) =
        (programs::find("nightjar-relay")?, programs::find("nightjar-agent")?);
    Ok(format!(
        "set -euo pipefail\nRELAY={url}\n\
         trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT\n\
         sudo() {{ [[ $1 == -u ]] && shift 2; \"$@\"; }}\n\
         nightjar-relay() {{ '{relay_program}' --config '{relay}' \"$@\"; }}\n\
         nightjar-agent() {{ '{agent_program}' \"$@\" --data-dir '{data}' --config '{config}'; }}\n\
         systemctl() {{ setpriv --pdeathsig KILL -- '{agent_program}' run --data-dir '{data}' \
         --config '{config}' >'{log}' 2>&1 & }}\n\
         set -x\n",
        relay_program = relay_program.display(),
        agent_program = agent_program.display(),
        relay = relay.display(),
        data = agent.join("agent").display(),
        config = agent.join("agent.toml").display(),
        log = agent.join("agent.log").display(),
    ))
}

/// The blocks of shell in a text of Markdown.
fn blocks(markdown: &str) -> String {
    let blocks = markdown.split("```sh\n").skip(1);
    blocks.filter_map(|rest| rest.split_once("```").map(|(block, _)| block)).collect()
}

#[tokio::test]
async fn the_walkthrough_works_line_by_line() -> Result<()> {
    Scenario::run("walkthrough", |directory| async move {
        let text = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/walkthrough.md");
        let lines = blocks(&fs::read_to_string(text)?);
        ensure!(lines.lines().count() > 50, "the walkthrough has hardly a line");
        let mut relay = Relay::start(&directory, Place::loopback(Ports::free()?)).await?;
        let agent = Agent::prepare(&directory, &Settings::brief())?;
        ensure!(agent.data_dir() == directory.join("agent"), "{}", agent.data_dir().display());
        let url = relay.url();
        let script = prelude(&directory.join("relay.toml"), &directory, &url)? + &lines;
        let folder = directory.join("walk");
        fs::create_dir_all(&folder)?;
        let file = folder.join("walk.sh");
        fs::write(&file, format!("cd '{}'\n{script}", folder.display()))?;
        let mut shell = Process::start(Path::new("bash"), [&file], &directory.join("walk.log"))?;
        let ended = shell.ended(LIMIT).await;
        let status = ended.with_context(|| shell.log_text())?;
        ensure!(status.success(), "{}", shell.log_text());
        relay.check_running()
    })
    .await
}
