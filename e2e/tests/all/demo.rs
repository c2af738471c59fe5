//! `make demo`, without the build.

use std::{fs, time::Duration};

use anyhow::{Context, Result, ensure};
use nightjar_e2e::{
    api::{Api, text},
    process::{self, Process},
    programs,
    relay::Ports,
    stack::Scenario,
    wait,
};
use rustix::process::Signal;
use serde_json::Value;

#[tokio::test]
async fn the_demo_tells_how_to_reach_it_and_leaves_nothing_behind() -> Result<()> {
    Scenario::run("demo", |directory| async move {
        let file = directory.join("demo.json");
        let port = consecutive_ports()?;
        let variables = [
            format!("DEMO_PORT={port}"),
            format!("DEMO_JSON={}", file.display()),
            "DEMO_LISTEN=".to_owned(),
            "DEMO_CAMERA=".to_owned(),
        ];
        let program = programs::find("nightjar-demo")?;
        let mut arguments: Vec<String> = variables.to_vec();
        arguments.push(program.display().to_string());
        let log = directory.join("demo.log");
        let mut demo = Process::start("env".as_ref(), &arguments, &log)?;

        let told: Value =
            wait::until("DEMO_JSON is written", Duration::from_secs(30), async || {
                demo.check_running()?;
                Ok(fs::read_to_string(&file).ok().and_then(|text| serde_json::from_str(&text).ok()))
            })
            .await?;
        let field = |name: &str| text(&told, name).with_context(|| format!("no {name}: {told}"));
        ensure!(field("relay_url")? == format!("http://localhost:{port}"), "{told}");
        ensure!(field("mqtt_url")? == format!("mqtts://localhost:{}", port + 2), "{told}");
        let ca = fs::read_to_string(field("mqtt_ca")?)?;
        ensure!(ca.contains("BEGIN CERTIFICATE"), "mqtt_ca is no PEM file");
        let relay = Api::new(&field("relay_url")?, None)?;
        let owner = relay.login(&field("email")?, &field("password")?).await?;
        let path = format!("cameras/{}", field("camera_id")?);
        let camera = owner.get(&path).await?.expect(200)?.json();
        ensure!(camera["status"] == "online" && camera["site_id"] == field("site_id")?, "{camera}");
        let printed = demo.log_text();
        for word in [field("relay_url")?, field("password")?, field("camera_id")?] {
            ensure!(printed.contains(&word), "the demo did not print {word}:\n{printed}");
        }

        let children = descendants(demo.pid());
        ensure!(children.len() >= 3, "relay, agent and live worker: {children:?}");
        demo.signal(Signal::INT)?;
        let status = demo.ended(Duration::from_secs(10)).await?;
        ensure!(status.success(), "the demo ended with {status}");
        wait::until_true("all are gone", Duration::from_secs(5), async || {
            Ok(!children.iter().any(|pid| process::is_running(*pid)))
        })
        .await
    })
    .await
}

#[tokio::test]
async fn a_killed_demo_takes_its_programs_with_it() -> Result<()> {
    Scenario::run("demo_killed", |directory| async move {
        let file = directory.join("demo.json");
        let program = programs::find("nightjar-demo")?;
        let arguments = [
            format!("DEMO_PORT={}", consecutive_ports()?),
            format!("DEMO_JSON={}", file.display()),
            "DEMO_CAMERA=synthetic".to_owned(),
            program.display().to_string(),
        ];
        let log = directory.join("demo.log");
        let mut demo = Process::start("env".as_ref(), arguments, &log)?;
        wait::until_true("the demo runs", Duration::from_secs(30), async || {
            demo.check_running()?;
            Ok(file.exists())
        })
        .await?;
        let children = descendants(demo.pid());

        demo.kill();

        wait::until_true("all are gone", Duration::from_secs(5), async || {
            Ok(!children.iter().any(|pid| process::is_running(*pid)))
        })
        .await
    })
    .await
}

/// A port with two free ones after it.
fn consecutive_ports() -> Result<u16> {
    let free = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
    (0..50)
        .filter_map(|_| Ports::free().ok())
        .map(|ports| ports.web)
        .find(|port| *port < u16::MAX - 2 && free(port + 1) && free(port + 2))
        .context("no three ports in a row are free")
}

fn descendants(pid: u32) -> Vec<u32> {
    let children = process::children(pid);
    children.into_iter().flat_map(|(child, _)| [vec![child], descendants(child)].concat()).collect()
}
