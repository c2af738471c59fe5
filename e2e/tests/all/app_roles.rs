//! Each role is shown what it may do, and nothing that it is refused.

use std::{process::Command, time::Duration};

use anyhow::{Result, ensure};
use nightjar_e2e::{
    agent::Settings,
    browser::{Browser, Page, test_id},
    relay::{Place, Ports, Relay},
    stack::{EMAIL, PASSWORD, Scenario, Stack},
};

const SOON: Duration = Duration::from_secs(20);

/// As nothing gives roles yet, the database is told.
fn become_role(directory: &std::path::Path, role: &str) -> Result<()> {
    let script = "import sqlite3, sys\n\
                  database = sqlite3.connect(sys.argv[1], timeout=10)\n\
                  changed = database.execute('update members set role = ?', (sys.argv[2],))\n\
                  database.commit()\n\
                  sys.exit(0 if changed.rowcount == 1 else 1)";
    let database = directory.join("relay/relay.db");
    let status = Command::new("python3").args(["-c", script]).arg(database).arg(role).status();
    ensure!(status?.success(), "nobody became {role}");
    Ok(())
}

async fn there(page: &Page, testid: &str) -> Result<bool> {
    page.evaluate(&format!(
        "(() => {{ const it = document.querySelector('{}'); return !!it && it.checkVisibility(); }})()",
        test_id(testid)
    ))
    .await
}

/// What is offered on the pages that a role may open.
const OFFERS: [(&str, &str); 7] = [
    ("/", "add-camera"),
    ("/", "tab-events"),
    ("camera", "live-panel"),
    ("camera", "command-snapshot"),
    ("camera", "camera-motion"),
    ("camera", "timeline"),
    ("camera", "event-list"),
];

fn offered_to(role: &str) -> &'static [&'static str] {
    match role {
        "owner" => &[
            "add-camera",
            "tab-events",
            "live-panel",
            "command-snapshot",
            "camera-motion",
            "timeline",
            "event-list",
            "camera-rename",
            "camera-remove",
        ],
        "manager" => &[
            "tab-events",
            "live-panel",
            "command-snapshot",
            "camera-motion",
            "timeline",
            "event-list",
            "camera-rename",
        ],
        "viewer" => &["tab-events", "live-panel", "timeline", "event-list"],
        _ => &["add-camera", "camera-remove"],
    }
}

#[tokio::test]
async fn roles_are_shown_what_they_may_do_and_nothing_else() -> Result<()> {
    Scenario::run("app_roles", |directory| async move {
        let stack = Stack::start(&directory, &Settings::still()).await?;
        let browser = Browser::start(&directory).await?;
        let page = browser.open(&stack.relay.url()).await?;
        page.sign_in(EMAIL, PASSWORD).await?;
        page.shows(&test_id("camera-card"), SOON).await?;
        let camera = format!("{}/cameras/{}", stack.relay.url(), stack.camera_id);
        for role in ["owner", "manager", "viewer", "installer"] {
            become_role(&directory, role)?;
            let offered = offered_to(role);
            page.go(&stack.relay.url()).await?;
            page.shows(&test_id("camera-card"), SOON).await?;
            for (_, testid) in OFFERS.iter().filter(|(place, _)| *place == "/") {
                let is = there(&page, testid).await?;
                ensure!(is == offered.contains(testid), "{role}: {testid} is there: {is}");
            }
            page.go(&camera).await?;
            // Stands below everything else.
            page.shows(".facts div", SOON).await?;
            page.evaluate::<bool>(
                "(document.querySelector('details')?.setAttribute('open', ''), true)",
            )
            .await?;
            let below = [("camera", "camera-rename"), ("camera", "camera-remove")];
            for (_, testid) in OFFERS.iter().chain(&below).filter(|(place, _)| *place == "camera") {
                let is = there(&page, testid).await?;
                ensure!(is == offered.contains(testid), "{role}: {testid} is there: {is}");
            }
            let text = page.text("main").await?;
            ensure!(
                !text.contains("not there any more") && !text.contains("Try"),
                "{role}: {text}"
            );
            page.screenshot(role).await?;
        }
        an_installer_is_told_the_truth(&page, &stack).await
    })
    .await
}

async fn an_installer_is_told_the_truth(page: &Page, stack: &Stack) -> Result<()> {
    ensure!(page.text("main").await?.contains("sets cameras up"), "no word on pictures");
    ensure!(page.text(&test_id("camera-status")).await? == "Online");
    for path in ["events", "clips"] {
        page.go(&format!("{}/{path}", stack.relay.url())).await?;
        page.shows(".notice", SOON).await?;
        let text = page.text("main").await?;
        ensure!(!text.contains("All quiet") && !text.contains("No clips"), "{text}");
    }
    page.go(&format!("{}/account", stack.relay.url())).await?;
    page.shows("[data-testid=\"account-site\"][data-role=\"installer\"]", SOON).await?;
    let rights = page.text(&test_id("account-site")).await?;
    ensure!(rights.contains("add and remove cameras") && !rights.contains("watch"), "{rights}");
    Ok(())
}

#[tokio::test]
async fn a_relay_that_takes_no_accounts_offers_none() -> Result<()> {
    Scenario::run("app_closed", |directory| async move {
        let relay = Relay::start(&directory, Place::loopback(Ports::free()?)).await?;
        let browser = Browser::start(&directory).await?;
        let page = browser.open(&relay.url()).await?;
        page.shows(&test_id("go-to-sign-up"), SOON).await?;
        page.tap(&test_id("go-to-sign-up")).await?;
        page.shows(&test_id("sign-up-form"), SOON).await?;

        let closed = Place { registration: "closed", ..Place::loopback(Ports::free()?) };
        let relay = Relay::start(&directory.join("closed"), closed).await?;
        let page = browser.open(&relay.url()).await?;
        page.shows(&test_id("sign-in-form"), SOON).await?;
        nightjar_e2e::wait::until_true("that is said", SOON, async || {
            Ok(page.text(&test_id("sign-up-offer")).await?.contains("takes no new accounts"))
        })
        .await?;
        ensure!(!there(&page, "go-to-sign-up").await?, "sign-up is offered");
        page.screenshot("1-sign-in").await?;
        page.go(&format!("{}/sign-up", relay.url())).await?;
        page.shows(&test_id("sign-up-closed"), SOON).await?;
        ensure!(!there(&page, "sign-up-form").await?);
        Ok(())
    })
    .await
}
