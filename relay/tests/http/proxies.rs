//! Proxies in front of the relay: whom they ask for is believed, and nobody else is.

use std::net::IpAddr;

use http::header;
use nightjar_relay::config::TurnEngine;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    databases::Engine,
    person::{Answer, PASSWORD, Person},
    relay::{TestRelay, on_sqlite},
    support::{PATIENCE, client, within},
};

const FORWARDED_FOR: &str = "x-forwarded-for";

fn sign_in(password: &str) -> Value {
    json!({"email": "alice@example.org", "password": password})
}

/// Asks as a proxy would that was reached from elsewhere, or as a stranger who pretends to be one.
pub(crate) struct Asking<'a> {
    pub(crate) person: &'a Person,
    pub(crate) header: &'a str,
}

impl Asking<'_> {
    pub(crate) async fn post(&self, path: &str, body: &Value, said: &str) -> Answer {
        let request = self.person.request(reqwest::Method::POST, path).json(body);
        Answer::of(request.header(self.header, said)).await
    }

    /// Guesses for as long as it is let; says how often it was.
    async fn guess(&self, said: impl Fn(usize) -> String) -> usize {
        for count in 0..30 {
            let guess = json!({"email": format!("nobody{count}@example.org"), "password": "x"});
            let answer = self.post("auth/login", &guess, &said(count)).await;
            if answer.status == 429 {
                return count;
            }
            answer.is_problem(401, "invalid_credentials");
        }
        30
    }
}

/// What an address may guess at once, and what comes back meanwhile on a slow machine.
fn is_one_allowance(guesses: usize) -> bool {
    (10..15).contains(&guesses)
}

fn is_spent(guesses: usize) -> bool {
    guesses < 5
}

/// Strangers guess at an account, from many addresses, until they are stopped. Says how often they were
/// not.
async fn spend_strangers(relay: &TestRelay, name: &str) -> usize {
    let mut let_in = 0;
    let guess = json!({"email": format!("{name}@example.org"), "password": "x"});
    for number in 10..17 {
        let guesser = from_address(&relay.stranger(), &format!("127.0.0.{number}"));
        for _ in 0..4 {
            let answer = guesser.post("auth/login", guess.clone()).await;
            let_in += usize::from(answer.status == 401);
        }
    }
    let_in
}

/// A person whose connections come from this address of the machine itself.
pub(crate) fn from_address(person: &Person, address: &str) -> Person {
    let address: IpAddr = address.parse().unwrap();
    Person { client: client().local_address(address).build().unwrap(), ..person.clone() }
}

async fn relay_behind(proxies: &[&str]) -> TestRelay {
    let proxies = proxies.iter().map(|text| (*text).to_owned()).collect();
    TestRelay::start(Engine::Sqlite, |config| config.trusted_proxies = Some(proxies)).await
}

#[tokio::test]
async fn behind_a_trusted_proxy_a_guesser_stops_nobody_but_himself() {
    let relay = relay_behind(&["127.0.0.1"]).await;
    relay.person("alice").await;
    let stranger = relay.stranger();
    for (header, guesser, owner) in [
        (FORWARDED_FOR, "198.51.100.1", "198.51.100.2"),
        ("forwarded", "for=\"[2001:db8:1::1]:4711\"", "for=\"[2001:db8:2::1]\";proto=https"),
    ] {
        let proxy = Asking { person: &stranger, header };
        assert!(is_one_allowance(proxy.guess(|_| guesser.to_owned()).await), "{header}");
        // What he puts before it changes nothing.
        let disguised = |count: usize| match header {
            FORWARDED_FOR => format!("192.0.2.{count}, {guesser}"),
            _ => format!("for=192.0.2.{count}, {guesser}"),
        };
        assert!(is_spent(proxy.guess(disguised).await), "{header}");
        proxy.post("auth/login", &sign_in(PASSWORD), owner).await.body(200);
    }
    // Registrations and claims are counted by the same address.
    let proxy = Asking { person: &stranger, header: FORWARDED_FOR };
    let mut refused = 0;
    for count in 0..25 {
        let body = json!({"email": format!("c{count}@example.org"), "password": PASSWORD});
        let answer = proxy.post("auth/register", &body, "198.51.100.1").await;
        refused += usize::from(answer.status == 429);
    }
    assert_eq!(refused, 5);
    let body = json!({"email": "owner@example.org", "password": PASSWORD});
    proxy.post("auth/register", &body, "198.51.100.2").await.body(201);
    relay.stop().await;
}

#[tokio::test]
async fn nobody_else_chooses_the_address_that_counts() {
    // One relay that trusts another proxy, one that trusts none.
    for proxies in [vec!["127.0.0.9", "10.0.0.0/8"], vec![]] {
        let relay = relay_behind(&proxies).await;
        for header in [FORWARDED_FOR, "forwarded", "x-real-ip", "true-client-ip", "via"] {
            let liar = from_address(&relay.stranger(), "127.0.0.3");
            let liar = Asking { person: &liar, header };
            let name = |count| match header {
                "forwarded" => format!("for=198.51.100.{count}"),
                _ => format!("198.51.100.{count}"),
            };
            // The first of these spends what the address has.
            let let_in = liar.guess(name).await;
            let is_first = header == FORWARDED_FOR;
            assert!(if is_first { is_one_allowance(let_in) } else { is_spent(let_in) }, "{header}");
        }
        relay.stop().await;
    }
}

#[tokio::test]
async fn nonsense_in_a_header_neither_helps_nor_hurts() {
    let relay = relay_behind(&["127.0.0.1"]).await;
    relay.person("alice").await;
    let stranger = relay.stranger();
    let proxy = Asking { person: &stranger, header: FORWARDED_FOR };
    let long = "1,".repeat(10_000);
    let nonsense = ["", "unknown", "_x", "for=1", "999.1.1.1", "[::", "1.2.3.4\t5", "%00", &long];
    let let_in = proxy.guess(|count| nonsense[count % nonsense.len()].to_owned()).await;
    assert!(is_one_allowance(let_in), "{let_in}");
    proxy.post("auth/login", &sign_in(PASSWORD), "198.51.100.2").await.body(200);
    relay.stop().await;
}

#[tokio::test]
async fn what_a_proxy_says_of_scheme_and_host_decides_nothing() {
    let relay = relay_behind(&["127.0.0.1"]).await;
    let alice = relay.person("alice").await;
    let lie = |request: reqwest::RequestBuilder| {
        request
            .header("x-forwarded-proto", "https")
            .header("x-forwarded-host", "evil.example")
            .header("forwarded", "for=198.51.100.1;proto=https;host=evil.example")
    };
    let login = alice.request(reqwest::Method::POST, "auth/login").json(&sign_in(PASSWORD));
    let answer = Answer::of(lie(login)).await;
    assert!(answer.cookie().starts_with("session="), "a cookie for plain http");
    let foreign = Person { page: Some("https://evil.example".to_owned()), ..alice.clone() };
    let request = foreign.request(reqwest::Method::POST, "sites").json(&json!({"name": "x"}));
    Answer::of(lie(request)).await.is_problem(403, "cross_origin");
    let home = alice.home().await;
    let request = alice.request(reqwest::Method::POST, &format!("sites/{home}/pairings"));
    let pairing = Answer::of(lie(request.json(&json!({})))).await.body(201);
    let provisioning = pairing["provisioning"].as_str().unwrap();
    assert!(provisioning.contains(relay.origin()) && !provisioning.contains("evil"));
    relay.stop().await;
}

#[tokio::test]
async fn where_a_proxy_is_not_named_loopback_is_nobodys_address() {
    let relay = TestRelay::start(Engine::Sqlite, |config| {
        "https://cam.example.org".clone_into(&mut config.public_url);
        // Its port is one for the whole machine.
        config.turn.engine = Some(TurnEngine::None);
    })
    .await;
    // The proxy ends TLS in its own name; between it and the relay is TLS, too.
    let ca = relay.app().certificates.ca_pem();
    let ca = ca.as_bytes();
    let address = relay.address();
    let client = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(ca).unwrap()])
        .resolve("cam.example.org", address)
        .build()
        .unwrap();
    let origin = format!("https://cam.example.org:{}", address.port());
    let page = Some("https://cam.example.org".to_owned());
    let stranger = Person { client, origin, page, ..relay.stranger() };
    let registration = json!({"email": "alice@example.org", "password": PASSWORD});
    stranger.post("auth/register", registration).await.body(201);
    for count in 0..30 {
        let guess = json!({"email": format!("nobody{count}@example.org"), "password": "x"});
        stranger.post("auth/login", guess).await.is_problem(401, "invalid_credentials");
    }
    stranger.post("auth/login", sign_in(PASSWORD)).await.body(200);
    // An account's own limit stands.
    let mut let_in = 0;
    while stranger.post("auth/login", sign_in("a guess")).await.status == 401 {
        let_in += 1;
        assert!(let_in < 20);
    }
    relay.stop().await;
}

#[tokio::test]
async fn a_listener_for_proxies_speaks_to_nobody_else() {
    for changed in ["plain", "proxy_protocol"] {
        let relay = TestRelay::start(Engine::Sqlite, |config| {
            config.trusted_proxies = Some(vec!["127.0.0.1".to_owned()]);
            match changed {
                "plain" => {
                    "https://cam.example.org".clone_into(&mut config.public_url);
                    config.turn.engine = Some(TurnEngine::None);
                    config.tls.enabled = false;
                }
                _ => config.proxy_protocol = true,
            }
        })
        .await;
        let health = format!("http://{}/healthz", relay.address());
        let stranger = from_address(&relay.stranger(), "127.0.0.2");
        assert!(stranger.client.get(&health).send().await.is_err(), "{changed}");
        let proxy = relay.stranger().client.get(&health).send().await;
        assert_eq!(proxy.is_ok(), changed == "plain", "{changed}");
        relay.stop().await;
    }
}

/// Says over a connection of its own whom it is for, and asks for a sign-in with this password.
async fn sign_in_by(relay: &TestRelay, introduction: &str, password: &str) -> Option<u16> {
    let body = sign_in(password).to_string();
    let request = format!(
        "{introduction}POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\nX-Forwarded-For: 203.0.113.77\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(relay.address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    // A connection that is refused may be reset.
    let _ = within(PATIENCE, stream.read_to_string(&mut answer)).await;
    answer.split(' ').nth(1)?.parse().ok()
}

#[tokio::test]
async fn the_proxy_protocol_says_whose_connection_it_is() {
    let relay = TestRelay::start(Engine::Sqlite, |config| {
        config.trusted_proxies = Some(vec!["127.0.0.1".to_owned()]);
        config.proxy_protocol = true;
    })
    .await;
    let of = |client: &str| format!("PROXY TCP4 {client} 127.0.0.1 4711 443\r\n");
    assert_eq!(sign_in_by(&relay, &of("198.51.100.2"), PASSWORD).await, Some(401));
    let mut let_in = 0;
    // The header inside is a stranger's.
    while sign_in_by(&relay, &of("198.51.100.1"), "a guess").await == Some(401) {
        let_in += 1;
        assert!(let_in < 20);
    }
    assert!((8..11).contains(&let_in), "{let_in}");
    assert_eq!(sign_in_by(&relay, &of("198.51.100.2"), "x").await, Some(401));
    for introduction in ["", "PROXY TCP4 localhost x 1 2\r\n", "PROXY TCP4 198.51.100.3\r\n"] {
        assert_eq!(sign_in_by(&relay, introduction, "x").await, None, "{introduction:?}");
    }
    relay.stop().await;
}

#[tokio::test]
async fn a_browser_that_signed_in_before_gets_in_whatever_strangers_do() {
    on_sqlite(async |relay: &TestRelay| {
        let mut alice = relay.person("alice").await;
        let answer = alice.post("auth/login", sign_in(PASSWORD)).await;
        let device = answer
            .headers
            .get_all(header::SET_COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .find(|cookie| cookie.starts_with("known-device="))
            .unwrap();
        for attribute in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=34560000"] {
            assert!(device.contains(attribute), "{device}");
        }
        let device = device.split(';').next().unwrap().to_owned();
        // As often as all of them may guess, and not for each of their addresses.
        let let_in = spend_strangers(relay, "alice").await;
        assert!((10..15).contains(&let_in), "{let_in}");
        let newcomer = from_address(&relay.stranger(), "127.0.0.20");
        newcomer.post("auth/login", sign_in(PASSWORD)).await.is_problem(429, "rate_limited");
        // Signed out, so with that cookie alone, and from an address that guessed, too.
        alice.post("auth/logout", Value::Null).await.body(204);
        let mut browser = from_address(&relay.stranger(), "127.0.0.10");
        browser.cookie = Some(device.clone());
        for _ in 0..15 {
            let answer = browser.post("auth/login", sign_in(PASSWORD)).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            let known = answer.headers.get_all(header::SET_COOKIE).iter().next_back().unwrap();
            browser.cookie = Some(known.to_str().unwrap().split(';').next().unwrap().to_owned());
        }
        // A copy of the cookie from before is a stranger's.
        alice.cookie = Some(device);
        spend_strangers(relay, "alice").await;
        alice.post("auth/login", sign_in(PASSWORD)).await.is_problem(429, "rate_limited");
        // It opens nothing, and guesses no better than others.
        let mut wrong = 0;
        while browser.post("auth/login", sign_in("x")).await.status == 401 {
            wrong += 1;
            assert!(wrong < 20);
        }
        assert!(wrong >= 9, "{wrong}");
        // To another account, it is a stranger's.
        relay.person("bob").await;
        spend_strangers(relay, "bob").await;
        let bobs = json!({"email": "bob@example.org", "password": PASSWORD});
        browser.post("auth/login", bobs).await.is_problem(429, "rate_limited");
    })
    .await;
}

#[tokio::test]
async fn a_program_that_signed_in_before_is_known_too() {
    on_sqlite(async |relay: &TestRelay| {
        relay.person("alice").await;
        let script = Person { page: None, ..relay.stranger() };
        let mut body = json!({"email": "alice@example.org", "password": PASSWORD, "tokens": true});
        let known = script.post("auth/login", body.clone()).await.body(200);
        spend_strangers(relay, "alice").await;
        script.post("auth/login", body.clone()).await.is_problem(429, "rate_limited");
        body["known_device"] = known["known_device"].clone();
        script.post("auth/login", body.clone()).await.body(200);
        // Made up.
        spend_strangers(relay, "alice").await;
        body["known_device"] = json!("x");
        script.post("auth/login", body).await.is_problem(429, "rate_limited");
    })
    .await;
}

#[tokio::test]
async fn who_holds_the_right_secret_is_never_stopped_by_who_guesses() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let pairing = alice.open_pairing().await;
        let mut guesser = relay.device();
        let mut statuses = Vec::new();
        for field in ["code", "secret"] {
            for _ in 0..12 {
                statuses.push(guesser.claim_by(field, "BCDF-GHJK").await.status);
            }
        }
        assert_eq!(statuses.iter().filter(|status| **status == 404).count(), 10, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 14);
        let secret = pairing["secret"].as_str().unwrap();
        relay.device().claim_by("secret", secret).await.body(200);
    })
    .await;
}
