//! Live past a relay that lies: camera and viewer recognise each other by keys of their own.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{
    agent::{Agent, Settings},
    api::{Api, text},
    browser::Browser,
    relay::{Place, Ports, Relay},
    stack::{EMAIL, PASSWORD, Scenario},
    viewer::Viewer,
};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(30);

/// The app's modules in a page of the relay's origin, and a relay that can be made to lie.
const PAGE: &str = include_str!("pages/lying_relay.js");

async fn page(browser: &Browser, relay: &Relay) -> Result<Viewer> {
    // The session cookie is the browser's, whichever page got it.
    Viewer::sign_in(browser, &relay.url(), EMAIL, PASSWORD).await?;
    let app = browser.open(&relay.url()).await?;
    app.evaluate::<bool>(PAGE).await?;
    Ok(Viewer { page: app })
}

/// Watches through a relay that does `lie` to the descriptions.
async fn watch(viewer: &Viewer, camera_id: &str, lie: &str) -> Result<Value> {
    viewer.page.evaluate(&format!("watch({}, {lie})", json!(camera_id))).await
}

/// A camera that requires proofs, paired by a file that a browser put its key into.
async fn paired(
    directory: &Path,
    relay: &Relay,
    owner: &Api,
    site_id: &str,
    owner_key: &str,
) -> Result<(Agent, String)> {
    let settings = Settings { live_authenticity: Some("require"), ..Settings::still() };
    let mut agent = Agent::prepare(directory, &settings)?;
    let opened = owner.post(&format!("sites/{site_id}/pairings"), json!({})).await?;
    let provisioning = text(&opened.expect(201)?.json(), "provisioning").context("no file")?;
    agent.pair_with_file(&format!("{}\nowner_key = \"{owner_key}\"\n", provisioning.trim_end()))?;
    agent.start()?;
    let cameras = relay.api()?.login(EMAIL, PASSWORD).await?.list("cameras").await?;
    let camera_id = text(&cameras[0], "camera_id").context("no camera after pairing")?;
    owner.camera_sees(&camera_id, SOON).await?;
    Ok((agent, camera_id))
}

#[tokio::test]
async fn a_relay_in_the_middle_shows_nothing_and_learns_nothing() -> Result<()> {
    Scenario::run("authenticity", |directory| async move {
        let relay = Relay::start(&directory, Place::loopback(Ports::free()?)).await?;
        let (owner, site_id) = relay.api()?.register(EMAIL, PASSWORD).await?;
        let browser = Browser::start(&directory).await?;
        let viewer = page(&browser, &relay).await?;
        let owner_key: String = viewer.page.evaluate("authenticity.publicKey()").await?;
        let (_agent, id) = paired(&directory, &relay, &owner, &site_id, &owner_key).await?;

        let first = watch(&viewer, &id, "{}").await?;
        ensure!(first["seen"] == "first_seen", "{first}");
        let again = watch(&viewer, &id, "{}").await?;
        ensure!(again["seen"] == "verified" && again["width"] == 640, "{again}");

        for lie in [
            // Its own fingerprint in place of the camera's, with and without the proof.
            "{ answer: swap }",
            "{ answer: (sdp) => without('nightjar-camera')(swap(sdp)) }",
            "{ answer: without('nightjar-camera') }",
            // The proof of an earlier session.
            "{ answer: (sdp) => without('nightjar-camera')(sdp) + \
               /^a=nightjar-camera:.*\\r\\n/m.exec(heard.answers[0])[0] }",
            // Its own fingerprint in place of the viewer's; no proof; an earlier offer.
            "{ offer: swap }",
            "{ offer: without('nightjar-viewer') }",
            "{ offer: () => heard.offers[0] }",
        ] {
            let refused = watch(&viewer, &id, lie).await?;
            ensure!(refused["refused"] == "not_authentic", "{lie}: {refused}");
            ensure!(refused["width"] == 0, "a picture was shown: {lie}: {refused}");
        }

        a_pass_lets_another_browser_in(&directory, &relay, &viewer, &id).await?;
        let still = watch(&viewer, &id, "{}").await?;
        ensure!(still["seen"] == "verified", "{still}");
        Ok(())
    })
    .await
}

async fn a_pass_lets_another_browser_in(
    directory: &Path,
    relay: &Relay,
    owner: &Viewer,
    camera_id: &str,
) -> Result<()> {
    let browser = Browser::start(&directory.join("guest")).await?;
    let guest = page(&browser, relay).await?;
    let refused = watch(&guest, camera_id, "{}").await?;
    ensure!(refused["refused"] == "not_authentic", "a stranger's key was taken: {refused}");

    let guest_key: String = guest.page.evaluate("authenticity.publicKey()").await?;
    let issue = format!("authenticity.issuePass({}, Date.now() + 86_400_000)", json!(guest_key));
    let pass: Value = owner.page.evaluate(&issue).await?;
    guest.page.evaluate::<Value>(&format!("authenticity.keepPass({pass})")).await?;
    let seen = watch(&guest, camera_id, "{}").await?;
    ensure!(seen["seen"] == "first_seen" && seen["width"] == 640, "{seen}");
    Ok(())
}
