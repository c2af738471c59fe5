//! Pictures of any shape, on screens of any shape: whole, large, with their controls within reach.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{
    agent::{Scene, Settings, Source},
    browser::{Browser, Page, test_id},
    clip_page::VIDEO,
    footage,
    relay::{Place, Ports, Relay},
    stack::{EMAIL, PASSWORD, Scenario, Stack},
    wait,
};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(20);

/// A phone, the phone on its side, a laptop, a wall.
const SCREENS: [(u32, u32); 4] = [(390, 844), (844, 390), (1280, 800), (2560, 1440)];
/// 4:3, 16:9, 9:16, 1:1, 21:9.
const PICTURES: [(u32, u32); 5] = [(640, 480), (640, 360), (360, 640), (480, 480), (840, 360)];
const STAGE_PICTURE: &str = "[data-testid=\"clip-picture\"]";

async fn measure(page: &Page) -> Result<()> {
    page.evaluate::<bool>(include_str!("pages/shapes.js")).await.map(drop)
}

#[tokio::test]
async fn a_picture_of_any_shape_is_whole_on_any_screen() -> Result<()> {
    Scenario::run("app_shapes_drawn", |directory| async move {
        let relay = Relay::start(&directory, Place::loopback(Ports::free()?)).await?;
        let browser = Browser::start(&directory).await?;
        let page = browser.open(&relay.url()).await?;
        page.shows(&test_id("sign-in-form"), SOON).await?;
        measure(&page).await?;
        let script = include_str!("pages/drawn_shapes.js");
        for (screen_width, screen_height) in SCREENS {
            page.resize(screen_width, screen_height).await?;
            for (width, height) in PICTURES {
                let told: Result<String> =
                    page.evaluate(&format!("({script})({width}, {height})")).await;
                let on = format!("{width} x {height} on {screen_width} x {screen_height}");
                ensure!(told.context(on)? == "whole");
            }
        }
        Ok(())
    })
    .await
}

fn looking_at(width: u32, height: u32) -> Settings {
    let scene = Scene { width, height, ..Scene::still() };
    Settings { source: Source::Synthetic(scene), ..Settings::brief() }
}

/// Measures what a selector finds on each screen, and takes a picture of the page there.
async fn is_whole_everywhere(page: &Page, selector: &str, name: &str) -> Result<()> {
    for (width, height) in SCREENS {
        page.resize(width, height).await?;
        measure(page).await?;
        let on = format!("{name} on {width} x {height}");
        let look = format!("window.shapes.stage('{selector}')");
        page.evaluate::<Value>(&look).await.with_context(|| on.clone())?;
        page.screenshot(&format!("{name}-{width}x{height}")).await?;
    }
    Ok(())
}

async fn has_size(page: &Page, selector: &str) -> Result<()> {
    wait::until_true(&format!("a picture in {selector}"), SOON, async || {
        let width = format!(
            "(() => {{ const it = document.querySelector('{selector}'); \
             return (it?.videoWidth ?? it?.naturalWidth ?? 0) > 0; }})()"
        );
        page.evaluate(&width).await
    })
    .await
}

#[tokio::test]
async fn live_and_recorded_pictures_of_an_upright_and_of_an_old_camera_are_whole() -> Result<()> {
    Scenario::run("app_shapes", |directory| async move {
        let mut stack = Stack::start(&directory, &looking_at(640, 480)).await?;
        let old = record(&stack).await?;
        stack.agent.stop(Duration::from_secs(5)).await?;
        std::fs::write(directory.join("agent.toml"), looking_at(360, 640).to_toml())?;
        stack.agent.start()?;
        stack.owner.camera_is(&stack.camera_id, "online", SOON).await?;
        let upright = record(&stack).await?;
        stack.owner.command_done(&stack.camera_id, "snapshot", serde_json::json!({})).await?;

        let browser = Browser::start(&directory).await?;
        let page = browser.open(&stack.relay.url()).await?;
        page.sign_in(EMAIL, PASSWORD).await?;
        page.tap("[data-testid=\"camera-card\"] a").await?;
        page.shows("[data-testid=\"live-badge\"][data-state=\"live\"]", SOON).await?;
        is_whole_everywhere(&page, &test_id("live"), "live").await?;
        the_picture_is_not_hidden(&page).await?;

        for (name, clip_id) in [("old", &old), ("upright", &upright)] {
            page.go(&format!("{}/clips/{clip_id}", stack.relay.url())).await?;
            has_size(&page, VIDEO).await?;
            is_whole_everywhere(&page, VIDEO, name).await?;
            let lifetime = serde_json::json!({ "expires_in_s": 3600 });
            let link = stack.owner.post(&format!("clips/{clip_id}/shares"), lifetime).await?;
            let link = link.expect(201)?.json()["url"].as_str().context("no link")?.to_owned();
            page.go(&format!("{}{}", stack.relay.url(), link_path(&link))).await?;
            has_size(&page, VIDEO).await?;
            is_whole_everywhere(&page, VIDEO, &format!("shared-{name}")).await?;
        }
        page.go(&format!("{}/clips", stack.relay.url())).await?;
        page.tap("[data-testid=\"clip-row\"][data-kind=\"snapshot\"] a").await?;
        has_size(&page, STAGE_PICTURE).await?;
        is_whole_everywhere(&page, STAGE_PICTURE, "snapshot").await
    })
    .await
}

fn link_path(link: &str) -> &str {
    link.find("/s#").map_or(link, |at| &link[at..])
}

async fn record(stack: &Stack) -> Result<String> {
    let clip_id = footage::begin(stack).await?;
    footage::end(stack, &clip_id).await?;
    Ok(clip_id)
}

/// On a phone the facts are a tap away, and what else lies over the picture is little, and goes.
async fn the_picture_is_not_hidden(page: &Page) -> Result<()> {
    for (width, height) in SCREENS {
        page.resize(width, height).await?;
        let covered: f64 = page.evaluate("window.shapes.covered()").await?;
        ensure!(covered <= 0.1, "{covered:.3} is covered on {width} x {height}");
    }
    page.resize(390, 844).await?;
    page.reload().await?;
    page.shows("[data-testid=\"live-badge\"][data-state=\"live\"]", SOON).await?;
    let is_shown = "document.querySelector('[data-testid=\"live-facts\"]').checkVisibility()";
    ensure!(!page.evaluate::<bool>(is_shown).await?, "facts over the picture of a phone");
    page.shows("[data-testid=\"live-panel\"][data-idle=\"true\"]", SOON).await?;
    page.tap(&test_id("live")).await?;
    page.shows("[data-testid=\"live-panel\"][data-idle=\"false\"]", SOON).await?;
    page.tap(&test_id("live-info")).await?;
    page.shows(&test_id("live-facts"), SOON).await?;
    page.screenshot("facts").await?;
    page.resize(1280, 800).await?;
    page.reload().await?;
    page.shows(&test_id("live-facts"), SOON).await
}
