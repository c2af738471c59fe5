use std::{
    collections::BTreeSet, fs, io::Write as _, os::unix::fs::FileExt, path::Path, process::Stdio,
    time::Duration,
};

use http::header;
use nightjar_relay::config::Config;
use nightjar_shared::{ids::EventId, topic::Channel};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    api_keys::{make as make_key, make_confirmed},
    databases::Engine,
    device::event,
    factors::{confirm, promote, set_up, show},
    person::{Answer, Person},
    proxies::from_address,
    relay::{TestRelay, eventually, on_every_database, on_sqlite},
    support,
};

#[tokio::test]
async fn the_relay_tells_how_it_is() {
    on_every_database(async |relay: &TestRelay| {
        let anybody = relay.stranger();
        assert_eq!(anybody.get("/healthz").await.text, "ok\n");
        let ready = anybody.get("/readyz").await.body(200);
        let parts = json!({"database": true, "broker": true, "store": true});
        assert_eq!(ready, json!({"ready": true, "parts": parts}));
        let metrics = anybody.get("/metrics").await;
        assert!(metrics.headers[header::CONTENT_TYPE].to_str().unwrap().starts_with("text/plain"));
        assert!(metrics.text.contains("# TYPE nightjar_http_requests_total counter"));
        let ca = anybody.get("/ca.pem").await;
        assert!(ca.text.starts_with("-----BEGIN CERTIFICATE-----"));
    })
    .await;
}

#[tokio::test]
async fn strangers_learn_whom_to_tell_of_a_fault_until_that_expires() {
    const PATH: &str = "/.well-known/security.txt";
    let nobody = TestRelay::start(Engine::Sqlite, |_| {}).await;
    nobody.stranger().get(PATH).await.is_problem(404, "not_found");
    nobody.stop().await;

    let settings = "public_url = \"http://localhost:0\"\n[security]\n\
        contact = [\"mailto:security@example.org\", \"https://example.org/report\"]\n\
        expires = 2100-01-01T00:00:00Z\npolicy = \"https://example.org/policy\"\n\
        preferred_languages = \"en, de\"\n";
    let told = Config::parse(settings, Path::new("relay.toml")).unwrap().security;
    let relay = TestRelay::start(Engine::Sqlite, |config| config.security = told).await;
    let answer = relay.stranger().get(PATH).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers[header::CONTENT_TYPE], "text/plain; charset=utf-8");
    let canonical = format!("Canonical: {}{PATH}\n", relay.app().config.public_url);
    assert_eq!(
        answer.text,
        "Contact: mailto:security@example.org\nContact: https://example.org/report\n\
         Expires: 2100-01-01T00:00:00Z\n"
            .to_owned()
            + &canonical
            + "Policy: https://example.org/policy\nPreferred-Languages: en, de\n"
    );
    relay.pass(Duration::from_hours(80 * 366 * 24));
    relay.stranger().get(PATH).await.is_problem(404, "not_found");
    relay.stop().await;
}

#[tokio::test]
async fn readiness_is_looked_at_once_a_second_whoever_asks() {
    on_sqlite(async |relay: &TestRelay| {
        let anybody = relay.stranger();
        let looks = || {
            let metrics = relay.app().metrics.render();
            let line = metrics
                .lines()
                .find_map(|line| line.strip_prefix("nightjar_readiness_looks_total "));
            line.map_or(0, |count| count.parse::<u32>().unwrap())
        };
        let began = std::time::Instant::now();
        for _ in 0..50 {
            anybody.get("/readyz").await.body(200);
        }
        let seconds = u32::try_from(began.elapsed().as_secs()).unwrap();
        assert!(looks() <= 2 + seconds, "{} looks in {seconds} s", looks());
        let before = looks();
        relay.pass(Duration::from_secs(1));
        anybody.get("/readyz").await.body(200);
        assert!(looks() > before);
    })
    .await;
}

#[tokio::test]
async fn operators_may_have_a_listener_of_their_own() {
    // A port that is free now; this process takes it again at once.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let relay =
        TestRelay::start(Engine::Sqlite, |config| config.operations_listen = Some(free)).await;
    let (public, own) = (relay.stranger(), Person::new(&format!("http://{free}")));
    for path in ["/metrics", "/readyz", "/openapi.json", "/docs"] {
        assert_eq!(own.get(path).await.status, 200, "{path}");
        public.get(path).await.is_problem(404, "not_found");
    }
    for person in [&public, &own] {
        assert_eq!(person.get("/healthz").await.text, "ok\n");
    }
    assert_eq!(own.get("auth/me").await.status, 404);
    assert_eq!(public.get("/ca.pem").await.status, 200);
    relay.stop().await;
}

/// A relay behind a proxy at 127.0.0.1, from which all requests of tests come.
async fn behind_a_proxy() -> TestRelay {
    let change = |config: &mut Config| config.trusted_proxies = Some(vec!["127.0.0.1".to_owned()]);
    TestRelay::start(Engine::Sqlite, change).await
}

#[tokio::test]
async fn metrics_are_for_the_machine_itself_for_administrators_and_for_their_keys() {
    let relay = behind_a_proxy().await;
    let stranger = relay.stranger();
    stranger.get("/metrics").await.is_problem(401, "unauthenticated");
    let from_elsewhere = stranger.request(Method::GET, "/metrics").header("x-forwarded-for", "::1");
    Answer::of(from_elsewhere).await.is_problem(401, "unauthenticated");
    let local = from_address(&stranger, "127.0.0.9").get("/metrics").await;
    assert!(local.status == 200 && local.text.contains("nightjar_build_info{"), "{}", local.text);

    let alice = relay.person("alice").await;
    alice.get("/metrics").await.is_problem(403, "forbidden");
    confirm(&alice).await;
    let wanted = json!({"name": "prometheus", "rights": ["read_metrics"]});
    alice.post("auth/keys", wanted.clone()).await.is_problem(403, "forbidden");
    let (other, _) = make_key(&alice, json!({"name": "x", "rights": ["see_cameras"]})).await;
    other.get("/metrics").await.is_problem(403, "forbidden");

    let mut admin = relay.person("admin").await;
    promote(&relay, &admin).await;
    let (phone, _) = set_up(&relay, &mut admin).await;
    show(&admin, json!({"code": phone.code(&relay)})).await;
    admin.get("/metrics").await.text.contains("nightjar_build_info{").then_some(()).unwrap();
    let (key, _) = make_confirmed(&admin, wanted).await;
    assert_eq!(key.get("/metrics").await.status, 200);
    // It opens nothing else.
    assert_eq!(key.get("cameras").await.body(200)["items"], json!([]));
    key.get("admin/audit").await.is_problem(403, "forbidden");
    let (sees, _) = make_confirmed(&admin, json!({"name": "y", "rights": ["see_cameras"]})).await;
    sees.get("/metrics").await.is_problem(403, "forbidden");
    relay.stop().await;
}

#[tokio::test]
async fn metrics_are_closed_where_everybody_seems_to_come_from_the_machine_itself() {
    let relay = TestRelay::start(Engine::Sqlite, |config| {
        "https://cam.example.org".clone_into(&mut config.public_url);
        config.turn.engine = Some(nightjar_relay::config::TurnEngine::None);
    })
    .await;
    let address = relay.address();
    let stranger = Person::new(&format!("https://localhost:{}", address.port()));
    let client = support::client().danger_accept_invalid_certs(true).build().unwrap();
    let stranger = Person { client, ..stranger };
    stranger.get("/metrics").await.is_problem(401, "unauthenticated");
    relay.stop().await;
}

#[tokio::test]
async fn metrics_tell_of_queues_cameras_and_what_is_stored_and_of_no_more_cameras_than_asked() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let device = relay.camera_of(&alice).await;
        alice
            .post(&format!("cameras/{}/commands", device.id()), json!({"kind": "arm"}))
            .await
            .body(202);
        device.say(relay, Channel::UpHealth, &crate::device::health()).await;
        let started = event(EventId::generate(), "started", 1_764_590_400_000);
        device.say(relay, Channel::UpEvent, &started).await;
        relay.pass(Duration::from_secs(6));
        let text = relay.stranger().get("/metrics").await.text;
        let id = device.id();
        for line in [
            "nightjar_cameras 1".to_owned(),
            "nightjar_commands_waiting 1".to_owned(),
            "nightjar_mails_failed 0".to_owned(),
            "nightjar_store_bytes 0".to_owned(),
            "nightjar_database_up 1".to_owned(),
            format!("nightjar_camera_disk_free_bytes{{camera=\"{id}\"}} 1000000"),
            format!("nightjar_camera_last_event_timestamp_seconds{{camera=\"{id}\"}} 1764590400"),
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
        assert!(text.contains("nightjar_http_request_duration_seconds_bucket{route="));
        assert!(text.contains("nightjar_task_runs_total{task=\"commands\",outcome=\"ok\"}"));
    })
    .await;
    let relay = TestRelay::start(Engine::Sqlite, |config| config.metrics.cameras_max = 1).await;
    let alice = relay.person("alice").await;
    for _ in 0..3 {
        relay.camera_of(&alice).await;
    }
    let text = relay.stranger().get("/metrics").await.text;
    let series = text.lines().filter(|line| line.starts_with("nightjar_camera_online{")).count();
    assert!(series == 1 && text.contains("nightjar_cameras 3\n"), "{text}");
    relay.stop().await;
}

#[tokio::test]
async fn a_hundred_scrapers_at_once_cost_one_look() {
    on_every_database(async |relay: &TestRelay| {
        let stranger = relay.stranger();
        let look = || async { stranger.get("/metrics").await };
        let began = std::time::Instant::now();
        let answers = futures::future::join_all((0..100).map(|_| look())).await;
        assert!(answers.iter().all(|answer| answer.status == 200));
        let texts: BTreeSet<&str> = answers.iter().map(|answer| answer.text.as_str()).collect();
        let looks = 2 + usize::try_from(began.elapsed().as_secs()).unwrap() / 5;
        assert!(texts.len() <= looks, "{} looks", texts.len());
    })
    .await;
}

#[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
#[tokio::test]
async fn promtool_finds_nothing_to_complain_of_in_our_metrics() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let device = relay.camera_of(&alice).await;
        device.say(relay, Channel::UpHealth, &crate::device::health()).await;
        let metrics = relay.stranger().get("/metrics").await.text;
        let promtool = std::process::Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let Ok(mut promtool) = promtool else {
            eprintln!("SKIPPED: promtool is not installed");
            return;
        };
        promtool.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
        let output = promtool.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success() && said.is_empty(), "{said}");
    })
    .await;
}

#[tokio::test]
async fn a_damaged_database_is_not_ready() {
    const PAGE_BYTES: u64 = 4_096;
    let relay = TestRelay::start(Engine::Sqlite, |_| {}).await;
    relay.person("alice").await;
    let path = relay.app().config.data_dir.join("relay.db");
    let relay = relay
        .restart_after(|| {
            let database = rusqlite::Connection::open(&path).unwrap();
            // What stands in the log would mend the page.
            database.query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(())).unwrap();
            drop(database);
            let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
            let length = file.metadata().unwrap().len();
            // The last page: an index that nothing needs at the start.
            file.write_all_at(&[0xee; 4_096], length - PAGE_BYTES).unwrap();
        })
        .await;
    let ready = async || relay.stranger().get("/readyz").await;
    let answer = eventually(ready, |answer| answer.status == 503).await;
    assert_eq!(answer.json()["parts"]["database"], false);
    relay.stop().await;
}

#[tokio::test]
async fn what_is_not_there_answers_with_a_problem() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        for path in ["", "nothing", "cameras/", "cameras/x/y/z", "agent", "clips/%00/playback"] {
            alice.get(path).await.is_problem(404, "not_found");
        }
        for path in
            ["cameras/not-an-id", "clips/%2e%2e", "events/0190A3B2-7C11-7DEF-8000-0123456789AB"]
        {
            alice.get(path).await.is_problem(404, "not_found");
        }
        let wrong = alice.request(Method::PUT, "auth/login").json(&json!({}));
        Answer::of(wrong).await.is_problem(405, "method_not_allowed");
        alice.delete("cameras").await.is_problem(405, "method_not_allowed");
    })
    .await;
}

#[tokio::test]
async fn bodies_that_make_no_sense_are_refused() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let send = async |content_type: &str, body: Vec<u8>| {
            let request =
                alice.request(Method::POST, "sites").header(header::CONTENT_TYPE, content_type);
            Answer::of(request.body(body)).await
        };
        let json = "application/json";
        for garbage in ["", "{", "[]", "null", "{\"name\": 1}", "\u{feff}{}", "{}{}"] {
            send(json, garbage.into()).await.is_problem(400, "invalid_json");
        }
        send(json, vec![0xff; 16]).await.is_problem(400, "invalid_json");
        send(json, "[".repeat(60_000).into()).await.is_problem(400, "invalid_json");
        send("text/plain", "{}".into()).await.is_problem(415, "unsupported_media_type");
        let large = format!("{{\"name\": \"{}\"}}", "x".repeat(65_000)).into_bytes();
        send(json, large).await.is_problem(422, "invalid_name");
        let larger = format!("{{\"name\": \"{}\"}}", "x".repeat(66_000)).into_bytes();
        send(json, larger).await.is_problem(413, "too_large");
        send("application/json; charset=utf-8", "{\"name\": \"Barn\"}".into()).await.body(201);
    })
    .await;
}

#[tokio::test]
async fn everything_the_api_says_is_kept_out_of_caches() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        for path in ["auth/me", "cameras", "clips", "nothing", "cameras/x"] {
            let answer = alice.get(path).await;
            assert_eq!(answer.headers[header::CACHE_CONTROL], "private, no-store", "{path}");
        }
    })
    .await;
}

/// `METHOD path` of every door in the tables of docs/protocol.md.
fn documented_doors() -> BTreeSet<String> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/protocol.md");
    let page = fs::read_to_string(page).unwrap();
    let (_, http) = page.split_once("## HTTP").unwrap();
    let (http, _) = http.split_once("## MQTT").unwrap();
    let mut doors = BTreeSet::new();
    for spelled in http.split('`').skip(1).step_by(2) {
        let spelled = spelled.replace("GET,PATCH", "GET");
        let Some((method, rest)) = spelled.split_once(' ') else { continue };
        if !["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"].contains(&method) {
            continue;
        }
        let path = rest.split([' ', '?', ',']).next().unwrap();
        doors.insert(format!("{method} /api/v1/{path}"));
    }
    doors
}

fn described_doors(description: &Value) -> BTreeSet<String> {
    let paths = description["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().keys();
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect()
}

#[tokio::test]
async fn the_description_the_page_and_the_doors_agree() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let description = alice.get("/openapi.json").await.body(200);
        let described = described_doors(&description);
        let documented = documented_doors();
        assert!(documented.len() > 35, "{documented:?}");
        let missing: Vec<_> = documented.difference(&described).collect();
        assert!(missing.is_empty(), "in docs/protocol.md, not in openapi.json: {missing:?}");
        for door in &described {
            let (method, path) = door.split_once(' ').unwrap();
            let is_api = path.starts_with("/api/");
            // The camera's fallback doors stand together in one line of the page.
            let spelled = path.contains("/agent/") || !is_api || documented.contains(door);
            assert!(spelled, "in openapi.json, not in docs/protocol.md: {door}");
            let path = path.replace("{id}", "x").replace("{session}", "x");
            let request = alice.request(method.parse().unwrap(), &path).json(&json!({}));
            let answer = Answer::of(request).await;
            assert_ne!(answer.status, 405, "{door}");
            assert!(answer.status < 500, "{door}: {}", answer.text);
        }
    })
    .await;
}

#[tokio::test]
async fn what_a_camera_sends_is_described_with_its_limits_and_taken_however_it_is_spelled() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let description = alice.get("/openapi.json").await.body(200);
        let messages = &description["components"]["schemas"];
        assert_eq!(messages["PartRequest"]["properties"]["index"]["maximum"], u32::MAX);
        let required = messages["ClipAnnouncement"]["required"].as_array().unwrap();
        assert!(required.contains(&json!("clip_id")) && !required.contains(&json!("event_id")));
        assert!(!description.to_string().contains("u-int"), "utoipa's own names of types are left");

        let camera = relay.camera_of(&alice).await;
        let mut event = event(EventId::generate(), "started", 5);
        event["uptime_ms"] = json!(5_000.0);
        camera.report(relay, event.clone()).await;
        event["uptime_ms"] = json!(5_000.5);
        assert_eq!(camera.say(relay, Channel::UpEvent, &event).await, "malformed");
    })
    .await;
}

#[tokio::test]
async fn doors_that_need_somebody_say_so_in_the_description_and_mean_it() {
    on_sqlite(async |relay: &TestRelay| {
        let anybody = relay.stranger();
        let description = anybody.get("/openapi.json").await.body(200);
        let mut closed = 0;
        for (path, item) in description["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let Some(ways_in) = operation["security"].as_array() else { continue };
                if ways_in.contains(&json!({})) {
                    continue;
                }
                closed += 1;
                let id = "0190a3b2-7c11-7def-8000-0123456789ab";
                let path = path.replace("{id}", id).replace("{session}", id);
                let method: Method = method.to_uppercase().parse().unwrap();
                let request = anybody.request(method.clone(), &path).json(&json!({}));
                let answer = Answer::of(request).await;
                if method == Method::HEAD {
                    // Its answers have no body.
                    assert_eq!(answer.status, 401, "{path}");
                } else {
                    answer.is_problem(401, "unauthenticated");
                }
            }
        }
        assert!(closed > 30, "{closed}");
    })
    .await;
}

#[tokio::test]
async fn the_page_of_all_doors_needs_no_script_and_nothing_from_elsewhere() {
    on_sqlite(async |relay: &TestRelay| {
        let anybody = relay.stranger();
        let page = anybody.get("/docs").await;
        assert_eq!(
            (page.status, page.headers["content-type"].to_str().unwrap()),
            (200, "text/html; charset=utf-8")
        );
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'self';"), "{policy}");
        assert!(!page.text.contains("<script") && !page.text.contains(" style="));
        for elsewhere in ["href=\"http", "href=\"//", "src=", "@import", "url("] {
            assert!(!page.text.contains(elsewhere), "{elsewhere}");
        }
        assert!(page.text.len() < 600_000, "{} bytes", page.text.len());
        let description = anybody.get("/openapi.json").await.body(200);
        for path in description["paths"].as_object().unwrap().keys() {
            assert!(page.text.contains(&format!("<code>{path}</code>")), "{path}");
        }
        // What is linked is there, so that nobody is led nowhere.
        for link in page.text.split("href=\"#").skip(1) {
            let id = link.split('"').next().unwrap();
            assert!(page.text.contains(&format!("id=\"{id}\"")), "{id}");
        }
        assert_eq!(anybody.get("/docs/style.css").await.status, 200);
    })
    .await;
}
