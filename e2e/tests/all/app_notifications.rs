//! What people are told, in the app and by its service worker while the app is closed.

use std::{
    io::Write as _,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{
    browser::{Browser, Page, test_id},
    relay::{Place, Ports, Relay},
    stack::{EMAIL, PASSWORD, Scenario},
    wait,
};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(20);

async fn signed_in(browser: &Browser, relay: &Relay) -> Result<Page> {
    relay.api()?.register(EMAIL, PASSWORD).await?;
    let page = browser.open(&relay.url()).await?;
    page.sign_in(EMAIL, PASSWORD).await?;
    page.shows(&test_id("tab-notifications"), SOON).await?;
    Ok(page)
}

/// Hands in a message again and again until it is shown: what comes before the browser has begun with
/// notifications is lost without a word.
async fn told(page: &Page, origin: &str, worker: &str, message: &Value) -> Result<Value> {
    let tag = message["notification_id"].clone();
    wait::until("the message is shown", SOON, async || {
        page.push(origin, worker, &message.to_string()).await?;
        tokio::time::sleep(Duration::from_millis(200)).await;
        Ok(page.notifications().await?.into_iter().find(|shown| shown["tag"] == tag))
    })
    .await
}

#[tokio::test]
async fn the_service_worker_shows_messages_opens_their_page_and_mutes() -> Result<()> {
    Scenario::run("app_messages", |directory| async move {
        let relay = Relay::start(&directory, Place::loopback(Ports::free()?)).await?;
        let browser = Browser::start(&directory).await?;
        let page = signed_in(&browser, &relay).await?;
        let origin = relay.url();
        browser.allow_notifications(&origin).await?;
        page.let_workers_run().await?;
        page.go(&format!("{origin}/notifications/settings")).await?;
        page.shows(&test_id("device-turn-on"), SOON).await?;
        let registered = "navigator.serviceWorker.getRegistrations().then((all) => all.length)";
        ensure!(page.evaluate::<u32>(registered).await? == 0, "nobody has asked for it");
        page.tap(&test_id("device-turn-on")).await?;
        // No push service answers here; the worker is there all the same.
        let worker = page.worker().await?;
        let scope = page.evaluate::<String>("navigator.serviceWorker.ready.then(({scope}) => scope)");
        ensure!(scope.await? == format!("{origin}/"));

        let message = json!({
            "notification_id": "0190a3b2-7c11-7def-8000-0123456789ab", "kind": "motion",
            "title": "Motion at <b>Front door</b>", "body": "at Home", "path": "/notifications",
            "happened_at": 1_700_000_000_000_i64, "mute_token": "not one of the relay's",
            "from_the_future": {"x": 1},
        });
        let shown = told(&page, &origin, &worker, &message).await?;
        ensure!(shown["title"] == "Motion at <b>Front door</b>", "{shown}");
        ensure!(shown["body"] == "at Home" && shown["actions"] == json!(["mute"]), "{shown}");
        // How long it takes from the browser's side: the figure of the whole way is the relay's test's.
        let mut further = message.clone();
        further["body"] = json!("3 times more");
        let began = Instant::now();
        page.push(&origin, &worker, &further.to_string()).await?;
        wait::until_true("it takes the place of the first", SOON, async || {
            let shown = page.notifications().await?;
            Ok(shown.len() == 1 && shown[0]["body"] == "3 times more")
        })
        .await?;
        let took = began.elapsed();
        let _ = writeln!(std::io::stderr(), "a message that is delivered is shown after {took:?}");
        // What cannot be read is told all the same.
        for garbage in ["", "garbage", "{}", "[1]"] {
            page.push(&origin, &worker, garbage).await?;
        }
        wait::until_true("garbage is told of", SOON, async || {
            let shown = page.notifications().await?;
            Ok(shown.iter().any(|shown| shown["title"] == "Nightjar"))
        })
        .await?;

        page.evaluate::<bool>(
            "navigator.serviceWorker.ready.then((worker) => worker.getNotifications({tag: 'nightjar'}))\
             .then((shown) => (shown.forEach((it) => it.close()), true))",
        )
        .await?;
        browser.tap_notification("").await?;
        wait::until_true("its page is opened", SOON, async || {
            let path = page.evaluate::<String>("location.pathname").await.unwrap_or_default();
            Ok(path == "/notifications")
        })
        .await?;
        page.shows(&test_id("notification-list"), SOON).await?;
        // A token that is not good mutes nothing: the app is opened instead.
        let mut elsewhere = message.clone();
        elsewhere["path"] = json!("https://evil.example.org/");
        told(&page, &origin, &worker, &elsewhere).await?;
        browser.tap_notification("mute").await?;
        wait::until_true("the app stays with itself", SOON, async || {
            let path = page.evaluate::<String>("location.pathname").await.unwrap_or_default();
            Ok(path == "/")
        })
        .await?;
        let cached = page.evaluate::<Vec<String>>("caches.keys()").await?;
        ensure!(cached.is_empty(), "something is kept: {cached:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_person_says_what_they_want_to_be_told_of() -> Result<()> {
    Scenario::run("app_notification_settings", |directory| async move {
        let relay = Relay::start(&directory, Place::loopback(Ports::free()?)).await?;
        let browser = Browser::start(&directory).await?;
        let page = signed_in(&browser, &relay).await?;
        page.tap(&test_id("tab-notifications")).await?;
        // The account was made by a program: that this browser signed in is news.
        page.shows("[data-testid=\"notification-row\"][data-kind=\"new_sign_in\"]", SOON).await?;
        page.screenshot("1-signed-in").await?;
        page.tap(&test_id("notification-settings")).await?;
        page.shows(&test_id("notification-motion"), SOON).await?;
        page.screenshot("2-settings").await?;
        choose(&page, "notification-motion", "chosen").await?;
        page.tap(&test_id("notification-motion-mail")).await?;
        choose(&page, "notification-disk", "off").await?;
        page.tap(&test_id("notification-hours")).await?;
        page.shows(&test_id("week-grid"), SOON).await?;
        page.tap("[data-testid=\"week-grid\"] [data-day=\"0\"][data-hour=\"22\"]").await?;
        page.tap(&test_id("notification-save")).await?;
        wait::until_true("it is saved", SOON, async || {
            let state = format!(
                "document.querySelector('{}')?.dataset.state === 'saved'",
                test_id("notification-outcome")
            );
            page.evaluate::<bool>(&state).await
        })
        .await?;
        let kept: Value = page
            .evaluate("fetch('/api/v1/notifications/settings').then((it) => it.json())")
            .await?;
        let rules = kept["rules"].as_array().context("no rules")?;
        let motion = rules.iter().find(|rule| rule["kind"] == "motion").context("no rule")?;
        ensure!(motion["channels"] == json!(["app", "web_push", "mail"]), "{motion}");
        let monday = json!([{"day": "monday", "from_minute": 1320, "until_minute": 1380}]);
        ensure!(motion["hours"] == monday, "{motion}");
        let disk = rules.iter().find(|rule| rule["kind"] == "disk").context("no rule")?;
        ensure!(disk["channels"] == json!([]), "{disk}");
        page.reload().await?;
        page.shows(&test_id("notification-motion-mail"), SOON).await?;

        page.tap(&test_id("notification-test")).await?;
        page.go(&format!("{}/notifications", relay.url())).await?;
        page.shows("[data-testid=\"notification-row\"][data-kind=\"test\"]", SOON).await?;
        page.screenshot("3-list").await?;
        wait::until_true("the bell counts", SOON, async || {
            let count = "document.querySelector('[data-badge]').textContent";
            // The test, and that this browser signed in.
            Ok(page.evaluate::<String>(count).await?.parse::<u32>().is_ok_and(|count| count > 0))
        })
        .await?;
        page.tap(&test_id("notifications-read-all")).await?;
        wait::until_true("the bell is quiet", SOON, async || {
            page.evaluate::<bool>("document.querySelector('[data-badge]').hidden").await
        })
        .await?;
        page.resize(1_280, 900).await?;
        page.screenshot("4-list-desk").await?;
        page.go(&format!("{}/notifications/settings", relay.url())).await?;
        page.shows(&test_id("notification-motion"), SOON).await?;
        page.screenshot("5-settings-desk").await?;
        // Who is not signed in yet is told so.
        let mut said = page.console();
        said.retain(|line| !line.contains("401 (Unauthorized)"));
        ensure!(said.is_empty(), "{said:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_manager_adds_a_webhook_and_sees_what_came_of_it() -> Result<()> {
    Scenario::run("app_webhooks", |directory| async move {
        let relay = Relay::start(&directory, Place::loopback(Ports::free()?)).await?;
        let browser = Browser::start(&directory).await?;
        let page = signed_in(&browser, &relay).await?;
        page.go(&format!("{}/notifications/settings", relay.url())).await?;
        page.tap(&test_id("site-webhooks")).await?;
        page.shows(&test_id("webhook-form"), SOON).await?;
        page.fill(&test_id("webhook-name"), "Doorbell").await?;
        page.fill(&test_id("webhook-url"), "https://127.0.0.1/hook").await?;
        page.tap(&test_id("webhook-add")).await?;
        wait::until_true("a private address is refused", SOON, async || {
            Ok(page.text(&test_id("webhook-outcome")).await?.contains("private"))
        })
        .await?;
        page.evaluate::<bool>(
            "(document.querySelector('[data-testid=webhook-url]').value = \
             'https://hook.invalid/x', true)",
        )
        .await?;
        page.tap(&test_id("webhook-add")).await?;
        page.shows(&test_id("webhook-secret"), SOON).await?;
        ensure!(page.text(&test_id("webhook-secret")).await?.starts_with("whsec_"));
        page.screenshot("1-made").await?;
        page.tap(&test_id("webhook-try")).await?;
        page.shows(&test_id("webhook-attempt"), SOON).await?;
        page.resize(1_280, 900).await?;
        page.screenshot("2-tried-desk").await?;
        page.tap(&test_id("webhook-remove")).await?;
        page.tap(&test_id("confirm")).await?;
        page.shows(&test_id("empty"), SOON).await?;
        Ok(())
    })
    .await
}

async fn choose(page: &Page, testid: &str, value: &str) -> Result<()> {
    page.shows(&test_id(testid), SOON).await?;
    let script = format!(
        "(() => {{ const select = document.querySelector({}); select.value = {}; \
         select.dispatchEvent(new Event('change', {{ bubbles: true }})); return true; }})()",
        json!(test_id(testid)),
        json!(value)
    );
    page.evaluate::<bool>(&script).await?;
    Ok(())
}
