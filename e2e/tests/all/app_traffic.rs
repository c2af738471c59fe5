//! What the app asks of a network: what it needs, once, and what people wait for first.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{
    agent::{Scene, Settings, Source},
    browser::{Browser, Page, test_id},
    footage,
    stack::{EMAIL, PASSWORD, Scenario, Stack},
    traffic::{Step, Traffic},
    wait,
};

const SOON: Duration = Duration::from_secs(20);
const MINUTE: Duration = Duration::from_mins(1);
const LIVE: &str = "[data-testid=\"live-badge\"][data-state=\"live\"]";

fn fetched_more_than_once(traffic: &Traffic) -> Vec<(String, usize)> {
    let mut times = BTreeMap::new();
    for picture in traffic.pictures() {
        *times.entry(picture).or_insert(0) += 1;
    }
    times.into_iter().filter(|(_, count)| *count > 1).collect()
}

#[tokio::test]
async fn no_picture_is_fetched_twice_while_an_event_grows() -> Result<()> {
    Scenario::run("app_traffic", |directory| async move {
        let scene = Scene { quiet_s: 2, walk_s: 40, ..Scene::default() };
        let settings = Settings::new(Source::Synthetic(scene));
        let settings = Settings { pre_roll_s: 1, post_roll_s: 1, ..settings };
        let stack = Stack::start(&directory, &settings).await?;
        let browser = Browser::start(&directory).await?;
        let page = browser.open(&stack.relay.url()).await?;
        let traffic = page.traffic().await?;
        page.sign_in(EMAIL, PASSWORD).await?;
        page.tap("[data-testid=\"camera-card\"] a").await?;
        page.shows(LIVE, SOON).await?;
        // On a slow machine the event may have begun before the picture lived.
        let poster = "document.querySelector('[data-testid=\"live\"]').poster";
        let poster_at_first = page.evaluate::<String>(poster).await?;
        page.shows("[data-testid=\"event-row\"][data-kind=\"motion\"] img", MINUTE).await?;
        mark(&page, "[data-testid=\"event-row\"]").await?;
        news_of_the_clip(&page, &stack, 3).await?;
        ensure!(is_marked(&page, "[data-testid=\"event-row\"]").await?, "the row was drawn anew");
        let poster_now = page.evaluate::<String>(poster).await?;
        ensure!(poster_now == poster_at_first, "a poster was set on a playing video");
        let again = fetched_more_than_once(&traffic);
        ensure!(again.is_empty(), "on the camera's page: {again:?}");

        // Nor are those fetched again that another page shows.
        page.tap("[data-testid=\"event-row\"] a").await?;
        page.shows("[data-testid=\"event-facts\"] img", SOON).await?;
        mark(&page, &test_id("event-facts")).await?;
        news_of_the_clip(&page, &stack, 2).await?;
        ensure!(is_marked(&page, &test_id("event-facts")).await?, "the facts were drawn anew");
        for tab in ["tab-events", "tab-clips", "tab-cameras"] {
            page.tap(&test_id(tab)).await?;
            page.shows("main .still img", SOON).await?;
            has_arrived(&page).await?;
        }
        let again = fetched_more_than_once(&traffic);
        ensure!(again.is_empty(), "on the way through the app: {again:?}");
        ensure!(!traffic.pictures().is_empty(), "no picture at all");
        Ok(())
    })
    .await
}

/// The clip grows by this many parts, and the page hears of each.
async fn news_of_the_clip(page: &Page, stack: &Stack, parts: usize) -> Result<()> {
    page.evaluate::<bool>(
        "(async () => { const base = document.querySelector('script[type=module]').src; \
         const { realtime } = await import(base.replace('main.js', 'session.js')); \
         window.news = 0; realtime.subscribe('clip', () => { window.news += 1; }, \
         new AbortController().signal); return true; })()",
    )
    .await?;
    wait::until_true("the clip grows", MINUTE, async || {
        let going = stack.owner.list("events?kind=motion").await?;
        ensure!(going.first().is_some_and(|event| event["state"] == "started"), "it ended");
        Ok(page.evaluate::<usize>("window.news").await? >= parts)
    })
    .await
}

async fn has_arrived(page: &Page) -> Result<()> {
    let width = "document.querySelector('main .still img')?.naturalWidth ?? 0";
    wait::until_true("the picture", SOON, async || Ok(page.evaluate::<u32>(width).await? > 0)).await
}

async fn mark(page: &Page, place: &str) -> Result<()> {
    let script = format!("document.querySelector('{place}').dataset.marked = 'yes'");
    page.evaluate::<String>(&script).await.map(drop)
}

async fn is_marked(page: &Page, place: &str) -> Result<bool> {
    page.evaluate(&format!("document.querySelector('{place}')?.dataset.marked === 'yes'")).await
}

#[tokio::test]
async fn on_a_narrow_link_the_live_picture_opens_before_those_of_the_past() -> Result<()> {
    Scenario::run("app_narrow", |directory| async move {
        let stack = Stack::start(&directory, &Settings::brief()).await?;
        for _ in 0..3 {
            let clip_id = footage::begin(&stack).await?;
            footage::end(&stack, &clip_id).await?;
        }
        let browser = Browser::start(&directory).await?;
        let page = browser.open(&stack.relay.url()).await?;
        let traffic = page.traffic().await?;
        page.sign_in(EMAIL, PASSWORD).await?;
        page.shows("[data-testid=\"camera-card\"] img", SOON).await?;
        traffic.narrow(400.0, 200.0).await?;
        traffic.forget();
        page.tap("[data-testid=\"camera-card\"] a").await?;
        page.shows(LIVE, MINUTE).await?;
        page.shows("[data-testid=\"event-row\"] img", MINUTE).await?;

        let steps = traffic.steps();
        let whep = |step: &Step| {
            matches!(step, Step::Asked { method, url, .. }
                if method == "POST" && url.ends_with("/whep"))
        };
        let offered = steps.iter().position(whep).context("no live picture was asked for")?;
        let Step::Asked { id: offer, .. } = steps[offered].clone() else { unreachable!() };
        let answered = steps.iter().position(
            |step| matches!(step, Step::Answered { id, status: 201, .. } if *id == offer),
        );
        let answered = answered.context("no answer")?;
        // The page before may still ask for a card's.
        let camera = |step: &Step| {
            matches!(step, Step::Asked { method, url, .. }
            if method == "GET" && url.ends_with(&format!("/cameras/{}", stack.camera_id)))
        };
        let opened = steps.iter().position(camera).context("the camera was not asked for")?;
        let picture = |step: &Step| matches!(step, Step::Asked { kind, .. } if kind == "Image");
        let pictures =
            steps[opened..].iter().position(picture).context("no picture of the past")?;
        let pictures = opened + pictures;
        ensure!(answered < pictures, "a picture was asked for before the answer: {steps:?}");
        priorities_say_the_same(&steps)
    })
    .await
}

fn priorities_say_the_same(steps: &[Step]) -> Result<()> {
    for step in steps {
        let Step::Asked { method, url, kind, priority, .. } = step else { continue };
        let signals = url.ends_with("/whep") || (method == "PATCH" && url.contains("/live/"));
        ensure!(!signals || priority == "High", "{step:?}");
        ensure!(kind != "Image" || priority == "Low" || priority == "VeryLow", "{step:?}");
    }
    Ok(())
}
