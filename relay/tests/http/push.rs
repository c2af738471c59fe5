//! Browsers that take messages: whose they are, how that ends, and what a hostile one may say.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use nightjar_relay::{config::Config, domain::deliveries};
use nightjar_shared::{ids::EventId, notification::DeliveryState};
use serde_json::{Value, json};

use crate::{
    databases,
    members::{let_in, put_out},
    person::{Answer, PASSWORD, Person},
    relay::{TestRelay, eventually},
    support,
    told::motion,
};

/// A push service and its browsers, by Debian's Python.
pub(crate) struct PushService {
    child: Child,
    origin: String,
    client: reqwest::Client,
}

impl PushService {
    /// Nothing where it cannot be started.
    pub(crate) fn start() -> Option<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/http/push_service.py");
        let python = || Command::new("/usr/bin/python3");
        let is_there = python().args(["-c", "import cryptography"]).stderr(Stdio::null()).status();
        if !is_there.is_ok_and(|status| status.success()) {
            let name = "python3-cryptography";
            let _ = writeln!(std::io::stderr(), "SKIPPED: Debian's {name} is not installed");
            return None;
        }
        let mut child =
            python().arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port: u16 = line.trim().parse().expect("the push service did not start");
        let origin = format!("http://127.0.0.1:{port}");
        nightjar_relay::engines::tls::install_crypto_provider();
        Some(Self { child, origin, client: support::client().build().unwrap() })
    }

    /// Makes a browser that subscribed by this key.
    pub(crate) async fn browser(&self, key: &str) -> Value {
        let url = format!("{}/browsers", self.origin);
        let answer = Answer::of(self.client.post(url).json(&json!({"key": key}))).await;
        answer.body(200)
    }

    /// What a browser got.
    pub(crate) async fn got(&self, browser: &Value) -> Vec<Value> {
        let got = Answer::of(self.client.get(self.of(browser))).await.body(200);
        got.as_array().unwrap().clone()
    }

    /// Answers a browser's next messages so.
    pub(crate) async fn answers(&self, browser: &Value, answer: Value) {
        Answer::of(self.client.put(self.of(browser)).json(&answer)).await.body(200);
    }

    fn of(&self, browser: &Value) -> String {
        let endpoint = browser["endpoint"].as_str().unwrap();
        format!("{}/browsers/{}", self.origin, endpoint.rsplit('/').next().unwrap())
    }
}

impl Drop for PushService {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lets the relay reach this machine, as an operator does for a server at home.
pub(crate) fn reach_home(config: &mut Config) {
    config.outgoing.allowed_networks = vec!["127.0.0.1".to_owned()];
}

pub(crate) async fn public_key(person: &Person) -> String {
    let state = person.get("notifications/push").await.body(200);
    state["public_key"].as_str().unwrap().to_owned()
}

async fn browsers(person: &Person) -> Vec<Value> {
    let state = person.get("notifications/push").await.body(200);
    state["items"].as_array().unwrap().clone()
}

/// What a browser shows that nobody listens behind.
pub(crate) fn made_up(number: u32) -> Value {
    json!({
        "endpoint": format!("https://push.example.org/{number}"),
        "expirationTime": null,
        "keys": {
            "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
            "auth": "BTBZMqHH6r4Tts7J_aSIgg",
        },
    })
}

/// Runs a test on every database, against a relay that may reach this machine.
pub(crate) async fn at_home(test: impl AsyncFn(&TestRelay)) {
    for engine in databases::engines() {
        let relay = TestRelay::start(engine, reach_home).await;
        test(&relay).await;
        relay.stop().await;
    }
}

#[tokio::test]
async fn a_browser_belongs_to_who_subscribed_last() {
    at_home(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let browser = made_up(1);
        let made = alice.post("notifications/push", browser.clone()).await.body(201);
        assert_eq!(
            (&made["service"], &made["current"]),
            (&json!("push.example.org"), &json!(true))
        );
        // The same again is the same browser.
        alice.post("notifications/push", browser.clone()).await.body(201);
        assert_eq!(browsers(&alice).await.len(), 1);
        assert!(!alice.get("notifications/push").await.text.contains("push.example.org/1"));
        // Who knows the address and not the keys does not take it.
        let mut stolen = browser.clone();
        stolen["keys"]["auth"] = json!("AAAAAAAAAAAAAAAAAAAAAA");
        bob.post("notifications/push", stolen).await.is_problem(409, "invalid_subscription");
        bob.post("notifications/push", browser).await.body(201);
        assert!(browsers(&alice).await.is_empty());
        let of_bob = browsers(&bob).await;
        let path = format!("notifications/push/{}", of_bob[0]["subscription_id"].as_str().unwrap());
        alice.delete(&path).await.is_problem(404, "not_found");
        bob.delete(&path).await.body(204);
        assert!(browsers(&bob).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn two_accounts_that_subscribe_a_browser_at_once_do_not_both_have_it() {
    at_home(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        for number in 0..8 {
            let (one, other) = tokio::join!(
                alice.post("notifications/push", made_up(number)),
                bob.post("notifications/push", made_up(number))
            );
            one.body(201);
            other.body(201);
        }
        assert_eq!(browsers(&alice).await.len() + browsers(&bob).await.len(), 8);
    })
    .await;
}

#[tokio::test]
async fn a_browser_is_forgotten_with_the_sign_in_that_somebody_ends() {
    at_home(async |relay: &TestRelay| {
        let mut alice = relay.person("alice").await;
        alice.post("notifications/push", made_up(1)).await.body(201);
        let mut phone = relay.stranger();
        let login = json!({"email": "alice@example.org", "password": PASSWORD});
        phone.cookie = Some(phone.post("auth/login", login.clone()).await.cookie());
        phone.post("notifications/push", made_up(2)).await.body(201);
        assert_eq!(browsers(&alice).await.len(), 2);
        phone.post("auth/logout", json!({})).await.body(204);
        let left = browsers(&alice).await;
        assert_eq!((left.len(), &left[0]["current"]), (1, &json!(true)));
        relay.sweep_slow().await;
        // Another sign-in that is ended from here.
        phone.cookie = Some(phone.post("auth/login", login).await.cookie());
        phone.post("notifications/push", made_up(3)).await.body(201);
        alice.delete("auth/sessions").await.body(204);
        assert_eq!(browsers(&alice).await.len(), 1);
        // A new password gives this sign-in another name, which the browser follows.
        let change = json!({"current": PASSWORD, "password": "another long password 7"});
        let changed = alice.post("auth/password", change).await;
        assert!(changed.status < 300, "{}", changed.text);
        if changed.headers.contains_key("set-cookie") {
            alice.cookie = Some(changed.cookie());
        }
        assert_eq!(browsers(&alice).await.len(), 1);
        relay.sweep_slow().await;
        assert_eq!(browsers(&alice).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_browser_takes_messages_on_when_its_sign_in_has_run_out() {
    at_home(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        alice.post("notifications/push", made_up(1)).await.body(201);
        relay.pass(Duration::from_hours(31 * 24));
        relay.sweep_slow().await;
        alice.get("auth/me").await.is_problem(401, "unauthenticated");
        let mut again = relay.stranger();
        let login = json!({"email": "alice@example.org", "password": PASSWORD});
        again.cookie = Some(again.post("auth/login", login).await.cookie());
        let left = browsers(&again).await;
        assert_eq!((left.len(), &left[0]["current"]), (1, &json!(false)));
    })
    .await;
}

#[tokio::test]
async fn an_account_has_twenty_browsers_and_the_next_takes_the_place_of_the_oldest() {
    at_home(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        for number in 0..22 {
            alice.post("notifications/push", made_up(number)).await.body(201);
            relay.pass(Duration::from_secs(31));
        }
        assert_eq!(browsers(&alice).await.len(), 20);
        // It is limited how often.
        let mut refused = 0;
        for number in 0..40 {
            let answer = alice.post("notifications/push", made_up(number)).await;
            refused += u32::from(answer.status == 429);
        }
        assert!(refused > 0);
    })
    .await;
}

#[tokio::test]
async fn a_hostile_subscription_is_refused() {
    for engine in databases::engines() {
        // Nothing near is allowed here.
        let relay = TestRelay::start(engine, |_| {}).await;
        let alice = relay.person("alice").await;
        let with = |path: &[&str], value: Value| {
            let mut browser = made_up(1);
            let mut place = &mut browser;
            for name in path {
                place = &mut place[*name];
            }
            *place = value;
            browser
        };
        let own = format!("{}/api/v1/auth/me", relay.origin());
        let huge = format!("https://push.example.org/{}", "x".repeat(3_000));
        for endpoint in [
            "http://169.254.169.254/latest/meta-data",
            "https://169.254.169.254/",
            "https://[::ffff:169.254.169.254]/",
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://10.0.0.1:8443/",
            "https://localhost:9200/_all",
            "https://user:password@push.example.org/",
            "https://push.example.org:22/",
            "file:///etc/passwd",
            "push.example.org",
            "",
            &own,
            &own.replace("http:", "https:"),
            &huge,
        ] {
            let answer =
                alice.post("notifications/push", with(&["endpoint"], json!(endpoint))).await;
            if endpoint.contains("localhost") && !endpoint.contains("/api/") {
                // Where its name leads to is looked at when something is sent there.
                assert!(matches!(answer.status, 201 | 422), "{endpoint}: {}", answer.text);
            } else {
                answer.is_problem(422, "invalid_address");
            }
        }
        for (path, value) in [
            (["keys", "p256dh"], json!("BAAA")),
            (["keys", "p256dh"], json!("A".repeat(87))),
            (["keys", "p256dh"], json!("x".repeat(50_000))),
            (["keys", "auth"], json!("")),
            (["keys", "auth"], json!("A".repeat(64))),
        ] {
            let answer = alice.post("notifications/push", with(&path, value)).await;
            answer.is_problem(422, "invalid_subscription");
        }
        let foreign = with(&["public_key"], json!("BCVxsr7N"));
        let answer = alice.post("notifications/push", foreign).await;
        answer.is_problem(422, "invalid_subscription");
        for wrong in [json!({}), json!({"endpoint": 1}), with(&["keys"], json!(null))] {
            let answer = alice.post("notifications/push", wrong).await;
            answer.is_problem(400, "invalid_json");
        }
        relay.stop().await;
    }
}

#[tokio::test]
async fn the_key_of_the_relay_lasts_and_is_kept_sealed() {
    for engine in databases::engines() {
        let relay = TestRelay::start(engine, |_| {}).await;
        let alice = relay.person("alice").await;
        let key = public_key(&alice).await;
        alice.post("notifications/push", made_up(1)).await.body(201);
        let relay = relay.restart().await;
        let mut alice = Person { origin: relay.origin().to_owned(), ..alice };
        alice.page = Some(alice.origin.clone());
        assert_eq!(public_key(&alice).await, key);
        // Who has the database has neither where browsers are reached nor what opens messages.
        let rows = nightjar_relay::engines::db::Executor::query(
            &relay.app().db,
            "select p.sealed || k.sealed as text from push_subscriptions p, push_keys k",
            Vec::new(),
        );
        let text: String = rows.await.unwrap()[0].get("text").unwrap();
        assert!(!text.contains("push.example.org") && !text.contains("BTBZMqHH6r4Tts7J"), "{text}");
        let audit = alice.get("auth/audit").await.body(200).to_string();
        assert!(audit.contains("push_subscribed") && !audit.contains("push.example.org/1"));
        relay.stop().await;
    }
}

/// Somebody with a browser that takes messages.
async fn with_browser(service: &PushService, person: &Person) -> Value {
    let browser = service.browser(&public_key(person).await).await;
    person.post("notifications/push", browser.clone()).await.body(201);
    browser
}

/// Waits until a browser got a message of which something is so.
async fn got_one(
    service: &PushService,
    browser: &Value,
    name: &str,
    is: impl Into<Value>,
) -> Value {
    let is = is.into();
    let is_it = |it: &Value| it["message"][name] == is;
    let got = eventually(async || service.got(browser).await, |got| got.iter().any(is_it)).await;
    got.into_iter().find(is_it).unwrap()
}

async fn is_told(service: &PushService, browser: &Value, event_id: EventId) -> bool {
    let event_id = event_id.to_string();
    service.got(browser).await.iter().any(|it| it["message"]["event_id"] == event_id)
}

#[tokio::test]
async fn a_message_is_read_by_its_browser_alone_and_mutes_its_camera() {
    let Some(service) = PushService::start() else { return };
    at_home(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let browser = with_browser(&service, &alice).await;
        alice.post("notifications/test", json!({})).await.body(202);
        let tested = got_one(&service, &browser, "kind", "test").await;
        assert_eq!(tested["headers"]["content-type"], "application/octet-stream");
        assert_eq!(tested["headers"]["urgency"], "high");
        let camera = relay.camera_of(&alice).await;
        let event_id = motion(relay, &camera).await;
        let told = got_one(&service, &browser, "event_id", event_id.to_string()).await;
        let message = &told["message"];
        assert!(message["title"].as_str().unwrap().contains("Front door"), "{message}");
        assert!(message["path"].as_str().unwrap().starts_with('/'), "{message}");
        assert_ne!(tested["headers"]["topic"], told["headers"]["topic"]);
        let ttl: u64 = told["headers"]["ttl"].as_str().unwrap().parse().unwrap();
        assert!((60..=86_400).contains(&ttl), "{ttl}");
        // The button on it works for whoever holds the phone.
        let token = json!({"token": message["mute_token"]});
        relay.stranger().post("notifications/mute", token).await.body(200);
        let mutes = alice.get("notifications/settings").await.body(200);
        assert_eq!(mutes["mutes"][0]["camera_id"], camera.id().to_string());
    })
    .await;
}

#[tokio::test]
async fn who_hears_of_something_is_computed_when_it_is_sent() {
    let Some(service) = PushService::start() else { return };
    at_home(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let (viewer, gone) = (relay.person("viewer").await, relay.person("gone").await);
        let_in(&alice, &viewer, "viewer").await;
        let_in(&alice, &gone, "viewer").await;
        let mut browsers = Vec::new();
        for person in [&alice, &viewer, &gone, &bob] {
            browsers.push(with_browser(&service, person).await);
        }
        put_out(&alice, &gone).await;
        let camera = relay.camera_of(&alice).await;
        let event_id = motion(relay, &camera).await;
        for browser in &browsers[..2] {
            got_one(&service, browser, "event_id", event_id.to_string()).await;
        }
        for browser in &browsers[2..] {
            assert!(!is_told(&service, browser, event_id).await);
        }
        // The browser that was the viewer's takes the messages of who uses it now.
        bob.post("notifications/push", browsers[1].clone()).await.body(201);
        let other = relay.camera_of(&alice).await;
        let event_id = motion(relay, &other).await;
        got_one(&service, &browsers[0], "event_id", event_id.to_string()).await;
        assert!(!is_told(&service, &browsers[1], event_id).await);
    })
    .await;
}

#[tokio::test]
async fn a_push_service_that_fails_is_asked_again_and_a_browser_that_is_gone_is_forgotten() {
    let Some(service) = PushService::start() else { return };
    at_home(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let mut camera = relay.camera_of(&alice).await;
        let browser = with_browser(&service, &alice).await;
        for (status, retry_after, wait) in [
            (429, "120", Duration::from_secs(125)),
            (503, "garbage", Duration::from_secs(10)),
            (500, "Thu, 01 Jan 1970 00:00:00 GMT", Duration::from_secs(10)),
        ] {
            let headers = json!({"retry-after": retry_after});
            service.answers(&browser, json!({"status": status, "headers": headers})).await;
            // What was told a moment ago is only counted.
            relay.pass(Duration::from_hours(1));
            camera.get_token().await;
            let event_id = motion(relay, &camera).await;
            got_one(&service, &browser, "event_id", event_id.to_string()).await;
            service.answers(&browser, json!({"status": 201})).await;
            let is_taken = |it: &Value| {
                it["message"]["event_id"] == event_id.to_string() && it["taken"] == true
            };
            let again = async || {
                relay.pass(wait);
                service.got(&browser).await
            };
            eventually(again, |got| got.iter().any(is_taken)).await;
        }
        service.answers(&browser, json!({"status": 410})).await;
        relay.pass(Duration::from_hours(1));
        camera.get_token().await;
        motion(relay, &camera).await;
        eventually(async || browsers(&alice).await, Vec::is_empty).await;
    })
    .await;
}

#[tokio::test]
async fn a_browser_whose_push_service_refuses_everything_for_days_is_forgotten() {
    let Some(service) = PushService::start() else { return };
    at_home(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let mut camera = relay.camera_of(&alice).await;
        let browser = with_browser(&service, &alice).await;
        service.answers(&browser, json!({"status": 403})).await;
        let refused = async || deliveries::list(relay.app(), DeliveryState::Failed).await.unwrap();
        for (times, days) in [(1, 0), (2, 4)] {
            relay.pass(Duration::from_hours(24 * days));
            camera.get_token().await;
            motion(relay, &camera).await;
            eventually(refused, |failed| failed.len() == times).await;
            assert_eq!(browsers(&alice).await.len(), 1, "after {days} days");
        }
        relay.pass(Duration::from_hours(25));
        camera.get_token().await;
        motion(relay, &camera).await;
        eventually(async || browsers(&alice).await, Vec::is_empty).await;
    })
    .await;
}
