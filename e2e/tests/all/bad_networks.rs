//! Live over bad networks, which the tests make themselves.

use std::time::Duration;

use anyhow::{Result, ensure};
use nightjar_e2e::{
    agent::{Settings, Source},
    browser::Browser,
    programs,
    shaper::Conditions,
    stack::{EMAIL, PASSWORD, Scenario, Stack},
    viewer::Viewer,
    wait,
};

const SOON: Duration = Duration::from_secs(30);

/// The street: real pictures, which fill their bitrate.
fn street() -> Result<Settings> {
    Ok(Settings::new(Source::File(programs::street_scene()?)))
}

const MAIN_WIDTH: u32 = 768;
const LOW_WIDTH: u32 = 360;

#[tokio::test]
async fn a_viewer_on_a_narrow_link_gets_the_low_layer_and_the_others_keep_theirs() -> Result<()> {
    Scenario::run("narrow_link", |directory| async move {
        let stack = Stack::start(&directory, &street()?).await?;
        let browser = Browser::start(&directory).await?;
        let viewer = Viewer::sign_in(&browser, &stack.relay.url(), EMAIL, PASSWORD).await?;
        let other = viewer.watch(&stack.camera_id).await?.session;
        let narrow = Conditions { rate_kbps: Some(400), ..Conditions::default() };

        let (watched, network) = viewer.watch_through(&stack.camera_id, narrow).await?;

        let width = async |session| Ok::<_, anyhow::Error>(viewer.picture(session).await?.width);
        wait::until_true("the low layer is shown", SOON, async || {
            Ok(width(watched.session).await? == LOW_WIDTH)
        })
        .await?;
        viewer.frames_flow(watched.session, 60, SOON).await?;
        viewer.frames_flow(other, 60, SOON).await?;
        ensure!(width(watched.session).await? == LOW_WIDTH, "it went back to a layer too large");
        wait::until_true("the other viewer has its picture", SOON, async || {
            Ok(width(other).await? == MAIN_WIDTH)
        })
        .await?;

        network.set(Conditions::default());
        wait::until_true("the main layer is back", Duration::from_mins(2), async || {
            Ok(width(watched.session).await? == MAIN_WIDTH)
        })
        .await
    })
    .await
}

#[tokio::test]
async fn lost_packets_are_sent_again_and_the_picture_goes_on() -> Result<()> {
    Scenario::run("lossy_link", |directory| async move {
        let stack = Stack::start(&directory, &street()?).await?;
        let browser = Browser::start(&directory).await?;
        let viewer = Viewer::sign_in(&browser, &stack.relay.url(), EMAIL, PASSWORD).await?;
        let clean = Conditions::default();
        let (watched, network) = viewer.watch_through(&stack.camera_id, clean).await?;
        for loss_permille in [50, 200] {
            network.set(Conditions { loss_permille, ..clean });
            viewer.frames_flow(watched.session, 200, Duration::from_mins(2)).await?;
            wait::until_true("loss is no reason for a smaller picture", SOON, async || {
                Ok(viewer.picture(watched.session).await?.width == MAIN_WIDTH)
            })
            .await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_player_waits_for_repairs_while_packets_are_lost_and_no_longer() -> Result<()> {
    Scenario::run("wait_for_repairs", |directory| async move {
        let stack = Stack::start(&directory, &street()?).await?;
        let browser = Browser::start(&directory).await?;
        let viewer = Viewer::sign_in(&browser, &stack.relay.url(), EMAIL, PASSWORD).await?;
        let clean = Conditions::default();
        let (watched, network) = viewer.watch_through(&stack.camera_id, clean).await?;
        let told_wait_s = async || {
            let before = viewer.statistics(watched.session).await?;
            viewer.frames_flow(watched.session, 10, SOON).await?;
            Ok::<_, anyhow::Error>(viewer.statistics(watched.session).await?.told_wait_s(&before))
        };
        let limit = Duration::from_mins(2);
        network.set(Conditions { loss_permille: 200, ..clean });
        wait::until_true("the player waits for repairs", limit, async || {
            Ok(told_wait_s().await? > 0.05)
        })
        .await?;
        network.set(clean);
        wait::until_true("the player waits no longer", limit, async || {
            Ok(told_wait_s().await? < 0.01)
        })
        .await
    })
    .await
}
