//! What a camera loses whose network lets nothing out but TCP to port 443: beside one with all ports, in
//! network namespaces. Needs root.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::{
    measure::{JOINS, scene},
    report::{Figure, percentile},
};
use crate::{
    agent::{Agent, Settings, Source},
    browser::Browser,
    network::{Firewall, Networks, RELAY, within},
    relay::{Place, Ports},
    stack::{EMAIL, PASSWORD, Stack},
    viewer::Viewer,
    wait,
};

const LIMIT: Duration = Duration::from_mins(1);
const STARTS: usize = 5;
const STORE: &str = "store.cam.test";
/// Where the camera keeps which route worked.
const INDEX: &str = "agent.db";

/// A relay whose app, store and TURN are at port 443.
pub fn place() -> Place {
    Place {
        listen: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        scheme: "https",
        host: RELAY.to_owned(),
        store: Some(format!(
            "[store]\nlisten = \"0.0.0.0:443\"\npublic_url = \"https://{STORE}\"\n"
        )),
        ..Place::loopback(Ports { web: 443, store: 443, mqtt: 8883 })
    }
}

/// The name of its store, where there is no DNS.
pub fn store() -> &'static str {
    STORE
}

/// What was measured behind one firewall.
#[derive(Debug, Default)]
struct Milliseconds {
    /// From the agent's start to "online", for a camera that knows no route.
    online: Vec<f64>,
    /// The same for one that does.
    online_again: Vec<f64>,
    first_frame: Vec<f64>,
}

/// Start to online by 8883 and by 443, and the app's player to its first frame through TURN at 443.
pub(super) fn https(directory: &Path) -> Result<Vec<Figure>> {
    let open = behind(&directory.join("open"), Firewall::Open)?;
    let https = behind(&directory.join("https"), Firewall::HttpsAlone)?;
    let median = |values: &[f64]| percentile(values, 50);
    let (direct, first) = (median(&open.online), median(&https.online));
    let again = median(&https.online_again);
    let named = |what: &str, value| Figure::new(format!("port 443 alone, {what}"), value, "ms");
    Ok(vec![
        Figure::new("all ports open, agent's start to online, p50 of 5", direct, "ms"),
        named("agent's start to online, p50 of 5", first),
        named("online later than by 8883", first - direct).at_most(5_000.0),
        named("online later than by 8883, route remembered", again - direct).at_most(5_000.0),
        named("start to first frame through TURN, p50 of 20", median(&https.first_frame)),
        named("start to first frame through TURN, p95 of 20", percentile(&https.first_frame, 95))
            .at_most(500.0),
    ])
}

fn behind(directory: &Path, firewall: Firewall) -> Result<Milliseconds> {
    fs::create_dir_all(directory).context("cannot make the bench's directory")?;
    let networks = Networks::make(firewall)?.context("network namespaces need root")?;
    networks.name_relay(STORE)?;
    let homes = [networks.camera(), networks.viewer()];
    let measured = Arc::new(Mutex::new(None));
    let (found, directory) = (Arc::clone(&measured), directory.to_owned());
    networks.on_the_internet(move || async move {
        let figures = measure(directory, homes, firewall).await?;
        *found.lock().unwrap_or_else(PoisonError::into_inner) = Some(figures);
        Ok(())
    })?;
    measured.lock().unwrap_or_else(PoisonError::into_inner).take().context("nothing was measured")
}

async fn measure(
    directory: PathBuf,
    [camera, viewer]: [String; 2],
    firewall: Firewall,
) -> Result<Milliseconds> {
    let mut agent = Agent::prepare(&directory, &Settings::new(Source::Synthetic(scene())))?;
    agent.live_in(&camera);
    let mut stack = Stack::start_with(&directory, place(), agent, PASSWORD).await?;
    let mut measured = Milliseconds::default();
    for _ in 0..STARTS {
        measured.online_again.push(start_again(&mut stack, false).await?);
        measured.online.push(start_again(&mut stack, true).await?);
    }
    if firewall == Firewall::HttpsAlone {
        stack.agent.live_worker_after(None, LIMIT).await?;
        let names = format!("--host-resolver-rules=MAP {STORE} {RELAY}");
        let arguments = ["--ignore-certificate-errors", names.as_str()];
        let browser = within(&viewer, Browser::start_with(&directory, &arguments)).await?;
        let viewer = Viewer::sign_in(&browser, &stack.relay.url(), EMAIL, PASSWORD).await?;
        // The camera's firewall lets no UDP out: whatever comes, comes through TURN.
        for _ in 0..JOINS {
            let relayed = viewer.watch_by_app(&stack.camera_id).await?;
            let first = relayed.first_frame_ms.context("a live session without a frame")?;
            measured.first_frame.push(first);
        }
    }
    Ok(measured)
}

/// Restarts the camera, maybe without what it remembers, and returns how long it took to be online.
async fn start_again(stack: &mut Stack, forget: bool) -> Result<f64> {
    stack.agent.stop(LIMIT).await?;
    let (owner, path) = (&stack.owner, format!("cameras/{}", stack.camera_id));
    let status = async || -> Result<String> {
        let camera = owner.get(&path).await?.expect(200)?.json();
        Ok(camera["status"].as_str().unwrap_or_default().to_owned())
    };
    wait::until_true("the camera is offline", LIMIT, async || Ok(status().await? == "offline"))
        .await?;
    if forget {
        for suffix in ["", "-wal", "-shm"] {
            // The last two are not always there.
            fs::remove_file(stack.agent.data_dir().join(format!("{INDEX}{suffix}"))).ok();
        }
    }
    let begin = Instant::now();
    stack.agent.start()?;
    wait::until_true("the camera is online", LIMIT, async || Ok(status().await? != "offline"))
        .await?;
    Ok(begin.elapsed().as_secs_f64() * 1_000.0)
}
