//! A relay gets a certificate that browsers know, and loses it again: a camera that was paired before
//! notices neither.

use std::{fs, path::Path, time::Duration};

use anyhow::{Result, ensure};
use nightjar_e2e::{
    agent::{Agent, Scene, Settings, Source},
    api::Api,
    process,
    relay::{Place, Ports},
    stack::{EMAIL, PASSWORD, Scenario, Stack},
    wait,
};
use serde_json::{Value, json};

/// A camera that lost its relay waits, and then less and less often.
const BACK: Duration = Duration::from_mins(1);
const A_WALK: Duration = Duration::from_mins(1);

const NAMES: &str = "[req]\nprompt = no\ndistinguished_name = dn\nx509_extensions = v3\n[dn]\nCN = Somebody\n\
    [v3]\nbasicConstraints = critical, CA:FALSE\nsubjectAltName = DNS:localhost\n";

/// Makes a certificate that the relay has no part in.
fn make_certificate(directory: &Path) -> Result<()> {
    let path = |name: &str| directory.join(name).into_os_string();
    fs::write(directory.join("names.cnf"), NAMES)?;
    let arguments = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "9",
    ];
    let files =
        [("-config", path("names.cnf")), ("-keyout", path("key.pem")), ("-out", path("cert.pem"))];
    let mut all: Vec<&std::ffi::OsStr> = arguments.iter().map(AsRef::as_ref).collect();
    for (option, file) in &files {
        all.extend([option.as_ref(), file.as_os_str()]);
    }
    let (status, _, errors) = process::run(Path::new("openssl"), &all, "")?;
    ensure!(status.success(), "{errors}");
    Ok(())
}

#[tokio::test]
async fn a_camera_works_on_when_its_relay_gets_a_public_certificate_and_when_it_loses_it()
-> Result<()> {
    Scenario::run("public_certificate", |directory| async move {
        make_certificate(&directory)?;
        let scene = Scene { quiet_s: 8, walk_s: 4, ..Scene::default() };
        let settings =
            Settings { pre_roll_s: 1, post_roll_s: 1, ..Settings::new(Source::Synthetic(scene)) };
        let agent = Agent::prepare(&directory, &settings)?;
        let place = Place { scheme: "https", ..Place::loopback(Ports::free()?) };
        let mut stack = Stack::start_with(&directory, place, agent, PASSWORD).await?;
        let own = stack.relay.ca();
        works(&stack).await?;

        let path = |name: &str| directory.join(name);
        let tls = format!(
            "[tls]\ncertificate = \"{}\"\nkey = \"{}\"\n",
            path("cert.pem").display(),
            path("key.pem").display()
        );
        let config = fs::read_to_string(path("relay.toml"))?;
        fs::write(path("relay.toml"), format!("{config}{tls}"))?;
        stack.relay.trust(path("cert.pem"));
        stack.relay.crash_and_restart().await?;
        stack.owner = signed_in(&stack).await?;
        works(&stack).await?;
        let found = stack.agent.doctor()?;
        let checks = found["checks"].as_array().cloned().unwrap_or_default();
        for code in ["relay", "mqtt", "store"] {
            ensure!(checks.iter().any(|it| it["code"] == code), "{code} is missing: {found:#}");
        }
        let is_untrusted = |it: &Value| it["code"] == "unknown_issuer";
        ensure!(!checks.iter().any(is_untrusted), "{found:#}");

        fs::write(path("relay.toml"), config)?;
        stack.relay.trust(own);
        stack.relay.crash_and_restart().await?;
        stack.owner = signed_in(&stack).await?;
        works(&stack).await?;
        stack.stop().await;
        Ok(())
    })
    .await
}

async fn signed_in(stack: &Stack) -> Result<Api> {
    stack.relay.api()?.login(EMAIL, PASSWORD).await
}

/// It is there, does what it is told, and what it films arrives.
async fn works(stack: &Stack) -> Result<()> {
    stack.owner.camera_sees(&stack.camera_id, BACK).await?;
    let command = stack.owner.command(&stack.camera_id, "snapshot", json!({})).await?;
    ensure!(command["state"] == "acked", "{command}");
    let ready = async || {
        let clips = stack.owner.get("clips").await?.expect(200)?.json();
        let items = clips["items"].as_array().cloned().unwrap_or_default();
        Ok::<_, anyhow::Error>(items.iter().filter(|it| it["state"] == "ready").count())
    };
    let before = ready().await?;
    wait::until_true("another clip is at the store", A_WALK, async || Ok(ready().await? > before))
        .await
}
