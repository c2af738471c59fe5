//! Who runs the relay, in the app: the first administrator comes by the link that the relay printed, and looks at
//! a site when its owner lets them, for as long as they let them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{
    browser::{Browser, Page, test_id},
    relay::{Place, Ports, Relay},
    stack::Scenario,
    wait,
};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(20);
const ADMIN: &str = "admin@example.org";
const OWNER: &str = "owner@example.org";
const PASSWORD: &str = "correct horse battery";

/// Asks a door as whoever is signed in on a page; gives the status, and the body if it is JSON.
async fn ask(page: &Page, method: &str, path: &str, body: &str) -> Result<(u16, Value)> {
    let request = format!(
        "fetch('/api/v1/{path}', {{ method: '{method}', headers: {{ 'content-type': \
         'application/json' }}, body: {body} }}).then(async (answer) => JSON.stringify([answer.status, \
         await answer.json().catch(() => null)]))"
    );
    let answer: String = page.evaluate(&request).await?;
    serde_json::from_str(&answer).context("no status and body")
}

/// Makes the first account by the link in the relay's log, with the passkey that an administrator needs.
async fn first_administrator(browser: &Browser, relay: &Relay) -> Result<Page> {
    let log = relay.log_text();
    let link = log.split_whitespace().find(|word| word.contains("/first-admin#"));
    let link = link.with_context(|| format!("no link in {log}"))?.to_owned();
    let page = browser.open(&link).await?;
    page.shows(&test_id("first-admin-form"), SOON).await?;
    page.screenshot("1-first-admin").await?;
    page.fill(&test_id("first-admin-email"), ADMIN).await?;
    page.fill(&test_id("first-admin-password"), PASSWORD).await?;
    page.add_authenticator().await?;
    page.tap(&test_id("first-admin-submit")).await?;
    // There is nothing else for them until they have a second factor.
    page.shows(&test_id("passkey-add"), SOON).await?;
    page.tap(&test_id("passkey-add")).await?;
    page.shows(&test_id("confirm-password"), SOON).await?;
    page.fill(&test_id("confirm-password"), PASSWORD).await?;
    page.tap(&test_id("confirm-go")).await?;
    page.shows(&test_id("backup-codes"), SOON).await?;

    // The link works once.
    page.go(&link).await?;
    page.shows(&test_id("first-admin-form"), SOON).await?;
    page.fill(&test_id("first-admin-email"), "second@example.org").await?;
    page.fill(&test_id("first-admin-password"), PASSWORD).await?;
    page.tap(&test_id("first-admin-submit")).await?;
    wait::until_true("a used link is refused", SOON, async || {
        Ok(!page.text(&test_id("first-admin-error")).await?.is_empty())
    })
    .await?;
    Ok(page)
}

#[tokio::test]
async fn who_runs_the_relay_comes_by_its_link_and_looks_while_an_owner_lets_them() -> Result<()> {
    Scenario::run("app_admin", |directory| async move {
        let relay = Relay::start(&directory, Place::loopback(Ports::free()?)).await?;
        let (browser, other) = (
            Browser::start(&directory.join("admin")).await?,
            Browser::start(&directory.join("owner")).await?,
        );
        let admin = first_administrator(&browser, &relay).await?;
        let (_, site_id) = relay.api()?.register(OWNER, PASSWORD).await?;
        let views = format!("admin/sites/{site_id}/views");
        let reason = "JSON.stringify({ reason: 'pictures stand still', minutes: 30 })";
        let (status, asked) = ask(&admin, "POST", &views, reason).await?;
        ensure!(status == 201, "{status} {asked}");

        let owner = other.open(&relay.url()).await?;
        owner.sign_in(OWNER, PASSWORD).await?;
        owner.shows(&test_id("tab-account"), SOON).await?;
        owner.go(&format!("{}/sites/{site_id}/views", relay.url())).await?;
        owner.shows("[data-testid=\"view\"][data-state=\"asked\"]", SOON).await?;
        ensure!(owner.text(&test_id("view")).await?.contains("pictures stand still"));
        owner.screenshot("2-asked").await?;
        let (status, _) = ask(&admin, "GET", &format!("sites/{site_id}"), "undefined").await?;
        ensure!(status == 404, "nothing is seen before: {status}");
        owner.tap(&test_id("view-allow")).await?;
        owner.shows(&test_id("confirm"), SOON).await?;
        owner.tap(&test_id("confirm")).await?;
        owner.shows("[data-testid=\"view\"][data-state=\"granted\"]", SOON).await?;
        owner.screenshot("3-granted").await?;
        let (status, _) = ask(&admin, "GET", &format!("sites/{site_id}"), "undefined").await?;
        ensure!(status == 200, "the owner lets them: {status}");
        owner.tap(&test_id("view-end")).await?;
        owner.shows("[data-testid=\"view\"][data-state=\"ended\"]", SOON).await?;
        let (status, _) = ask(&admin, "GET", &format!("sites/{site_id}"), "undefined").await?;
        ensure!(status == 404, "it is over: {status}");
        Ok(())
    })
    .await
}
