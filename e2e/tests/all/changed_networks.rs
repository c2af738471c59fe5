//! The viewer's network changes under a live picture, which finds its way back by itself and says
//! meanwhile that it waits.

#![expect(clippy::print_stderr, reason = "how long it took is read in the output")]

use std::{
    net::{IpAddr, Ipv4Addr},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{
    agent::{Agent, Settings},
    browser::{Browser, Page},
    network::{Firewall, Line, Networks, RELAY, within},
    relay::{Place, Ports},
    stack::{EMAIL, PASSWORD, Scenario, Stack},
    wait,
};

const SOON: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_mins(1);
const LIVE: &str = "[data-testid=\"live-badge\"][data-state=\"live\"]";
const NOT_LIVE: &str = "[data-testid=\"live-badge\"]:not([data-state=\"live\"])";
const REASON: &str = "[data-testid=\"live-reason\"]";

/// A camera on the internet, and a page that watches it from a household.
struct Watched {
    page: Page,
    line: Line,
    _browser: Browser,
    _stack: Stack,
}

impl Watched {
    async fn start(directory: &Path, viewer: &str, line: Line) -> Result<Self> {
        let agent = Agent::prepare(directory, &Settings::still())?;
        let place = Place {
            listen: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            scheme: "https",
            host: RELAY.to_owned(),
            ..Place::loopback(Ports::from(8080)?)
        };
        let stack = Stack::start_with(directory, place, agent, PASSWORD).await?;
        // The relay's authority is its own, and the browser's store of authorities not the test's.
        let trusting = ["--ignore-certificate-errors"];
        let browser = within(viewer, Browser::start_with(directory, &trusting)).await?;
        let page = browser.open(&stack.relay.url()).await?;
        page.sign_in(EMAIL, PASSWORD).await?;
        page.tap("[data-testid=\"camera-card\"] a").await?;
        page.shows(LIVE, SOON).await?;
        page.evaluate::<u64>(include_str!("pages/count_pictures.js")).await?;
        let watched = Self { page, line, _browser: browser, _stack: stack };
        watched.pictures_flow().await?;
        Ok(watched)
    }

    async fn pictures_flow(&self) -> Result<()> {
        let shown = async || self.page.evaluate::<u64>("window.picturesShown").await;
        let before = shown().await?;
        wait::until_true("the picture moves on", PATIENCE, async || Ok(shown().await? > before + 5))
            .await
    }

    /// The picture is there again after the path came back at `since`.
    async fn recovers(&self, what: &str, since: Instant) -> Result<()> {
        self.page.shows(LIVE, PATIENCE).await?;
        self.pictures_flow().await?;
        eprintln!("{what}: back {:.1} s after the path", since.elapsed().as_secs_f32());
        Ok(())
    }

    /// The path goes away until the page says `sign`.
    async fn interrupted(
        &self,
        what: &str,
        sign: &str,
        away: impl FnOnce(&Line) -> Result<()>,
        back: impl FnOnce(&Line) -> Result<()>,
    ) -> Result<()> {
        let since = Instant::now();
        away(&self.line)?;
        self.page.shows(sign, PATIENCE).await.with_context(|| what.to_owned())?;
        let words = self.page.text("[data-testid=\"live-badge\"]").await?;
        let reason = self.page.text(REASON).await?;
        eprintln!("{what}: after {:.1} s: {words} {reason}", since.elapsed().as_secs_f32());
        let since = Instant::now();
        back(&self.line)?;
        self.recovers(what, since).await.with_context(|| what.to_owned())
    }
}

async fn from_a_household(
    name: &'static str,
    test: impl AsyncFnOnce(Watched) -> Result<()> + Send + 'static,
) -> Result<()> {
    Scenario::run(name, |directory| async move {
        let Some(networks) = Networks::make(Firewall::Open)? else { return Ok(()) };
        let (viewer, line) = (networks.viewer(), networks.viewers_line());
        networks.on_the_internet(move || async move {
            test(Watched::start(&directory, &viewer, line).await?).await
        })
    })
    .await
}

#[tokio::test]
async fn a_viewer_with_another_address_sees_on_without_a_reload() -> Result<()> {
    from_a_household("address_changed", async |watched| {
        let since = Instant::now();
        watched.line.change_address()?;
        watched.page.shows(NOT_LIVE, PATIENCE).await?;
        let words = watched.page.text("[data-testid=\"live-badge\"]").await?;
        ensure!(!words.is_empty() && words != "Live", "the page says {words:?}");
        watched.recovers("another address", since).await
    })
    .await
}

#[tokio::test]
async fn a_viewer_whose_link_was_down_sees_on_without_a_reload() -> Result<()> {
    from_a_household("link_down", async |watched| {
        watched.interrupted("link down", NOT_LIVE, Line::unplug, Line::plug_in).await?;
        watched.interrupted("link long down", REASON, Line::unplug, Line::plug_in).await
    })
    .await
}

/// No `online` event comes when the path is back.
#[tokio::test]
async fn a_viewer_whose_provider_was_away_sees_on_without_a_reload() -> Result<()> {
    from_a_household("provider_away", async |watched| {
        watched.interrupted("provider away", NOT_LIVE, Line::cut, Line::mend).await?;
        watched.interrupted("provider long away", REASON, Line::cut, Line::mend).await
    })
    .await
}
