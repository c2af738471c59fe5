//! What operators get beside the relay: a dashboard and alert rules. What they ask for is there.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use nightjar_shared::topic::Channel;
use serde_json::{Value, json};

use crate::{
    databases::Engine,
    device::health,
    issuer::Issuer,
    person::Person,
    relay::{TestRelay, eventually},
    support::{self, client},
};

fn ops(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../ops").join(file)
}

fn names_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.starts_with("nightjar_")).map(str::to_owned).collect()
}

/// All expressions of a dashboard.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        Value::Object(fields) => {
            found.extend(fields.get("expr").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|field| expressions(field, found));
        }
        _ => {}
    }
}

/// A relay of which everything is asked that the dashboard shows.
async fn busy_relay(directory: &Path) -> (TestRelay, Person) {
    let (chain, key) = Issuer::new("public").pair(&["cam.example.org"]);
    let (chain_file, key_file) = (directory.join("chain.pem"), directory.join("key.pem"));
    fs::write(&chain_file, chain).unwrap();
    fs::write(&key_file, key).unwrap();
    let relay = TestRelay::start(Engine::Sqlite, |config| {
        "https://cam.example.org".clone_into(&mut config.public_url);
        config.trusted_proxies = Some(Vec::new());
        config.tls.certificate = Some(chain_file);
        config.tls.key = Some(key_file);
        config.turn.listen = Some("127.0.0.1:0".parse().unwrap());
        config.turn.tls = Some(false);
        config.turn.address = Some("127.0.0.1".parse().unwrap());
    })
    .await;
    let origin = format!("https://localhost:{}", relay.address().port());
    let client = client().danger_accept_invalid_certs(true).build().unwrap();
    (relay, Person { client, page: None, ..Person::new(&origin) })
}

#[tokio::test]
async fn every_metric_of_the_dashboard_and_of_the_alerts_is_there() {
    let directory = support::directory();
    let (relay, mut alice) = busy_relay(directory.path()).await;
    alice.page = Some("https://cam.example.org".to_owned());
    alice.sign_up("alice@example.org").await;
    let home = alice.home().await;
    let pairing = alice.post(&format!("sites/{home}/pairings"), json!({})).await.body(201);
    let mut device = crate::device::Device::new(&alice.origin);
    device.caller = Person { page: None, cookie: None, ..alice.clone() };
    device.claim_by("secret", pairing["secret"].as_str().unwrap()).await.body(200);
    device.get_token().await;
    let mut camera = device.connect(&relay).await;
    camera.say(Channel::UpHealth, &health()).await;
    camera
        .say(
            Channel::UpEvent,
            &crate::device::event(nightjar_shared::ids::EventId::generate(), "started", 1),
        )
        .await;
    let path = format!("cameras/{}/commands", device.id());
    let issued = alice.post(&path, json!({"kind": "arm"})).await.body(202);
    let ack = json!({"command_id": issued["command_id"], "outcome": "acked"});
    camera.say(Channel::UpAck, &ack).await;

    let rules = fs::read_to_string(ops("prometheus/alerts.yml")).unwrap();
    let dashboard = fs::read_to_string(ops("grafana/nightjar-relay.json")).unwrap();
    let mut asked = Vec::new();
    expressions(&serde_json::from_str(&dashboard).unwrap(), &mut asked);
    let wanted: BTreeSet<String> =
        asked.iter().flat_map(|text| names_in(text)).chain(names_in(&rules)).collect();
    assert!(asked.len() > 20 && wanted.len() > 25, "{wanted:?}");
    let missing = async || {
        relay.pass(std::time::Duration::from_secs(6));
        let there = names_in(&alice.get("/metrics").await.text);
        wanted.difference(&there).cloned().collect::<Vec<_>>()
    };
    let missing = eventually(missing, Vec::is_empty).await;
    assert!(missing.is_empty(), "nobody counts {missing:?}");
    relay.stop().await;
}

#[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
#[test]
fn promtool_takes_the_alert_rules_and_they_fire_when_they_should() {
    for arguments in [["check", "rules", "alerts.yml"], ["test", "rules", "alerts.test.yml"]] {
        let promtool =
            Command::new("promtool").args(arguments).current_dir(ops("prometheus")).output();
        let Ok(output) = promtool else {
            eprintln!("SKIPPED: promtool is not installed");
            return;
        };
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
    }
}
