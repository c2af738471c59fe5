//! `nightjar-relay smoke` against relays that are well, and against what is none.

use std::{
    io::Write as _,
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::{
    api_keys::make as make_key,
    databases::Engine,
    issuer::Issuer,
    person::{PASSWORD, Person},
    relay::{TestRelay, on_every_database},
    support,
};

/// Walks, with this on its standard input; gives its exit code, and what it wrote as JSON.
async fn walk(url: &str, arguments: &[&str], input: &str) -> (Option<i32>, Value) {
    let (url, input) = (url.to_owned(), input.to_owned());
    let arguments: Vec<String> = arguments.iter().map(|it| (*it).to_owned()).collect();
    let run = move || {
        let mut child = Command::new(env!("CARGO_BIN_EXE_nightjar-relay"))
            .args(["smoke", &url, "--json", "--timeout", "10"])
            .args(&arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // One that refuses its arguments reads nothing.
        let _ = child.stdin.take().unwrap().write_all(format!("{input}\n").as_bytes());
        let output = child.wait_with_output().unwrap();
        let report = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| json!({"stderr": String::from_utf8_lossy(&output.stderr)}));
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(input.is_empty() || !told.contains(&input), "it tells the secret");
        (output.status.code(), report)
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

fn step<'a>(report: &'a Value, name: &str) -> &'a Value {
    let steps = report["steps"].as_array().unwrap_or_else(|| panic!("no report: {report}"));
    steps.iter().find(|step| step["step"] == name).unwrap_or_else(|| panic!("{name}: {report}"))
}

fn failed(report: &Value) -> Vec<&str> {
    let steps = report["steps"].as_array().into_iter().flatten();
    let failed = steps.filter(|step| step["outcome"] == "failed");
    failed.map(|step| step["step"].as_str().unwrap()).collect()
}

async fn key_of(person: &Person) -> Person {
    let rights = ["see_cameras", "see_pictures", "control", "pair"];
    make_key(person, json!({"name": "smoke", "rights": rights})).await.0
}

/// Whether nothing is left of a walk.
async fn is_clean(person: &Person) {
    let home = person.home().await;
    assert_eq!(person.get("cameras").await.body(200)["items"], json!([]));
    assert_eq!(person.get("clips").await.body(200)["items"], json!([]));
    assert_eq!(person.get(&format!("sites/{home}/pairings")).await.body(200)["items"], json!([]));
}

#[tokio::test]
async fn a_relay_that_is_well_passes_by_password_and_by_key_and_nothing_is_left() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let by_key = key_of(&alice).await;
        let before = alice.get("auth/sessions").await.json();
        for (arguments, secret) in [
            (&["--email", "alice@example.org"][..], PASSWORD),
            (&[], by_key.token.as_deref().unwrap()),
        ] {
            let (code, report) = walk(relay.origin(), arguments, secret).await;
            assert_eq!((code, &report["ok"]), (Some(0), &json!(true)), "{report}");
            for name in [
                "reach",
                "health",
                "sign_in",
                "pairing",
                "mqtt",
                "command",
                "upload",
                "download",
                "websocket",
                "clean_up",
            ] {
                assert_eq!(step(&report, name)["outcome"], "ok", "{report}");
                assert!(step(&report, name)["ms"].is_u64());
            }
            assert_eq!(step(&report, "turn")["outcome"], "skipped", "{report}");
            is_clean(&alice).await;
        }
        let after = alice.get("auth/sessions").await.json();
        let count = |sessions: &Value| sessions["items"].as_array().map(Vec::len);
        assert_eq!(count(&after), count(&before), "{after}");
    })
    .await;
}

#[tokio::test]
async fn turn_is_allocated_where_it_is_offered_and_its_silence_is_named() {
    let relay = TestRelay::start(Engine::Sqlite, |config| {
        config.turn.engine = Some(nightjar_relay::config::TurnEngine::Embedded);
        config.turn.listen = Some("127.0.0.1:0".parse().unwrap());
        config.turn.address = Some("127.0.0.1".parse().unwrap());
    })
    .await;
    let alice = relay.person("alice").await;
    let key = key_of(&alice).await.token.unwrap();
    let (code, report) = walk(relay.origin(), &[], &key).await;
    assert_eq!(code, Some(0), "{report}");
    assert!(step(&report, "turn")["found"].as_str().unwrap().contains("relays at 127.0.0.1"));
    let relay = relay
        .restart_with(|config| {
            config.turn.engine = Some(nightjar_relay::config::TurnEngine::External);
            config.turn.urls = vec!["turn:127.0.0.1:1?transport=tcp".to_owned()];
            let secret = config.data_dir.join("turn-secret");
            std::fs::write(&secret, "of nobody\n").unwrap();
            std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600))
                .unwrap();
            config.turn.secret_file = secret;
        })
        .await;
    let (code, report) = walk(relay.origin(), &[], &key).await;
    assert_eq!((code, failed(&report)), (Some(1), vec!["turn"]), "{report}");
    assert!(step(&report, "turn")["remedy"].as_str().unwrap().contains("turn.listen"));
    let alice = Person {
        origin: relay.origin().to_owned(),
        page: Some(relay.origin().to_owned()),
        ..alice
    };
    is_clean(&alice).await;
    relay.stop().await;
}

#[tokio::test]
async fn a_camera_of_a_walk_that_was_killed_is_removed_by_the_relay() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let home = alice.home().await;
        let path = format!("sites/{home}/pairings?temporary=true");
        let pairing = alice.post(&path, json!({})).await.body(201);
        assert_eq!(pairing["temporary"], true);
        let mut device = crate::device::Device::new(relay.origin());
        device.claim_by("secret", pairing["secret"].as_str().unwrap()).await.body(200);
        // One that nobody ever takes ends, too.
        alice.post(&path, json!({})).await.body(201);
        let kept = relay.camera_of(&alice).await;
        let cameras =
            async || alice.get("cameras").await.body(200)["items"].as_array().unwrap().len();
        assert_eq!(cameras().await, 2);
        relay.pass(Duration::from_mins(14));
        nightjar_relay::domain::jobs::sweep_slow(relay.app()).await;
        assert_eq!(cameras().await, 2);
        relay.pass(Duration::from_mins(2));
        nightjar_relay::domain::jobs::sweep_slow(relay.app()).await;
        let left = alice.get("cameras").await.body(200);
        assert_eq!(left["items"][0]["camera_id"], json!(kept.id()));
        assert_eq!(cameras().await, 1);
        assert_eq!(
            alice.get(&format!("sites/{home}/pairings")).await.body(200)["items"],
            json!([])
        );
    })
    .await;
}

#[tokio::test]
async fn who_may_not_pair_or_has_a_wrong_password_is_told_so_and_changes_nothing() {
    let relay = TestRelay::start(Engine::Sqlite, |_| {}).await;
    let alice = relay.person("alice").await;
    let (sees, _) = make_key(&alice, json!({"name": "x", "rights": ["see_cameras"]})).await;
    let (code, report) = walk(relay.origin(), &[], &sees.token.unwrap()).await;
    assert_eq!((code, failed(&report)), (Some(1), vec!["sign_in"]), "{report}");
    assert!(step(&report, "sign_in")["remedy"].as_str().unwrap().contains("pair"));
    let wrong = ["--email", "alice@example.org"];
    let (code, report) = walk(relay.origin(), &wrong, "not the password").await;
    assert_eq!((code, failed(&report)), (Some(1), vec!["sign_in"]), "{report}");
    assert_eq!(step(&report, "pairing")["outcome"], "skipped");
    is_clean(&alice).await;
    relay.stop().await;
}

/// A web server that says the same to everybody.
async fn web_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    #[expect(clippy::disallowed_methods, reason = "the runtime of the test ends it")]
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let page = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
            let _ = stream.write_all(page.as_bytes()).await;
        }
    });
    url
}

#[tokio::test]
async fn what_is_no_relay_is_said_to_be_none() {
    let plain = web_server().await;
    let (code, report) = walk(&plain, &[], "nj_key").await;
    assert_eq!((code, failed(&report)), (Some(1), vec!["health"]), "{report}");
    let as_tls = plain.replace("http:", "https:");
    let (code, report) = walk(&as_tls, &[], "nj_key").await;
    assert_eq!((code, failed(&report)), (Some(1), vec!["tls"]), "{report}");
    let (code, report) = walk("http://127.0.0.1:1", &[], "nj_key").await;
    assert_eq!((code, failed(&report)), (Some(1), vec!["reach"]), "{report}");
    assert!(step(&report, "reach")["remedy"].is_string());
    let (code, report) = walk("http://no-such-name.invalid", &[], "nj_key").await;
    assert_eq!((code, failed(&report)), (Some(1), vec!["reach"]), "{report}");
    for wrong in ["cam.example.org", "ftp://x", "http://x/path", "", "http://"] {
        let (code, report) = walk(wrong, &[], "nj_key").await;
        assert!(code == Some(1) && report["stderr"].is_string(), "{wrong}: {report}");
    }
    let (code, report) = walk(&plain, &[], "").await;
    assert!(
        code == Some(1) && report["stderr"].as_str().unwrap().contains("standard input"),
        "{report}"
    );
}

#[tokio::test]
async fn certificates_are_judged_as_a_browser_would() {
    let directory = support::directory();
    let relay = TestRelay::start(Engine::Sqlite, |config| {
        "https://localhost:0".clone_into(&mut config.public_url);
    })
    .await;
    // Its own authority is nobody's that this machine knows.
    let (code, report) = walk(relay.origin(), &[], "nj_key").await;
    assert_eq!((code, failed(&report)), (Some(1), vec!["tls"]), "{report}");
    assert!(step(&report, "tls")["remedy"].as_str().unwrap().contains("--ca-file"));
    let ca = directory.path().join("ca.pem");
    std::fs::write(&ca, relay.app().certificates.ca_pem()).unwrap();
    let trusting = ["--ca-file", ca.to_str().unwrap()];
    let (_, report) = walk(relay.origin(), &trusting, "nj_key").await;
    assert_eq!(failed(&report), ["sign_in"], "{report}");
    let by_address = relay.origin().replace("localhost", "127.0.0.2");
    let (_, report) = walk(&by_address, &trusting, "nj_key").await;
    assert_eq!(failed(&report).len(), 1, "{report}");
    relay.stop().await;
}

#[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
#[tokio::test]
async fn an_expired_certificate_is_named() {
    let directory = support::directory();
    let issuer = Issuer::new("somebody");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let now = nightjar_relay::clock::now();
    let day = Duration::from_hours(24);
    let (chain, key) = issuer.pair_between(&["localhost"], now.minus(day * 9), now.minus(day));
    let (certificate, key_file) =
        (directory.path().join("chain.pem"), directory.path().join("key.pem"));
    std::fs::write(&certificate, chain).unwrap();
    std::fs::write(&key_file, key).unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let server = Command::new("openssl")
        .args(["s_server", "-quiet", "-accept", &format!("127.0.0.1:{port}"), "-cert"])
        .arg(&certificate)
        .arg("-key")
        .arg(&key_file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut server) = server else {
        eprintln!("SKIPPED: openssl is not installed");
        return;
    };
    crate::relay::eventually(
        async || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok(),
        |is_there| *is_there,
    )
    .await;
    let ca = directory.path().join("ca.pem");
    std::fs::write(&ca, issuer.pem()).unwrap();
    let url = format!("https://localhost:{port}");
    let (code, report) = walk(&url, &["--ca-file", ca.to_str().unwrap()], "nj_key").await;
    let _ = server.kill();
    let _ = server.wait();
    assert_eq!((code, failed(&report)), (Some(1), vec!["tls"]), "{report}");
    assert!(step(&report, "tls")["found"].as_str().unwrap().contains("has ended"), "{report}");
}

#[tokio::test]
async fn a_port_that_is_shut_is_named_by_its_setting_and_the_rest_is_walked() {
    let relay = TestRelay::start(Engine::Sqlite, |config| {
        // Nobody listens where cameras and browsers are led to.
        "mqtts://localhost:1".clone_into(&mut config.mqtt.public_url);
        "http://localhost:1".clone_into(&mut config.store.public_url);
    })
    .await;
    let alice = relay.person("alice").await;
    let key = key_of(&alice).await.token.unwrap();
    let (code, report) = walk(relay.origin(), &[], &key).await;
    assert_eq!((code, failed(&report)), (Some(1), vec!["mqtt", "upload"]), "{report}");
    assert!(step(&report, "mqtt")["remedy"].as_str().unwrap().contains("mqtt.listen"));
    assert!(step(&report, "upload")["remedy"].as_str().unwrap().contains("store.listen"));
    assert_eq!(step(&report, "websocket")["outcome"], "ok");
    is_clean(&alice).await;
    relay.stop().await;
}
