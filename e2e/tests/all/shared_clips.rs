//! Links by which strangers watch a clip.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{
    agent::Settings,
    browser::{Browser, Page},
    clip_page::{VIDEO, download, is_long, of_video, play, seek},
    footage::{self, Footage},
    stack::{EMAIL, PASSWORD, Scenario, Stack},
    wait,
};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(20);
const MINUTE: Duration = Duration::from_mins(1);
const LINK: &str = "[data-testid=\"share-link\"]";

/// A clip of some segments that is complete; gives its length in seconds.
async fn record(stack: &Stack) -> Result<f64> {
    let clip_id = footage::begin(stack).await?;
    footage::has_arrived(&stack.owner, &clip_id, 8_000).await?;
    let ready = footage::end(stack, &clip_id).await?;
    let duration_ms = ready["duration_ms"].as_f64().context("no duration")?;
    Ok(duration_ms / 1_000.0)
}

/// The owner opens the clip's page and makes a link there.
async fn make_link(page: &Page) -> Result<String> {
    page.sign_in(EMAIL, PASSWORD).await?;
    page.tap("[data-testid=\"tab-clips\"]").await?;
    page.tap("[data-testid=\"clip-row\"] a").await?;
    page.tap("[data-testid=\"share-open\"]").await?;
    page.shows("[data-testid=\"share-none\"]", SOON).await?;
    page.tap("[data-testid=\"share-create\"]").await?;
    page.shows(LINK, SOON).await?;
    page.shows("[data-testid=\"share-row\"]", SOON).await?;
    page.evaluate(&format!("document.querySelector('{LINK}').value")).await
}

async fn play_to_the_end(page: &Page) -> Result<()> {
    play(page).await?;
    wait::until_true("it plays to its end", MINUTE, async || of_video(page, "ended").await).await
}

#[tokio::test]
async fn a_stranger_with_a_link_watches_seeks_and_downloads_until_the_owner_revokes_it()
-> Result<()> {
    Scenario::run("shared", |directory| async move {
        let settings = Settings::brief();
        let stack = Stack::start(&directory, &settings).await?;
        let whole_s = record(&stack).await?;
        let owners = directory.join("owner");
        let browser = Browser::start(&owners).await?;
        let page = browser.open(&stack.relay.url()).await?;
        let link = make_link(&page).await?;
        ensure!(link.starts_with(&format!("{}/s#", stack.relay.url())), "{link}");
        // The panel stands below the clip.
        page.evaluate::<Value>("scrollTo(0, document.body.scrollHeight)").await?;
        page.screenshot("1-link").await?;

        // Another browser, which nobody has signed in with.
        let strangers = directory.join("stranger");
        let elsewhere = Browser::start(&strangers).await?;
        let shared = elsewhere.open(&link).await?;
        shared.shows(VIDEO, SOON).await?;
        is_long(&shared, whole_s).await?;
        shared.screenshot("2-shared").await?;
        play_to_the_end(&shared).await?;
        seek(&shared, whole_s / 2.0).await?;
        let file = download(&shared, &strangers.join("downloads")).await?;
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        ensure!(name == "Shared clip.mp4", "a name that tells something: {name}");
        let facts = Footage::probe(&file)?;
        ensure!((facts.duration_s - whole_s).abs() < 0.5, "{facts:?} of {whole_s} s");
        let said: String = shared.evaluate("document.body.innerText + document.title").await?;
        ensure!(!said.contains("front door"), "a stranger reads the camera's name: {said}");
        let requested: Vec<String> = shared
            .evaluate("performance.getEntriesByType('resource').map(({name}) => name)")
            .await?;
        let (_, token) = link.split_once('#').context("a link without a token")?;
        ensure!(!requested.iter().any(|url| url.contains(token)), "{requested:?}");
        let complaints = shared.console();
        let broken = complaints.iter().any(|line| line.contains("Content Security Policy"));
        ensure!(!broken, "{complaints:?}");

        page.tap("[data-testid=\"share-revoke\"]").await?;
        page.shows("[data-testid=\"share-none\"]", SOON).await?;
        ensure!(page.evaluate::<bool>(&format!("!document.querySelector('{LINK}')")).await?);
        page.screenshot("3-revoked").await?;
        shared.reload().await?;
        shared.shows("[data-testid=\"share-ended\"]", SOON).await?;
        shared.screenshot("4-ended").await?;
        ensure!(shared.text("h2").await? == "This link is no longer good");
        Ok(())
    })
    .await
}
