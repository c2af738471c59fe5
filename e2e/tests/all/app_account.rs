//! One's own account in the app: a lost password is replaced by the link in a mail, and a browser that is
//! signed in elsewhere is sent away.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{
    browser::{Browser, Page, test_id},
    relay::{Place, Ports, Relay},
    stack::Scenario,
    wait,
};

const SOON: Duration = Duration::from_secs(20);
const EMAIL: &str = "alice@example.org";
const PASSWORD: &str = "correct horse battery";
const NEW_PASSWORD: &str = "twelve purple ladders";

/// Waits for a mail with this subject, and returns the link in it.
async fn link_in(mails: &Path, subject: &str) -> Result<String> {
    wait::until(&format!("a mail \"{subject}\""), SOON, async || {
        for entry in fs::read_dir(mails).into_iter().flatten() {
            let path = entry?.path();
            // One that is being written has another name.
            if path.extension().is_none_or(|extension| extension != "eml") {
                continue;
            }
            let mail = fs::read_to_string(path)?.replace("=\r\n", "");
            if mail.contains(&format!("Subject: {subject}")) {
                let link = mail.lines().find(|line| line.contains('#'));
                return Ok(Some(link.context("no link in it")?.trim().to_owned()));
            }
        }
        Ok(None)
    })
    .await
}

async fn sign_up(page: &Page) -> Result<()> {
    page.tap(&test_id("go-to-sign-up")).await?;
    page.fill(&test_id("sign-up-name"), "Alice").await?;
    page.fill(&test_id("sign-up-email"), EMAIL).await?;
    page.fill(&test_id("sign-up-password"), PASSWORD).await?;
    page.tap(&test_id("sign-up-submit")).await?;
    page.shows(&test_id("tab-account"), SOON).await
}

/// The page at the link keeps its secret out of the address.
async fn open_link(page: &Page, link: &str, shown: &str) -> Result<()> {
    page.go(link).await?;
    page.shows(&test_id(shown), SOON).await?;
    let address: String = page.evaluate("location.href").await?;
    ensure!(!address.contains('#'), "the secret stands in the address: {address}");
    Ok(())
}

#[tokio::test]
async fn a_lost_password_is_replaced_and_another_browser_is_sent_away() -> Result<()> {
    Scenario::run("app_account", |directory| async move {
        let mails = directory.join("mails");
        let place = Place {
            mail: format!(
                "[mail]\nengine = \"file\"\nfrom = \"Nightjar <relay@example.org>\"\n\
                 directory = \"{}\"\n",
                mails.display()
            ),
            ..Place::loopback(Ports::free()?)
        };
        let relay = Relay::start(&directory, place).await?;
        let phone = Browser::start(&directory.join("phone")).await?;
        let on_phone = phone.open(&relay.url()).await?;
        sign_up(&on_phone).await?;
        let link = link_in(&mails, "Confirm your e-mail address").await?;
        open_link(&on_phone, &link, "verify-form").await?;
        on_phone.screenshot("1-verify").await?;
        on_phone.tap(&test_id("verify-submit")).await?;
        wait::until_true("it is confirmed", SOON, async || {
            Ok(on_phone.text("main").await?.contains("is confirmed"))
        })
        .await?;

        on_phone.go(&relay.url()).await?;
        on_phone.shows(&test_id("tab-account"), SOON).await?;

        let laptop = Browser::start(&directory.join("laptop")).await?;
        let page = laptop.open(&relay.url()).await?;
        page.tap(&test_id("go-to-reset")).await?;
        page.fill(&test_id("forgot-email"), EMAIL).await?;
        page.screenshot("2-forgot").await?;
        page.tap(&test_id("forgot-submit")).await?;
        page.shows(&format!("{} .notice", test_id("forgot-outcome")), SOON).await?;
        let link = link_in(&mails, "Set a new password").await?;
        open_link(&page, &link, "reset-form").await?;
        page.fill(&test_id("reset-password"), "password1234").await?;
        page.tap(&test_id("reset-submit")).await?;
        wait::until_true("a common one is refused", SOON, async || {
            Ok(page.text(&test_id("reset-outcome")).await?.contains("Take a few words"))
        })
        .await?;
        let field = test_id("reset-password");
        let _: String =
            page.evaluate(&format!("document.querySelector('{field}').value = ''")).await?;
        page.fill(&field, NEW_PASSWORD).await?;
        page.screenshot("3-reset").await?;
        page.tap(&test_id("reset-submit")).await?;
        page.shows(&test_id("sign-in-form"), SOON).await?;
        page.sign_in(EMAIL, NEW_PASSWORD).await?;
        page.shows(&test_id("tab-account"), SOON).await?;
        // Whoever was signed in is not any more, and sees so.
        on_phone.shows(&test_id("sign-in-form"), SOON).await?;

        on_phone.sign_in(EMAIL, NEW_PASSWORD).await?;
        on_phone.shows(&test_id("tab-account"), SOON).await?;
        page.tap(&test_id("tab-account")).await?;
        page.shows(&test_id("sign-in-end"), SOON).await?;
        page.screenshot("4-account").await?;
        page.tap(&test_id("sign-in-end")).await?;
        on_phone.shows(&test_id("sign-in-form"), SOON).await?;
        let rows: u32 = page
            .evaluate(&format!("document.querySelectorAll('{}').length", test_id("sign-in-row")))
            .await?;
        ensure!(rows == 1, "{rows} sign-ins are left");
        Ok(())
    })
    .await
}
