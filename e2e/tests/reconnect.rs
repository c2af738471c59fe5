//! The live picture finds its way back by itself, and says what it waits for.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{
    agent::{Scene, Settings, Source},
    browser::{Browser, Page},
    stack::{EMAIL, PASSWORD, Scenario, Stack},
    wait,
};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(15);
/// A page that has lost its socket waits before it opens another one.
const PATIENCE: Duration = Duration::from_mins(1);
const LIVE: &str = "[data-testid=\"live-badge\"][data-state=\"live\"]";

fn quiet() -> Settings {
    let scene = Scene { quiet_s: 3_600, ..Scene::default() };
    Settings::new(Source::Synthetic(scene))
}

/// Opens the app at the camera's page and waits for its picture.
async fn watch(browser: &Browser, stack: &Stack) -> Result<Page> {
    let page = browser.open(&stack.relay.url()).await?;
    page.fill("[data-testid=\"sign-in-email\"]", EMAIL).await?;
    page.fill("[data-testid=\"sign-in-password\"]", PASSWORD).await?;
    page.tap("[data-testid=\"sign-in-submit\"]").await?;
    page.tap("[data-testid=\"camera-card\"] a").await?;
    page.shows(LIVE, SOON).await?;
    Ok(page)
}

async fn frames(page: &Page) -> Result<u64> {
    let count = "document.querySelector('[data-testid=\"live\"]').getVideoPlaybackQuality()\
                 .totalVideoFrames";
    page.evaluate(count).await
}

async fn frames_flow(page: &Page, within: Duration) -> Result<()> {
    let before = frames(page).await?;
    wait::until_true("the picture moves on", within, async || Ok(frames(page).await? > before + 10))
        .await
}

/// The session whose picture is shown.
async fn session(page: &Page) -> Result<String> {
    page.evaluate("document.querySelector('[data-testid=\"live-badge\"]').dataset.session").await
}

#[tokio::test]
async fn a_changed_network_is_answered_by_ice_and_not_by_a_new_session() -> Result<()> {
    Scenario::run("network_changed", |directory| async move {
        let stack = Stack::start(&directory, &quiet()).await?;
        let browser = Browser::start(&directory).await?;
        let page = watch(&browser, &stack).await?;
        let before = session(&page).await?;

        page.evaluate::<Value>("(dispatchEvent(new Event('online')), null)").await?;

        page.shows(LIVE, SOON).await?;
        frames_flow(&page, SOON).await?;
        ensure!(session(&page).await? == before, "another session was opened");
        let log = stack.relay.log_text();
        ensure!(!log.contains("a request failed"), "{log}");
        let path = format!("/api/v1/live/{before}");
        let shown = stack.owner.get(&path).await?.expect(200)?.json();
        ensure!(shown["state"] == "streaming", "{shown}");
        wait::until_true("the camera measures the session", SOON, async || {
            let shown = stack.owner.get(&path).await?.expect(200)?.json();
            let statistics = &shown["statistics"];
            Ok(statistics["local_candidate"].is_string() && statistics["fps"].as_f64() > Some(1.0))
        })
        .await
        .with_context(|| "no statistics")
    })
    .await
}

#[tokio::test]
async fn a_picture_goes_on_while_the_relay_is_away_and_comes_back_after_the_camera_was()
-> Result<()> {
    Scenario::run("parts_restarted", |directory| async move {
        let mut stack = Stack::start(&directory, &quiet()).await?;
        let browser = Browser::start(&directory).await?;
        let page = watch(&browser, &stack).await?;

        stack.relay.crash_and_restart().await?;
        frames_flow(&page, SOON).await?;
        ensure!(
            page.evaluate::<bool>(&format!("document.querySelector('{LIVE}') !== null")).await?
        );

        // Its viewers are told, and the page waits for it.
        stack.agent.stop(SOON).await?;
        page.shows("[data-testid=\"live-reason\"]", PATIENCE).await?;
        stack.agent.start()?;
        page.shows(LIVE, PATIENCE).await?;
        frames_flow(&page, SOON).await
    })
    .await
}
