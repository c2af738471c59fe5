//! `make bench-peers`: each sender in turn, alone, with the same viewers.

use std::{
    fs,
    io::Write as _,
    net::{Ipv4Addr, TcpListener, UdpSocket},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nightjar_e2e::{
    agent::Settings,
    bench::{
        self, Section, cores_used,
        machine::{describe, resident_mb},
        percentile,
    },
    players::Node,
    process::Process,
    programs,
    sfu::{has_janus, start_front, start_janus},
    stack::Stack,
    wait,
};
use serde_json::json;

use crate::{
    table::{Column, Figure, markdown},
    viewers::{Order, Received, Viewers},
    webrtc::Door,
};

/// The first is ours.
const SENDERS: [&str; 4] = ["Nightjar", "webrtcsink", "webrtcsink, encoded input", "Janus"];

const JOINS: u32 = 10;
const VIEWERS: [u32; 4] = [1, 4, 8, 16];
/// From how many on it is told what each of them costs.
const MANY: u32 = 8;
const START_LIMIT: Duration = Duration::from_secs(30);
/// What a start leaves behind, discovery of codecs for one, is over by then.
const SETTLING: Duration = Duration::from_secs(10);

/// A sender with all that runs for it.
struct Sender {
    door: Door,
    /// Whose processor time counts: all that picture and packets go through, signalling apart.
    pids: Vec<u32>,
    _running: Running,
}

/// Ends when it is dropped.
#[expect(dead_code, reason = "held, never looked at")]
enum Running {
    Nightjar(Box<Stack>),
    Peer(Vec<Process>),
}

/// Measures, prints the table and writes it into `document`. With `only`, one sender is measured
/// and nothing is written.
pub(crate) async fn run(document: &Path, only: Option<&str>) -> Result<()> {
    let section = Section::open(document, "make bench-peers")?;
    let directory = programs::target()?.join("bench-peers");
    if directory.exists() {
        fs::remove_dir_all(&directory).context("cannot clear target/bench-peers")?;
    }
    let release = programs::directory()?.ends_with("release");
    if !release {
        say("These are debug programs: the figures say little. Use `make bench-peers`.\n");
    }
    let mut columns = Vec::new();
    for (number, name) in SENDERS.into_iter().enumerate() {
        if only.is_none_or(|only| only == name) {
            let sender = start(name, &directory.join(number.to_string())).await?;
            let figures = measure(&sender).await.with_context(|| format!("measuring {name}"))?;
            columns.push(Column { name, figures });
        }
    }
    let table = markdown(&columns);
    say(&table);
    if only.is_some() {
        return Ok(());
    }
    ensure!(release, "the document is left as it was: these were debug programs");
    section.write(&format!("{}\n\n{table}", describe()?))
}

async fn start(name: &str, directory: &Path) -> Result<Sender> {
    fs::create_dir_all(directory).context("cannot make the bench's directory")?;
    match name {
        "Nightjar" => nightjar(directory).await,
        "webrtcsink" => webrtcsink(directory, &[]).await,
        "webrtcsink, encoded input" => webrtcsink(directory, &["--encoded"]).await,
        _ => janus(directory).await,
    }
}

async fn nightjar(directory: &Path) -> Result<Sender> {
    let most = VIEWERS.last().copied();
    let stack = bench::start(directory, Settings { max_viewers: most, ..bench::scene() }).await?;
    let worker = stack.agent.live_worker_after(None, START_LIMIT).await?;
    let url = format!("{}/api/v1/{}", stack.relay.url(), stack.camera_path("whep"));
    let token = stack.owner.token().map(str::to_owned);
    let pids = vec![stack.agent.pid()?, worker];
    Ok(Sender {
        door: Door { url, token, offers: false },
        pids,
        _running: Running::Nightjar(Box::new(stack)),
    })
}

async fn webrtcsink(directory: &Path, further: &[&str]) -> Result<Sender> {
    let port = free_port()?;
    let number = port.to_string();
    let arguments = ["webrtcsink", &number].into_iter().chain(further.iter().copied());
    let sender = own(directory, arguments)?;
    is_open("webrtcsink", port).await?;
    let door =
        Door { url: format!("http://127.0.0.1:{port}/whep/endpoint"), token: None, offers: false };
    Ok(Sender { door, pids: vec![sender.pid()], _running: Running::Peer(vec![sender]) })
}

async fn janus(directory: &Path) -> Result<Sender> {
    ensure!(has_janus(), "Janus is missing: build/install-packages test");
    let node = Node::install()?.context("Janus's WHEP front cannot be installed")?;
    let (janus_port, port) = (free_port()?, free_port()?);
    let (media_port, reports_port) = (free_udp_port()?, free_udp_port()?);
    let janus = start_janus(&directory.join("sfu"), "streaming", janus_port).await?;
    let orders = json!({
        "janus_port": janus_port, "port": port, "rtp_port": media_port, "rtcp_port": reports_port,
    });
    let front = start_front(&node, "streaming.mjs", &orders, &directory.join("sfu.log")).await?;
    let encoder = own(directory, ["rtp", &media_port.to_string(), &reports_port.to_string()])?;
    let door = Door {
        url: format!("http://127.0.0.1:{port}/whep/endpoint/camera"),
        token: None,
        offers: true,
    };
    let pids = vec![encoder.pid(), janus.pid()];
    Ok(Sender { door, pids, _running: Running::Peer(vec![encoder, front, janus]) })
}

/// Another task of this program, in a process of its own.
fn own<'a>(directory: &Path, arguments: impl IntoIterator<Item = &'a str>) -> Result<Process> {
    let program = std::env::current_exe().context("cannot tell where this program lies")?;
    Process::start(&program, arguments, &directory.join("sender.log"))
}

async fn is_open(name: &str, port: u16) -> Result<()> {
    wait::until_true(&format!("{name} listens"), START_LIMIT, async || {
        Ok(tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_ok())
    })
    .await
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port is free")?;
    Ok(listener.local_addr()?.port())
}

fn free_udp_port() -> Result<u16> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("no port is free")?;
    Ok(socket.local_addr()?.port())
}

async fn measure(sender: &Sender) -> Result<Vec<Figure>> {
    tokio::time::sleep(SETTLING).await;
    let (at_rest, _) = cores_used(&sender.pids).await?;
    let mut viewers = Viewers::start()?;
    let door = sender.door.clone();
    let joins: Vec<f64> = viewers.order(&Order::Join { door, times: JOINS }).await?;
    let mut figures = vec![
        Figure::new("POST to first picture, first viewer", joins[0], "ms"),
        Figure::new("POST to first picture, p50 of 10", percentile(&joins, 50), "ms"),
        Figure::new("no viewer", at_rest, "cores"),
    ];
    for count in VIEWERS {
        let order = Order::Watch { door: sender.door.clone(), viewers: count.try_into()? };
        let there: u32 = viewers.order(&order).await?;
        ensure!(there == count, "{there} viewers instead of {count}");
        let before: Received = viewers.order(&Order::Count).await?;
        let (cores, seconds) = cores_used(&sender.pids).await?;
        let after: Received = viewers.order(&Order::Count).await?;
        let plural = if count == 1 { "viewer" } else { "viewers" };
        figures.push(Figure::new(format!("{count} {plural}"), cores, "cores"));
        if count >= MANY {
            let got = Received {
                frames: after.frames - before.frames,
                bytes: after.bytes - before.bytes,
            };
            figures.extend(of_many(count, (at_rest, cores), got, seconds)?);
            let memory = sender.pids.iter().map(|pid| resident_mb(*pid)).sum::<Result<f64>>()?;
            figures.push(Figure::new(format!("RSS with {count} viewers"), memory, "MB"));
        }
    }
    let left: u32 = viewers.order(&Order::Leave).await?;
    ensure!(VIEWERS.last() == Some(&left), "only {left} were still there");
    Ok(figures)
}

/// What each of many viewers costs and gets; cores are those of none and of all.
fn of_many(
    count: u32,
    (at_rest, cores): (f64, f64),
    got: Received,
    seconds: f64,
) -> Result<[Figure; 5]> {
    let many = f64::from(count);
    let each = |all: u64| -> Result<f64> { Ok(f64::from(u32::try_from(all)?) / many / seconds) };
    // Says something on a busy machine, too, where frames are left out.
    let each_frame = (cores - at_rest) / many / each(got.frames)? * 1e6;
    Ok([
        Figure::new(format!("{count} viewers, times the cores of none"), cores / at_rest, ""),
        Figure::new(
            format!("each of {count} viewers, per second"),
            (cores - at_rest) / many * 1e3,
            "core-ms",
        ),
        Figure::new(format!("each frame that one of {count} viewers got"), each_frame, "core-µs"),
        Figure::new(format!("frames that each of {count} viewers got"), each(got.frames)?, "/s"),
        Figure::new(
            format!("bits that each of {count} viewers got"),
            each(got.bytes)? * 8.0 / 1e3,
            "kbit/s",
        ),
    ])
}

fn say(text: &str) {
    writeln!(std::io::stdout().lock(), "{text}").ok();
}
