//! Browsers that take messages: whose they are, how that ends, and what a hostile one may say.

use std::time::Duration;

use nightjar_relay::config::Config;
use serde_json::{Value, json};

use crate::{
    databases,
    person::{PASSWORD, Person},
    relay::TestRelay,
};

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
        let change = json!({"current": PASSWORD, "new": "another long password 7"});
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
