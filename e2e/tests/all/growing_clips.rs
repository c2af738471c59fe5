//! Clips that leave the camera while they are recorded.

use std::{
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{
    agent::Settings,
    browser::{Browser, Page},
    clip_page::{VIDEO, download, is_long, of_video, play, seek},
    footage::{self, Footage},
    hls,
    stack::{EMAIL, PASSWORD, Scenario, Stack},
    wait,
};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(20);
const MINUTE: Duration = Duration::from_mins(1);

async fn clip(stack: &Stack, clip_id: &str) -> Result<Value> {
    Ok(stack.owner.get(&format!("clips/{clip_id}")).await?.expect(200)?.json())
}

#[expect(clippy::disallowed_methods, reason = "the clock that the camera's clips are timed by")]
fn unix_ms() -> Result<u64> {
    Ok(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}

/// What the store has taken since it started, twice where something was sent twice.
async fn bytes_received(stack: &Stack) -> Result<u64> {
    let metrics = stack.owner.get("/metrics").await?.expect(200)?.text;
    let line = metrics.lines().find(|line| line.starts_with("nightjar_store_received_bytes_total"));
    let value = line.and_then(|line| line.split(' ').next_back()).unwrap_or("0");
    value.parse().context("a counter that is no number")
}

#[tokio::test]
async fn a_smashed_camera_leaves_all_but_seconds_and_the_rest_comes_once_when_it_is_back()
-> Result<()> {
    Scenario::run("smashed", |directory| async move {
        let mut stack = Stack::start(&directory, &Settings::brief()).await?;
        let clip_id = footage::begin(&stack).await?;
        footage::has_arrived(&stack.owner, &clip_id, 8_000).await?;
        ensure!(clip(&stack, &clip_id).await?["state"] == "recording");

        stack.agent.kill();
        let began = clip(&stack, &clip_id).await?["started_at"].as_u64().context("no beginning")?;
        let lived_ms = unix_ms()? - began;

        let closed = wait::until("the relay closes the clip", MINUTE * 3, async || {
            let clip = clip(&stack, &clip_id).await?;
            Ok((clip["state"] == "ready").then_some(clip))
        })
        .await?;
        ensure!(closed["truncated"] == true, "{closed}");
        let facts = footage::examine(&stack.owner, &clip_id, &directory).await?;
        let left = Duration::from_secs_f64(facts.duration_s);
        let lost = Duration::from_millis(lived_ms).saturating_sub(left);
        ensure!(lost <= Duration::from_secs(5), "{lost:?} are lost of {lived_ms} ms: {facts:?}");
        ensure!(facts.longest_gap_s < 1.5, "{facts:?}");
        an_hls_player_plays_what_is_left(&stack, &clip_id, &directory).await?;
        let browser = Browser::start(&directory).await?;
        let page = browser.open(&stack.relay.url()).await?;
        open_clip(&page).await?;
        page.shows("[data-testid=\"clip-truncated\"]", SOON).await?;
        is_long(&page, facts.duration_s).await?;

        stack.agent.start()?;
        let whole = wait::until("the clip is complete", MINUTE, async || {
            let clip = clip(&stack, &clip_id).await?;
            Ok((clip["state"] == "ready" && clip["truncated"] == false).then_some(clip))
        })
        .await?;
        let later = footage::examine(&stack.owner, &clip_id, &directory).await?;
        ensure!(later.duration_s >= facts.duration_s, "{facts:?}, then {later:?}");
        // The page that showed what was left goes on to the rest.
        is_long(&page, later.duration_s).await?;
        seek(&page, later.duration_s - 0.1).await?;
        let held = whole["length"].as_u64().context("a clip without a length")?;
        let received = bytes_received(&stack).await?;
        // Nothing twice but the part that was on its way: 4 s of it at most.
        let duration_ms = whole["duration_ms"].as_u64().context("a clip without a duration")?;
        let one_part = held / (duration_ms / 4_000).max(1);
        ensure!((held..=held + one_part).contains(&received), "{received} sent for {held}");
        let clips = stack.owner.list("clips").await?;
        let same = clips.iter().filter(|clip| clip["clip_id"] == clip_id.as_str());
        ensure!(same.count() == 1, "{clips:?}");
        Ok(())
    })
    .await
}

async fn an_hls_player_plays_what_is_left(
    stack: &Stack,
    clip_id: &str,
    directory: &Path,
) -> Result<()> {
    let cookie = stack.owner.session_cookie(EMAIL, PASSWORD).await?;
    let all = hls::pictures_of(&stack.owner, clip_id, directory).await?;
    let played = hls::play(&stack.owner, &cookie, clip_id).await?;
    ensure!(played == all && all.len() > 80, "{} of {} pictures", played.len(), all.len());
    Ok(())
}

async fn open_clip(page: &Page) -> Result<()> {
    page.sign_in(EMAIL, PASSWORD).await?;
    page.tap("[data-testid=\"tab-clips\"]").await?;
    wait::until_true("the clip's page opens", SOON, async || {
        page.tap("[data-testid=\"clip-row\"] a").await.ok();
        Ok(page.shows(VIDEO, Duration::from_secs(5)).await.is_ok())
    })
    .await
}

/// How many segments the page has fetched.
async fn segments_fetched(page: &Page) -> Result<usize> {
    let names = "performance.getEntriesByType('resource').map(({name}) => name.split('?')[0])\
                 .filter((name) => name.endsWith('.mp4'))";
    let names: Vec<String> = page.evaluate(names).await?;
    Ok(names.into_iter().collect::<std::collections::BTreeSet<_>>().len())
}

#[tokio::test]
async fn a_person_watches_a_clip_that_grows_seeks_in_it_and_downloads_it() -> Result<()> {
    Scenario::run("growing_watched", |directory| async move {
        // It grows for as long as this takes.
        let settings = Settings { max_clip_s: 300, ..Settings::brief() };
        let stack = Stack::start(&directory, &settings).await?;
        let clip_id = footage::begin(&stack).await?;
        footage::has_arrived(&stack.owner, &clip_id, 4_000).await?;
        let browser = Browser::start(&directory).await?;
        let page = browser.open(&stack.relay.url()).await?;
        open_clip(&page).await?;
        play(&page).await?;
        let before: f64 = of_video(&page, "currentTime").await?;
        wait::until_true("it plays on past what was there", MINUTE, async || {
            Ok(of_video::<f64>(&page, "currentTime").await? > before + 8.0)
        })
        .await?;
        ensure!(clip(&stack, &clip_id).await?["state"] == "recording");
        page.screenshot("1-growing").await?;

        // Long enough that nobody needs all of it for a look at its end.
        footage::has_arrived(&stack.owner, &clip_id, 20_000).await?;
        let ready = footage::end(&stack, &clip_id).await?;
        let whole_s = ready["duration_ms"].as_f64().context("no duration")? / 1_000.0;
        page.reload().await?;
        page.shows(VIDEO, SOON).await?;
        is_long(&page, whole_s).await?;
        seek(&page, whole_s - 2.0).await?;
        let parts = stack.owner.get(&format!("clips/{clip_id}/playback")).await?.expect(200)?;
        let all = parts.json()["parts"].as_array().context("no parts")?.len();
        let fetched = segments_fetched(&page).await?;
        ensure!(fetched > 0 && fetched < all, "{fetched} of {all} parts for a look at the end");
        page.screenshot("2-end").await?;

        let file = download(&page, &directory.join("downloads")).await?;
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        ensure!(name.starts_with("front door 20"), "{name}");
        let facts = Footage::probe(&file)?;
        ensure!((facts.duration_s - whole_s).abs() < 0.5, "{facts:?} of {whole_s} s");
        ensure!(facts.longest_gap_s < 1.5, "{facts:?}");
        let complaints = page.console();
        let broken = complaints.iter().any(|line| line.contains("Content Security Policy"));
        ensure!(!broken, "{complaints:?}");
        Ok(())
    })
    .await
}
