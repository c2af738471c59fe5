//! How soon an unpaired camera recognises the app's code, and what looking for one costs.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde_json::json;

use super::{measure::cores_used, report::Figure};
use crate::{
    agent::{Agent, Settings, Source},
    api::{Api, text},
    lens::{View, drawn, film},
    process::children,
    programs,
    relay::{Place, Ports, Relay},
    stack::{EMAIL, PASSWORD},
    wait,
};

const LIMIT: Duration = Duration::from_secs(30);
/// Until the pipeline runs and the process that looks has been started.
const REST: Duration = Duration::from_secs(5);

const SECONDS_MAX: f64 = 3.0;
const SHARE_MAX: f64 = 10.0;

/// Conditions, each with five views.
const CONDITIONS: [(&str, [View; 5]); 4] = [
    (
        "at five sizes (95 to 25 % of the height)",
        [view(0.95, ""), view(0.7, ""), view(0.5, ""), view(0.35, ""), view(0.25, "")],
    ),
    (
        "at five blurs (sigma 0 to 3 pixels, 0.4 of a square)",
        [
            view(0.7, ""),
            view(0.7, "gblur=sigma=0.75"),
            view(0.7, "gblur=sigma=1.5"),
            view(0.7, "gblur=sigma=2.25"),
            view(0.7, "gblur=sigma=3"),
        ],
    ),
    (
        "at five exposures (a quarter to two and a half times)",
        [
            view(0.7, "lutyuv=y=val*0.25"),
            view(0.7, "lutyuv=y=val*0.5"),
            view(0.7, ""),
            view(0.7, "lutyuv=y=val*1.5"),
            view(0.7, "lutyuv=y=val*2.5"),
        ],
    ),
    (
        "turned 15 and 287 degrees, mirrored, pale, under a lamp",
        [
            view(0.6, "rotate=15*PI/180:fillcolor=0x606060"),
            view(0.6, "rotate=287*PI/180:fillcolor=0x606060"),
            view(0.7, "hflip"),
            view(0.7, "lutyuv=y=95+val*0.18"),
            view(0.7, "vignette=angle=PI/3:mode=backward"),
        ],
    ),
];

const fn view(share: f64, filters: &'static str) -> View {
    View { share, filters }
}

struct Bench {
    directory: PathBuf,
    // It ends with this.
    _relay: Relay,
    owner: Api,
    site_id: String,
}

pub(super) async fn qr(directory: &Path) -> Result<Vec<Figure>> {
    fs::create_dir_all(directory).context("cannot make the bench's directory")?;
    let relay = Relay::start(directory, Place::loopback(Ports::free()?)).await?;
    let (owner, site_id) = relay.api()?.register(EMAIL, PASSWORD).await?;
    let bench = Bench { directory: directory.to_owned(), _relay: relay, owner, site_id };
    let mut figures = Vec::new();
    for (index, (condition, views)) in CONDITIONS.iter().enumerate() {
        let mut slowest = 0.0_f64;
        for (turn, view) in views.iter().enumerate() {
            let seconds = bench.recognised(&format!("{index}-{turn}"), *view).await?;
            slowest = slowest.max(seconds);
        }
        let what = format!("QR code {condition}, first picture to recognised, slowest of 5");
        figures.push(Figure::new(what, slowest, "s").at_most(SECONDS_MAX));
    }
    figures.extend(bench.looking().await?);
    Ok(figures)
}

impl Bench {
    /// Shows a camera the code of a new pairing; gives the seconds from its first picture to recognising
    /// it, infinity where it does not.
    async fn recognised(&self, name: &str, view: View) -> Result<f64> {
        let directory = self.directory.join(name);
        fs::create_dir_all(&directory).context("cannot make the bench's directory")?;
        let opened =
            self.owner.post(&format!("sites/{}/pairings", self.site_id), json!({})).await?;
        let pairing = opened.expect(201)?.json();
        let qr = text(&pairing, "qr").context("a pairing without its code")?;
        let id = text(&pairing, "pairing_id").context("a pairing without an id")?;
        // As the app adds them: the browser's key, a Wi-Fi of usual length that is not joined here.
        let key = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
        let code = format!("{}O:{key};Z:Home 5 GHz correct horse;;", &qr[..qr.len() - 1]);
        let path = directory.join("code.mp4");
        film(&drawn(&code, &directory)?, view, &path)?;
        let mut agent = Agent::prepare(&directory, &Settings::new(Source::File(path)))?;
        agent.start()?;
        let says = |agent: &Agent, what: &str| agent.log_text().contains(what);
        wait::until_true("the camera sees", LIMIT, async || Ok(says(&agent, "the camera sees")))
            .await?;
        let begin = Instant::now();
        let seen = wait::until_true("the code is seen", LIMIT, async || {
            Ok(says(&agent, "a pairing code is seen"))
        });
        let seconds = match seen.await {
            Ok(()) => begin.elapsed().as_secs_f64(),
            Err(_) => f64::INFINITY,
        };
        agent.stop(LIMIT).await?;
        // A site may have few open ones; this one may be claimed by now, and stay.
        self.owner.delete(&format!("pairings/{id}")).await.ok();
        Ok(seconds)
    }

    /// What looking costs an unpaired camera before a street, and a paired one.
    async fn looking(&self) -> Result<Vec<Figure>> {
        let directory = self.directory.join("street");
        fs::create_dir_all(&directory).context("cannot make the bench's directory")?;
        let mut agent =
            Agent::prepare(&directory, &Settings::new(Source::File(programs::street_scene()?)))?;
        agent.start()?;
        wait::until_true("somebody looks", LIMIT, async || Ok(reader(&agent)?.is_some())).await?;
        tokio::time::sleep(REST).await;
        let pid = reader(&agent)?.context("nobody looks any more")?;
        let (cores, _) = cores_used(&[pid]).await?;
        let opened =
            self.owner.post(&format!("sites/{}/pairings", self.site_id), json!({})).await?;
        let pairing = opened.expect(201)?.json();
        agent
            .pair_with_file(&text(&pairing, "provisioning").context("a pairing without a file")?)?;
        wait::until_true("nobody looks", LIMIT, async || Ok(reader(&agent)?.is_none())).await?;
        tokio::time::sleep(REST).await;
        let looking = usize::from(reader(&agent)?.is_some());
        agent.stop(LIMIT).await?;
        let what = "looking for QR codes, unpaired, 1280x720, of one core";
        Ok(vec![
            Figure::new(what, cores * 100.0, "%").at_most(SHARE_MAX),
            Figure::count("processes that look for QR codes, paired", looking).at_most(0.0),
        ])
    }
}

/// The process that looks for codes.
fn reader(agent: &Agent) -> Result<Option<u32>> {
    let children = children(agent.pid()?);
    Ok(children.iter().find(|(_, line)| line.contains("qr-reader")).map(|(pid, _)| *pid))
}
