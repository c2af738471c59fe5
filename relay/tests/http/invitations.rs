//! Links by which people come to belong to a site.

use std::time::Duration;

use futures::future::join_all;
use nightjar_relay::engines::db::Executor as _;
use nightjar_shared::role::Registration;
use serde_json::{Value, json};

use crate::{
    databases::{self, Engine},
    mail::{in_memory, mail_about, token_of},
    members::{account_id, let_in, members_of, set_role},
    person::{Answer, PASSWORD, Person},
    relay::{TestRelay, on_every_database, on_sqlite},
};

/// Makes a link to a person's home.
pub(crate) async fn invite(host: &Person, request: Value) -> Value {
    let path = format!("sites/{}/invitations", host.home().await);
    host.post(&path, request).await.body(201)
}

pub(crate) async fn accept(guest: &Person, link: &Value) -> Answer {
    guest.post("invitations/accept", json!({"token": link["token"]})).await
}

async fn open(stranger: &Person, link: &Value) -> Answer {
    stranger.post("invitations/open", json!({"token": link["token"]})).await
}

/// Makes an account by a link.
pub(crate) async fn register(stranger: &Person, link: &Value, name: &str) -> Answer {
    let email = format!("{name}@example.org");
    let body = json!({"token": link["token"], "email": email, "password": PASSWORD, "name": name});
    stranger.post("invitations/register", body).await
}

async fn listed(host: &Person) -> Vec<Value> {
    let path = format!("sites/{}/invitations", host.home().await);
    host.get(&path).await.body(200)["items"].as_array().unwrap().clone()
}

async fn rows(relay: &TestRelay, table: &'static str) -> u64 {
    let sql = match table {
        "accounts" => "select count(*) as count from accounts",
        _ => "select count(*) as count from members",
    };
    relay.app().db.query_one(sql, vec![]).await.unwrap().unwrap().get("count").unwrap()
}

#[tokio::test]
async fn whoever_has_a_link_learns_who_invites_where_to_and_joins() {
    on_every_database(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let camera = relay.camera_of(&alice).await;
        let link = invite(&alice, json!({"role": "viewer", "name": "Bob"})).await;
        let token = link["token"].as_str().unwrap();
        assert!(token.len() >= 22, "128 bits at least: {token}");
        assert_eq!(link["url"], format!("/invitation#{token}"));

        let opened = open(&relay.stranger(), &link).await;
        let text = opened.text.clone();
        let opened = opened.body(200);
        assert_eq!(
            (&opened["site_name"], &opened["invited_by"]),
            (&json!("Home"), &json!("alice"))
        );
        assert_eq!(opened["may"], json!(["see_cameras", "see_pictures"]));
        let (site, id) = (alice.home().await, camera.id().to_string());
        for secret in ["example.org", "Front door", &site, &id] {
            assert!(!text.contains(secret), "{secret} is no stranger's business: {text}");
        }
        bob.get(&format!("cameras/{id}")).await.is_problem(404, "not_found");
        let joined = accept(&bob, &link).await.body(200);
        assert_eq!((&joined["site_id"], &joined["role"]), (&json!(site), &json!("viewer")));
        bob.get(&format!("cameras/{id}")).await.body(200);

        let members = members_of(&alice).await;
        assert_eq!(members.len(), 2);
        assert_eq!(members[1]["email"], "bob@example.org");
        assert_eq!(members[1]["invited_by"], "alice");
        // A link is good once.
        assert!(listed(&alice).await.is_empty());
        open(&bob, &link).await.is_problem(404, "not_found");
        accept(&relay.person("carol").await, &link).await.is_problem(404, "not_found");
    })
    .await;
}

#[tokio::test]
async fn a_stranger_makes_an_account_and_belongs_in_one_step() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let link = invite(&alice, json!({"role": "installer"})).await;
        let mut helper = relay.stranger();
        let answer = register(&helper, &link, "helper").await;
        helper.cookie = Some(answer.cookie());
        let me = answer.body(201);
        let sites = me["sites"].as_array().unwrap();
        assert_eq!(sites.len(), 1, "no site of their own: {me}");
        assert_eq!(sites[0]["site_id"], alice.home().await);
        assert_eq!(sites[0]["may"], json!(["see_cameras", "pair"]));
        helper.open_pairing().await;

        // Where something is wrong, nothing is made, and the link stays good.
        let link = invite(&alice, json!({"role": "viewer"})).await;
        let before = rows(relay, "accounts").await;
        register(&relay.stranger(), &link, "alice").await.is_problem(409, "email_taken");
        let weak = json!({"token": link["token"], "email": "x@example.org", "password": "short"});
        let stranger = relay.stranger();
        stranger.post("invitations/register", weak).await.is_problem(422, "weak_password");
        register(&stranger, &json!({"token": "none"}), "x").await.is_problem(404, "not_found");
        assert_eq!(rows(relay, "accounts").await, before);
        register(&stranger, &link, "x").await.body(201);
    })
    .await;
}

#[tokio::test]
async fn accounts_come_by_invitation_where_registration_says_so_and_not_where_it_is_closed() {
    for registration in [Registration::Invitation, Registration::Closed] {
        let relay = TestRelay::start(Engine::Sqlite, |_| {}).await;
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let link = invite(&alice, json!({"role": "viewer", "uses": 2})).await;
        let cookies = [alice.cookie.clone(), bob.cookie.clone()];
        let relay = relay.restart_with(|config| config.registration = registration).await;
        let [_, bob] = cookies.map(|cookie| Person { cookie, ..relay.stranger() });
        let is_open = registration == Registration::Invitation;
        let opened = open(&relay.stranger(), &link).await.body(200);
        assert_eq!(opened["registration"], is_open);
        let registered = register(&relay.stranger(), &link, "carol").await;
        if is_open {
            registered.body(201);
        } else {
            registered.is_problem(403, "registration_closed");
        }
        accept(&bob, &link).await.body(200);
        let body = json!({"email": "dave@example.org", "password": PASSWORD});
        let refused = relay.stranger().post("auth/register", body).await;
        refused.is_problem(403, "registration_closed");
        relay.stop().await;
    }
}

#[tokio::test]
async fn a_link_that_two_take_at_once_lets_one_in() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let guests =
            join_all((0..6).map(|n| async move { relay.person(&format!("guest{n}")).await })).await;
        for _ in 0..5 {
            let before = rows(relay, "members").await;
            let link = invite(&alice, json!({"role": "viewer"})).await;
            let answers = join_all(guests.iter().map(|guest| accept(guest, &link))).await;
            let taken = answers.iter().filter(|answer| answer.status == 200).count();
            assert_eq!(taken, 1, "{answers:?}");
            assert_eq!(rows(relay, "members").await, before + 1);
            for (guest, _) in guests.iter().zip(&answers).filter(|(_, answer)| answer.status == 200)
            {
                let path =
                    format!("sites/{}/members/{}", alice.home().await, account_id(guest).await);
                alice.delete(&path).await.body(204);
            }
        }
        // The same person twice at once, by a link for two.
        let link = invite(&alice, json!({"role": "viewer", "uses": 2})).await;
        let (first, second) = tokio::join!(accept(&guests[0], &link), accept(&guests[0], &link));
        let mut statuses = [first.status, second.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409]);
        accept(&guests[1], &link).await.body(200);
    })
    .await;
}

#[tokio::test]
async fn a_link_ends_by_time_by_hand_and_with_the_right_of_who_made_it() {
    on_every_database(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let manager = relay.person("manager").await;
        let_in(&alice, &manager, "manager").await;
        let home = alice.home().await;
        let path = format!("sites/{home}/invitations");

        let link = invite(&alice, json!({"role": "viewer", "expires_in_s": 300})).await;
        relay.pass(Duration::from_secs(301));
        accept(&bob, &link).await.is_problem(404, "not_found");

        let link = invite(&alice, json!({"role": "viewer"})).await;
        let id = link["invitation_id"].as_str().unwrap();
        bob.delete(&format!("invitations/{id}")).await.is_problem(404, "not_found");
        manager.delete(&format!("invitations/{id}")).await.body(204);
        accept(&bob, &link).await.is_problem(404, "not_found");

        let link = manager.post(&path, json!({"role": "viewer"})).await.body(201);
        open(&bob, &link).await.body(200);
        set_role(&alice, &manager, "viewer").await;
        open(&bob, &link).await.is_problem(404, "not_found");
        accept(&bob, &link).await.is_problem(404, "not_found");
        assert!(listed(&alice).await.is_empty());
        set_role(&alice, &manager, "manager").await;
        accept(&bob, &link).await.body(200);

        let link = manager.post(&path, json!({"role": "viewer"})).await.body(201);
        manager.delete(&format!("sites/{home}/members/me")).await.body(204);
        let carol = relay.person("carol").await;
        accept(&carol, &link).await.is_problem(404, "not_found");
    })
    .await;
}

#[tokio::test]
async fn nobody_invites_to_more_than_they_may_give() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let bob = relay.person("bob").await;
        let camera = relay.camera_of(&bob).await;
        let path = format!("sites/{}/invitations", alice.home().await);
        let ask = async |person: &Person, role: &str| {
            person.post(&path, json!({"role": role})).await.status
        };
        for (role, given) in [
            ("manager", [422, 403, 201, 403]),
            ("viewer", [403, 403, 403, 403]),
            ("installer", [403, 403, 403, 403]),
        ] {
            let person = relay.person(role).await;
            let_in(&alice, &person, role).await;
            let mut statuses = Vec::new();
            for asked in ["owner", "manager", "viewer", "installer"] {
                statuses.push(ask(&person, asked).await);
            }
            assert_eq!(statuses, given, "{role}");
        }
        assert_eq!(ask(&bob, "viewer").await, 404);
        let refused = async |request: Value, status: u16, code: &str| {
            alice.post(&path, request).await.is_problem(status, code);
        };
        refused(json!({"role": "owner"}), 422, "invalid_membership").await;
        refused(json!({"role": "god"}), 400, "invalid_json").await;
        refused(json!({"role": "viewer", "uses": 21}), 422, "out_of_range").await;
        refused(json!({"role": "viewer", "uses": 0}), 422, "out_of_range").await;
        refused(json!({"role": "viewer", "expires_in_s": 60}), 422, "invalid_lifetime").await;
        refused(json!({"role": "viewer", "expires_in_s": 2_592_001}), 422, "invalid_lifetime")
            .await;
        refused(json!({"role": "viewer", "email": "b@example.org"}), 409, "no_mail").await;
        refused(json!({"role": "viewer", "ends_at": 1}), 422, "invalid_membership").await;
        refused(json!({"role": "viewer", "name": "a\u{202e}b"}), 422, "invalid_name").await;
        let foreign = json!({"role": "viewer", "cameras": [camera.id()]});
        refused(foreign, 422, "invalid_membership").await;
        refused(json!({"role": "viewer", "cameras": []}), 422, "invalid_membership").await;
        let all = json!({"role": "manager", "cameras": [camera.id()]});
        refused(all, 422, "invalid_membership").await;
    })
    .await;
}

#[tokio::test]
async fn links_are_opened_only_so_often_from_one_address() {
    on_sqlite(async |relay: &TestRelay| {
        let guesser = relay.stranger();
        let mut refused = 0;
        for guess in 0..70 {
            let answer = open(&guesser, &json!({"token": format!("guess-{guess}")})).await;
            refused += u32::from(answer.status == 429);
        }
        assert!(refused >= 5, "{refused}");
        let page =
            Person { page: Some("https://elsewhere.example".to_owned()), ..relay.stranger() };
        open(&page, &json!({"token": "x"})).await.is_problem(403, "cross_origin");
    })
    .await;
}

#[tokio::test]
async fn a_link_goes_by_mail_where_that_is_asked_for_and_lets_in_by_any_address() {
    for engine in databases::engines() {
        let relay = TestRelay::start(engine, in_memory).await;
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let path = format!("sites/{}/invitations", alice.home().await);
        let twice = json!({"role": "viewer", "email": "b@example.org", "uses": 2});
        alice.post(&path, twice).await.is_problem(422, "out_of_range");
        let nobody = json!({"role": "viewer", "email": "nobody"});
        alice.post(&path, nobody).await.is_problem(422, "invalid_email");
        let request = json!({"role": "viewer", "email": " Bob@Elsewhere.example "});
        alice.post(&path, request).await.body(201);
        assert_eq!(listed(&alice).await[0]["email"], "bob@elsewhere.example");
        let mail = mail_about(&relay, "alice invites you to Home").await;
        assert!(mail.contains("bob@elsewhere.example"), "{mail}");
        accept(&bob, &json!({"token": token_of(&mail)})).await.body(200);
        relay.stop().await;
    }
}
