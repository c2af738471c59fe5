//! Passkeys: made, signed with, and every wrong one refused.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    authenticator::{Authenticator, text},
    factors::{STEP, answer, asked, confirm, set_up, show},
    person::{Answer, Person},
    relay::{TestRelay, on_every_database, on_sqlite},
};

/// Makes a passkey, and gives it.
async fn register(person: &mut Person, name: &str) -> (Authenticator, Value) {
    confirm(person).await;
    let creation = person.post("auth/passkeys", json!({})).await.body(201);
    let mut authenticator = Authenticator::new(&person.origin);
    let new = authenticator.create(&creation, name);
    let kept = person.post("auth/passkeys/confirm", new).await;
    person.cookie = Some(kept.cookie());
    (authenticator, kept.body(201))
}

async fn question(relay: &TestRelay) -> Value {
    relay.stranger().post("auth/passkeys/challenge", json!({})).await.body(200)
}

/// Shows that the account's passkey is at hand.
async fn show_passkey(relay: &TestRelay, person: &Person, phone: &mut Authenticator) {
    let passkey = phone.sign(&question(relay).await["challenge"]);
    show(person, json!({"passkey": passkey})).await;
}

async fn sign_in(relay: &TestRelay, passkey: Value) -> Answer {
    relay.stranger().post("auth/passkeys/sign-in", json!({"passkey": passkey})).await
}

#[tokio::test]
async fn a_passkey_signs_in_alone_and_after_a_password() {
    on_every_database(async |relay: &TestRelay| {
        let mut alice = relay.person("alice").await;
        alice.post("auth/passkeys", json!({})).await.is_problem(403, "confirmation_required");
        let (mut phone, kept) = register(&mut alice, " My phone ").await;
        assert_eq!(kept["passkey"]["name"], "My phone");
        assert_eq!(kept["backup_codes"].as_array().unwrap().len(), 10);

        let question = question(relay).await;
        assert_eq!(question["rp_id"], "localhost");
        let signed_in = sign_in(relay, phone.sign(&question["challenge"])).await;
        let browser = Person { cookie: Some(signed_in.cookie()), ..relay.stranger() };
        assert_eq!(signed_in.body(200)["account"]["email"], "alice@example.org");
        browser.get("cameras").await.body(200);

        let question = asked(relay, "alice@example.org").await;
        assert_eq!(question["kinds"], json!(["passkey", "backup_code"]));
        assert_eq!(question["passkey"]["credentials"], json!([text(&phone.credential_id)]));
        // After the password, a touch is enough.
        phone.verifies = false;
        let signature = phone.sign(&question["challenge"]);
        answer(relay, &question, json!({"passkey": signature})).await.body(200);
        let state = alice.get("auth/mfa").await.body(200);
        assert!(state["passkeys"][0]["used_at"].is_i64(), "{state}");
    })
    .await;
}

#[tokio::test]
async fn a_passkey_of_another_origin_page_or_purpose_is_refused() {
    on_sqlite(async |relay: &TestRelay| {
        let mut alice = relay.person("alice").await;
        let (mut phone, _) = register(&mut alice, "phone").await;
        let own = phone.origin.clone();
        for foreign in ["https://localhost:8443", "http://localhost.example", "null", ""] {
            foreign.clone_into(&mut phone.origin);
            let refused = sign_in(relay, phone.sign(&question(relay).await["challenge"])).await;
            refused.is_problem(403, "invalid_passkey");
            assert!(refused.text.contains("origin"), "{}", refused.text);
        }
        phone.origin = own;
        phone.party = "example.org".to_owned();
        let refused = sign_in(relay, phone.sign(&question(relay).await["challenge"])).await;
        refused.is_problem(403, "invalid_passkey");
        phone.party = "localhost".to_owned();
        phone.verifies = false;
        let refused = sign_in(relay, phone.sign(&question(relay).await["challenge"])).await;
        refused.is_problem(403, "invalid_passkey");
        phone.verifies = true;
        // Upon a challenge of its own, and upon one that was for making a passkey.
        let refused = sign_in(relay, phone.sign(&json!(text(&[7; 32])))).await;
        refused.is_problem(403, "challenge_expired");
        show_passkey(relay, &alice, &mut phone).await;
        let creation = alice.post("auth/passkeys", json!({})).await.body(201);
        let refused = sign_in(relay, phone.sign(&creation["challenge"])).await;
        refused.is_problem(403, "challenge_expired");
        sign_in(relay, phone.sign(&question(relay).await["challenge"])).await.body(200);
    })
    .await;
}

#[tokio::test]
async fn a_challenge_is_answered_once_even_by_two_at_once_and_not_late() {
    on_every_database(async |relay: &TestRelay| {
        let mut alice = relay.person("alice").await;
        let (mut phone, _) = register(&mut alice, "phone").await;
        let asked = question(relay).await;
        let signature = phone.sign(&asked["challenge"]);
        let answers =
            tokio::join!(sign_in(relay, signature.clone()), sign_in(relay, signature.clone()));
        let statuses = [answers.0.status, answers.1.status];
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
        sign_in(relay, signature).await.is_problem(403, "challenge_expired");
        let late = phone.sign(&question(relay).await["challenge"]);
        relay.pass(Duration::from_mins(5));
        sign_in(relay, late).await.is_problem(403, "challenge_expired");
    })
    .await;
}

#[tokio::test]
async fn a_copied_passkey_whose_counter_goes_back_is_refused() {
    on_every_database(async |relay: &TestRelay| {
        let mut alice = relay.person("alice").await;
        let (mut phone, _) = register(&mut alice, "phone").await;
        for _ in 0..3 {
            sign_in(relay, phone.sign(&question(relay).await["challenge"])).await.body(200);
        }
        phone.counter = 1;
        let refused = sign_in(relay, phone.sign(&question(relay).await["challenge"])).await;
        refused.is_problem(403, "invalid_passkey");
        assert!(refused.text.contains("copied"), "{}", refused.text);
    })
    .await;
}

#[tokio::test]
async fn a_passkey_belongs_to_one_account() {
    on_every_database(async |relay: &TestRelay| {
        let mut alice = relay.person("alice").await;
        let mut bob = relay.person("bob").await;
        let (mut phone, _) = register(&mut alice, "phone").await;
        show_passkey(relay, &alice, &mut phone).await;
        confirm(&bob).await;
        let creation = bob.post("auth/passkeys", json!({})).await.body(201);
        let taken = phone.create(&creation, "Alice's");
        bob.post("auth/passkeys/confirm", taken).await.is_problem(409, "passkey_taken");
        // It says that it is Bob's now, which it is not.
        let refused = sign_in(relay, phone.sign(&question(relay).await["challenge"])).await;
        refused.is_problem(403, "invalid_passkey");
        // What Alice was asked, Bob cannot answer.
        let creation = alice.post("auth/passkeys", json!({})).await.body(201);
        let mut other = Authenticator::new(&bob.origin);
        let stolen = other.create(&creation, "stolen");
        bob.post("auth/passkeys/confirm", stolen).await.is_problem(403, "invalid_passkey");
        // Nor may Alice's passkey stand in for Bob's code.
        set_up(relay, &mut bob).await;
        let asked = asked(relay, "bob@example.org").await;
        let signature = phone.sign(&asked["challenge"]);
        let refused = answer(relay, &asked, json!({"passkey": signature})).await;
        refused.is_problem(403, "invalid_passkey");
    })
    .await;
}

#[tokio::test]
async fn passkeys_are_listed_and_removed_by_who_shows_both_factors() {
    on_every_database(async |relay: &TestRelay| {
        let mut alice = relay.person("alice").await;
        let (mut phone, kept) = register(&mut alice, "phone").await;
        show_passkey(relay, &alice, &mut phone).await;
        let (_, stick) = register(&mut alice, "stick").await;
        assert!(stick.get("backup_codes").is_none(), "the codes of before are good");
        let names: Vec<Value> = alice.get("auth/mfa").await.body(200)["passkeys"]
            .as_array()
            .unwrap()
            .iter()
            .map(|passkey| passkey["name"].clone())
            .collect();
        assert_eq!(names, ["phone", "stick"]);
        let path = format!("auth/passkeys/{}", kept["passkey"]["passkey_id"].as_str().unwrap());
        let mut bob = relay.person("bob").await;
        let (phone_of_bob, _) = set_up(relay, &mut bob).await;
        confirm(&bob).await;
        let shown = json!({"factor": {"code": phone_of_bob.code(relay)}});
        bob.post("auth/confirm", shown).await.body(204);
        bob.delete(&path).await.is_problem(404, "not_found");
        relay.pass(Duration::from_mins(11));
        confirm(&alice).await;
        alice.delete(&path).await.is_problem(403, "confirmation_required");
        show_passkey(relay, &alice, &mut phone).await;
        alice.delete(&path).await.body(204);
        let refused = sign_in(relay, phone.sign(&question(relay).await["challenge"])).await;
        refused.is_problem(403, "invalid_passkey");
        relay.pass(STEP);
    })
    .await;
}

#[tokio::test]
async fn hostile_answers_are_refused_and_harm_nothing() {
    on_sqlite(async |relay: &TestRelay| {
        let mut alice = relay.person("alice").await;
        confirm(&alice).await;
        let mut authenticator = Authenticator::new(&alice.origin);
        let deep = text(&[0x81; 4000]);
        let huge = text(&[0xa3, 0x5b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        let long = "A".repeat(60_000);
        for object in [deep.as_str(), &huge, &long, "", "not base64!", "\u{fc}"] {
            let creation = alice.post("auth/passkeys", json!({})).await.body(201);
            let mut new = authenticator.create(&creation, "phone");
            new["attestation_object"] = json!(object);
            let refused = alice.post("auth/passkeys/confirm", new).await;
            refused.is_problem(403, "invalid_passkey");
        }
        let creation = alice.post("auth/passkeys", json!({})).await.body(201);
        let mut new = authenticator.create(&creation, "phone");
        new["name"] = json!("a\0b");
        alice.post("auth/passkeys/confirm", new).await.is_problem(422, "invalid_name");
        let (mut phone, _) = register(&mut alice, "phone").await;
        for part in ["client_data_json", "authenticator_data", "signature", "credential_id"] {
            for hostile in [&deep, &huge, &long, ""] {
                let mut passkey = phone.sign(&question(relay).await["challenge"]);
                passkey[part] = json!(hostile);
                sign_in(relay, passkey).await.is_problem(403, "invalid_passkey");
            }
        }
        let mut passkey = phone.sign(&question(relay).await["challenge"]);
        passkey["signature"] = json!("A".repeat(10_000_000));
        let refused = sign_in(relay, passkey).await;
        assert_eq!(refused.status, 413);
        sign_in(relay, phone.sign(&question(relay).await["challenge"])).await.body(200);
    })
    .await;
}
