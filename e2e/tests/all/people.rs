//! A household: somebody is let in by a link, sees what they may, and is put out.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{
    agent::Settings,
    browser::{Browser, Page, test_id},
    fake_camera::FakeCamera,
    stack::{EMAIL, PASSWORD, Scenario, Stack},
    wait,
};

const SOON: Duration = Duration::from_secs(20);

async fn count(page: &Page, testid: &str) -> Result<usize> {
    page.evaluate(&format!("document.querySelectorAll('{}').length", test_id(testid))).await
}

/// Taps what may lie under the bar at the bottom of a phone, once it is scrolled from there.
async fn tap_in_view(page: &Page, selector: &str) -> Result<()> {
    page.shows(selector, SOON).await?;
    let scroll = "scrollIntoView({block: 'center', behavior: 'instant'})";
    page.evaluate::<bool>(&format!("(document.querySelector('{selector}').{scroll}, true)"))
        .await?;
    page.tap(selector).await
}

/// The owner makes a link for somebody who is to see all cameras but one.
async fn invite(page: &Page, stack: &Stack, hidden: &FakeCamera) -> Result<String> {
    page.sign_in(EMAIL, PASSWORD).await?;
    page.shows(&test_id("camera-card"), SOON).await?;
    page.tap(&test_id("tab-account")).await?;
    page.tap(&test_id("site-people")).await?;
    page.shows(&test_id("member-row"), SOON).await?;
    page.fill(&test_id("invite-name"), "Neighbour").await?;
    tap_in_view(page, &format!("{}[value=\"{}\"]", test_id("terms-camera"), hidden.id)).await?;
    tap_in_view(page, &test_id("invite-create")).await?;
    page.shows(&test_id("invite-link"), SOON).await?;
    page.shows(&test_id("invitation-row"), SOON).await?;
    page.screenshot("1-invited").await?;
    let link: String = page
        .evaluate(&format!("document.querySelector('{}').value", test_id("invite-link")))
        .await?;
    ensure!(link.starts_with(&format!("{}/invitation#", stack.relay.url())), "{link}");
    Ok(link)
}

/// A stranger makes an account by the link, and watches the one camera.
async fn join(page: &Page, stack: &Stack) -> Result<()> {
    page.shows(&test_id("invitation-facts"), SOON).await?;
    page.screenshot("2-invitation").await?;
    page.fill(&test_id("invited-name"), "Neighbour").await?;
    page.fill(&test_id("invited-email"), "neighbour@example.org").await?;
    page.fill(&test_id("invited-password"), PASSWORD).await?;
    tap_in_view(page, &test_id("invited-submit")).await?;
    page.shows(&test_id("camera-card"), SOON).await?;
    ensure!(count(page, "camera-card").await? == 1, "more than the one camera");
    ensure!(count(page, "add-camera").await? == 0, "a viewer is offered to add cameras");
    page.tap(&format!("{}[data-camera-id=\"{}\"] a", test_id("camera-card"), stack.camera_id))
        .await?;
    page.shows(&format!("{}[data-state=\"live\"]", test_id("live-panel")), SOON).await?;
    page.screenshot("3-watching").await
}

#[tokio::test]
async fn a_neighbour_is_let_in_by_a_link_sees_one_camera_and_is_put_out() -> Result<()> {
    Scenario::run("people", |directory| async move {
        let stack = Stack::start(&directory, &Settings::brief()).await?;
        let hidden = FakeCamera::pair(&stack.owner, &stack.site_id).await?;
        let browser = Browser::start(&directory.join("owner")).await?;
        let page = browser.open(&stack.relay.url()).await?;
        let link = invite(&page, &stack, &hidden).await?;

        let elsewhere = Browser::start(&directory.join("neighbour")).await?;
        let theirs = elsewhere.open(&link).await?;
        join(&theirs, &stack).await?;
        let requested: Vec<String> = theirs
            .evaluate("performance.getEntriesByType('resource').map(({name}) => name)")
            .await?;
        let (_, token) = link.split_once('#').context("a link without a token")?;
        ensure!(!requested.iter().any(|url| url.contains(token)), "{requested:?}");

        page.reload().await?;
        let row = format!("{}[data-role=\"viewer\"]", test_id("member-row"));
        page.shows(&row, SOON).await?;
        tap_in_view(&page, &format!("{row} {}", test_id("member-edit"))).await?;
        page.shows(&test_id("member-form"), SOON).await?;
        page.screenshot("4-members").await?;
        tap_in_view(&page, &test_id("member-remove")).await?;
        page.tap(&test_id("confirm")).await?;
        wait::until_true("the neighbour is gone", SOON, async || {
            Ok(count(&page, "member-row").await? == 1)
        })
        .await?;
        theirs.shows(&format!("{}[data-state=\"stopped\"]", test_id("live-panel")), SOON).await?;
        theirs.screenshot("5-put-out").await?;
        let sessions = stack.owner.list(&stack.camera_path("live")).await?;
        ensure!(
            sessions.iter().any(|session| session["reason"] == "access_ended"),
            "nobody's access has ended: {sessions:?}"
        );
        // The link is spent.
        theirs.go(&link).await?;
        theirs.shows(&test_id("invitation-ended"), SOON).await?;
        Ok(())
    })
    .await
}
