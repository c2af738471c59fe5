//! Where trying again cannot help, the app says what does, and stops.

use std::time::Duration;

use anyhow::{Result, ensure};
use nightjar_e2e::{
    agent::Settings,
    browser::{Browser, Page, test_id},
    stack::{EMAIL, PASSWORD, Scenario, Stack},
    wait,
};

const SOON: Duration = Duration::from_secs(20);
const STOPPED: &str = "[data-testid=\"live-panel\"][data-state=\"stopped\"]";

async fn posts(page: &Page) -> Result<u32> {
    page.evaluate("window.posts").await
}

/// Whatever makes the app try again where it may help, does not here.
async fn nothing_more_is_tried(page: &Page) -> Result<()> {
    let before = posts(page).await?;
    page.evaluate::<bool>(
        "(dispatchEvent(new Event('online')), document.dispatchEvent(new Event('visibilitychange')), true)",
    )
    .await?;
    page.shows(STOPPED, SOON).await?;
    ensure!(posts(page).await? == before, "it was tried again");
    Ok(())
}

#[tokio::test]
async fn a_browser_without_h264_is_told_so_once() -> Result<()> {
    Scenario::run("app_no_h264", |directory| async move {
        let stack = Stack::start(&directory, &Settings::still()).await?;
        let browser = Browser::start(&directory).await?;
        let page = browser.open(&stack.relay.url()).await?;
        page.evaluate::<bool>(include_str!("pages/no_h264.js")).await?;
        page.sign_in(EMAIL, PASSWORD).await?;
        page.tap("[data-testid=\"camera-card\"] a").await?;
        page.shows(STOPPED, SOON).await?;
        let reason = page.text(&test_id("live-reason")).await?;
        ensure!(reason.contains("H.264") && reason.contains("OpenH264"), "{reason}");
        page.screenshot("1-told").await?;
        ensure!(posts(&page).await? == 1, "{} offers", posts(&page).await?);
        nothing_more_is_tried(&page).await?;

        // Once there is one, a tap is enough.
        page.evaluate::<bool>("window.installH264()").await?;
        page.tap(&test_id("live-retry")).await?;
        page.shows("[data-testid=\"live-badge\"][data-state=\"live\"]", SOON).await
    })
    .await
}

#[tokio::test]
async fn what_is_refused_for_good_is_not_tried_again() -> Result<()> {
    Scenario::run("app_refused", |directory| async move {
        let stack = Stack::start(&directory, &Settings::still()).await?;
        let browser = Browser::start(&directory).await?;
        let page = browser.open(&stack.relay.url()).await?;
        page.evaluate::<bool>(include_str!("pages/no_h264.js")).await?;
        page.evaluate::<bool>("window.installH264()").await?;
        page.sign_in(EMAIL, PASSWORD).await?;
        for (status, code) in
            [(403, "forbidden"), (415, "unsupported_media_type"), (422, "of_next_year")]
        {
            page.evaluate::<bool>(&format!("window.refuse({status}, '{code}')")).await?;
            page.tap("[data-testid=\"camera-card\"] a").await?;
            page.shows(STOPPED, SOON).await?;
            nothing_more_is_tried(&page).await?;
            let retry = format!("!document.querySelector('{}')", test_id("live-retry"));
            ensure!(page.evaluate::<bool>(&retry).await?, "{code}: a button that cannot help");
            page.tap(&test_id("tab-cameras")).await?;
        }
        page.evaluate::<bool>("window.refuse(503, 'busy')").await?;
        page.tap("[data-testid=\"camera-card\"] a").await?;
        wait::until_true("the app tries again what may pass", SOON, async || {
            Ok(posts(&page).await? >= 5)
        })
        .await
    })
    .await
}
