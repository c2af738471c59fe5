//! The first administrator, by the link that a relay prints where there is no account.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    databases,
    factors::set_up,
    person::{Answer, PASSWORD, Person},
    relay::{TestRelay, on_every_database, on_sqlite},
};

fn token(relay: &TestRelay) -> Option<String> {
    let link = relay.first_admin()?;
    assert!(link.contains("/first-admin#"), "{link}");
    Some(link.split_once('#')?.1.to_owned())
}

fn account(token: &str, email: &str) -> Value {
    json!({"token": token, "email": email, "password": PASSWORD})
}

async fn follow(person: &Person, token: &str, email: &str) -> Answer {
    person.post("auth/first-admin", account(token, email)).await
}

#[tokio::test]
async fn of_two_who_follow_the_link_at_once_one_is_the_administrator() {
    on_every_database(async |relay: &TestRelay| {
        let token = token(relay).unwrap();
        let (one, two) = (relay.stranger(), relay.stranger());
        let (a, b) = tokio::join!(
            follow(&one, &token, "one@example.org"),
            follow(&two, &token, "two@example.org")
        );
        let mut outcomes = [a.status, b.status];
        outcomes.sort_unstable();
        assert_eq!(outcomes, [201, 404], "{} {}", a.text, b.text);
        let won = if a.status == 201 { a } else { b };
        let mut admin = relay.stranger();
        admin.cookie = Some(won.cookie());
        assert_eq!(won.json()["second_factor_required"], true);
        admin.get("admin/accounts").await.is_problem(403, "second_factor_required");
        set_up(relay, &mut admin).await;
        let accounts = admin.get("admin/accounts").await.body(200);
        assert_eq!(accounts["items"].as_array().unwrap().len(), 1);
        let late = follow(&relay.stranger(), &token, "three@example.org").await;
        late.is_problem(404, "not_found_or_expired");
        let trail = admin.get("admin/audit?action=first_admin_made").await.body(200);
        assert_eq!(trail["items"].as_array().unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_restart_makes_another_link_and_a_relay_with_accounts_makes_none() {
    for engine in databases::engines() {
        let relay = TestRelay::start(engine, |_| {}).await;
        let first = token(&relay).unwrap();
        let relay = relay.restart().await;
        let second = token(&relay).unwrap();
        assert_ne!(first, second);
        let old = follow(&relay.stranger(), &first, "eve@example.org").await;
        old.is_problem(404, "not_found_or_expired");
        relay.person("alice").await;
        let relay = relay.restart().await;
        assert_eq!(token(&relay), None, "there is an account");
        let old = follow(&relay.stranger(), &second, "eve@example.org").await;
        old.is_problem(404, "not_found_or_expired");
        relay.stop().await;
    }
}

#[tokio::test]
async fn a_link_ends_and_a_bad_password_leaves_it_as_it_is() {
    on_sqlite(async |relay: &TestRelay| {
        let token = token(relay).unwrap();
        let weak = json!({"token": token, "email": "a@example.org", "password": "password12"});
        relay.stranger().post("auth/first-admin", weak).await.is_problem(422, "weak_password");
        for odd in ["", "x", "%00", &"x".repeat(10_000)] {
            let refused = follow(&relay.stranger(), odd, "a@example.org").await;
            refused.is_problem(404, "not_found_or_expired");
        }
        let mut elsewhere = relay.stranger();
        elsewhere.page = Some("https://elsewhere.example.org".to_owned());
        let refused = follow(&elsewhere, &token, "a@example.org").await;
        refused.is_problem(403, "cross_origin");
        relay.pass(Duration::from_mins(61));
        let late = follow(&relay.stranger(), &token, "a@example.org").await;
        late.is_problem(404, "not_found_or_expired");
    })
    .await;
}

#[tokio::test]
async fn the_token_is_kept_as_a_hash() {
    use nightjar_relay::engines::db::Executor as _;
    on_every_database(async |relay: &TestRelay| {
        let token = token(relay).unwrap();
        let sql = "select token_hash from first_admin_links";
        let rows = relay.app().db.query(sql, vec![]).await.unwrap();
        let kept: Vec<String> = rows.iter().map(|row| row.get("token_hash").unwrap()).collect();
        assert_eq!(kept.len(), 1);
        assert!(!kept[0].contains(&token) && kept[0].len() == 64);
    })
    .await;
}
