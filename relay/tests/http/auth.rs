use std::time::Duration;

use http::header;
use nightjar_shared::role::Registration;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    databases::Engine,
    person::{Answer, PASSWORD, Person},
    relay::{TestRelay, on_every_database, on_sqlite},
    support::client,
};

fn credentials(email: &str, password: &str) -> Value {
    json!({"email": email, "password": password})
}

#[tokio::test]
async fn signing_up_makes_a_home_and_signs_in() {
    on_every_database(async |relay: &TestRelay| {
        let mut alice = relay.stranger();
        let body = json!({"email": " Alice@Example.org", "password": PASSWORD, "name": "Alice"});
        let answer = alice.post("auth/register", body).await;
        let set_cookie = answer.headers[header::SET_COOKIE].to_str().unwrap().to_owned();
        for attribute in ["session=", "HttpOnly", "SameSite=Lax", "Path=/", "Max-Age="] {
            assert!(set_cookie.contains(attribute), "{set_cookie}");
        }
        assert_eq!(answer.headers[header::CACHE_CONTROL], "private, no-store");
        alice.cookie = Some(answer.cookie());
        let me = answer.body(201);
        assert_eq!(me["account"]["email"], "alice@example.org");
        assert_eq!(me["account"]["name"], "Alice");
        assert_eq!(me["account"]["role"], "user");
        assert_eq!(me["sites"][0]["name"], "Home");
        assert_eq!(me["sites"][0]["role"], "owner");
        assert_eq!(alice.get("auth/me").await.body(200), me);
    })
    .await;
}

#[tokio::test]
async fn a_closed_relay_takes_no_accounts() {
    let relay = TestRelay::start(Engine::Sqlite, |config| {
        config.registration = Registration::Closed;
    })
    .await;
    let answer = relay.stranger().post("auth/register", credentials("a@b.c", PASSWORD)).await;
    answer.is_problem(403, "registration_closed");
    let told = relay.stranger().get("auth/registration").await.body(200);
    assert_eq!(told, json!({"registration": "closed", "mail": false}));
    relay.stop().await;
}

#[tokio::test]
async fn over_https_the_cookie_is_bound_to_the_host_and_to_encryption() {
    let relay = TestRelay::start(Engine::Sqlite, |config| {
        "https://localhost:0".clone_into(&mut config.public_url);
    })
    .await;
    let ca = relay.app().certificates.ca_pem();
    let ca = ca.as_bytes();
    let mut alice = relay.stranger();
    alice.client = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(ca).unwrap()])
        .build()
        .unwrap();
    let answer = alice.post("auth/register", credentials("alice@example.org", PASSWORD)).await;
    let set_cookie = answer.headers[header::SET_COOKIE].to_str().unwrap();
    assert!(set_cookie.starts_with("__Host-session="), "{set_cookie}");
    assert!(set_cookie.contains("; Secure"), "{set_cookie}");
    alice.cookie = Some(answer.cookie());
    alice.get("auth/me").await.body(200);
    // A cookie of the other name proves nothing here.
    let plain = answer.cookie().replace("__Host-", "");
    let other = Person { cookie: Some(plain), ..alice.clone() };
    other.get("auth/me").await.is_problem(401, "unauthenticated");
    let pairing = alice.open_pairing().await;
    assert_eq!(pairing["ca_sha256"], relay.app().certificates.ca_sha256());
    assert!(pairing["provisioning"].as_str().unwrap().contains("ca_sha256"));
    relay.stop().await;
}

#[tokio::test]
async fn weak_passwords_odd_addresses_and_taken_ones_are_refused() {
    on_every_database(async |relay: &TestRelay| {
        relay.person("alice").await;
        let stranger = relay.stranger();
        for (email, password, status, code) in [
            ("bob@example.org", "123456789", 422, "weak_password"),
            ("bob@example.org", &"x".repeat(257), 422, "weak_password"),
            ("bob", PASSWORD, 422, "invalid_email"),
            ("bob\0@example.org", PASSWORD, 422, "invalid_email"),
            ("ALICE@example.org", PASSWORD, 409, "email_taken"),
        ] {
            let answer = stranger.post("auth/register", credentials(email, password)).await;
            answer.is_problem(status, code);
        }
        let body = json!({"email": "c@d.e", "password": PASSWORD, "name": "a\u{0}b"});
        stranger.post("auth/register", body).await.is_problem(422, "invalid_name");
        let control = credentials("c@d.e", "correct\u{7} horse battery");
        stranger.post("auth/register", control).await.is_problem(422, "weak_password");
    })
    .await;
}

#[tokio::test]
async fn a_password_and_an_address_are_the_same_from_every_keyboard() {
    use argon2::{Argon2, PasswordHasher as _, password_hash::phc::PasswordHash};
    use nightjar_relay::engines::db::{Executor as _, Value as Cell};

    let (composed, decomposed) = ("gr\u{fc}ne \u{e9}toile", "gru\u{308}ne e\u{301}toile");
    on_every_database(async |relay: &TestRelay| {
        let stranger = relay.stranger();
        let sign_up = credentials("Zo\u{eb}@b\u{fc}cher.example", composed);
        stranger.post("auth/register", sign_up).await.body(201);
        let others = [
            "zo\u{eb}@B\u{dc}CHER.example",
            "zoe\u{308}@bu\u{308}cher.example.",
            " zo\u{eb}@xn--bcher-kva.example",
        ];
        for email in others {
            for password in [composed, decomposed] {
                stranger.post("auth/login", credentials(email, password)).await.body(200);
            }
            let again = stranger.post("auth/register", credentials(email, composed)).await;
            again.is_problem(409, "email_taken");
        }
        let wrong = credentials(others[0], "grune etoile");
        stranger.post("auth/login", wrong).await.is_problem(401, "invalid_credentials");

        // Hashed as it was typed, and kept under an address as it was spelled, before there was one
        // form: it is right as it was, and in every form after that.
        let db = &relay.app().db;
        let before: PasswordHash = Argon2::default().hash_password(decomposed.as_bytes()).unwrap();
        let old =
            vec![Cell::from(before.to_string()), Cell::from("zoe\u{308}@bu\u{308}cher.example")];
        db.execute("update accounts set password_hash = $1, email = $2", old).await.unwrap();
        let typed = |password| credentials("Zoe\u{308}@bu\u{308}cher.example", password);
        let early = stranger.post("auth/login", typed(composed)).await;
        early.is_problem(401, "invalid_credentials");
        stranger.post("auth/login", typed(decomposed)).await.body(200);
        stranger.post("auth/login", typed(composed)).await.body(200);
        stranger.post("auth/login", typed(decomposed)).await.body(200);
    })
    .await;
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_account_look_alike() {
    on_every_database(async |relay: &TestRelay| {
        relay.person("alice").await;
        let stranger = relay.stranger();
        let wrong =
            stranger.post("auth/login", credentials("alice@example.org", "not the one")).await;
        let unknown =
            stranger.post("auth/login", credentials("nobody@example.org", "not the one")).await;
        wrong.is_problem(401, "invalid_credentials");
        assert_eq!((wrong.status, wrong.text), (unknown.status, unknown.text));
        let right = stranger.post("auth/login", credentials("Alice@example.org", PASSWORD)).await;
        assert!(right.cookie().starts_with("session="));
        assert_eq!(right.body(200)["account"]["email"], "alice@example.org");
    })
    .await;
}

#[tokio::test]
async fn guessing_a_password_is_stopped_and_the_owner_gets_in_later() {
    on_every_database(async |relay: &TestRelay| {
        relay.person("alice").await;
        let guesser = relay.stranger();
        // Where hashing is slow, an attempt or two come back meanwhile.
        let mut attempts = 0;
        loop {
            let guess = credentials("alice@example.org", "a guess");
            let answer = guesser.post("auth/login", guess).await;
            if answer.status == 429 {
                break;
            }
            answer.is_problem(401, "invalid_credentials");
            attempts += 1;
            assert!(attempts < 40, "nobody stops the guesser");
        }
        assert!(attempts >= 8, "{attempts}");
        let right = credentials("alice@example.org", PASSWORD);
        let stopped = guesser.post("auth/login", right.clone()).await;
        stopped.is_problem(429, "rate_limited");
        assert!(stopped.headers.contains_key(header::RETRY_AFTER));
        relay.pass(Duration::from_secs(9));
        guesser.post("auth/login", right).await.body(200);
    })
    .await;
}

#[tokio::test]
async fn a_guesser_at_one_address_locks_nobody_out_who_is_at_another() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let guesser = Person {
            client: client()
                .local_address("127.0.0.2".parse::<std::net::IpAddr>().unwrap())
                .build()
                .unwrap(),
            ..relay.stranger()
        };
        let guess = credentials("alice@example.org", "a guess");
        // At once; how many of them are stopped.
        let stopped = async |count| {
            let attempts = (0..count).map(|_| guesser.post("auth/login", guess.clone()));
            let answers = futures::future::join_all(attempts).await;
            answers.iter().filter(|answer| answer.status == 429).count()
        };
        assert!(stopped(20).await > 5);
        for _ in 0..3 {
            alice.post("auth/login", credentials("alice@example.org", PASSWORD)).await.body(200);
            // As fast as an address may, for as long as it likes.
            relay.pass(Duration::from_secs(6));
            stopped(4).await;
        }
    })
    .await;
}

#[tokio::test]
async fn signing_in_rightly_is_stopped_only_far_beyond_what_people_do() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        for _ in 0..15 {
            alice.post("auth/login", credentials("alice@example.org", PASSWORD)).await.body(200);
        }
        let right =
            async || alice.post("auth/login", credentials("alice@example.org", PASSWORD)).await;
        for _ in 0..5 {
            right().await.body(200);
        }
        right().await.is_problem(429, "rate_limited");
        relay
            .person("bob")
            .await
            .post("auth/login", credentials("bob@example.org", PASSWORD))
            .await
            .body(200);
        relay.pass(Duration::from_secs(6));
        right().await.body(200);
    })
    .await;
}

#[tokio::test]
async fn an_account_has_twenty_sign_ins_of_each_kind_and_the_next_one_ends_the_oldest() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let sign_in = async |tokens: bool| {
            relay.pass(Duration::from_secs(6));
            let mut body = credentials("alice@example.org", PASSWORD);
            body["tokens"] = json!(tokens);
            alice.post("auth/login", body).await
        };
        let mut browsers = vec![alice.clone()];
        let mut programs = Vec::new();
        for _ in 0..20 {
            let cookie = Some(sign_in(false).await.cookie());
            browsers.push(Person { cookie, ..alice.clone() });
            programs.push(sign_in(true).await.body(200)["refresh_token"].clone());
        }
        let works = async |person: &Person| person.get("auth/me").await.status == 200;
        assert!(!works(&browsers[0]).await, "the 21st browser took the place of the first");
        assert!(works(&browsers[1]).await && works(&browsers[20]).await);
        programs.push(sign_in(true).await.body(200)["refresh_token"].clone());
        let refresh = async |token: &Value| {
            alice.post("auth/refresh", json!({"refresh_token": token})).await.status
        };
        assert_eq!(refresh(&programs[0]).await, 401);
        assert_eq!((refresh(&programs[1]).await, refresh(&programs[20]).await), (200, 200));
    })
    .await;
}

#[tokio::test]
async fn only_our_own_pages_may_act_with_the_cookie() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let foreign = Person { page: Some("https://evil.example".to_owned()), ..alice.clone() };
        foreign.post("sites", json!({"name": "x"})).await.is_problem(403, "cross_origin");
        let silent = Person { page: None, ..alice.clone() };
        silent.post("sites", json!({"name": "x"})).await.is_problem(403, "cross_origin");
        let fetched = silent
            .request(Method::POST, "sites")
            .header("sec-fetch-site", "same-origin")
            .json(&json!({"name": "Shop"}));
        Answer::of(fetched).await.body(201);
        // Reading is no act, and what a foreign page reads it is not shown.
        foreign.get("auth/me").await.body(200);
        alice.post("sites", json!({"name": "Barn"})).await.body(201);
    })
    .await;
}

#[tokio::test]
async fn a_foreign_page_cannot_sign_anybody_in() {
    on_sqlite(async |relay: &TestRelay| {
        relay.person("mallory").await;
        let victim = Person { page: Some("https://evil.example".to_owned()), ..relay.stranger() };
        let body = credentials("mallory@example.org", PASSWORD);
        victim.post("auth/login", body.clone()).await.is_problem(403, "cross_origin");
        victim.post("auth/register", body).await.is_problem(403, "cross_origin");
    })
    .await;
}

#[tokio::test]
async fn signing_out_ends_the_session() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let answer = alice.post("auth/logout", Value::Null).await;
        assert!(answer.headers[header::SET_COOKIE].to_str().unwrap().contains("Max-Age=0"));
        answer.body(204);
        alice.get("auth/me").await.is_problem(401, "unauthenticated");
    })
    .await;
}

#[tokio::test]
async fn a_session_ends_by_itself_after_thirty_days() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        relay.pass(Duration::from_hours(30 * 24 - 1));
        alice.get("auth/me").await.body(200);
        relay.pass(Duration::from_hours(2));
        alice.get("auth/me").await.is_problem(401, "unauthenticated");
    })
    .await;
}

pub(crate) async fn tokens(relay: &TestRelay) -> (Person, String) {
    let body = json!({"email": "alice@example.org", "password": PASSWORD, "tokens": true});
    let script = Person { page: None, ..relay.stranger() };
    let answer = script.post("auth/login", body).await;
    assert!(!answer.headers.contains_key(header::SET_COOKIE));
    let answer = answer.body(200);
    assert_eq!(answer["account"]["email"], "alice@example.org");
    let token = answer["access_token"].as_str().unwrap().to_owned();
    let refresh = answer["refresh_token"].as_str().unwrap().to_owned();
    (Person { token: Some(token), ..script }, refresh)
}

#[tokio::test]
async fn a_script_signs_in_with_tokens_that_last_a_quarter_of_an_hour() {
    on_every_database(async |relay: &TestRelay| {
        relay.person("alice").await;
        let (script, _) = tokens(relay).await;
        script.post("sites", json!({"name": "Shop"})).await.body(201);
        relay.pass(Duration::from_mins(16));
        script.get("auth/me").await.is_problem(401, "unauthenticated");
    })
    .await;
}

#[tokio::test]
async fn a_refresh_token_works_once_and_its_copy_ends_the_sign_in() {
    on_every_database(async |relay: &TestRelay| {
        relay.person("alice").await;
        let (script, first) = tokens(relay).await;
        let renewed = script.post("auth/refresh", json!({"refresh_token": first})).await.body(200);
        let newer =
            Person { token: renewed["access_token"].as_str().map(str::to_owned), ..script.clone() };
        newer.get("auth/me").await.body(200);

        let copied = script.post("auth/refresh", json!({"refresh_token": first})).await;
        copied.is_problem(401, "invalid_refresh_token");
        newer.get("auth/me").await.is_problem(401, "unauthenticated");
        let second = json!({"refresh_token": renewed["refresh_token"]});
        script.post("auth/refresh", second).await.is_problem(401, "invalid_refresh_token");
    })
    .await;
}

#[tokio::test]
async fn signing_a_script_out_ends_its_tokens() {
    on_every_database(async |relay: &TestRelay| {
        relay.person("alice").await;
        let (script, refresh) = tokens(relay).await;
        script.post("auth/logout", Value::Null).await.body(204);
        script.get("auth/me").await.is_problem(401, "unauthenticated");
        script
            .post("auth/refresh", json!({"refresh_token": refresh}))
            .await
            .is_problem(401, "invalid_refresh_token");
    })
    .await;
}

#[tokio::test]
async fn made_up_credentials_open_nothing() {
    on_sqlite(async |relay: &TestRelay| {
        let cookie = Person { cookie: Some("session=made-up".to_owned()), ..relay.stranger() };
        cookie.get("auth/me").await.is_problem(401, "unauthenticated");
        let token = Person { token: Some("made-up".to_owned()), ..relay.stranger() };
        token.get("auth/me").await.is_problem(401, "unauthenticated");
        relay.stranger().get("auth/me").await.is_problem(401, "unauthenticated");
        relay.stranger().get("agent/challenge").await.body(200);
        token.post("agent/network", json!({})).await.is_problem(401, "unauthenticated");
    })
    .await;
}
