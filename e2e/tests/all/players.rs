//! Players that others wrote watch a camera, unmodified.

use std::{net::Ipv4Addr, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{
    agent::Settings,
    browser::Browser,
    players::{Aiortc, Gstreamer, Node, Watching},
    stack::{Scenario, Stack},
    wait,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_util::task::TaskTracker;

const SOON: Duration = Duration::from_secs(30);

/// As close as key frames may follow each other, in 90ths of a millisecond: between two frames of a
/// viewer that gets each one there is less.
const KEY_FRAME_INTERVAL: i64 = 300 * 90;

async fn camera(directory: &Path) -> Result<Stack> {
    Stack::start(directory, &Settings::still()).await
}

#[tokio::test]
async fn aiortc_watches_by_whep_with_a_token() -> Result<()> {
    let Some(aiortc) = Aiortc::install()? else { return Ok(()) };
    Scenario::run("aiortc", |directory| async move {
        let stack = camera(&directory).await?;
        let seen = aiortc.watch(&stack.owner, &stack.camera_id, 30, Watching::default())?;
        ensure!((seen.status, seen.deleted) == (201, 200), "{seen:?}");
        let gaps = seen.times.windows(2).map(|pair| pair[1] - pair[0]);
        ensure!(gaps.max().is_some_and(|gap| gap < KEY_FRAME_INTERVAL), "{:?}", seen.times);
        ensure!((seen.width, seen.height) == (640, 360), "{seen:?}");
        ensure!(seen.candidates() == ("host", "host"), "{seen:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn gstreamer_s_own_receiver_watches_by_whep_with_a_token() -> Result<()> {
    let Some(gstreamer) = Gstreamer::find()? else { return Ok(()) };
    Scenario::run("gstreamer", |directory| async move {
        let stack = camera(&directory).await?;
        let seen = gstreamer.watch(&stack.owner, &stack.camera_id, 30)?;
        ensure!((seen.status, seen.deleted) == (201, 200), "{seen:?}");
        ensure!((seen.width, seen.height) == (640, 360), "{seen:?}");
        ensure!(seen.candidates() == ("host", "host"), "{seen:?}");
        Ok(())
    })
    .await
}

/// A page of another origin than the relay's: what it may do is what CORS lets it.
async fn page_elsewhere() -> Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = format!("http://{}/", listener.local_addr()?);
    TaskTracker::new().spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let Ok(1..) = stream.read(&mut request).await else { continue };
            let page = "<!doctype html><title>player</title><video autoplay muted></video>";
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n";
            let answer = format!("{head}content-length: {}\r\n\r\n{page}", page.len());
            stream.write_all(answer.as_bytes()).await.ok();
        }
    });
    Ok(address)
}

#[tokio::test]
async fn eyevinn_s_webrtc_player_plays_on_a_page_of_another_origin() -> Result<()> {
    let Some(node) = Node::install()? else { return Ok(()) };
    Scenario::run("eyevinn", |directory| async move {
        let stack = camera(&directory).await?;
        let player = node.bundle("@eyevinn/webrtc-player/dist/main.js", "eyevinn")?;
        let browser = Browser::start(&directory).await?;
        let page = browser.open(&page_elsewhere().await?).await?;
        page.evaluate::<Value>(&format!("{player}; window.eyevinn = eyevinn; null")).await?;
        let whep = format!("{}/api/v1/{}", stack.relay.url(), stack.camera_path("whep"));
        let token = stack.owner.token().context("the owner has a token")?;
        let load = format!(
            "window.player = new eyevinn.WebRTCPlayer({{\
                video: document.querySelector('video'), type: 'whep', iceServers: []}});\
             window.player.load(new URL({}), {}).then(() => null)",
            json!(whep),
            json!(format!("Bearer {token}"))
        );
        page.evaluate::<Value>(&load).await?;
        let picture = "(({videoWidth, videoHeight}, {totalVideoFrames}) => \
            [videoWidth, videoHeight, totalVideoFrames])(\
            document.querySelector('video'), \
            document.querySelector('video').getVideoPlaybackQuality())";
        wait::until_true("the player shows 30 frames, the last ones whole", SOON, async || {
            let [width, height, frames]: [u32; 3] = page.evaluate(picture).await?;
            Ok(frames >= 30 && (width, height) == (640, 360))
        })
        .await?;
        page.evaluate::<Value>("window.player.unload().then(() => null)").await?;
        let live = stack.owner.get(&stack.camera_path("live")).await?.expect(200)?.json();
        ensure!(live["items"][0]["state"] == "completed", "it hangs up by DELETE: {live}");
        Ok(())
    })
    .await
}
