//! Second factors in the app: an app with codes, and passkeys by Chromium's virtual authenticator.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{
    browser::{Browser, Page, test_id},
    relay::{Place, Ports, Relay},
    stack::{EMAIL, PASSWORD, Scenario},
    wait,
};
use serde_json::{Value, json};
use totp_rs::{Builder, Secret, Totp};

const SOON: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_secs(30);

/// The code that an authenticator app shows so long from now.
fn code(totp: &Totp, ahead: Duration) -> Result<String> {
    #[expect(clippy::disallowed_methods, reason = "as a phone does, whose clock is its own")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH)? + ahead;
    Ok(totp.generate(now.as_secs()).to_string())
}

async fn begin(browser: &Browser, relay: &Relay) -> Result<Page> {
    relay.api()?.register(EMAIL, PASSWORD).await?;
    let page = browser.open(&relay.url()).await?;
    page.sign_in(EMAIL, PASSWORD).await?;
    page.shows(&test_id("tab-account"), SOON).await?;
    page.go(&format!("{}/account", relay.url())).await?;
    page.tap(&test_id("go-to-second-factor")).await?;
    Ok(page)
}

/// Types into a field, from under the bar at the screen's edge.
async fn fill(page: &Page, testid: &str, text: &str) -> Result<()> {
    page.shows(&test_id(testid), SOON).await?;
    let field = format!("document.querySelector('{}')", test_id(testid));
    let shown =
        format!("({field}.scrollIntoView({{ block: 'center', behavior: 'instant' }}), true)");
    page.evaluate::<bool>(&shown).await?;
    page.fill(&test_id(testid), text).await
}

async fn tap(page: &Page, testid: &str) -> Result<()> {
    page.shows(&test_id(testid), SOON).await?;
    let button = format!("document.querySelector('{}')", test_id(testid));
    let shown =
        format!("({button}.scrollIntoView({{ block: 'center', behavior: 'instant' }}), true)");
    page.evaluate::<bool>(&shown).await?;
    page.tap(&test_id(testid)).await
}

async fn confirm(page: &Page) -> Result<()> {
    page.shows(&test_id("confirm-password"), SOON).await?;
    page.fill(&test_id("confirm-password"), PASSWORD).await?;
    page.tap(&test_id("confirm-go")).await
}

/// Ends the session here, and fills in the first step of the next one.
async fn sign_in_again(page: &Page, relay: &Relay) -> Result<()> {
    page.go(&format!("{}/account", relay.url())).await?;
    page.tap(&test_id("sign-out")).await?;
    page.shows(&test_id("sign-in-form"), SOON).await?;
    page.sign_in(EMAIL, PASSWORD).await
}

#[tokio::test]
async fn a_person_sets_up_an_app_with_codes_and_signs_in_by_it() -> Result<()> {
    Scenario::run("app_codes", |directory| async move {
        let relay = Relay::start(&directory, Place::loopback(Ports::free()?)).await?;
        let browser = Browser::start(&directory).await?;
        let page = begin(&browser, &relay).await?;
        tap(&page, "app-set-up").await?;
        confirm(&page).await?;
        page.shows(&test_id("app-qr"), SOON).await?;
        page.screenshot("1-set-up").await?;
        let secret = page.text(&test_id("app-secret")).await?.replace(' ', "");
        let secret = Secret::try_from_base32(&secret).ok().context("no secret of base 32")?;
        let totp = Builder::new().with_secret(secret).build().ok().context("no codes")?;
        fill(&page, "app-code", &code(&totp, 10 * STEP)?).await?;
        tap(&page, "app-confirm").await?;
        wait::until_true("a clock that is off is named", SOON, async || {
            Ok(page.text(&test_id("app-error")).await?.contains("clock"))
        })
        .await?;
        // That code is spent, and all before it: the secret is made anew.
        page.reload().await?;
        tap(&page, "app-set-up").await?;
        page.shows(&test_id("app-qr"), SOON).await?;
        let secret = page.text(&test_id("app-secret")).await?.replace(' ', "");
        let secret = Secret::try_from_base32(&secret).ok().context("no secret of base 32")?;
        let totp = Builder::new().with_secret(secret).build().ok().context("no codes")?;
        fill(&page, "app-code", &code(&totp, Duration::ZERO)?).await?;
        tap(&page, "app-confirm").await?;
        page.shows(&test_id("backup-codes"), SOON).await?;
        page.screenshot("2-backup-codes").await?;
        let listed = "document.querySelectorAll('[data-testid=backup-codes] li').length";
        ensure!(page.evaluate::<u32>(listed).await? == 10);
        let backup = page.text("[data-testid=\"backup-codes\"] li code").await?;
        tap(&page, "backup-done").await?;
        page.shows(&test_id("app-remove"), SOON).await?;

        sign_in_again(&page, &relay).await?;
        page.shows(&test_id("second-factor-form"), SOON).await?;
        page.screenshot("3-second-factor").await?;
        fill(&page, "second-factor-code", "not one of them").await?;
        tap(&page, "second-factor-submit").await?;
        wait::until_true("a wrong code is named", SOON, async || {
            Ok(!page.text(&test_id("second-factor-error")).await?.is_empty())
        })
        .await?;
        fill(&page, "second-factor-code", &code(&totp, STEP)?).await?;
        tap(&page, "second-factor-submit").await?;
        page.shows(&test_id("tab-account"), SOON).await?;

        sign_in_again(&page, &relay).await?;
        page.shows(&test_id("second-factor-form"), SOON).await?;
        fill(&page, "second-factor-code", &backup).await?;
        tap(&page, "second-factor-submit").await?;
        page.shows(&test_id("tab-account"), SOON).await
    })
    .await
}

/// Signs a question of one relay on whatever page this is.
const SIGN: &str = "(async (question) => {
    const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), (it) => it.charCodeAt(0));
    const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)))
        .replace(/\\+/g, '-').replace(/\\//g, '_').replace(/=+$/, '');
    const { rawId, response } = await navigator.credentials.get({ publicKey: {
        challenge: bytes(question.challenge), rpId: question.rp_id, userVerification: 'required' } });
    return {
        challenge: question.challenge,
        credential_id: text(rawId),
        client_data_json: text(response.clientDataJSON),
        authenticator_data: text(response.authenticatorData),
        signature: text(response.signature),
        user_handle: text(response.userHandle),
    };
})";

#[tokio::test]
async fn a_passkey_is_made_signs_in_and_is_refused_from_a_page_of_another_origin() -> Result<()> {
    Scenario::run("app_passkeys", |directory| async move {
        let relay = Relay::start(&directory, Place::loopback(Ports::free()?)).await?;
        let browser = Browser::start(&directory).await?;
        let page = begin(&browser, &relay).await?;
        let authenticator = page.add_authenticator().await?;
        page.shows(&test_id("passkey-form"), SOON).await?;
        tap(&page, "passkey-add").await?;
        confirm(&page).await?;
        page.shows(&test_id("backup-codes"), SOON).await?;
        page.shows(&test_id("passkey"), SOON).await?;
        page.screenshot("1-passkeys").await?;

        // After the password, and without one.
        sign_in_again(&page, &relay).await?;
        tap(&page, "second-factor-passkey").await?;
        page.shows(&test_id("tab-account"), SOON).await?;
        page.go(&format!("{}/account", relay.url())).await?;
        tap(&page, "sign-out").await?;
        tap(&page, "sign-in-passkey").await?;
        page.shows(&test_id("tab-account"), SOON).await?;

        // The same name, another port: the browser lets it sign, the relay does not take it.
        let other = Relay::start(&directory.join("other"), Place::loopback(Ports::free()?)).await?;
        let foreign = browser.open(&other.url()).await?;
        let copy = foreign.add_authenticator().await?;
        ensure!(page.copy_passkeys(&authenticator, &foreign, &copy).await? == 1);
        let api = relay.api()?;
        let question = api.post("auth/passkeys/challenge", json!({})).await?.expect(200)?.json();
        let passkey: Value = foreign.evaluate(&format!("{SIGN}({question})")).await?;
        let answer = api.post("auth/passkeys/sign-in", json!({"passkey": passkey})).await?;
        ensure!(answer.code() == "invalid_passkey", "{answer:?}");
        ensure!(
            answer.json()["detail"].as_str().is_some_and(|it| it.contains("origin")),
            "{answer:?}"
        );
        // It is the page, not the signature.
        let question = api.post("auth/passkeys/challenge", json!({})).await?.expect(200)?.json();
        let passkey: Value = page.evaluate(&format!("{SIGN}({question})")).await?;
        api.post("auth/passkeys/sign-in", json!({"passkey": passkey})).await?.expect(200)?;
        Ok(())
    })
    .await
}
