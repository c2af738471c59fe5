//! What was set and not saved is never lost without a word.

use std::time::Duration;

use anyhow::{Result, ensure};
use nightjar_e2e::{
    agent::Settings,
    browser::{Browser, Page, test_id},
    stack::{EMAIL, PASSWORD, Scenario, Stack},
    wait,
};

const SOON: Duration = Duration::from_secs(20);

async fn path(page: &Page) -> Result<String> {
    page.evaluate("location.pathname").await
}

/// Somebody draws a mask, and then does something that leads away.
async fn is_asked(page: &Page, settings: &str, how: &str) -> Result<()> {
    page.evaluate::<serde_json::Value>(&format!("({how}, null)")).await?;
    page.shows("dialog[open]", SOON).await?;
    page.tap(&test_id("confirm-not")).await?;
    wait::until_true("the question is gone", SOON, async || {
        page.evaluate("!document.querySelector('dialog')").await
    })
    .await?;
    ensure!(path(page).await? == settings, "{how}: the page was left");
    let mask = "document.querySelectorAll('[data-testid=\"zone-chip\"]').length";
    ensure!(page.evaluate::<u32>(mask).await? == 1, "{how}: the mask is lost");
    Ok(())
}

#[tokio::test]
async fn a_page_with_unsaved_zones_asks_before_it_is_left() -> Result<()> {
    Scenario::run("app_leaving", |directory| async move {
        let stack = Stack::start(&directory, &Settings::still()).await?;
        let browser = Browser::start(&directory).await?;
        let page = browser.open(&stack.relay.url()).await?;
        page.sign_in(EMAIL, PASSWORD).await?;
        page.tap("[data-testid=\"camera-card\"] a").await?;
        page.tap(&test_id("camera-motion")).await?;
        page.shows(&test_id("zone-editor"), SOON).await?;
        let settings = path(&page).await?;
        page.tap(&test_id("mask-add")).await?;

        is_asked(
            &page,
            &settings,
            "document.querySelector('[data-testid=\"tab-events\"]').click()",
        )
        .await?;
        is_asked(&page, &settings, "history.back()").await?;
        is_asked(&page, &settings, "history.back()").await?;
        page.reload_and_stay().await?;
        ensure!(path(&page).await? == settings);
        // The skip link leads to the same page.
        page.evaluate::<String>("location.hash = 'main'").await?;
        is_asked(&page, &settings, "dispatchEvent(new Event('signedout'))").await?;
        page.screenshot("1-stayed").await?;

        // Who agrees goes where they wanted to; what is saved asks nothing.
        page.evaluate::<bool>("(history.go(-2), true)").await?;
        page.tap(&test_id("confirm")).await?;
        page.shows(&test_id("live-panel"), SOON).await?;
        page.tap(&test_id("camera-motion")).await?;
        page.tap(&test_id("mask-add")).await?;
        what_cannot_be_saved_is_kept(&page, &settings).await?;
        page.tap(&test_id("settings-save")).await?;
        page.shows(&format!("{}[data-state=\"saved\"]", test_id("settings-save")), SOON).await?;
        page.tap(&test_id("tab-events")).await?;
        page.shows(&test_id("event-list"), SOON).await
    })
    .await
}

/// The relay is away for a moment.
async fn what_cannot_be_saved_is_kept(page: &Page, settings: &str) -> Result<()> {
    page.evaluate::<bool>(
        "(() => { const { fetch } = window; window.fetch = (path, options = {}) => \
         options.method === 'POST' ? Promise.reject(new TypeError('away')) : fetch(path, options); \
         window.comeBack = () => { window.fetch = fetch; return true; }; return true; })()",
    )
    .await?;
    page.tap(&test_id("settings-save")).await?;
    page.shows(&format!("{} .notice[data-tone=\"bad\"]", test_id("settings-outcome")), SOON)
        .await?;
    page.shows(&format!("{}[data-state=\"unsaved\"]:enabled", test_id("settings-save")), SOON)
        .await?;
    page.evaluate::<bool>("window.comeBack()").await?;
    is_asked(page, settings, "document.querySelector('[data-testid=\"tab-clips\"]').click()").await
}
