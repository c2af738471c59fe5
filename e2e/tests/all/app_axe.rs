//! What axe-core finds on the app's pages: nothing. It is not part of the project:
//! `build/test-suites axe` fetches it, and `NIGHTJAR_AXE` names its `axe.min.js`.

use std::{env, fs, time::Duration};

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{
    agent::Settings,
    browser::{Browser, Page, test_id},
    footage,
    players::skipped,
    stack::{EMAIL, PASSWORD, Scenario, Stack},
};
use serde_json::json;

const SOON: Duration = Duration::from_secs(20);
const RULES: &str =
    "{ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }";

/// Asks axe of the page as it is now, on a phone by day and on a desk by night; adds what it finds.
async fn look(page: &Page, axe: &str, name: &str, found: &mut Vec<String>) -> Result<()> {
    page.evaluate::<bool>(&format!("{axe}\n;true")).await?;
    for (scheme, (width, height)) in [("light", (390, 844)), ("dark", (1280, 800))] {
        page.prefer(scheme).await?;
        page.resize(width, height).await?;
        let file = name.trim_matches('/').replace('/', "-");
        page.screenshot(&format!("{file}-{scheme}")).await?;
        let broken: Vec<String> = page
            .evaluate(&format!(
                "axe.run(document, {RULES}).then(({{ violations }}) => violations.map(({{ id, nodes }}) => \
                 `${{id}}: ${{nodes.map(({{ html }}) => html.slice(0, 160)).join(' | ')}}`))"
            ))
            .await
            .with_context(|| format!("axe on {name}"))?;
        found.extend(broken.into_iter().map(|rule| format!("{name}, {scheme}: {rule}")));
    }
    Ok(())
}

#[tokio::test]
async fn axe_finds_nothing_on_any_page() -> Result<()> {
    let Some(file) = env::var_os("NIGHTJAR_AXE") else {
        skipped("axe-core is not here: build/test-suites axe");
        return Ok(());
    };
    let axe = fs::read_to_string(&file).context("NIGHTJAR_AXE cannot be read")?;
    Scenario::run("app_axe", |directory| async move {
        let stack = Stack::start(&directory, &Settings::still()).await?;
        let clip_id = footage::begin(&stack).await?;
        footage::end(&stack, &clip_id).await?;
        let browser = Browser::start(&directory).await?;
        let url = stack.relay.url();
        let page = browser.open(&url).await?;
        let mut found = Vec::new();
        page.shows(&test_id("sign-in-form"), SOON).await?;
        look(&page, &axe, "sign-in", &mut found).await?;
        page.go(&format!("{url}/sign-up")).await?;
        page.shows(&test_id("sign-up-form"), SOON).await?;
        look(&page, &axe, "sign-up", &mut found).await?;
        page.go(&url).await?;
        page.sign_in(EMAIL, PASSWORD).await?;
        page.shows(&test_id("tab-account"), SOON).await?;

        let camera = format!("/cameras/{}", stack.camera_id);
        let pages = [
            ("/".to_owned(), test_id("camera-card")),
            (camera.clone(), "[data-testid=\"event-row\"]".to_owned()),
            (format!("{camera}/settings"), test_id("zone-editor")),
            ("/events".to_owned(), test_id("event-row")),
            ("/clips".to_owned(), test_id("clip-row")),
            (format!("/clips/{clip_id}"), test_id("clip-video")),
            ("/account".to_owned(), test_id("sign-out")),
            ("/pair".to_owned(), test_id("pair-start")),
            (format!("/sites/{}/people", stack.site_id), "h1".to_owned()),
            ("/account/keys".to_owned(), "h1".to_owned()),
            ("/account/second-factor".to_owned(), "h1".to_owned()),
            ("/reset".to_owned(), "h1".to_owned()),
            ("/verify".to_owned(), "h1".to_owned()),
            ("/invitation".to_owned(), "h1".to_owned()),
            ("/nowhere".to_owned(), "h1".to_owned()),
        ];
        for (path, shown) in pages {
            // Each by itself: one with unsaved zones would ask before it is left.
            let page = browser.open(&format!("{url}{path}")).await?;
            page.shows(&shown, SOON).await?;
            open_everything(&page).await?;
            look(&page, &axe, &path, &mut found).await?;
        }
        let lifetime = json!({ "expires_in_s": 3600 });
        let share = stack.owner.post(&format!("clips/{clip_id}/shares"), lifetime).await?;
        let link = share.expect(201)?.json()["url"].as_str().context("no link")?.to_owned();
        page.go(&format!("{url}{link}")).await?;
        page.shows(&test_id("clip-video"), SOON).await?;
        look(&page, &axe, "shared", &mut found).await?;
        ensure!(found.is_empty(), "{}", found.join("\n"));
        Ok(())
    })
    .await
}

/// What a page keeps folded is looked at, too.
async fn open_everything(page: &Page) -> Result<()> {
    page.evaluate::<bool>(
        "(() => { for (const details of document.querySelectorAll('details')) details.open = true; \
         for (const name of ['mask-add', 'zone-add', 'schedule-enabled', 'share-open', 'pair-start', 'live-info']) \
         document.querySelector(`[data-testid=\"${name}\"]`)?.click(); return true; })()",
    )
    .await?;
    Ok(())
}
