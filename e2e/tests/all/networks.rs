//! Camera and viewer in two networks that cannot reach each other: live still starts.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{
    agent::{Agent, Settings},
    api::Api,
    network::{Firewall, Networks, RELAY},
    players::{Aiortc, Seen, Watching, skipped},
    relay::{Place, Ports},
    stack::{PASSWORD, Scenario, Stack},
    turn::Coturn,
    wait,
};

const TURN_PORT: u16 = 3478;
const SOON: Duration = Duration::from_secs(10);

/// Runs a relay on the internet, a camera and a viewer at home, and gives what the viewer saw.
async fn watch_from_home(
    directory: &Path,
    networks: [String; 2],
    firewall: Firewall,
    turn: &str,
    aiortc: &Aiortc,
) -> Result<(Stack, Seen)> {
    let [camera, viewer] = networks;
    let mut agent = Agent::prepare(directory, &Settings::still())?;
    agent.live_in(&camera);
    let place = Place {
        listen: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        scheme: "https",
        host: RELAY.to_owned(),
        turn: turn.to_owned(),
        ..Place::loopback(Ports::from(8080)?)
    };
    let stack = Stack::start_with(directory, place, agent, PASSWORD).await?;
    let ca = stack.relay.ca();
    let how = Watching {
        namespace: Some(&viewer),
        ca: Some(&ca),
        refuse_udp: firewall == Firewall::NoUdp,
        tls_alone: firewall == Firewall::TlsAlone,
        ..Watching::default()
    };
    let seen = aiortc.watch(&stack.owner, &stack.camera_id, 15, how)?;
    Ok((stack, seen))
}

/// `test` gets the names of the camera's and the viewer's networks.
async fn between_two_homes(
    name: &'static str,
    firewall: Firewall,
    test: impl AsyncFnOnce(&Path, [String; 2], &Aiortc) -> Result<()> + Send + 'static,
) -> Result<()> {
    let Some(aiortc) = Aiortc::install()? else { return Ok(()) };
    Scenario::run(name, |directory| async move {
        let Some(networks) = Networks::make(firewall)? else { return Ok(()) };
        let homes = [networks.camera(), networks.viewer()];
        networks.on_the_internet(move || async move { test(&directory, homes, &aiortc).await })
    })
    .await
}

#[tokio::test]
async fn behind_two_symmetric_nats_the_relay_s_own_turn_server_helps() -> Result<()> {
    between_two_homes("nat_udp", Firewall::Open, async |directory, homes, aiortc| {
        let (stack, seen) = watch_from_home(directory, homes, Firewall::Open, "", aiortc).await?;
        ensure!(seen.status == 201 && seen.width == 640, "{seen:?}");
        let (camera, viewer) = seen.candidates();
        ensure!(camera == "relay" || viewer == "relay", "a direct path was not to be: {seen:?}");
        ensure!(seen.urls[0] == format!("stun:{RELAY}:3478"), "{seen:?}");
        relayed_bytes_are_counted_and_allocations_end(&stack).await
    })
    .await
}

#[tokio::test]
async fn where_no_udp_passes_turn_over_tcp_helps() -> Result<()> {
    between_two_homes("nat_tcp", Firewall::NoUdp, async |directory, homes, aiortc| {
        let (_stack, seen) = watch_from_home(directory, homes, Firewall::NoUdp, "", aiortc).await?;
        ensure!(seen.candidates() == ("relay", "relay"), "{seen:?}");
        Ok(())
    })
    .await
}

/// The viewer's side alone: the camera's media engine has no TLS for TURN.
#[tokio::test]
async fn where_nothing_but_tls_passes_to_the_viewer_turn_over_tls_helps() -> Result<()> {
    between_two_homes("nat_tls", Firewall::TlsAlone, async |directory, homes, aiortc| {
        let firewall = Firewall::TlsAlone;
        let (_stack, seen) = watch_from_home(directory, homes, firewall, "", aiortc).await?;
        ensure!(seen.status == 201 && seen.width == 640, "{seen:?}");
        let schemes: Vec<_> = seen.urls.iter().filter_map(|url| url.split(':').next()).collect();
        ensure!(schemes == ["stun", "turn", "turn", "turns"], "{seen:?}");
        ensure!(seen.candidates().1 == "relay", "{seen:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn coturn_helps_as_well() -> Result<()> {
    for (name, firewall) in [("coturn_udp", Firewall::Open), ("coturn_tcp", Firewall::NoUdp)] {
        between_two_homes(name, firewall, async move |directory, homes, aiortc| {
            let address = RELAY.parse().context("no address")?;
            let Some(coturn) = Coturn::start(directory, address, TURN_PORT)? else {
                skipped("coturn is missing: build/install-packages test");
                return Ok(());
            };
            let turn = coturn.section();
            let (_stack, seen) = watch_from_home(directory, homes, firewall, &turn, aiortc).await?;
            let (camera, viewer) = seen.candidates();
            ensure!(camera == "relay" || viewer == "relay", "{seen:?}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

async fn relayed_bytes_are_counted_and_allocations_end(stack: &Stack) -> Result<()> {
    // Metrics are told to who asks from the relay's own machine.
    let api = Api::new("https://127.0.0.1:8080", Some(&stack.relay.ca()))?;
    let metric = async |name: &str| -> Result<u64> {
        let text = api.get("/metrics").await?.expect(200)?.text;
        let line = text.lines().find(|line| line.starts_with(name)).context("no such metric")?;
        Ok(line.rsplit(' ').next().unwrap_or_default().parse()?)
    };
    ensure!(metric("nightjar_turn_relayed_bytes_total ").await? > 10_000, "hardly anything");
    wait::until_true("no allocation is left", SOON, async || {
        Ok(metric("nightjar_turn_allocations ").await? == 0)
    })
    .await
}
