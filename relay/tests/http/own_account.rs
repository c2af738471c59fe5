//! What people do with their own account: confirm its address, change it, set a new password, see who
//! is signed in and end that.

use std::time::Duration;

use http::header;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    audit::administrator,
    databases::{self, Engine},
    mail::{in_memory, mail_about, mails, token_of},
    person::{Answer, PASSWORD, Person},
    relay::{TestRelay, on_every_database},
    rights::is_closed,
    ws::with_ticket,
};

const NEW_PASSWORD: &str = "twelve purple ladders";

async fn on_every_database_with_mail(test: impl AsyncFn(&TestRelay)) {
    for engine in databases::engines() {
        let relay = TestRelay::start(engine, in_memory).await;
        test(&relay).await;
        relay.stop().await;
    }
}

/// Somebody whose address is confirmed: their first mail was read.
async fn confirmed(relay: &TestRelay, name: &str) -> Person {
    let before = relay.app().mailer.kept().len();
    let person = relay.person(name).await;
    let kept = mails(relay, before + 1).await;
    let token = token_of(&kept[before]);
    relay.stranger().post("auth/email/verify", json!({"token": token})).await.body(204);
    person
}

async fn sign_in(relay: &TestRelay, email: &str, password: &str) -> Answer {
    let stranger = relay.stranger();
    stranger.post("auth/login", json!({"email": email, "password": password})).await
}

#[tokio::test]
async fn the_address_is_confirmed_by_the_link_in_the_first_mail() {
    on_every_database_with_mail(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        assert_eq!(alice.get("auth/me").await.body(200)["account"]["email_verified"], false);
        let mail = mails(relay, 1).await.remove(0);
        assert!(mail.contains("To: alice@example.org"), "{mail}");
        assert!(mail.contains(&format!("{}/verify#", relay.origin())), "{mail}");
        let token = json!({"token": token_of(&mail)});
        let stranger = relay.stranger();
        let (first, second) = tokio::join!(
            stranger.post("auth/email/verify", token.clone()),
            stranger.post("auth/email/verify", token)
        );
        let mut statuses = [first.status, second.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [204, 404], "a link works once");
        assert_eq!(alice.get("auth/me").await.body(200)["account"]["email_verified"], true);
    })
    .await;
}

#[tokio::test]
async fn a_lost_password_is_replaced_by_a_link_that_works_once() {
    on_every_database_with_mail(async |relay: &TestRelay| {
        let alice = confirmed(relay, "alice").await;
        let (script, _) = crate::auth::tokens(relay).await;
        let mut socket = with_ticket(&alice).await;
        let stranger = relay.stranger();
        let ask = json!({"email": "alice@example.org"});
        stranger.post("auth/password/forgot", ask).await.body(202);
        let token = token_of(&mail_about(relay, "Set a new password").await);
        let reset = |password: &str| json!({"token": token, "password": password});

        // One that is refused leaves the link as it is.
        for weak in ["short", "password1234", "alice@example.org"] {
            let answer = stranger.post("auth/password/reset", reset(weak)).await;
            answer.is_problem(422, "weak_password");
        }
        let (first, second) = tokio::join!(
            stranger.post("auth/password/reset", reset(NEW_PASSWORD)),
            stranger.post("auth/password/reset", reset(NEW_PASSWORD))
        );
        let mut statuses = [first.status, second.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [204, 404], "a link works once");

        for person in [&alice, &script] {
            person.get("auth/me").await.is_problem(401, "unauthenticated");
        }
        is_closed(&mut socket).await;
        sign_in(relay, "alice@example.org", PASSWORD).await.is_problem(401, "invalid_credentials");
        sign_in(relay, "alice@example.org", NEW_PASSWORD).await.body(200);
        mail_about(relay, "Your password was changed").await;
    })
    .await;
}

#[tokio::test]
async fn asking_for_a_link_tells_nothing_about_who_has_an_account() {
    on_every_database_with_mail(async |relay: &TestRelay| {
        confirmed(relay, "alice").await;
        relay.person("unconfirmed").await;
        mails(relay, 2).await;
        let stranger = relay.stranger();
        let mut answers = Vec::new();
        for email in ["alice@example.org", "unconfirmed@example.org", "nobody@example.org", "odd"] {
            let answer = stranger.post("auth/password/forgot", json!({"email": email})).await;
            answers.push((answer.status, answer.text));
        }
        answers.dedup();
        assert_eq!(answers, [(202, String::new())]);
        let kept = mails(relay, 3).await;
        // The other errands were taken before this one, which brings a mail for sure.
        relay.pass(Duration::from_mins(10));
        stranger
            .post("auth/password/forgot", json!({"email": "alice@example.org"}))
            .await
            .body(202);
        let kept_later = mails(relay, 4).await;
        assert!(kept[2].contains("To: alice@example.org"));
        assert!(kept_later[3].contains("To: alice@example.org"), "{}", kept_later[3]);
        assert_eq!(kept_later.len(), 4);
    })
    .await;
}

#[tokio::test]
async fn a_link_for_a_new_password_is_over_after_an_hour() {
    on_every_database_with_mail(async |relay: &TestRelay| {
        confirmed(relay, "alice").await;
        let ask = json!({"email": "alice@example.org"});
        relay.stranger().post("auth/password/forgot", ask).await.body(202);
        let token = token_of(&mails(relay, 2).await[1]);
        relay.pass(Duration::from_mins(61));
        let reset = json!({"token": token, "password": NEW_PASSWORD});
        let answer = relay.stranger().post("auth/password/reset", reset).await;
        answer.is_problem(404, "not_found_or_expired");
        sign_in(relay, "alice@example.org", PASSWORD).await.body(200);
    })
    .await;
}

#[tokio::test]
async fn nobody_s_mailbox_is_filled_by_strangers() {
    let relay = TestRelay::start(Engine::Sqlite, in_memory).await;
    confirmed(&relay, "alice").await;
    for _ in 0..12 {
        let ask = json!({"email": "alice@example.org"});
        relay.stranger().post("auth/password/forgot", ask).await.body(202);
    }
    // Whoever asks later is told later.
    confirmed(&relay, "bob").await;
    let to_alice = relay.app().mailer.kept();
    let to_alice = to_alice.iter().filter(|mail| mail.contains("To: alice@example.org")).count();
    // One that confirmed the address, and five links at most.
    assert!((2..=6).contains(&to_alice), "{to_alice}");
    relay.stop().await;
}

#[tokio::test]
async fn a_relay_without_mail_says_so_and_its_operator_makes_a_link() {
    on_every_database(async |relay: &TestRelay| {
        relay.person("alice").await;
        let told = relay.stranger().get("auth/registration").await.body(200);
        assert_eq!(told, json!({"registration": "open", "mail": false}));
        let ask = json!({"email": "alice@example.org"});
        let answer = relay.stranger().post("auth/password/forgot", ask).await;
        answer.is_problem(409, "no_mail");

        let app = relay.app();
        let link = nightjar_relay::domain::accounts::make_reset_link(
            &app.db,
            relay.origin(),
            "Alice@example.org",
            app.now(),
        );
        let url = link.await.unwrap().url;
        let token = url.split_once("/reset#").unwrap().1;
        let reset = json!({"token": token, "password": NEW_PASSWORD});
        relay.stranger().post("auth/password/reset", reset).await.body(204);
        let me = sign_in(relay, "alice@example.org", NEW_PASSWORD).await.body(200);
        // Nobody knows whether mail would arrive.
        assert_eq!(me["account"]["email_verified"], false);
    })
    .await;
}

#[tokio::test]
async fn an_administrator_makes_a_link_only_for_who_cannot_ask_by_mail() {
    on_every_database_with_mail(async |relay: &TestRelay| {
        let alice = confirmed(relay, "alice").await;
        let admin = administrator(relay).await;
        relay.person("unconfirmed").await;
        let link = async |person: &Person, email: &str| {
            person.post("admin/reset-links", json!({"email": email})).await
        };
        link(&alice, "unconfirmed@example.org").await.is_problem(403, "forbidden");
        link(&admin, "nobody@example.org").await.is_problem(404, "not_found");
        link(&admin, "alice@example.org").await.is_problem(409, "by_mail");
        let made = link(&admin, "unconfirmed@example.org").await.body(201);
        assert!(made["url"].as_str().unwrap().contains("/reset#"), "{made}");
    })
    .await;
}

#[tokio::test]
async fn changing_the_password_takes_the_old_one_and_ends_the_other_sign_ins() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let (script, _) = crate::auth::tokens(relay).await;
        let mut socket = with_ticket(&script).await;
        let change = |current: &str, password: &str, keep_others: bool| {
            json!({"current": current, "password": password, "keep_others": keep_others})
        };
        let wrong = alice.post("auth/password", change("a guess", NEW_PASSWORD, false)).await;
        wrong.is_problem(403, "invalid_credentials");
        let weak = alice.post("auth/password", change(PASSWORD, "qwertyuiop123", false)).await;
        weak.is_problem(422, "weak_password");
        alice.post("auth/password", change(PASSWORD, NEW_PASSWORD, true)).await.body(204);
        script.get("auth/me").await.body(200);
        alice.post("auth/password", change(NEW_PASSWORD, PASSWORD, false)).await.body(204);
        script.get("auth/me").await.is_problem(401, "unauthenticated");
        is_closed(&mut socket).await;
        alice.get("auth/me").await.body(200);
        sign_in(relay, "alice@example.org", PASSWORD).await.body(200);
    })
    .await;
}

#[tokio::test]
async fn another_address_is_confirmed_first_and_told_to_the_old_one() {
    on_every_database_with_mail(async |relay: &TestRelay| {
        let alice = confirmed(relay, "alice").await;
        confirmed(relay, "bob").await;
        let change = |email: &str| json!({"email": email, "password": PASSWORD});
        let wrong = json!({"email": "new@example.org", "password": "a guess"});
        alice.post("auth/email", wrong).await.is_problem(403, "invalid_credentials");
        alice.post("auth/email", change("odd")).await.is_problem(422, "invalid_email");

        // Whether somebody has the address is told to them alone.
        alice.post("auth/email", change("bob@example.org")).await.body(202);
        let mail = mails(relay, 3).await.remove(2);
        assert!(mail.contains("Subject: You have an account already"), "{mail}");

        alice.post("auth/email", change("New@Example.org")).await.body(202);
        let me = alice.get("auth/me").await.body(200);
        assert_eq!(me["account"]["email"], "alice@example.org", "it stands until it is confirmed");
        let mail = mails(relay, 4).await.remove(3);
        assert!(mail.contains("To: new@example.org"), "{mail}");
        let token = json!({"token": token_of(&mail)});
        relay.stranger().post("auth/email/verify", token).await.body(204);
        let me = alice.get("auth/me").await.body(200);
        assert_eq!(me["account"]["email"], "new@example.org");
        let mail = mails(relay, 5).await.remove(4);
        assert!(mail.contains("To: alice@example.org"), "{mail}");
        assert!(mail.contains("new@example.org"), "{mail}");
        sign_in(relay, "new@example.org", PASSWORD).await.body(200);
        sign_in(relay, "alice@example.org", PASSWORD).await.is_problem(401, "invalid_credentials");
    })
    .await;
}

#[tokio::test]
async fn links_end_with_the_password_and_with_the_address_that_they_were_sent_to() {
    on_every_database_with_mail(async |relay: &TestRelay| {
        let alice = confirmed(relay, "alice").await;
        let stranger = relay.stranger();
        let move_to = |email: &str| json!({"email": email, "password": PASSWORD});
        // Whoever knows the old password asks for an address of their own.
        alice.post("auth/email", move_to("thief@example.org")).await.body(202);
        let thief = json!({"token": token_of(&mails(relay, 2).await[1])});
        let change = json!({"current": PASSWORD, "password": NEW_PASSWORD});
        alice.post("auth/password", change).await.body(204);
        stranger.post("auth/email/verify", thief).await.is_problem(404, "not_found_or_expired");

        // Whoever reads the old mailbox has nothing once the address is another one.
        let ask = json!({"email": "alice@example.org"});
        stranger.post("auth/password/forgot", ask).await.body(202);
        let reset = token_of(&mail_about(relay, "Set a new password").await);
        let new = json!({"email": "new@example.org", "password": NEW_PASSWORD});
        alice.post("auth/email", new).await.body(202);
        let mail = mails(relay, 5).await.remove(4);
        let verify = json!({"token": token_of(&mail)});
        stranger.post("auth/email/verify", verify).await.body(204);
        let late = json!({"token": reset, "password": "six green lanterns"});
        stranger.post("auth/password/reset", late).await.is_problem(404, "not_found_or_expired");
    })
    .await;
}

#[tokio::test]
async fn without_mail_an_address_is_changed_at_once() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        relay.person("bob").await;
        let change = |email: &str| json!({"email": email, "password": PASSWORD});
        let taken = alice.post("auth/email", change("bob@example.org")).await;
        taken.is_problem(409, "email_taken");
        alice.post("auth/email", change("new@example.org")).await.body(204);
        assert_eq!(alice.get("auth/me").await.body(200)["account"]["email"], "new@example.org");
        alice.patch("auth/me", json!({"name": " Alice B. "})).await.body(200);
        assert_eq!(alice.get("auth/me").await.body(200)["account"]["name"], "Alice B.");
        alice.patch("auth/me", json!({"name": "a\u{202e}b"})).await.is_problem(422, "invalid_name");
    })
    .await;
}

#[tokio::test]
async fn where_addresses_must_be_confirmed_signing_up_tells_nothing_and_lets_nobody_in() {
    for engine in databases::engines() {
        let relay = TestRelay::start(engine, |config| {
            in_memory(config);
            config.mail.require_verified = true;
        })
        .await;
        let sign_up = |email: &str| json!({"email": email, "password": PASSWORD});
        let stranger = relay.stranger();
        let first = stranger.post("auth/register", sign_up("alice@example.org")).await;
        let mail = mails(&relay, 1).await.remove(0);
        let again = stranger.post("auth/register", sign_up("alice@example.org")).await;
        assert_eq!((first.status, &first.text), (202, &String::new()));
        assert_eq!((again.status, &again.text), (first.status, &first.text));
        for answer in [&first, &again] {
            assert!(!answer.headers.contains_key(header::SET_COOKIE));
        }
        assert!(mails(&relay, 2).await[1].contains("Subject: You have an account already"));

        let early = sign_in(&relay, "alice@example.org", PASSWORD).await;
        early.is_problem(403, "email_unverified");
        let wrong = sign_in(&relay, "alice@example.org", "a guess").await;
        wrong.is_problem(401, "invalid_credentials");
        let token = json!({"token": token_of(&mail)});
        stranger.post("auth/email/verify", token).await.body(204);
        sign_in(&relay, "alice@example.org", PASSWORD).await.body(200);
        relay.stop().await;
    }
}

#[tokio::test]
async fn passwords_that_are_guessed_first_are_refused_at_every_door() {
    on_every_database(async |relay: &TestRelay| {
        let stranger = relay.stranger();
        for password in ["password123", "1234567890", "wilhelmina1", "nightjar2026"] {
            let body = json!({"email": "wilhelmina@example.org", "password": password});
            let answer = stranger.post("auth/register", body).await;
            answer.is_problem(422, "weak_password");
            assert!(answer.json()["detail"].as_str().unwrap().contains("Take a few words"));
        }
    })
    .await;
}

#[tokio::test]
async fn sign_ins_are_listed_and_one_is_ended_with_what_it_opened() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let phone = relay
            .stranger()
            .request(Method::POST, "auth/login")
            .header(
                header::USER_AGENT,
                "Mozilla/5.0 (iPhone; like Mac OS X) Version/17.0 Safari/604",
            )
            .json(&json!({"email": "alice@example.org", "password": PASSWORD}));
        let phone = Person { cookie: Some(Answer::of(phone).await.cookie()), ..relay.stranger() };
        let (script, _) = crate::auth::tokens(relay).await;
        let list = alice.get("auth/sessions").await.body(200)["items"].clone();
        let list: Vec<&Value> = list.as_array().unwrap().iter().collect();
        assert_eq!(list.len(), 3, "{list:?}");
        let kinds: Vec<_> = list.iter().filter(|one| one["kind"] == "program").collect();
        assert_eq!(kinds.len(), 1);
        assert_eq!(list.iter().filter(|one| one["current"] == true).count(), 1);
        let of_phone = list.iter().find(|one| one["program"] == "Safari on iPhone").unwrap();
        assert_eq!(of_phone["network"], "127.0.0.x");
        assert_eq!(of_phone["current"], false);

        let mut socket = with_ticket(&phone).await;
        let path = format!("auth/sessions/{}", of_phone["sign_in_id"].as_str().unwrap());
        let bob = relay.person("bob").await;
        bob.delete(&path).await.is_problem(404, "not_found");
        phone.get("auth/me").await.body(200);
        alice.delete(&path).await.body(204);
        phone.get("auth/me").await.is_problem(401, "unauthenticated");
        is_closed(&mut socket).await;
        alice.delete(&path).await.is_problem(404, "not_found");
        alice.delete("auth/sessions/odd").await.is_problem(404, "not_found");
        script.get("auth/me").await.body(200);

        alice.delete("auth/sessions").await.body(204);
        script.get("auth/me").await.is_problem(401, "unauthenticated");
        let left = alice.get("auth/sessions").await.body(200);
        assert_eq!(left["items"].as_array().unwrap().len(), 1);
        assert_eq!(left["items"][0]["current"], true);
    })
    .await;
}

#[tokio::test]
async fn when_a_sign_in_was_last_used_is_known_to_the_minute() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let seen_at = async || {
            let list = alice.get("auth/sessions").await.body(200);
            list["items"][0]["seen_at"].as_i64().unwrap()
        };
        let first = seen_at().await;
        relay.pass(Duration::from_secs(30));
        assert_eq!(seen_at().await, first, "a request is no reason to write");
        relay.pass(Duration::from_secs(31));
        assert!(seen_at().await >= first + 60_000);
    })
    .await;
}

#[tokio::test]
async fn a_sign_in_with_something_new_is_told_by_mail() {
    on_every_database_with_mail(async |relay: &TestRelay| {
        confirmed(relay, "alice").await;
        let answer = sign_in(relay, "alice@example.org", PASSWORD).await;
        let device = answer.headers.get_all(header::SET_COOKIE).iter();
        let device = device.map(|value| value.to_str().unwrap()).find(|it| it.starts_with("known"));
        let device = device.unwrap().split(';').next().unwrap().to_owned();
        let mail = mails(relay, 2).await.remove(1);
        assert!(mail.contains("Subject: A new sign-in to your account"), "{mail}");
        assert!(mail.contains("127.0.0.x"), "{mail}");
        let known = Person { cookie: Some(device), ..relay.stranger() };
        let right = json!({"email": "alice@example.org", "password": PASSWORD});
        known.post("auth/login", right).await.body(200);
        // The next mail is of something else.
        let ask = json!({"email": "alice@example.org"});
        relay.stranger().post("auth/password/forgot", ask).await.body(202);
        assert!(mails(relay, 3).await[2].contains("Subject: Set a new password"));
    })
    .await;
}
