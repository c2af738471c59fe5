//! Days of 23 and 25 hours, by the clocks of people in several places.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{
    agent::Settings,
    browser::{Browser, Page, test_id},
    relay::{Place, Ports, Relay},
    stack::{EMAIL, PASSWORD, Scenario, Stack},
    wait,
};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(20);

/// A day: when it begins, how long it is, and how many hours after its begin a clock shows 6, 12, 18.
fn day(name: &str, from: &str, hours: f64, ticks: [f64; 3]) -> Value {
    let ticks: Vec<_> = [6, 12, 18].into_iter().zip(ticks).collect();
    json!({ "name": name, "from": from, "hours": hours, "ticks": ticks })
}

/// By the tz database; in 2026.
fn places() -> Vec<(&'static str, Vec<Value>)> {
    vec![
        (
            "Europe/Zurich",
            vec![
                day("25 October", "2026-10-24T22:00Z", 25.0, [7.0, 13.0, 19.0]),
                day("26 October", "2026-10-25T23:00Z", 24.0, [6.0, 12.0, 18.0]),
                day("29 March", "2026-03-28T23:00Z", 23.0, [5.0, 11.0, 17.0]),
            ],
        ),
        (
            "America/St_Johns",
            vec![
                day("8 March", "2026-03-08T03:30Z", 23.0, [5.0, 11.0, 17.0]),
                day("1 November", "2026-11-01T02:30Z", 25.0, [7.0, 13.0, 19.0]),
            ],
        ),
        (
            // By half an hour.
            "Australia/Lord_Howe",
            vec![
                day("5 April", "2026-04-04T13:00Z", 24.5, [6.5, 12.5, 18.5]),
                day("4 October", "2026-10-03T13:30Z", 23.5, [5.5, 11.5, 17.5]),
            ],
        ),
        ("Asia/Kolkata", vec![day("25 October", "2026-10-24T18:30Z", 24.0, [6.0, 12.0, 18.0])]),
        (
            // At midnight: one day ends twice, another has no midnight.
            "America/Santiago",
            vec![
                day("4 April", "2026-04-04T03:00Z", 25.0, [6.0, 12.0, 18.0]),
                day("6 September", "2026-09-06T04:00Z", 23.0, [5.0, 11.0, 17.0]),
                day("7 September", "2026-09-07T03:00Z", 24.0, [6.0, 12.0, 18.0]),
            ],
        ),
        (
            "Asia/Beirut",
            vec![
                day("29 March", "2026-03-28T22:00Z", 23.0, [5.0, 11.0, 17.0]),
                day("24 October", "2026-10-23T21:00Z", 25.0, [6.0, 12.0, 18.0]),
            ],
        ),
    ]
}

#[tokio::test]
async fn days_are_as_long_as_clocks_make_them() -> Result<()> {
    Scenario::run("app_days", |directory| async move {
        let relay = Relay::start(&directory, Place::loopback(Ports::free()?)).await?;
        let browser = Browser::start(&directory).await?;
        let page = browser.open(&relay.url()).await?;
        let script = include_str!("pages/days.js");
        for (zone, days) in places() {
            page.move_to(zone).await?;
            page.reload().await?;
            let told: String = page.evaluate(&format!("({script})({})", json!(days))).await?;
            ensure!(told == "right", "{zone}: {told}");
        }
        Ok(())
    })
    .await
}

/// The hours below the timeline's bar, as shares of its width.
async fn hours(page: &Page) -> Result<Vec<(String, f64)>> {
    page.evaluate(
        "(() => { const { left, width } = \
         document.querySelector('.timeline-bar').getBoundingClientRect(); \
         return [...document.querySelectorAll('[data-testid=\"timeline-hours\"] span')]\
         .map((label) => { const box = label.getBoundingClientRect(); \
         return [label.textContent, (box.left + box.width / 2 - left) / width]; }); })()",
    )
    .await
}

#[tokio::test]
async fn the_hours_of_a_timeline_stand_where_they_are_on_a_day_of_25_hours() -> Result<()> {
    Scenario::run("app_timeline_days", |directory| async move {
        let stack = Stack::start(&directory, &Settings::still()).await?;
        let browser = Browser::start(&directory).await?;
        let page = browser.open(&stack.relay.url()).await?;
        page.move_to("Europe/Zurich").await?;
        page.reload().await?;
        page.sign_in(EMAIL, PASSWORD).await?;
        page.tap("[data-testid=\"camera-card\"] a").await?;
        page.shows(&test_id("timeline-hours"), SOON).await?;
        note_what_is_asked_of_the_timeline(&page).await?;

        // The last 25 October, from whichever day it is.
        let begin: f64 = page
            .evaluate(
                "(() => { const year = new Date().getFullYear(); \
                 const last = (year) => { const at = new Date(year, 9, 31); \
                 at.setDate(31 - at.getDay()); return at.getTime(); }; \
                 return last(year) > Date.now() ? last(year - 1) : last(year); })()",
            )
            .await?;
        let back = "document.querySelector('[data-testid=\"timeline-earlier\"]').click()";
        wait::until_true("the day on which clocks went back", SOON, async || {
            let (from, to): (f64, f64) =
                page.evaluate(&format!("({back}, window.asked.at(-1) ?? [0, 0])")).await?;
            ensure!(from == 0.0 || from >= begin, "the day was passed over");
            Ok((from - begin).abs() < 1.0 && (to - from - 25.0 * 3_600_000.0).abs() < 1.0)
        })
        .await?;
        let found = hours(&page).await?;
        let wanted = [("06", 7.0), ("12", 13.0), ("18", 19.0)];
        for (hour, after) in wanted {
            let (_, share) = found.iter().find(|(label, _)| label == hour).context("no hour")?;
            ensure!((share - after / 25.0).abs() < 0.004, "{hour} stands at {share}");
        }
        page.screenshot("25-hours").await
    })
    .await
}

/// Keeps in `window.asked` from when to when each question was.
async fn note_what_is_asked_of_the_timeline(page: &Page) -> Result<()> {
    page.evaluate::<bool>(
        "(() => { const { fetch } = window; window.asked = []; window.fetch = (path, options) => { \
         const [, query] = String(path).split('/timeline?'); \
         if (query) { const span = new URLSearchParams(query); \
         window.asked.push([Number(span.get('from')), Number(span.get('to'))]); } \
         return fetch(path, options); }; return true; })()",
    )
    .await
    .map(drop)
}
