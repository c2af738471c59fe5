//! A second account sees nothing of the first one's cameras, and cannot tell them from ones that
//! do not exist.

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{
    agent::{Scene, Settings, Source},
    api::{Answer, Api, text},
    browser::Browser,
    feed::Feed,
    footage,
    stack::{EMAIL, PASSWORD, Scenario, Stack},
    viewer::Viewer,
};
use serde_json::json;

/// A well-formed id of nothing.
const NOTHING: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

#[tokio::test]
async fn a_second_account_sees_nothing_of_the_first() -> Result<()> {
    Scenario::run("tenancy", |directory| async move {
        let scene = Scene { quiet_s: 4, walk_s: 3, ..Scene::default() };
        let settings = Settings::new(Source::Synthetic(scene));
        let settings = Settings { pre_roll_s: 1, post_roll_s: 1, ..settings };
        let stack = Stack::start(&directory, &settings).await?;
        let Stack { owner, camera_id, site_id, .. } = &stack;
        let (stranger, _) =
            stack.relay.api()?.register("stranger@example.org", "another long secret").await?;
        let mut strangers_feed = Feed::open(&stranger).await?;
        let mut owners_feed = Feed::open(owner).await?;

        let (ready, _) = owners_feed
            .next("a clip is ready", std::time::Duration::from_mins(1), |message| {
                message["type"] == "clip"
                    && message["clip"]["state"] == "ready"
                    && message["clip"]["event_id"].is_string()
            })
            .await?;
        let clip_id = text(&ready["clip"], "clip_id").context("a clip without an id")?;
        let event_id = text(&ready["clip"], "event_id").context("a clip without its event")?;
        footage::examine(owner, &clip_id, &directory).await?;
        let command = owner.command(camera_id, "snapshot", json!({})).await?;
        let command_id = text(&command, "command_id").context("a command without an id")?;
        let pairing = owner.post(&format!("sites/{site_id}/pairings"), json!({})).await?;
        let pairing_id = text(&pairing.expect(201)?.json(), "pairing_id").context("no pairing")?;
        let browser = Browser::start(&directory).await?;
        let viewer = Viewer::sign_in(&browser, &stack.relay.url(), EMAIL, PASSWORD).await?;
        let location = viewer.watch(camera_id).await?.location.context("no location")?;
        let session_id = location.rsplit('/').next().context("an empty location")?;

        for (door, id) in [
            ("GET cameras/{}", camera_id.as_str()),
            ("GET cameras/{}/health", camera_id),
            ("GET cameras/{}/commands", camera_id),
            ("GET cameras/{}/live", camera_id),
            ("PATCH cameras/{}", camera_id),
            ("DELETE cameras/{}", camera_id),
            ("POST cameras/{}/commands", camera_id),
            ("WHEP cameras/{}/whep", camera_id),
            ("GET commands/{}", &command_id),
            ("GET events/{}", &event_id),
            ("GET clips/{}", &clip_id),
            ("GET clips/{}/playback", &clip_id),
            ("PATCH clips/{}", &clip_id),
            ("DELETE clips/{}", &clip_id),
            ("GET live/{}", session_id),
            ("DELETE live/{}", session_id),
            ("GET pairings/{}", &pairing_id),
            ("DELETE pairings/{}", &pairing_id),
            ("POST sites/{}/pairings", site_id),
        ] {
            let foreign = knock(&stranger, door, id).await?;
            let missing = knock(&stranger, door, NOTHING).await?;
            ensure!(foreign.status == 404, "{door}: {foreign:?}");
            ensure!(
                foreign.code() == "not_found" && foreign.text == missing.text,
                "{door} tells a foreign object from a missing one: {foreign:?} / {missing:?}"
            );
        }
        for list in ["cameras", "events", "clips"] {
            ensure!(stranger.list(list).await?.is_empty(), "{list} of others are listed");
        }
        // Everything happened while the stranger listened; a pong shows that the socket lives.
        strangers_feed.ping().await?;
        let heard = strangers_feed.heard();
        ensure!(heard.len() == 2, "the stranger heard of others: {heard:?}");
        // And nothing of it changed.
        ensure!(owner.get(&format!("clips/{clip_id}")).await?.status == 200);
        ensure!(owner.get(&location).await?.expect(200)?.json()["state"] == "streaming");
        Ok(())
    })
    .await
}

/// Knocks at a door like `GET clips/{}` with a body that would be right for its owner.
async fn knock(api: &Api, door: &str, id: &str) -> Result<Answer> {
    let (method, path) = door.split_once(' ').context("a door is METHOD PATH")?;
    let path = path.replace("{}", id);
    match method {
        "GET" => api.get(&path).await,
        "DELETE" => api.delete(&path).await,
        "PATCH" => api.patch(&path, json!({ "name": "mine", "visibility": "site" })).await,
        "WHEP" => api.post_text(&path, "application/sdp", "v=0\r\n".to_owned()).await,
        _ => api.post(&path, json!({ "kind": "snapshot" })).await,
    }
}
