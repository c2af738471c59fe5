//! Clips on their way to the relay while everything dies.

use std::{collections::HashSet, env, fs, time::Duration};

use nightjar_agent::store::{ClipState, Held, INDEX_FILE, Store};
use nightjar_core::seeded::Seeded;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::sleep,
};

use crate::{
    left_clips::{Left, leave_clips},
    pairing::pair_with_file,
    relay::{Relay, until},
    support::Home,
};

const CLIPS: usize = 60;
const KILLS: u64 = 20;
/// So slow that each clip takes longer than the longest wait before a kill: kills strike at any
/// byte of it.
const UPLOADS_KBPS: u32 = 8_000;
const LONGEST_WAIT_MS: u64 = 400;
/// `make soak` sets it: ten rounds, two hundred kills.
const SOAK: &str = "NIGHTJAR_SOAK";

fn are_ready(left: &[Left], clips: &[serde_json::Value]) -> Option<()> {
    let ready = ready(clips);
    left.iter().all(|clip| ready.contains(&clip.clip_id)).then_some(())
}

/// Whether the camera has brought the relay everything that it has closed.
async fn nothing_waits(store: &Store) -> bool {
    let waiting = store.upload_candidates(CLIPS, Held::default()).await.unwrap();
    waiting.iter().all(|clip| clip.state == ClipState::Open)
}

fn ready(clips: &[serde_json::Value]) -> HashSet<String> {
    clips
        .iter()
        .filter(|clip| clip["state"] == "ready")
        .map(|clip| clip["clip_id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_clip_that_is_deleted_while_its_camera_is_away_does_not_come_back_with_it() {
    let Some(relay) = Relay::start().await else { return };
    // A minute for each picture: the camera is killed while it sends the first one.
    let home = Home::with_config(&config(50));
    leave_clips(&home, 2).await;
    let camera = pair_with_file(&home, &relay.open_pairing().await);
    let agent = home.run();
    let begun = until("a clip that is on its way", async || {
        relay.clips(&camera).await.first().map(|clip| clip["clip_id"].as_str().unwrap().to_owned())
    })
    .await;
    drop(agent);
    relay.delete_clip(&begun).await;

    fs::write(home.path("agent.toml"), config(0)).unwrap();
    let _agent = home.run();
    let store = Store::open(&home.data_dir().join(INDEX_FILE)).unwrap();
    until("nothing that waits", async || nothing_waits(&store).await.then_some(())).await;
    let clips = relay.clips(&camera).await;
    assert!(clips.iter().all(|clip| clip["clip_id"] != begun.as_str()), "{clips:?}");
    let kept = store.clip(begun.parse().unwrap()).await.unwrap();
    assert!(kept.is_some(), "what the camera itself keeps is for its retention to say");
}

/// A proxy whose relay is away: it answers all requests with a page of its own.
async fn refuse_all(listener: &TcpListener) {
    const PAGE: &str = "HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n<html>not found</html>";
    loop {
        let (mut connection, _) = listener.accept().await.unwrap();
        // The page is the same for whatever was asked, and whoever asks may be gone.
        let mut request = [0; 4_096];
        drop(connection.read(&mut request).await);
        drop(connection.write_all(PAGE.as_bytes()).await);
    }
}

#[tokio::test]
async fn clips_that_a_proxy_refuses_while_the_relay_is_away_arrive_when_it_is_back() {
    let Some(mut relay) = Relay::start().await else { return };
    let home = Home::with_config(&config(0));
    let left = leave_clips(&home, 3).await;
    let camera = pair_with_file(&home, &relay.open_pairing().await);
    relay.crash();
    let address = relay.url().trim_start_matches("http://").to_owned();
    let listener = TcpListener::bind(address).await.unwrap();
    let agent = home.run();
    let refused = until("an upload that was refused", async || {
        home.log().lines().any(|line| line.contains("upload") && line.contains("404")).then_some(())
    });
    tokio::select! {
        () = refuse_all(&listener) => unreachable!("it goes on for ever"),
        () = refused => {}
    }
    drop(listener);
    relay.restart().await;
    until("all clips at the relay", async || are_ready(&left, &relay.clips(&camera).await)).await;
    drop(agent);
}

#[tokio::test]
async fn every_clip_arrives_once_though_agent_and_relay_are_killed() {
    let rounds = if env::var_os(SOAK).is_some() { 10 } else { 1 };
    for seed in 0..rounds {
        kill_while_uploading(seed).await;
    }
}

fn config(max_kbps: u32) -> String {
    format!(
        "name = \"test\"\n[source]\nkind = \"synthetic\"\nwidth = 320\nheight = 240\nfps = 10\n\
         quiet_s = 3600\n[recording]\nmin_free_percent = 0\n[upload]\nmax_kbps = {max_kbps}\n"
    )
}

async fn kill_while_uploading(seed: u64) {
    let Some(mut relay) = Relay::start().await else { return };
    let home = Home::with_config(&config(UPLOADS_KBPS));
    let left = leave_clips(&home, CLIPS).await;
    let camera = pair_with_file(&home, &relay.open_pairing().await);
    let mut random = Seeded::new(0xdead_beef + seed);
    let mut interrupted = 0;
    for kill in 0..KILLS {
        let agent = home.run();
        let before = ready(&relay.clips(&camera).await).len();
        until("an upload in this run", async || {
            let now = ready(&relay.clips(&camera).await).len();
            (now > before || now >= CLIPS).then_some(())
        })
        .await;
        sleep(Duration::from_millis(random.below(LONGEST_WAIT_MS))).await;
        if kill % 4 == 3 {
            relay.crash_and_restart().await;
        }
        drop(agent);
        interrupted += usize::from(ready(&relay.clips(&camera).await).len() < CLIPS);
    }
    let context = format!("seed {seed}: {interrupted} kills came before all was uploaded");
    assert!(interrupted >= 10, "{context}");

    fs::write(home.path("agent.toml"), config(0)).unwrap();
    let _agent = home.run();
    until("all clips at the relay", async || are_ready(&left, &relay.clips(&camera).await)).await;
    let store = Store::open(&home.data_dir().join(INDEX_FILE)).unwrap();
    until("the camera to know it", async || nothing_waits(&store).await.then_some(())).await;
    let listed = relay.clips(&camera).await;
    for Left { clip_id, content } in left {
        let same = listed.iter().filter(|clip| clip["clip_id"] == clip_id.as_str());
        assert_eq!(same.count(), 1, "{clip_id} is there once; {context}");
        let footage = relay.footage(&clip_id).await;
        assert!(footage == content, "{clip_id}: {} bytes; {context}", footage.len());
    }
}
