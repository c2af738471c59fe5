//! `make demo`: a relay and one paired camera on this machine, until Ctrl-C.

use std::{
    fs,
    io::Write,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    agent::{Agent, Scene, Settings, Source},
    programs,
    relay::{Place, Ports},
    stack::{EMAIL, Stack},
};

/// How often the demo looks whether its programs still run.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// What the environment asks for.
#[derive(Debug)]
pub struct Options {
    pub port: u16,
    pub listen: IpAddr,
    pub camera: Source,
    /// Where to write how to reach it all.
    pub json: Option<PathBuf>,
}

impl Options {
    /// Reads `DEMO_PORT`, `DEMO_LISTEN`, `DEMO_CAMERA` and `DEMO_JSON`.
    pub fn from_environment() -> Result<Self> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let port = variable("DEMO_PORT").unwrap_or_else(|| "8080".to_owned());
        let listen = variable("DEMO_LISTEN").unwrap_or_else(|| "127.0.0.1".to_owned());
        let camera = match variable("DEMO_CAMERA").as_deref() {
            None | Some("street") => Source::File(programs::street_scene()?),
            Some("synthetic") => {
                Source::Synthetic(Scene { width: 1280, height: 720, fps: 30, ..Scene::default() })
            }
            Some("v4l2") => Source::V4l2,
            Some(other) => bail!("DEMO_CAMERA={other}: choose street, synthetic or v4l2"),
        };
        Ok(Self {
            port: port.parse().with_context(|| format!("DEMO_PORT={port}: not a port"))?,
            listen: listen
                .parse()
                .with_context(|| format!("DEMO_LISTEN={listen}: not an IP address"))?,
            camera,
            json: variable("DEMO_JSON").map(PathBuf::from),
        })
    }
}

/// Runs the demo until a signal or the end of one of its programs.
pub async fn run(options: Options) -> Result<()> {
    let state = tempfile::Builder::new()
        .prefix("nightjar-demo.")
        .tempdir()
        .context("cannot make a directory for the demo's state")?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let asked_to_stop = async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    };
    tokio::pin!(asked_to_stop);

    let mut stack = tokio::select! {
        stack = start(&options, state.path()) => stack?,
        () = &mut asked_to_stop => return Ok(()),
    };
    let ended = tokio::select! {
        ended = watch(&mut stack) => ended,
        () = &mut asked_to_stop => Ok(()),
    };
    say("\nStopping the camera, then the relay.");
    if let Some(file) = &options.json {
        fs::remove_file(file).ok();
    }
    stack.stop().await;
    ended
}

async fn start(options: &Options, state: &Path) -> Result<Stack> {
    let place = place(options)?;
    let password = random_password()?;
    let agent = Agent::prepare(state, &Settings::new(options.camera.clone()))?;
    let stack = Stack::start_with(state, place, agent, &password).await?;
    if let Some(file) = &options.json {
        write_json(file, &stack, &password)?;
    }
    introduce(options, &stack, &password);
    Ok(stack)
}

/// Where the demo's relay listens, and what others call it.
fn place(options: &Options) -> Result<Place> {
    let ports = Ports::from(options.port)?;
    for port in [ports.web, ports.store, ports.mqtt] {
        TcpListener::bind((options.listen, port)).with_context(|| {
            format!("port {port} cannot be used; choose three free ones with DEMO_PORT=…")
        })?;
    }
    if options.listen.is_loopback() {
        return Ok(Place { listen: options.listen, ..Place::loopback(ports) });
    }
    let host = if options.listen.is_unspecified() { own_address()? } else { options.listen };
    Ok(Place {
        listen: options.listen,
        scheme: "https",
        host: host.to_string(),
        // A TURN server of the machine's own may have the port that is usual.
        turn: format!("[turn]\nlisten = \"{}\"\n", SocketAddr::new(host, ports.mqtt + 1)),
        ..Place::loopback(ports)
    })
}

/// The address by which the local network reaches this machine: that of the default route. No
/// packet is sent.
fn own_address() -> Result<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).context("no network")?;
    socket
        .connect((Ipv4Addr::new(192, 0, 2, 1), 9))
        .context("this machine has no route to a network; name its address with DEMO_LISTEN=…")?;
    Ok(socket.local_addr()?.ip())
}

fn random_password() -> Result<String> {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use std::io::Read;
    let mut bytes = [0; 12];
    fs::File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut bytes))
        .context("the system gives no random bytes")?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The file appears whole or not at all: others wait for it.
fn write_json(file: &Path, stack: &Stack, password: &str) -> Result<()> {
    let content = json!({
        "relay_url": stack.relay.url(),
        "email": EMAIL,
        "password": password,
        "camera_id": stack.camera_id,
        "site_id": stack.site_id,
        "mqtt_url": stack.relay.mqtt_url(),
        "mqtt_ca": stack.relay.ca(),
    });
    let unfinished = file.with_extension("unfinished");
    fs::write(&unfinished, format!("{content:#}\n"))
        .and_then(|()| fs::rename(&unfinished, file))
        .with_context(|| format!("DEMO_JSON={}: cannot write it", file.display()))
}

fn introduce(options: &Options, stack: &Stack, password: &str) {
    say(&format!(
        "\nNightjar is running.\n\n  \
         open      {}\n  \
         account   {EMAIL}\n  \
         password  {password}\n  \
         camera    {}\n",
        stack.relay.url(),
        stack.camera_id
    ));
    if !options.listen.is_loopback() {
        say(&format!(
            "A phone must first trust this relay's own authority:\n\n  \
             1. bring {} to the phone (mail it to yourself, say)\n  \
             2. Android: Settings, Security, Encryption & credentials, Install a certificate,\n     \
             CA certificate\n     \
             iOS: open the file, Settings, Profile Downloaded, Install; then General, About,\n     \
             Certificate Trust Settings, switch it on\n  \
             3. open {} there\n\n\
             Remove it from the phone when you are done: it is made anew at each start.\n",
            stack.relay.ca().display(),
            stack.relay.url()
        ));
    }
    say("Ctrl-C stops it.");
}

/// Ends, with an error, when one of the programs does.
async fn watch(stack: &mut Stack) -> Result<()> {
    loop {
        stack.relay.check_running()?;
        stack.agent.check_running()?;
        tokio::time::sleep(CHECK_INTERVAL).await;
    }
}

/// Prints for people. A closed terminal is no reason to fail.
fn say(text: &str) {
    writeln!(std::io::stdout().lock(), "{text}").ok();
}
