//! The live picture finds its way back by itself, and says what it waits for.

use std::{fs, time::Duration};

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{
    agent::{Agent, Settings},
    browser::{Browser, Page},
    players::skipped,
    relay::{Place, Ports},
    stack::{EMAIL, PASSWORD, Scenario, Stack},
    turn::Coturn,
    wait,
};
use serde_json::Value;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

const SOON: Duration = Duration::from_secs(15);
/// A page that has lost its socket waits before it opens another one.
const PATIENCE: Duration = Duration::from_mins(1);
const LIVE: &str = "[data-testid=\"live-badge\"][data-state=\"live\"]";

/// Lets a test ask the page's connections.
const REMEMBER_PEERS: &str = include_str!("pages/remember_peers.js");

/// Opens the app at the camera's page and waits for its picture.
async fn watch(browser: &Browser, stack: &Stack) -> Result<Page> {
    let page = browser.open(&stack.relay.url()).await?;
    page.evaluate::<Value>(REMEMBER_PEERS).await?;
    page.sign_in(EMAIL, PASSWORD).await?;
    page.tap("[data-testid=\"camera-card\"] a").await?;
    page.shows(LIVE, SOON).await?;
    Ok(page)
}

async fn frames(page: &Page) -> Result<u64> {
    let count = "document.querySelector('[data-testid=\"live\"]').getVideoPlaybackQuality()\
                 .totalVideoFrames";
    page.evaluate(count).await
}

async fn frames_flow(page: &Page, within: Duration) -> Result<()> {
    let before = frames(page).await?;
    wait::until_true("the picture moves on", within, async || Ok(frames(page).await? > before + 10))
        .await
}

/// The session whose picture is shown.
async fn session(page: &Page) -> Result<String> {
    page.evaluate("document.querySelector('[data-testid=\"live-badge\"]').dataset.session").await
}

/// Under which names the page would ask TURN servers, the next time it needs them.
async fn turn_users(page: &Page) -> Result<Vec<String>> {
    let users = "window.peers.at(-1).getConfiguration().iceServers\
                 .map(({ username }) => username ?? '').filter((username) => username !== '')";
    page.evaluate(users).await
}

#[tokio::test]
async fn a_changed_network_is_answered_by_ice_and_not_by_a_new_session() -> Result<()> {
    Scenario::run("network_changed", |directory| async move {
        let stack = Stack::start(&directory, &Settings::still()).await?;
        let browser = Browser::start(&directory).await?;
        let page = watch(&browser, &stack).await?;
        let before = session(&page).await?;

        page.evaluate::<Value>("(dispatchEvent(new Event('online')), null)").await?;

        page.shows(LIVE, SOON).await?;
        frames_flow(&page, SOON).await?;
        ensure!(session(&page).await? == before, "another session was opened");
        let log = stack.relay.log_text();
        ensure!(!log.contains("a request failed"), "{log}");
        let path = format!("/api/v1/live/{before}");
        let shown = stack.owner.get(&path).await?.expect(200)?.json();
        ensure!(shown["state"] == "streaming", "{shown}");
        wait::until_true("the camera measures the session", SOON, async || {
            let shown = stack.owner.get(&path).await?.expect(200)?.json();
            let statistics = &shown["statistics"];
            Ok(statistics["local_candidate"].is_string() && statistics["fps"].as_f64() > Some(1.0))
        })
        .await
        .with_context(|| "no statistics")
    })
    .await
}

#[tokio::test]
async fn each_ice_restart_brings_the_credentials_for_the_next_one() -> Result<()> {
    Scenario::run("fresh_credentials", |directory| async move {
        let Some(coturn) = Coturn::start_on_loopback(&directory)? else {
            skipped("coturn is missing: build/install-packages test");
            return Ok(());
        };
        let agent = Agent::prepare(&directory, &Settings::still())?;
        let place = Place { turn: coturn.section(), ..Place::loopback(Ports::free()?) };
        let stack = Stack::start_with(&directory, place, agent, PASSWORD).await?;
        let browser = Browser::start(&directory).await?;
        let page = watch(&browser, &stack).await?;
        let (before, users) = (session(&page).await?, turn_users(&page).await?);
        ensure!(!users.is_empty(), "no TURN server");
        // Two that were made within a second are the same.
        wait::until_true("fresh credentials", SOON, async || {
            page.evaluate::<Value>("(dispatchEvent(new Event('online')), null)").await?;
            Ok(turn_users(&page).await? != users)
        })
        .await?;
        page.shows(LIVE, SOON).await?;
        ensure!(session(&page).await? == before, "another session was opened");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_picture_goes_on_while_the_relay_is_away_and_comes_back_after_the_camera_was()
-> Result<()> {
    Scenario::run("parts_restarted", |directory| async move {
        let mut stack = Stack::start(&directory, &Settings::still()).await?;
        let browser = Browser::start(&directory).await?;
        let page = watch(&browser, &stack).await?;

        stack.relay.crash_and_restart().await?;
        frames_flow(&page, SOON).await?;
        ensure!(
            page.evaluate::<bool>(&format!("document.querySelector('{LIVE}') !== null")).await?
        );

        // Its viewers are told, and the page waits for it.
        stack.agent.stop(SOON).await?;
        page.shows("[data-testid=\"live-reason\"]", PATIENCE).await?;
        stack.agent.start()?;
        page.shows(LIVE, PATIENCE).await?;
        frames_flow(&page, SOON).await
    })
    .await
}

/// The camera's way to the relay, until it is closed.
async fn carry(listener: TcpListener, there: String) -> Result<()> {
    let mut carried = JoinSet::new();
    loop {
        let (mut camera, _) = listener.accept().await?;
        let mut there = TcpStream::connect(&there).await?;
        // Its end is the camera's or the relay's business.
        carried.spawn(async move { copy_bidirectional(&mut camera, &mut there).await.ok() });
    }
}

#[tokio::test]
async fn a_moving_picture_stays_when_its_camera_is_called_offline() -> Result<()> {
    Scenario::run("called_offline", |directory| async move {
        let mut stack = Stack::start(&directory, &Settings::still()).await?;
        stack.agent.stop(SOON).await?;
        let pairing = stack.agent.data_dir().join("pairing.json");
        let mut paired = fs::read_to_string(&pairing)?;
        let mut ways = JoinSet::new();
        // By either of them the camera would be online.
        for there in [stack.relay.mqtt_url(), stack.relay.url()] {
            let there = there.split_once("://").context("no URL")?.1.to_owned();
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let way = format!("localhost:{}", listener.local_addr()?.port());
            paired = paired.replace(&there, &way);
            ways.spawn(carry(listener, there));
        }
        fs::write(&pairing, paired)?;
        stack.agent.start()?;
        stack.owner.camera_sees(&stack.camera_id, PATIENCE).await?;
        let browser = Browser::start(&directory).await?;
        let page = watch(&browser, &stack).await?;
        let before = session(&page).await?;

        ways.shutdown().await;
        page.shows("[data-testid=\"camera-status\"][data-status=\"offline\"]", PATIENCE).await?;
        let path = format!("/api/v1/live/{before}");
        wait::until_true("the relay gives the session up", PATIENCE, async || {
            let shown = stack.owner.get(&path).await?.expect(200)?.json();
            Ok(shown["reason"] == "camera_offline")
        })
        .await?;
        frames_flow(&page, SOON).await?;
        frames_flow(&page, SOON).await?;
        ensure!(session(&page).await? == before, "another session was opened");
        page.shows(LIVE, SOON).await
    })
    .await
}
