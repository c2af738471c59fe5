//! Relay, camera and browser that know each other by an IPv6 address alone.

use std::{
    net::{Ipv6Addr, TcpListener},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{
    agent::{Agent, Settings},
    api::text,
    browser::Browser,
    players::skipped,
    relay::{Place, Ports},
    stack::{EMAIL, PASSWORD, Scenario, Stack},
    viewer::Viewer,
    wait,
};
use serde_json::json;

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn by_an_ipv6_address_a_camera_is_paired_commanded_watched_and_its_pictures_arrive()
-> Result<()> {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        skipped("this machine has no IPv6");
        return Ok(());
    }
    Scenario::run("ipv6", |directory| async move {
        let agent = Agent::prepare(&directory, &Settings::still())?;
        let place = Place::loopback_v6(Ports::free()?);
        // Paired and online when this returns.
        let stack = Stack::start_with(&directory, place, agent, PASSWORD).await?;
        ensure!(stack.relay.mqtt_url().starts_with("mqtts://[::1]:"));

        let taken = stack.owner.command_done(&stack.camera_id, "snapshot", json!({})).await?;
        let clip_id = text(&taken, "clip_id").context("a snapshot without a clip")?;
        let picture = wait::until("the picture is at the store", SOON, async || {
            let clip = stack.owner.get(&format!("clips/{clip_id}")).await?.expect(200)?.json();
            Ok((clip["state"] == "ready").then_some(clip["thumbnail_url"].clone()))
        })
        .await?;
        ensure!(picture.as_str().is_some_and(|url| url.starts_with("https://[::1]:")), "{picture}");

        let browser = Browser::start_with(&directory, &["--ignore-certificate-errors"]).await?;
        let viewer = Viewer::sign_in(&browser, &stack.relay.url(), EMAIL, PASSWORD).await?;
        let watched = viewer.watch_by_app(&stack.camera_id).await?;
        ensure!(watched.first_frame_ms.is_some(), "{watched:?}");
        Ok(())
    })
    .await
}
