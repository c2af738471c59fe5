//! What strangers and typing errors send: refused by name, and nothing else suffers.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{
    agent::{Agent, Scene, Settings, Source},
    api::text,
    browser::Browser,
    players::{Aiortc, BrokenFeedback, Watching},
    process, programs,
    relay::{Place, Ports, Relay},
    stack::{EMAIL, PASSWORD, Scenario, Stack},
    viewer::Viewer,
};
use serde_json::json;

const SOON: Duration = Duration::from_secs(10);
const SDP: &str = "application/sdp";

fn any_scene() -> Settings {
    Settings::new(Source::Synthetic(Scene::default()))
}

#[tokio::test]
async fn bad_offers_are_refused_and_the_session_beside_them_goes_on() -> Result<()> {
    Scenario::run("bad_offers", |directory| async move {
        let mut stack = Stack::start(&directory, &any_scene()).await?;
        let browser = Browser::start(&directory).await?;
        let viewer = Viewer::sign_in(&browser, &stack.relay.url(), EMAIL, PASSWORD).await?;
        let watched = viewer.watch(&stack.camera_id).await?;
        let worker = stack.agent.live_worker()?.context("no live worker")?;

        let whep = stack.camera_path("whep");
        let half = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 9 UDP/TLS/RTP/SAVPF";
        for (what, content_type, body, status, code) in [
            ("garbage", SDP, "\u{0}\u{7f}not sdp at all".repeat(50), 422, "invalid_sdp"),
            ("nothing", SDP, String::new(), 422, "invalid_sdp"),
            ("half an offer", SDP, half.to_owned(), 422, "incomplete_offer"),
            ("1 MB", SDP, format!("v=0\r\n{}", "a=x\r\n".repeat(200_000)), 413, "too_large"),
            ("JSON", "application/json", "{}".to_owned(), 415, "unsupported_media_type"),
            ("text", "text/plain", "v=0\r\n".to_owned(), 415, "unsupported_media_type"),
        ] {
            let answer = stack.owner.post_text(&whep, content_type, body).await?;
            ensure!(answer.status == status && answer.code() == code, "{what}: {answer:?}");
        }
        let fragment = watched.location.context("a session without a location")?;
        for (content_type, body) in [
            ("application/trickle-ice-sdpfrag", "a=candidate:nonsense\r\n".repeat(10)),
            ("application/trickle-ice-sdpfrag", "\u{0}".repeat(1_000_000)),
            ("application/json", "{}".to_owned()),
        ] {
            let answer = stack.owner.patch_text(&fragment, content_type, body).await?;
            ensure!(!answer.status.is_server_error(), "{answer:?}");
        }

        viewer.frames_flow(watched.session, 15, SOON).await?;
        ensure!(stack.agent.live_worker()? == Some(worker), "the live worker died of bad input");
        stack.agent.check_running()?;
        stack.relay.check_running()
    })
    .await
}

/// `make soak` takes five times as many.
fn seeds() -> u64 {
    if std::env::var_os("NIGHTJAR_SOAK").is_some() { 10 } else { 2 }
}

/// Each packet is encrypted as a viewer's must be, so that it gets through to the camera's session.
#[tokio::test]
async fn broken_feedback_through_a_connection_disturbs_nobody() -> Result<()> {
    let Some(aiortc) = Aiortc::install()? else { return Ok(()) };
    Scenario::run("broken_feedback", |directory| async move {
        let mut stack = Stack::start(&directory, &any_scene()).await?;
        let browser = Browser::start(&directory).await?;
        let viewer = Viewer::sign_in(&browser, &stack.relay.url(), EMAIL, PASSWORD).await?;
        let watched = viewer.watch(&stack.camera_id).await?;
        let worker = stack.agent.live_worker()?.context("no live worker")?;

        for seed in 0..seeds() {
            let feedback = BrokenFeedback { seed, packets: 2_000 };
            let how = Watching { broken_feedback: Some(feedback), ..Watching::default() };
            let seen = aiortc
                .watch(&stack.owner, &stack.camera_id, 10, how)
                .with_context(|| format!("seed {seed}"))?;
            ensure!((seen.status, seen.deleted) == (201, 200), "seed {seed}: {seen:?}");
            viewer.frames_flow(watched.session, 15, SOON).await?;
        }
        ensure!(stack.agent.live_worker()? == Some(worker), "the live worker died of feedback");
        stack.agent.check_running()
    })
    .await
}

#[tokio::test]
async fn join_codes_and_files_work_once() -> Result<()> {
    Scenario::run("join_codes", |directory| async move {
        let relay = Relay::start(&directory, Place::loopback(Ports::free()?)).await?;
        let (owner, site_id) = relay.api()?.register(EMAIL, PASSWORD).await?;
        let camera = |name: &str| {
            let own = directory.join(name);
            fs::create_dir_all(&own)?;
            Agent::prepare(&own, &any_scene())
        };
        let opened = owner.post(&format!("sites/{site_id}/pairings"), json!({})).await?;
        let pairing = opened.expect(201)?.json();
        let code = text(&pairing, "code").context("a pairing without a code")?;
        let file = text(&pairing, "provisioning").context("a pairing without a file")?;

        let first = camera("first")?;
        ensure!(first.pair_with_code(&relay.url(), "BCDF-GHJK").is_err(), "a guess was taken");
        ensure!(first.pair_with_code(&relay.url(), "AEIO-U000").is_err(), "no code was taken");
        first.pair_with_code(&relay.url(), &code)?;

        let second = camera("second")?;
        ensure!(second.pair_with_code(&relay.url(), &code).is_err(), "a code worked twice");
        ensure!(second.pair_with_file(&file).is_err(), "a file worked after its code");
        ensure!(owner.list("cameras").await?.len() == 1, "a second camera slipped in");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_bad_agent_configuration_is_one_line_and_exit_code_2() -> Result<()> {
    Scenario::run("bad_configuration", |directory| async move {
        let synthetic = "[source]\nkind = \"synthetic\"\n";
        let data = directory.join("agent");
        let not_a_directory = directory.join("a-file");
        fs::write(&not_a_directory, "")?;
        let cases = [
            ("an unknown key", "[motion]\nsensitivty = 1\n", &data, "sensitivty"),
            ("a wrong value", "[live]\nmax_viewers = 1000\n", &data, "live.max_viewers = 1000"),
            ("no such file", "[source]\nkind = \"file\"\npath = \"/no\"\n", &data, "/no"),
            ("an unwritable directory", synthetic, &not_a_directory, "a-file"),
        ];
        for (what, toml, data_dir, named) in cases {
            let config = directory.join("agent.toml");
            fs::write(&config, toml)?;
            let (status, error) = run_agent(&config, data_dir).await?;
            ensure!(status == Some(2), "{what}: exit code {status:?}: {error}");
            ensure!(error.trim().lines().count() == 1, "{what}: not one line: {error}");
            ensure!(error.contains(named), "{what}: `{named}` is not named: {error}");
        }
        Ok(())
    })
    .await
}

/// Runs the agent until it ends by itself.
async fn run_agent(config: &Path, data_dir: &Path) -> Result<(Option<i32>, String)> {
    let program = programs::find("nightjar-agent")?;
    let log = config.with_extension("log");
    fs::remove_file(&log).ok();
    let arguments = [
        "run".as_ref(),
        "--config".as_ref(),
        config.as_os_str(),
        "--data-dir".as_ref(),
        data_dir.as_os_str(),
    ];
    let mut agent = process::Process::start(&program, arguments, &log)?;
    let status = agent.ended(SOON).await?;
    Ok((status.code(), agent.log_text()))
}
