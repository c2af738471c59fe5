//! The web app, as a person with a phone uses it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{
    agent::{Scene, Settings, Source},
    api::Api,
    browser::{Browser, Page, test_id},
    relay::{Place, Ports, Relay},
    stack::{EMAIL, PASSWORD, Scenario, Stack},
    wait,
};
use serde_json::json;

const SOON: Duration = Duration::from_secs(15);

#[tokio::test]
async fn a_person_signs_in_watches_live_and_plays_what_moved() -> Result<()> {
    Scenario::run("app", |directory| async move {
        let scene = Scene { quiet_s: 12, walk_s: 4, ..Scene::default() };
        let settings = Settings::new(Source::Synthetic(scene));
        let settings = Settings { pre_roll_s: 2, post_roll_s: 2, ..settings };
        let mut stack = Stack::start(&directory, &settings).await?;
        let browser = Browser::start(&directory).await?;
        let page = browser.open(&stack.relay.url()).await?;

        page.shows(&test_id("sign-in-form"), SOON).await?;
        the_source_is_offered(&page).await?;
        page.fill(&test_id("sign-in-email"), EMAIL).await?;
        page.fill(&test_id("sign-in-password"), "not the password").await?;
        page.tap(&test_id("sign-in-submit")).await?;
        wait::until_true("a wrong password is named", SOON, async || {
            Ok(page.text(&test_id("sign-in-error")).await?.contains("wrong"))
        })
        .await?;
        page.screenshot("1-wrong-password").await?;
        page.reload().await?;
        page.sign_in(EMAIL, PASSWORD).await?;

        page.shows("[data-testid=\"camera-card\"][data-status=\"online\"]", SOON).await?;
        page.screenshot("2-cameras").await?;
        page.tap("[data-testid=\"camera-card\"] a").await?;
        page.shows("[data-testid=\"live-badge\"][data-state=\"live\"]", SOON).await?;
        let frames = "document.querySelector('[data-testid=\"live\"]').getVideoPlaybackQuality()\
                      .totalVideoFrames";
        let before: u64 = page.evaluate(frames).await?;
        wait::until_true("the live picture moves on", SOON, async || {
            Ok(page.evaluate::<u64>(frames).await? > before + 10)
        })
        .await?;
        wait::until_true("the page says what is true of the picture", SOON, async || {
            let facts = page.text(&test_id("live-facts")).await?;
            Ok(["640 × 360", "fps", "kbit/s", "ms old"].iter().all(|fact| facts.contains(fact)))
        })
        .await?;
        let verified = "[data-testid=\"live-badge\"]:is([data-authenticity=\"first_seen\"],\
                        [data-authenticity=\"verified\"])";
        page.shows(verified, SOON).await?;
        page.screenshot("3-live").await?;

        // The row appears by itself, and leads to the clip once there is one.
        let row = "[data-testid=\"event-row\"][data-kind=\"motion\"]";
        page.shows(row, Duration::from_mins(1)).await?;
        page.screenshot("4-motion").await?;
        let ended = "[data-testid=\"event-row\"][data-state=\"ended\"] a";
        page.shows(ended, Duration::from_mins(1)).await?;
        let video = test_id("clip-video");
        // News of a clip may draw the row anew under the finger.
        wait::until_true("the clip's page opens", SOON, async || {
            page.tap(ended).await.ok();
            Ok(page.shows(&video, Duration::from_secs(5)).await.is_ok())
        })
        .await?;
        play_to_its_end(&page).await?;
        page.screenshot("5-clip").await?;
        it_is_known_as_watched(&page, &stack).await?;

        no_policy_was_broken(&page)?;
        stack.agent.stop(Duration::from_secs(5)).await?;
        page.tap(&test_id("tab-cameras")).await?;
        let offline = "[data-testid=\"camera-card\"][data-status=\"offline\"]";
        page.shows(offline, Duration::from_secs(30)).await?;
        page.screenshot("6-offline").await
    })
    .await
}

/// Section 13 of the licence: who uses the relay gets its source, before signing in too.
async fn the_source_is_offered(page: &Page) -> Result<()> {
    let version = page.text(&test_id("version")).await?;
    ensure!(version.starts_with("Nightjar "), "{version}");
    for link in ["licence", "source"] {
        let bytes: usize = page
            .evaluate(&format!(
                "fetch(document.querySelector('{}').href)\
                 .then((answer) => answer.ok ? answer.arrayBuffer() : new ArrayBuffer(0))\
                 .then((body) => body.byteLength)",
                test_id(link)
            ))
            .await?;
        ensure!(bytes > 10_000, "{link}: {bytes} bytes");
    }
    Ok(())
}

async fn play_to_its_end(page: &Page) -> Result<()> {
    let play = "(() => { const video = document.querySelector('[data-testid=\"clip-video\"]'); \
                video.muted = true; return video.play().then(() => null); })()";
    page.evaluate::<Option<bool>>(play).await?;
    wait::until_true("the clip ends", Duration::from_mins(1), async || {
        page.evaluate("document.querySelector('[data-testid=\"clip-video\"]').ended").await
    })
    .await
}

/// The relay keeps how long it was watched, and that its viewer has seen it.
async fn it_is_known_as_watched(page: &Page, stack: &Stack) -> Result<()> {
    let path: String = page.evaluate("location.pathname.slice(1)").await?;
    wait::until_true("the clip is known as watched", SOON, async || {
        let statistics = stack.owner.get(&format!("{path}/stats")).await?.expect(200)?.json();
        let clip = stack.owner.get(&path).await?.expect(200)?.json();
        let watched_ms = statistics["watched_ms"].as_u64().unwrap_or_default();
        // What it plays is at least its post-roll long.
        Ok(statistics["views"] == 1 && watched_ms > 1_000 && clip["seen"] == true)
    })
    .await
}

/// The strict Content-Security-Policy holds because nothing needs to break it.
fn no_policy_was_broken(page: &Page) -> Result<()> {
    let complaints = page.console();
    let broken: Vec<&String> =
        complaints.iter().filter(|line| line.contains("Content Security Policy")).collect();
    ensure!(broken.is_empty(), "{broken:?}");
    Ok(())
}

#[tokio::test]
async fn a_person_takes_a_snapshot_and_sees_it() -> Result<()> {
    Scenario::run("app_snapshot", |directory| async move {
        let stack = Stack::start(&directory, &Settings::still()).await?;
        let browser = Browser::start(&directory).await?;
        let page = browser.open(&stack.relay.url()).await?;
        page.sign_in(EMAIL, PASSWORD).await?;
        page.tap("[data-testid=\"camera-card\"] a").await?;

        page.tap(&test_id("command-snapshot")).await?;
        wait::until_true("the app says so", SOON, async || {
            Ok(page.text(&test_id("command-result")).await?.contains("Snapshot taken"))
        })
        .await?;
        page.screenshot("1-taken").await?;

        page.tap(&test_id("tab-clips")).await?;
        page.shows("[data-testid=\"clip-row\"][data-state=\"ready\"]", SOON).await?;
        page.tap("[data-testid=\"clip-row\"] a").await?;
        page.shows(&test_id("clip-picture"), SOON).await?;
        let width = "document.querySelector('[data-testid=\"clip-picture\"]').naturalWidth";
        wait::until_true("the picture is there", SOON, async || {
            Ok(page.evaluate::<u32>(width).await? == 640)
        })
        .await?;
        page.screenshot("2-snapshot").await
    })
    .await
}

#[tokio::test]
async fn a_restarted_relay_does_not_strand_an_open_app() -> Result<()> {
    Scenario::run("app_relay_restarted", |directory| async move {
        let settings = Settings::still();
        let mut stack = Stack::start(&directory, &settings).await?;
        let browser = Browser::start(&directory).await?;
        let page = browser.open(&stack.relay.url()).await?;
        page.sign_in(EMAIL, PASSWORD).await?;
        page.tap("[data-testid=\"camera-card\"] a").await?;
        page.shows("[data-testid=\"live-badge\"][data-state=\"live\"]", SOON).await?;

        stack.relay.crash_and_restart().await?;
        stack.owner.camera_is(&stack.camera_id, "online", Duration::from_secs(30)).await?;
        // The page hears of the camera again, without being reloaded.
        stack.owner.command_done(&stack.camera_id, "disarm", serde_json::json!({})).await?;
        page.shows(&test_id("command-arm"), Duration::from_secs(40)).await?;
        page.shows("[data-testid=\"live-badge\"][data-state=\"live\"]", SOON).await?;
        page.text(&test_id("camera-name")).await.map(drop).context("the page is gone")
    })
    .await
}

#[tokio::test]
async fn a_pairing_code_outlives_a_bad_network_and_is_taken_back_by_whoever_leaves() -> Result<()> {
    Scenario::run("app_pairing", |directory| async move {
        let relay = Relay::start(&directory, Place::loopback(Ports::free()?)).await?;
        let (owner, _) = relay.api()?.register(EMAIL, PASSWORD).await?;
        let browser = Browser::start(&directory).await?;
        let page = browser.open(&relay.url()).await?;
        page.sign_in(EMAIL, PASSWORD).await?;

        page.tap(&test_id("add-camera")).await?;
        lose_the_next_question_after_a_pairing(&page).await?;
        page.tap(&test_id("pair-start")).await?;
        page.shows(&test_id("pair-code"), SOON).await?;
        let code = page.text(&test_id("pair-code")).await?;
        wait::until_true("the page asks again after a question was lost", SOON, async || {
            page.evaluate("window.pairings.lost === 1 && window.pairings.answered > 0").await
        })
        .await?;
        ensure!(page.text(&test_id("pair-code")).await? == code, "the code is gone");
        page.screenshot("1-code").await?;

        let abandoned: String = page.evaluate("window.pairings.pairing").await?;
        page.tap(&test_id("tab-cameras")).await?;
        wait::until_true("the abandoned pairing is closed", SOON, async || {
            Ok(pairing_status(&owner, &abandoned).await? == 404)
        })
        .await?;

        // Whoever has the file needs no page.
        page.tap(&test_id("add-camera")).await?;
        page.tap(&test_id("pair-start")).await?;
        page.save_into(&directory).await?;
        page.tap(&test_id("pair-download")).await?;
        wait::until_true("the page asks for the new pairing", SOON, async || {
            Ok(page.evaluate::<String>("window.pairings.pairing").await? != abandoned)
        })
        .await?;
        let kept: String = page.evaluate("window.pairings.pairing").await?;
        page.tap(&test_id("tab-cameras")).await?;
        page.shows(&test_id("camera-list"), SOON).await?;
        let closed: u32 = page.evaluate("window.pairings.closed").await?;
        ensure!(closed == 1, "{closed} pairings were closed");
        ensure!(pairing_status(&owner, &kept).await? == 200, "the file's pairing is closed");
        Ok(())
    })
    .await
}

/// One is lost on the way; of the others it is kept which pairing they were for.
async fn lose_the_next_question_after_a_pairing(page: &Page) -> Result<()> {
    page.evaluate::<bool>(include_str!("pages/lose_a_question.js")).await.map(drop)
}

async fn pairing_status(owner: &Api, pairing_id: &str) -> Result<u16> {
    Ok(owner.get(&format!("pairings/{pairing_id}")).await?.status.as_u16())
}

#[tokio::test]
async fn pictures_stay_through_news_and_come_back_when_their_address_has_run_out() -> Result<()> {
    Scenario::run("app_pictures", |directory| async move {
        let stack = Stack::start(&directory, &Settings::still()).await?;
        record(&stack).await?;
        let browser = Browser::start(&directory).await?;
        let page = browser.open(&stack.relay.url()).await?;
        page.sign_in(EMAIL, PASSWORD).await?;

        let card = "[data-testid=\"camera-card\"]";
        has_picture(&page, card).await?;
        page.screenshot("1-cameras").await?;
        mark_picture(&page, card).await?;
        let renamed = json!({ "name": "back yard" });
        let path = format!("cameras/{}", stack.camera_id);
        stack.owner.patch(&path, renamed).await?.expect(200)?;
        wait::until_true("the card has the new name", SOON, async || {
            Ok(page.text(&test_id("camera-name")).await? == "back yard")
        })
        .await?;
        ensure!(is_marked(&page, card).await?, "news of the camera made its picture anew");
        let_address_run_out(&page, card).await?;
        has_picture(&page, card).await?;
        page.screenshot("2-renamed").await?;

        page.tap(&test_id("tab-events")).await?;
        let row = "[data-testid=\"event-row\"]:last-child";
        has_picture(&page, row).await?;
        mark_picture(&page, row).await?;
        record(&stack).await?;
        wait::until_true("another event is there", SOON, async || {
            page.evaluate("document.querySelectorAll('[data-testid=\"event-row\"]').length > 1")
                .await
        })
        .await?;
        ensure!(is_marked(&page, row).await?, "news of another event made this one's picture anew");
        let_address_run_out(&page, row).await?;
        has_picture(&page, row).await?;
        has_picture(&page, "[data-testid=\"event-row\"]").await?;
        page.screenshot("3-events").await
    })
    .await
}

/// A short recording, with its picture.
async fn record(stack: &Stack) -> Result<()> {
    let before = pictures(&stack.owner).await?;
    stack.owner.command_done(&stack.camera_id, "record_start", json!({})).await?;
    stack.owner.command_done(&stack.camera_id, "record_stop", json!({})).await?;
    wait::until_true("the recording has a picture", SOON, async || {
        Ok(pictures(&stack.owner).await? > before)
    })
    .await
}

async fn pictures(owner: &Api) -> Result<usize> {
    let events = owner.list("events").await?;
    Ok(events.iter().filter(|event| event["thumbnail_url"].is_string()).count())
}

async fn has_picture(page: &Page, place: &str) -> Result<()> {
    wait::until_true(&format!("a picture in {place}"), SOON, async || {
        let width = format!("document.querySelector('{place} img')?.naturalWidth ?? 0");
        Ok(page.evaluate::<u32>(&width).await? > 0)
    })
    .await
}

async fn mark_picture(page: &Page, place: &str) -> Result<()> {
    let mark = format!("document.querySelector('{place} img').dataset.marked = 'yes'");
    page.evaluate::<String>(&mark).await.map(drop)
}

async fn is_marked(page: &Page, place: &str) -> Result<bool> {
    page.evaluate(&format!("document.querySelector('{place} img')?.dataset.marked === 'yes'")).await
}

/// What the store says of an address after its time.
async fn let_address_run_out(page: &Page, place: &str) -> Result<()> {
    let script = format!(
        "new Promise((resolve) => {{ const image = document.querySelector('{place} img'); \
         image.addEventListener('error', () => resolve(true), {{ once: true }}); \
         image.src = image.src.split('?')[0]; }})"
    );
    page.evaluate::<bool>(&script).await.map(drop)
}
