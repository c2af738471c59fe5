//! Zones, privacy masks and hours, drawn by a person with a phone.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{
    agent::{Scene, Settings, Source},
    api::Api,
    browser::{Browser, Page, test_id},
    stack::{EMAIL, PASSWORD, Scenario, Stack},
    wait,
};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(20);
const QUIET_S: u32 = 5;
const WALK_S: u32 = 4;

async fn open_settings(page: &Page) -> Result<()> {
    page.sign_in(EMAIL, PASSWORD).await?;
    page.tap("[data-testid=\"camera-card\"] a").await?;
    page.tap(&test_id("camera-motion")).await?;
    page.shows(&test_id("zone-editor"), SOON).await
}

async fn save(page: &Page) -> Result<()> {
    page.tap(&test_id("settings-save")).await?;
    wait::until_true("the camera has taken it", SOON, async || {
        Ok(page.text(&test_id("settings-outcome")).await?.contains("Saved on the camera"))
    })
    .await
}

/// Draws the chosen shape as a rectangle, by dragging its four points.
async fn draw_rectangle(page: &Page, [left, top, right, bottom]: [f64; 4]) -> Result<()> {
    let corners = [(left, top), (right, top), (right, bottom), (left, bottom)];
    for (index, corner) in corners.into_iter().enumerate() {
        let point = format!("[data-point=\"{index}\"] .editor-dot");
        page.drag(&point, &test_id("zone-editor"), corner).await?;
    }
    Ok(())
}

async fn configuration(stack: &Stack) -> Result<Value> {
    Ok(stack.owner.get(&stack.camera_path("configuration")).await?.expect(200)?.json())
}

async fn motion_events(owner: &Api) -> Result<Vec<Value>> {
    owner.list("events?kind=motion").await
}

/// As many events as there are once none goes on.
async fn events_when_all_have_ended(owner: &Api) -> Result<usize> {
    wait::until("all events end", SOON, async || {
        let events = motion_events(owner).await?;
        let ended = events.iter().all(|event| event["state"] == "ended");
        Ok(ended.then_some(events.len()))
    })
    .await
}

/// Lets the walker cross as often, by the camera's own clock.
async fn crossings(stack: &Stack, count: u32) -> Result<()> {
    let uptime = async || {
        let health = stack.owner.get(&stack.camera_path("health")).await?.expect(200)?.json();
        health["uptime_ms"].as_u64().context("health without an uptime")
    };
    let until = uptime().await? + u64::from(count * (QUIET_S + WALK_S)) * 1_000;
    let patience = Duration::from_secs((count * (QUIET_S + WALK_S)).into()) + 3 * SOON;
    wait::until_true("the walker has crossed", patience, async || Ok(uptime().await? >= until))
        .await
}

#[tokio::test]
async fn motion_outside_a_zone_that_a_person_drew_is_no_event() -> Result<()> {
    Scenario::run("app_zones", |directory| async move {
        let scene = Scene { quiet_s: QUIET_S, walk_s: WALK_S, ..Scene::default() };
        let settings = Settings::new(Source::Synthetic(scene));
        let settings = Settings { pre_roll_s: 1, post_roll_s: 1, ..settings };
        let stack = Stack::start(&directory, &settings).await?;
        let owner = &stack.owner;
        let browser = Browser::start(&directory).await?;
        let page = browser.open(&stack.relay.url()).await?;
        open_settings(&page).await?;
        page.tap(&test_id("new-picture")).await?;
        page.shows("[data-testid=\"zone-editor\"] img", SOON).await?;
        page.screenshot("1-nothing-drawn").await?;

        // The walker's head is below the upper third of the picture.
        page.tap(&test_id("zone-add")).await?;
        draw_rectangle(&page, [0.05, 0.05, 0.95, 0.3]).await?;
        page.screenshot("2-drawn").await?;
        save(&page).await?;
        let drawn = configuration(&stack).await?["motion_zones"][0].clone();
        let corner = &drawn["points"][2];
        let near = |value: &Value, wanted: f64| {
            value.as_f64().is_some_and(|value| (value - wanted).abs() < 0.03)
        };
        ensure!(near(&corner[0], 0.95) && near(&corner[1], 0.3), "{drawn}");

        let before = events_when_all_have_ended(owner).await?;
        crossings(&stack, 2).await?;
        let after = motion_events(owner).await?;
        ensure!(after.len() == before, "motion outside the zone: {after:?}");

        // Drawn anew over the pavement, the same motion is an event of that zone.
        page.evaluate::<bool>("(() => { scrollTo(0, 0); return true; })()").await?;
        draw_rectangle(&page, [0.05, 0.5, 0.95, 0.95]).await?;
        save(&page).await?;
        let zones = wait::until("motion in the zone is an event", 2 * SOON, async || {
            let events = motion_events(owner).await?;
            Ok((events.len() > before).then(|| events[0]["zones"].clone()))
        })
        .await?;
        ensure!(zones == serde_json::json!(["Zone 1"]), "{zones}");

        // The row in the app says so, with the box on the picture.
        page.tap(&test_id("tab-events")).await?;
        let row = "[data-testid=\"event-row\"][data-state=\"ended\"]";
        wait::until_true("the zone is named", 2 * SOON, async || {
            Ok(page.text(row).await?.contains("Zone 1"))
        })
        .await?;
        page.shows(&format!("{row} {} rect", test_id("event-boxes")), SOON).await?;
        page.screenshot("3-event").await?;
        page.tap(&format!("{row} a")).await?;
        wait::until_true("the clip's page tells of it", SOON, async || {
            let facts = page.text(&test_id("event-facts")).await?;
            Ok(facts.contains("Zone 1") && facts.contains("Nothing moved any more"))
        })
        .await?;
        page.screenshot("4-clip").await
    })
    .await
}

#[tokio::test]
async fn a_person_masks_a_window_and_sets_the_hours() -> Result<()> {
    Scenario::run("app_masks_hours", |directory| async move {
        let stack = Stack::start(&directory, &Settings::still()).await?;
        let browser = Browser::start(&directory).await?;
        let page = browser.open(&stack.relay.url()).await?;
        open_settings(&page).await?;

        page.tap(&test_id("mask-add")).await?;
        draw_rectangle(&page, [0.5, 0.1, 0.9, 0.5]).await?;
        page.tap(&test_id("schedule-enabled")).await?;
        page.tap("[data-testid=\"week-grid\"] [data-day=\"1\"][data-hour=\"22\"]").await?;
        page.tap("[data-testid=\"week-grid\"] [data-day=\"1\"][data-hour=\"23\"]").await?;
        page.screenshot("1-hours").await?;
        save(&page).await?;

        let told = configuration(&stack).await?;
        let night = serde_json::json!([
            { "day": "tuesday", "from_minute": 22 * 60, "until_minute": 24 * 60 }
        ]);
        ensure!(told["schedule"]["armed"] == night, "{told}");
        ensure!(told["privacy_masks"][0]["points"].as_array().map(Vec::len) == Some(4), "{told}");

        // What the camera goes by is what a reloaded page shows.
        page.reload().await?;
        page.shows("[data-testid=\"zone-chip\"][data-tone=\"mask\"]", SOON).await?;
        page.shows("[data-day=\"1\"][data-hour=\"23\"][aria-pressed=\"true\"]", SOON).await?;
        page.shows("[data-day=\"1\"][data-hour=\"21\"][aria-pressed=\"false\"]", SOON).await?;
        page.tap(&test_id("new-picture")).await?;
        page.shows("[data-testid=\"zone-editor\"] img", SOON).await?;
        page.screenshot("2-masked").await
    })
    .await
}

#[tokio::test]
async fn a_person_turns_the_picture_and_a_mask_stays_where_it_was() -> Result<()> {
    Scenario::run("app_turned", |directory| async move {
        let stack = Stack::start(&directory, &Settings::still()).await?;
        let browser = Browser::start(&directory).await?;
        let page = browser.open(&stack.relay.url()).await?;
        open_settings(&page).await?;
        page.tap(&test_id("mask-add")).await?;
        draw_rectangle(&page, [0.1, 0.1, 0.4, 0.3]).await?;
        save(&page).await?;
        set(&page, "image-rotation", "180").await?;
        save(&page).await?;
        page.screenshot("1-turned").await?;
        let told = configuration(&stack).await?;
        ensure!(told["image"]["rotation"] == 180, "{told}");
        let corner = &told["privacy_masks"][0]["points"][0];
        let near = |value: &Value, wanted: f64| {
            value.as_f64().is_some_and(|value| (value - wanted).abs() < 0.03)
        };
        ensure!(near(&corner[0], 0.9) && near(&corner[1], 0.9), "{told}");
        // What is drawn next is drawn on the picture as it is shown now.
        page.shows(&format!("{}[data-state=\"saved\"]", test_id("settings-save")), SOON).await?;
        page.shows("[data-testid=\"zone-editor\"] img", SOON).await
    })
    .await
}

#[tokio::test]
async fn a_person_sets_what_is_recorded_and_when() -> Result<()> {
    Scenario::run("app_recording", |directory| async move {
        let stack = Stack::start(&directory, &Settings::still()).await?;
        let browser = Browser::start(&directory).await?;
        let page = browser.open(&stack.relay.url()).await?;
        open_settings(&page).await?;
        set(&page, "pre-roll", "61").await?;
        page.tap(&test_id("settings-save")).await?;
        wait::until_true("what the camera would refuse is not sent", SOON, async || {
            Ok(page.text(&test_id("settings-outcome")).await?.contains("from 0 to 60"))
        })
        .await?;
        set(&page, "pre-roll", "7").await?;
        set(&page, "post-roll", "9").await?;
        set(&page, "recording-mode", "both").await?;
        save(&page).await?;
        wait::until_true("everything is recorded", SOON, async || is_recording(&stack).await)
            .await?;

        page.tap(&test_id("recording-schedule-enabled")).await?;
        let far_hour = tap_an_hour_far_from_now(&page).await?;
        page.screenshot("1-hours").await?;
        save(&page).await?;
        wait::until_true("outside the hours nothing is recorded", SOON, async || {
            Ok(!is_recording(&stack).await?)
        })
        .await?;

        let told = configuration(&stack).await?;
        ensure!(told["recording_mode"] == "both", "{told}");
        ensure!((&told["pre_roll_s"], &told["post_roll_s"]) == (&7.into(), &9.into()), "{told}");
        let armed = told["recording_schedule"]["armed"].as_array().context("no hours")?;
        ensure!(armed.len() == 1, "{told}");
        page.reload().await?;
        page.shows(&format!("{far_hour}[aria-pressed=\"true\"]"), SOON).await?;
        let mode: String = page
            .evaluate("document.querySelector('[data-testid=\"recording-mode\"]').value")
            .await?;
        ensure!(mode == "both", "the page shows {mode}");
        page.screenshot("2-told").await
    })
    .await
}

#[tokio::test]
async fn what_two_people_set_at_once_and_what_is_set_while_it_is_sent_is_kept() -> Result<()> {
    Scenario::run("app_two_people", |directory| async move {
        let stack = Stack::start(&directory, &Settings::still()).await?;
        let browser = Browser::start(&directory).await?;
        let page = browser.open(&stack.relay.url()).await?;
        open_settings(&page).await?;

        // Somebody else masks a window while this page is open.
        let mask =
            serde_json::json!({ "name": "window", "points": [[0.1, 0.1], [0.4, 0.1], [0.4, 0.4]] });
        let masks = serde_json::json!({ "privacy_masks": [mask] });
        stack.owner.command_done(&stack.camera_id, "configure", masks).await?;
        hold_news_of_commands(&page).await?;
        set(&page, "motion-sensitivity", "80").await?;
        page.tap(&test_id("settings-save")).await?;
        wait::until_true("the settings are on their way", SOON, async || {
            Ok(page.text(&test_id("settings-outcome")).await?.contains("Sent to the camera"))
        })
        .await?;
        set(&page, "pre-roll", "11").await?;
        page.evaluate::<bool>("(window.release(), true)").await?;
        wait::until_true("the camera has taken them", SOON, async || {
            Ok(page.text(&test_id("settings-outcome")).await?.contains("Saved on the camera"))
        })
        .await?;
        page.screenshot("1-changed-meanwhile").await?;
        page.shows(&format!("{}[data-state=\"unsaved\"]:enabled", test_id("settings-save")), SOON)
            .await?;
        save(&page).await?;
        page.shows(&format!("{}[data-state=\"saved\"]", test_id("settings-save")), SOON).await?;

        let told = wait::until("the camera tells what was set last", SOON, async || {
            let told = configuration(&stack).await?;
            Ok((told["pre_roll_s"] == 11).then_some(told))
        })
        .await?;
        ensure!(told["privacy_masks"][0]["name"] == "window", "{told}");
        let sensitivity = told["motion_sensitivity"].as_f64().context("no sensitivity")?;
        ensure!((sensitivity - 0.8).abs() < 0.001, "{told}");

        // Where both set the same, the later one is told, and loses nobody's mask.
        page.tap(&test_id("mask-add")).await?;
        page.tap(&test_id("settings-save")).await?;
        page.shows(&test_id("settings-anew"), SOON).await?;
        page.screenshot("2-overtaken").await?;
        page.tap(&test_id("settings-anew")).await?;
        wait::until_true("the other one's mask is shown", SOON, async || {
            Ok(page.text("[data-testid=\"zone-chip\"]").await? == "window")
        })
        .await?;
        page.tap(&test_id("mask-add")).await?;
        save(&page).await?;
        wait::until_true("both masks are there", SOON, async || {
            let told = configuration(&stack).await?;
            Ok(told["privacy_masks"].as_array().is_some_and(|masks| masks.len() == 2))
        })
        .await
    })
    .await
}

/// Until the page's `release()` it does not hear what became of a command.
async fn hold_news_of_commands(page: &Page) -> Result<()> {
    page.evaluate::<bool>(include_str!("pages/hold_news_of_commands.js")).await.map(drop)
}

async fn is_recording(stack: &Stack) -> Result<bool> {
    let health = stack.owner.get(&stack.camera_path("health")).await?.expect(200)?.json();
    Ok(health["recording"] == true)
}

/// Sets a field that has a value already.
async fn set(page: &Page, name: &str, value: &str) -> Result<()> {
    page.evaluate::<bool>(&format!(
        "(() => {{ const field = document.querySelector('{}'); field.value = '{value}'; \
         return ['input', 'change'].every((kind) => \
         field.dispatchEvent(new Event(kind, {{ bubbles: true }}))); }})()",
        test_id(name)
    ))
    .await?;
    Ok(())
}

/// Three days from now, by the page's clock. Gives the hour's button.
async fn tap_an_hour_far_from_now(page: &Page) -> Result<String> {
    let day: u32 = page.evaluate("(new Date().getDay() + 9) % 7").await?;
    let hour =
        format!("{} [data-day=\"{day}\"][data-hour=\"12\"]", test_id("recording-schedule-panel"));
    page.tap(&hour).await?;
    Ok(hour)
}

#[tokio::test]
async fn a_person_sees_why_there_is_no_footage() -> Result<()> {
    Scenario::run("app_timeline", |directory| async move {
        let stack = Stack::start(&directory, &Settings::still()).await?;
        let (owner, camera_id) = (&stack.owner, &stack.camera_id);
        owner.command_done(camera_id, "disarm", serde_json::json!({})).await?;
        let path = stack.camera_path("timeline");
        wait::until_true("the timeline tells that it is disarmed", SOON, async || {
            let timeline = owner.get(&path).await?.expect(200)?.json();
            let gaps = timeline["gaps"].as_array().cloned().unwrap_or_default();
            Ok(gaps.iter().any(|gap| gap["reason"] == "disarmed"))
        })
        .await?;
        let browser = Browser::start(&directory).await?;
        let page = browser.open(&stack.relay.url()).await?;
        page.fill(&test_id("sign-in-email"), EMAIL).await?;
        page.fill(&test_id("sign-in-password"), PASSWORD).await?;
        page.tap(&test_id("sign-in-submit")).await?;
        page.tap("[data-testid=\"camera-card\"] a").await?;
        page.shows("[data-testid=\"timeline-gap\"][data-reason=\"disarmed\"]", SOON).await?;
        page.tap(&test_id("timeline-earlier")).await?;
        wait::until_true("the day before is shown", SOON, async || {
            Ok(page.text(&test_id("timeline-day")).await? == "Yesterday")
        })
        .await?;
        page.screenshot("1-yesterday").await
    })
    .await
}
