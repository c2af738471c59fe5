//! A camera publishes to an SFU, and its viewers are sent there.

use std::{path::Path, time::Duration};

use anyhow::{Result, ensure};
use nightjar_e2e::{
    agent::{Agent, Settings},
    browser::Browser,
    players::{Aiortc, Node, Seen, Watching, skipped},
    relay::{Place, Ports},
    sfu::Sfu,
    stack::{EMAIL, PASSWORD, Scenario, Stack},
    wait,
};
use serde_json::Value;

/// Silence of 8 s tells the camera that the SFU is gone; a pause and a busy machine come on top.
const LIMIT: Duration = Duration::from_mins(1);

async fn sfu_health(stack: &Stack) -> Result<Value> {
    let health = stack.owner.get(&stack.camera_path("health")).await?.expect(200)?.json();
    Ok(health["sfu"].clone())
}

async fn is_published(stack: &Stack) -> Result<()> {
    wait::until_true("the camera says that it publishes", LIMIT, async || {
        Ok(sfu_health(stack).await?["publishing"] == true)
    })
    .await
}

/// In either layer: on a busy machine the way to the SFU may look narrow.
fn is_the_camera_s(seen: &Seen) -> bool {
    seen.width * 9 == seen.height * 16
}

/// The app's policy lets it go nowhere but to its relay.
async fn the_app_says_so_and_asks_once(directory: &Path, stack: &Stack) -> Result<()> {
    let browser = Browser::start(directory).await?;
    let page = browser.open(&stack.relay.url()).await?;
    page.sign_in(EMAIL, PASSWORD).await?;
    page.tap("[data-testid=\"camera-card\"] a").await?;
    page.shows("[data-testid=\"live-badge\"][data-state=\"stopped\"]", LIMIT).await?;
    let reason = page.text("[data-testid=\"live-reason\"]").await?;
    ensure!(reason.contains("another server"), "{reason}");
    let sessions = stack.owner.list(&stack.camera_path("live")).await?;
    ensure!(sessions.len() == 1, "{sessions:?}");
    Ok(())
}

#[tokio::test]
async fn viewers_are_sent_to_the_sfu_that_the_camera_publishes_to() -> Result<()> {
    let Some(aiortc) = Aiortc::install()? else { return Ok(()) };
    let Some(node) = Node::install()? else { return Ok(()) };
    Scenario::run("sfu", |directory| async move {
        let Some(mut sfu) = Sfu::start(&directory, node).await? else {
            skipped("Janus is missing: build/install-packages test");
            return Ok(());
        };
        sfu.give_good_token()?;
        let mut settings = Settings::still();
        settings.sfu = Some(sfu.settings());
        let agent = Agent::prepare(&directory, &settings)?;
        let place = Place::loopback(Ports::free()?);
        let stack = Stack::start_with(&directory, place, agent, PASSWORD).await?;
        is_published(&stack).await?;
        the_app_says_so_and_asks_once(&directory, &stack).await?;
        // Refused, it is there all the same, and says what is wrong.
        sfu.give_token("another")?;
        sfu.restart().await?;
        wait::until_true("the camera says that its token is refused", LIMIT, async || {
            let problem = sfu_health(&stack).await?["problem"].to_string();
            Ok(problem.contains("live.sfu.token_file") && problem.contains("401"))
        })
        .await?;
        ensure!(!stack.agent.log_text().contains("another"), "the token is in the journal");
        let whep = stack.camera_path("whep");
        let offer = "v=0\r\n".to_owned();
        let refused = stack.owner.post_text(&whep, "application/sdp", offer).await?;
        ensure!(refused.status.as_u16() == 422, "no offer at all: {refused:?}");

        sfu.give_good_token()?;
        is_published(&stack).await?;
        let seen = aiortc.watch(&stack.owner, &stack.camera_id, 30, Watching::default())?;
        ensure!(seen.redirected_to == Some(sfu.settings().whep_url), "{seen:?}");
        ensure!(is_the_camera_s(&seen), "{seen:?}");
        ensure!(sfu.log_text().contains("PATCH /whip/session/"), "no candidate was told");

        sfu.restart().await?;
        let seen = wait::until("the SFU has the picture again", LIMIT, async || {
            aiortc.watch(&stack.owner, &stack.camera_id, 30, Watching::default()).map(Some)
        })
        .await?;
        ensure!(is_the_camera_s(&seen), "{seen:?}");

        let ends = || sfu.log_text().matches("DELETE /whip/session/").count();
        let before = ends();
        let mut stack = stack;
        stack.agent.stop(Duration::from_secs(10)).await?;
        wait::until_true("the SFU is told of the end", LIMIT, async || Ok(ends() > before)).await
    })
    .await
}
