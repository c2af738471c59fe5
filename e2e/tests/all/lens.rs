//! Pairing without a keyboard at the camera: the app's code, shown to a lens.

use std::{fs, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{
    agent::{Agent, Settings, Source},
    api::text,
    browser::{Browser, test_id},
    guest::{Guest, Machine, v4l2loopback},
    lens::{View, drawn, film, shown_by_the_app},
    programs,
    relay::{Place, Ports, Relay},
    stack::{EMAIL, PASSWORD, Scenario},
    wait,
};
use serde_json::json;

const SOON: Duration = Duration::from_secs(10);
/// An encoder, a browser, and a relay start.
const PAIRED_LIMIT: Duration = Duration::from_secs(30);

/// A little out of focus and too dark, as a camera takes a phone.
const VIEW: View = View { share: 0.7, filters: "gblur=sigma=1.2,eq=brightness=-0.1" };

#[tokio::test]
async fn a_camera_that_is_shown_the_app_s_code_is_online_and_the_page_says_so() -> Result<()> {
    Scenario::run("lens", |directory| async move {
        let relay = Relay::start(&directory, Place::loopback(Ports::free()?)).await?;
        let (owner, _) = relay.api()?.register(EMAIL, PASSWORD).await?;
        let browser = Browser::start(&directory).await?;
        let page = browser.open(&relay.url()).await?;
        page.sign_in(EMAIL, PASSWORD).await?;
        page.tap(&test_id("add-camera")).await?;
        page.tap(&test_id("pair-start")).await?;
        page.tap(&test_id("pair-qr-show")).await?;
        page.shows(&test_id("pair-qr-code"), SOON).await?;
        page.screenshot("1-code").await?;
        let code = shown_by_the_app(&page, &directory).await?;

        let path = directory.join("code.mp4");
        film(&code, VIEW, &path)?;
        let mut agent = Agent::prepare(&directory, &Settings::new(Source::File(path)))?;
        agent.start()?;
        let paired = page.shows(&test_id("pair-open-camera"), PAIRED_LIMIT).await;
        paired.or_else(|error| agent.check_running().and(Err(error)))?;
        page.screenshot("2-paired").await?;

        let cameras = owner.list("cameras").await?;
        let camera_id = text(&cameras[0], "camera_id").context("no camera after pairing")?;
        owner.camera_sees(&camera_id, PAIRED_LIMIT).await?;
        let saved = fs::read_to_string(agent.data_dir().join("pairing.json"))?;
        ensure!(saved.contains("owner_keys"), "the browser's key is not the owner's: {saved}");
        let address: String = page.evaluate("location.href").await?;
        ensure!(!address.contains("NIGHTJAR") && !address.contains("S:"), "{address}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_wi_fi_that_cannot_be_is_named_by_the_page_and_no_code_is_drawn() -> Result<()> {
    Scenario::run("lens_wifi", |directory| async move {
        let relay = Relay::start(&directory, Place::loopback(Ports::free()?)).await?;
        relay.api()?.register(EMAIL, PASSWORD).await?;
        let browser = Browser::start(&directory).await?;
        let page = browser.open(&relay.url()).await?;
        page.sign_in(EMAIL, PASSWORD).await?;
        page.tap(&test_id("add-camera")).await?;
        page.tap(&test_id("pair-start")).await?;
        page.tap(&format!("{} summary", test_id("pair-qr"))).await?;
        page.fill(&test_id("pair-qr-ssid"), "Home").await?;
        page.fill(&test_id("pair-qr-passphrase"), "short").await?;
        page.tap(&test_id("pair-qr-show")).await?;
        page.shows(&format!("{} [role=alert] .notice", test_id("pair-qr")), SOON).await?;
        ensure!(page.text(&test_id("pair-qr-dialog")).await?.is_empty(), "a code is shown");

        page.fill(&test_id("pair-qr-passphrase"), "long enough").await?;
        page.tap(&test_id("pair-qr-show")).await?;
        page.shows(&test_id("pair-qr-code"), SOON).await?;
        page.tap(&test_id("pair-qr-close")).await?;
        page.shows(&test_id("pair-code"), SOON).await
    })
    .await
}

/// A camera of 640x480 at five pictures a second that shows what is written to it.
const FORMAT: [&str; 6] = ["-pix_fmt", "yuyv422", "-s", "640x480", "-r", "5"];
const SETTINGS: &str = "name = \"porch\"\n[source]\nkind = \"v4l2\"\nwidth = 640\nheight = 480\nfps = 5\n\
                        fit_to_encoder = false\n[recording]\nmin_free_percent = 0\n";
/// An emulated processor.
const GUEST_LIMIT: Duration = Duration::from_mins(3);

#[tokio::test]
#[ignore = "takes minutes in an emulated processor: make test-v4l2"]
async fn a_v4l2_camera_reads_the_app_s_code() -> Result<()> {
    Scenario::run("lens_v4l2", |directory| async move {
        let relay = Relay::start(&directory, Place::loopback(Ports::free()?)).await?;
        let (owner, site_id) = relay.api()?.register(EMAIL, PASSWORD).await?;
        let opened = owner.post(&format!("sites/{site_id}/pairings"), json!({})).await?;
        let code = text(&opened.expect(201)?.json(), "qr").context("a pairing without a code")?;
        let (film_path, raw) = (directory.join("code.mp4"), directory.join("code.yuv"));
        film(&drawn(&code, &directory)?, VIEW, &film_path)?;
        let made = Command::new("ffmpeg")
            .args(["-v", "error", "-y", "-t", "2", "-i"])
            .arg(&film_path)
            .args(["-vf", "crop=960:720", "-f", "rawvideo"])
            .args(FORMAT)
            .arg(&raw)
            .output()
            .context("cannot start ffmpeg")?;
        ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        fs::write(directory.join("agent.toml"), SETTINGS)?;

        let Some(module) = v4l2loopback(&directory).await? else { return Ok(()) };
        let modules = vec!["videodev".into(), module.into_os_string()];
        let Some(mut guest) = Guest::boot(&directory, &Machine { modules, ..Machine::default() })? else {
            return Ok(());
        };
        let (here, format) = (directory.display(), FORMAT.join(" "));
        let agent = programs::find("nightjar-agent")?;
        guest
            .run(&format!(
                "ffmpeg -v error -re -stream_loop -1 -f rawvideo {format} -i {here}/code.yuv -c copy \
                 -f v4l2 /dev/video0 >{here}/ffmpeg.log 2>&1 &\n\
                 {} run --config {here}/agent.toml --data-dir /run/agent >{here}/agent.log 2>&1 &",
                agent.display()
            ))
            .await?;
        let online = wait::until("a camera is paired", GUEST_LIMIT, async || {
            let cameras = owner.list("cameras").await?;
            Ok(cameras.first().and_then(|camera| text(camera, "camera_id")))
        })
        .await?;
        owner.camera_sees(&online, GUEST_LIMIT).await?;
        guest.stop().await
    })
    .await
}
