//! How a person adds a camera in the app, by the code that the camera shows and by a file for its card.

use std::{fs, time::Duration};

use anyhow::{Result, ensure};
use nightjar_e2e::{
    agent::{Agent, Settings},
    api::text,
    browser::{Browser, Page, test_id},
    relay::{Place, Ports, Relay},
    stack::{EMAIL, PASSWORD, Scenario},
    wait,
};

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_camera_that_shows_a_code_is_seen_and_taken_on_a_phone() -> Result<()> {
    Scenario::run("app_shown_code", |directory| async move {
        let relay = Relay::start(&directory, Place::loopback(Ports::free()?)).await?;
        let (owner, _) = relay.api()?.register(EMAIL, PASSWORD).await?;
        let mut agent = Agent::prepare(&directory, &Settings::still())?;
        agent.know_relay(&relay.url())?;
        agent.start()?;
        let code = wait::until("the camera shows a code", SOON, async || {
            let log = agent.log_text();
            Ok(log
                .split_once("its code is ")
                .and_then(|(_, rest)| rest.get(..9).map(str::to_owned)))
        })
        .await?;

        let browser = Browser::start(&directory).await?;
        let page = browser.open(&relay.url()).await?;
        page.sign_in(EMAIL, PASSWORD).await?;
        page.resize(390, 844).await?;
        page.tap(&test_id("add-camera")).await?;
        page.fill(&test_id("shown-code"), "bcdf ghjk").await?;
        page.tap(&test_id("shown-find")).await?;
        wait::until_true("a wrong code is named", SOON, async || {
            Ok(page.text(&test_id("shown-outcome")).await?.contains("No camera shows this code"))
        })
        .await?;
        page.screenshot("1-wrong").await?;
        clear(&page, "shown-code").await?;
        page.fill(&test_id("shown-code"), &code.to_lowercase()).await?;
        page.tap(&test_id("shown-find")).await?;
        page.shows(&test_id("shown-accept"), SOON).await?;
        wait::until_true("its picture is shown", SOON, async || {
            let width = format!(
                "document.querySelector('{}')?.naturalWidth ?? 0",
                test_id("shown-picture")
            );
            Ok(page.evaluate::<u32>(&width).await? > 0)
        })
        .await?;
        page.screenshot("2-seen-phone").await?;
        page.resize(1280, 800).await?;
        page.screenshot("3-seen-desk").await?;
        clear(&page, "shown-name").await?;
        page.fill(&test_id("shown-name"), "Garden gate").await?;
        page.tap(&test_id("shown-accept")).await?;
        page.shows(&test_id("pair-open-camera"), SOON).await?;
        page.screenshot("4-taken").await?;
        let cameras = owner.list("cameras").await?;
        ensure!(cameras.len() == 1, "{cameras:?}");
        ensure!(text(&cameras[0], "name").as_deref() == Some("Garden gate"), "{cameras:?}");
        let id = text(&cameras[0], "camera_id").unwrap_or_default();
        owner.camera_is(&id, "online", SOON).await?;
        nothing_was_refused(&page)
    })
    .await
}

#[tokio::test]
async fn a_file_carries_what_the_browser_adds_and_is_taken_back() -> Result<()> {
    Scenario::run("app_pairing_file", |directory| async move {
        let relay = Relay::start(&directory, Place::loopback(Ports::free()?)).await?;
        relay.api()?.register(EMAIL, PASSWORD).await?;
        let browser = Browser::start(&directory).await?;
        let page = browser.open(&relay.url()).await?;
        page.sign_in(EMAIL, PASSWORD).await?;
        page.tap(&test_id("add-camera")).await?;
        page.tap(&test_id("pair-start")).await?;
        page.save_into(&directory).await?;
        page.fill(&test_id("file-name"), "Back \"yard\"").await?;
        let open = format!(
            "document.querySelector('{}').closest('details').open = true",
            test_id("file-ssid")
        );
        page.evaluate::<bool>(&open).await?;
        // Keys of the test's keyboard are ASCII.
        let ssid = format!(
            "(document.querySelector('{}').value = 'Zoë\\u0027s net', true)",
            test_id("file-ssid")
        );
        page.evaluate::<bool>(&ssid).await?;
        page.fill(&test_id("file-passphrase"), "quote\" and \\slash").await?;
        page.screenshot("1-file").await?;
        // The bar lies over the end of the page.
        let to_the_middle = format!(
            "(document.querySelector('{}').scrollIntoView({{ block: 'center' }}), true)",
            test_id("pair-download")
        );
        page.evaluate::<bool>(&to_the_middle).await?;
        page.tap(&test_id("pair-download")).await?;
        let file = directory.join("nightjar.toml");
        let saved = wait::until("the file is saved", SOON, async || {
            Ok(fs::read_to_string(&file).ok().filter(|text| text.contains("[wifi]")))
        })
        .await?;
        let parts = [
            "relay_url = ",
            "secret = ",
            "owner_key = ",
            r#"name = "Back \"yard\"""#,
            r#"ssid = "Zoë's net""#,
            r#"passphrase = "quote\" and \\slash""#,
        ];
        for part in parts {
            ensure!(saved.contains(part), "{part} is missing");
        }

        page.tap(&test_id("tab-cameras")).await?;
        page.tap(&test_id("add-camera")).await?;
        page.shows(&test_id("prepared"), SOON).await?;
        page.tap(&format!("{} summary", test_id("prepared"))).await?;
        page.screenshot("2-expected").await?;
        page.tap(&test_id("prepared-take-back")).await?;
        wait::until_true("nothing is expected any more", SOON, async || {
            let gone = format!("document.querySelector('{}') === null", test_id("prepared"));
            page.evaluate(&gone).await
        })
        .await?;
        nothing_was_refused(&page)
    })
    .await
}

async fn clear(page: &Page, field: &str) -> Result<()> {
    let empty = format!("document.querySelector('{}').value = ''", test_id(field));
    page.evaluate::<String>(&empty).await.map(drop)
}

/// The strict Content-Security-Policy holds because nothing needs to break it.
fn nothing_was_refused(page: &Page) -> Result<()> {
    let complaints = page.console();
    let broken: Vec<&String> =
        complaints.iter().filter(|line| line.contains("Content Security Policy")).collect();
    ensure!(broken.is_empty(), "{broken:?}");
    Ok(())
}
