//! gst-plugins-rs' own WHEP player, `whepclientsrc`, watches a camera unmodified.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use gstreamer::{self as gst, prelude::*};
use nightjar_e2e::{
    agent::{Scene, Settings, Source},
    stack::{Scenario, Stack},
    wait,
};

const SOON: Duration = Duration::from_secs(30);

/// What the player showed.
#[derive(Default)]
struct Shown {
    frames: AtomicU64,
    width: AtomicU32,
    height: AtomicU32,
}

/// A playing pipeline; hangs up when it is dropped.
struct Player(gst::Pipeline);

impl Drop for Player {
    fn drop(&mut self) {
        // The element waits for its DELETE in a runtime of its own, which must not be inside ours.
        thread::scope(|scope| scope.spawn(|| self.0.set_state(gst::State::Null).ok()).join()).ok();
    }
}

async fn camera(directory: &Path) -> Result<Stack> {
    let scene = Scene { quiet_s: 3_600, ..Scene::default() };
    Stack::start(directory, &Settings::new(Source::Synthetic(scene))).await
}

fn play(whep: &str, token: &str, shown: &Arc<Shown>) -> Result<Player> {
    gst::init()?;
    gstrswebrtc::plugin_register_static()?;
    let player = Player(gst::Pipeline::new());
    let source = gst::ElementFactory::make("whepclientsrc")
        // There is no Internet in a test.
        .property("stun-server", None::<String>)
        .build()
        .context("no whepclientsrc")?;
    let signaller: gst::glib::Object = source.property("signaller");
    signaller.set_property("whep-endpoint", whep);
    signaller.set_property("auth-token", token);
    player.0.add(&source)?;
    let (bin, shown) = (player.0.downgrade(), Arc::clone(shown));
    source.connect_pad_added(move |_, pad| {
        if let Some(bin) = bin.upgrade() {
            show(&bin, pad, &shown).expect("the player's picture goes to a sink");
        }
    });
    player.0.set_state(gst::State::Playing).context("the player does not start")?;
    Ok(player)
}

fn show(bin: &gst::Pipeline, pad: &gst::Pad, shown: &Arc<Shown>) -> Result<()> {
    // Raw pictures: the player decodes by itself.
    let chain = gst::parse::bin_from_description(
        "videoconvert ! video/x-raw ! fakesink name=sink sync=false async=false",
        true,
    )?;
    let sink = chain.by_name("sink").and_then(|sink| sink.static_pad("sink")).context("no sink")?;
    let shown = Arc::clone(shown);
    sink.add_probe(gst::PadProbeType::BUFFER, move |pad, _| {
        if let Some(caps) = pad.current_caps()
            && let Some(picture) = caps.structure(0)
        {
            let side = |name: &str| {
                picture.get::<i32>(name).ok().and_then(|side| u32::try_from(side).ok()).unwrap_or(0)
            };
            shown.width.store(side("width"), Ordering::Relaxed);
            shown.height.store(side("height"), Ordering::Relaxed);
        }
        shown.frames.fetch_add(1, Ordering::Relaxed);
        gst::PadProbeReturn::Ok
    });
    bin.add(&chain)?;
    chain.sync_state_with_parent()?;
    pad.link(&chain.static_pad("sink").context("a chain without an entry")?)?;
    Ok(())
}

#[tokio::test]
async fn whepclientsrc_watches_by_whep_with_a_token() -> Result<()> {
    Scenario::run("whepclientsrc", |directory| async move {
        let stack = camera(&directory).await?;
        let whep = format!("{}/api/v1/{}", stack.relay.url(), stack.camera_path("whep"));
        let shown = Arc::<Shown>::default();
        let player = play(&whep, stack.owner.token().context("no token")?, &shown)?;
        wait::until_true("the player shows 30 frames", SOON, async || {
            Ok(shown.frames.load(Ordering::Relaxed) >= 30)
        })
        .await?;
        let size = (shown.width.load(Ordering::Relaxed), shown.height.load(Ordering::Relaxed));
        ensure!(size == (640, 360), "{size:?}");
        let live = stack.owner.get(&stack.camera_path("live")).await?.expect(200)?.json();
        ensure!(live["items"][0]["state"] == "streaming", "{live}");
        drop(player);
        wait::until_true("it hangs up by DELETE", SOON, async || {
            let live = stack.owner.get(&stack.camera_path("live")).await?.expect(200)?.json();
            Ok(live["items"][0]["state"] == "completed")
        })
        .await
    })
    .await
}
