//! Second factors: codes of an app, backup codes, who needs one, and showing again who one is.

use std::time::Duration;

use nightjar_shared::ids::AccountId;
use serde_json::{Value, json};
use totp_rs::{Builder, Secret, Totp};

use crate::{
    databases::Engine,
    device::health,
    members::let_in,
    person::{Answer, PASSWORD, Person},
    relay::{TestRelay, on_every_database, on_sqlite},
    ws::with_ticket,
};

pub(crate) const STEP: Duration = Duration::from_secs(30);

/// An app on a phone, whose clock is the relay's but for `off` seconds.
pub(crate) struct Phone {
    totp: Totp,
    pub(crate) off_s: i64,
}

impl Phone {
    fn new(beginning: &Value) -> Self {
        let secret = Secret::try_from_base32(beginning["secret"].as_str().unwrap()).unwrap();
        let totp = Builder::new().with_secret(secret).with_skew(0).build().unwrap();
        Self { totp, off_s: 0 }
    }

    pub(crate) fn code(&self, relay: &TestRelay) -> String {
        let second = relay.app().now().0 / 1000 + self.off_s;
        self.totp.generate(u64::try_from(second).unwrap()).to_string()
    }
}

/// A code that is wrong for certain now.
fn wrong(relay: &TestRelay, phone: &Phone) -> String {
    let near: Vec<String> = (-12..=12)
        .map(|step| Phone { totp: phone.totp.clone(), off_s: step * 30 }.code(relay))
        .collect();
    (0..26).map(|number| format!("{number:06}")).find(|code| !near.contains(code)).unwrap()
}

pub(crate) async fn confirm(person: &Person) {
    person.post("auth/confirm", json!({"password": PASSWORD})).await.body(204);
}

/// Shows a second factor.
pub(crate) async fn show(person: &Person, factor: Value) {
    person.post("auth/confirm", json!({"factor": factor})).await.body(204);
}

/// Sets up an app with codes. Gives the phone and the backup codes.
pub(crate) async fn set_up(relay: &TestRelay, person: &mut Person) -> (Phone, Vec<String>) {
    confirm(person).await;
    let phone = Phone::new(&person.post("auth/mfa/totp", json!({})).await.body(201));
    let code = json!({"code": phone.code(relay)});
    let answer = person.post("auth/mfa/totp/confirm", code).await;
    if person.token.is_none() {
        person.cookie = Some(answer.cookie());
    }
    let codes = answer.body(200)["backup_codes"].clone();
    // The next code is another one.
    relay.pass(STEP);
    (phone, serde_json::from_value(codes).unwrap())
}

/// The first step of a sign-in: what is asked then.
pub(crate) async fn asked(relay: &TestRelay, email: &str) -> Value {
    let body = json!({"email": email, "password": PASSWORD});
    let answer = relay.stranger().post("auth/login", body).await;
    assert!(!answer.headers.contains_key(http::header::SET_COOKIE), "nobody is signed in yet");
    let asked = answer.body(200);
    assert!(asked.get("account").is_none() && asked.get("sites").is_none(), "{asked}");
    asked["second_factor"].clone()
}

pub(crate) async fn answer(relay: &TestRelay, asked: &Value, factor: Value) -> Answer {
    let body = json!({"challenge": asked["challenge"], "factor": factor});
    relay.stranger().post("auth/mfa/verify", body).await
}

async fn sign_in(relay: &TestRelay, email: &str, code: String) -> Answer {
    let asked = asked(relay, email).await;
    answer(relay, &asked, json!({"code": code})).await
}

#[tokio::test]
async fn who_has_an_app_with_codes_signs_in_by_password_and_code() {
    on_every_database(async |relay: &TestRelay| {
        let mut alice = relay.person("alice").await;
        let state = alice.get("auth/mfa").await.body(200);
        assert_eq!((&state["code"], &state["required"]), (&json!(false), &json!(false)));
        alice.post("auth/mfa/totp", json!({})).await.is_problem(403, "confirmation_required");
        let (phone, codes) = set_up(relay, &mut alice).await;
        assert_eq!(codes.len(), 10);
        let state = alice.get("auth/mfa").await.body(200);
        assert_eq!((&state["code"], &state["backup_codes_left"]), (&json!(true), &json!(10)));
        show(&alice, json!({"backup_code": codes[9]})).await;
        alice.post("auth/mfa/totp", json!({})).await.is_problem(409, "already_set_up");

        let asked = asked(relay, "alice@example.org").await;
        assert_eq!(asked["kinds"], json!(["code", "backup_code"]));
        assert_eq!(asked["expires_in_s"], 300);
        let right = phone.code(relay);
        let signed_in = answer(relay, &asked, json!({"code": right})).await;
        let other = Person { cookie: Some(signed_in.cookie()), ..relay.stranger() };
        assert_eq!(signed_in.body(200)["account"]["email"], "alice@example.org");
        other.get("cameras").await.body(200);
        // Neither the question nor the code is good twice.
        let again = answer(relay, &asked, json!({"code": right})).await;
        again.is_problem(403, "challenge_expired");
        sign_in(relay, "alice@example.org", right).await.is_problem(403, "code_used");
        relay.pass(STEP);
        sign_in(relay, "alice@example.org", phone.code(relay)).await.body(200);
    })
    .await;
}

#[tokio::test]
async fn a_program_answers_the_same_and_gets_tokens() {
    on_sqlite(async |relay: &TestRelay| {
        let mut alice = relay.person("alice").await;
        let (phone, _) = set_up(relay, &mut alice).await;
        let login = json!({"email": "alice@example.org", "password": PASSWORD, "tokens": true});
        let asked = relay.stranger().post("auth/login", login).await.body(200);
        assert!(asked.get("access_token").is_none());
        let body = json!({
            "challenge": asked["second_factor"]["challenge"],
            "factor": {"code": phone.code(relay)},
            "tokens": true,
        });
        let tokens = relay.stranger().post("auth/mfa/verify", body).await.body(200);
        let program = Person {
            token: Some(tokens["access_token"].as_str().unwrap().to_owned()),
            ..relay.stranger()
        };
        program.get("sites").await.body(200);
    })
    .await;
}

#[tokio::test]
async fn a_code_that_comes_twice_at_once_signs_in_once() {
    on_every_database(async |relay: &TestRelay| {
        let mut alice = relay.person("alice").await;
        let (phone, codes) = set_up(relay, &mut alice).await;
        for factor in [json!({"code": phone.code(relay)}), json!({"backup_code": codes[0]})] {
            // Of one question, and of two.
            let (one, other) =
                (asked(relay, "alice@example.org").await, asked(relay, "alice@example.org").await);
            let answers = tokio::join!(
                answer(relay, &one, factor.clone()),
                answer(relay, &other, factor.clone()),
                answer(relay, &one, factor.clone()),
            );
            let statuses = [answers.0.status, answers.1.status, answers.2.status];
            let taken = statuses.iter().filter(|status| **status == 200).count();
            assert_eq!(taken, 1, "{factor}: {statuses:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_clock_that_is_five_minutes_off_is_named_and_not_let_in() {
    on_sqlite(async |relay: &TestRelay| {
        let mut alice = relay.person("alice").await;
        let (mut phone, _) = set_up(relay, &mut alice).await;
        for off_s in [-300, 300] {
            phone.off_s = off_s;
            let refused = sign_in(relay, "alice@example.org", phone.code(relay)).await;
            refused.is_problem(403, "clock_off");
            let way = if off_s < 0 { "behind" } else { "ahead" };
            assert!(refused.json()["detail"].as_str().unwrap().contains(way), "{}", refused.text);
        }
        // Who guessed a code of the future does not have it when its time comes.
        let early = phone.code(relay);
        relay.pass(Duration::from_mins(5));
        sign_in(relay, "alice@example.org", early).await.is_problem(403, "code_used");
        phone.off_s = 0;
        relay.pass(STEP);
        sign_in(relay, "alice@example.org", phone.code(relay)).await.body(200);
        // Half a minute is nobody's fault.
        relay.pass(4 * STEP);
        phone.off_s = -30;
        sign_in(relay, "alice@example.org", phone.code(relay)).await.body(200);
    })
    .await;
}

#[tokio::test]
async fn a_question_has_five_answers_and_five_minutes() {
    on_every_database(async |relay: &TestRelay| {
        let mut alice = relay.person("alice").await;
        let (phone, _) = set_up(relay, &mut alice).await;
        let question = asked(relay, "alice@example.org").await;
        for _ in 0..5 {
            let refused = answer(relay, &question, json!({"code": wrong(relay, &phone)})).await;
            refused.is_problem(403, "invalid_code");
        }
        let right = json!({"code": phone.code(relay)});
        let spent = answer(relay, &question, right).await;
        spent.is_problem(403, "challenge_expired");
        let question = asked(relay, "alice@example.org").await;
        relay.pass(Duration::from_mins(5));
        let late = answer(relay, &question, json!({"code": phone.code(relay)})).await;
        late.is_problem(403, "challenge_expired");
        let unasked = json!({"challenge": "", "factor": {"code": phone.code(relay)}});
        let unasked = relay.stranger().post("auth/mfa/verify", unasked).await;
        unasked.is_problem(403, "challenge_expired");
        sign_in(relay, "alice@example.org", phone.code(relay)).await.body(200);
    })
    .await;
}

#[tokio::test]
async fn codes_cannot_be_guessed_by_who_knows_the_password_and_their_owner_gets_in_meanwhile() {
    on_sqlite(async |relay: &TestRelay| {
        let mut alice = relay.person("alice").await;
        let (phone, codes) = set_up(relay, &mut alice).await;
        let mut judged = 0;
        for _ in 0..12 {
            let question = asked(relay, "alice@example.org").await;
            for _ in 0..5 {
                let code = json!({"code": wrong(relay, &phone)});
                let refused = answer(relay, &question, code).await;
                judged += usize::from(refused.status == 403);
            }
        }
        assert!(judged <= 10, "{judged} of 60 guesses were judged");
        let refused = sign_in(relay, "alice@example.org", phone.code(relay)).await;
        refused.is_problem(429, "rate_limited");
        // Backup codes work on.
        let question = asked(relay, "alice@example.org").await;
        answer(relay, &question, json!({"backup_code": codes[0]})).await.body(200);
        // A stranger without the password has no question to answer, and stops nobody.
        relay.pass(Duration::from_mins(50));
        for _ in 0..100 {
            let body = json!({"challenge": "guessed", "factor": {"code": "000000"}});
            relay.stranger().post("auth/mfa/verify", body).await;
        }
        sign_in(relay, "alice@example.org", phone.code(relay)).await.body(200);
    })
    .await;
}

#[tokio::test]
async fn where_there_is_a_factor_the_password_alone_changes_nothing_that_lasts() {
    on_every_database(async |relay: &TestRelay| {
        let mut alice = relay.person("alice").await;
        let (phone, _) = set_up(relay, &mut alice).await;
        confirm(&alice).await;
        let home = alice.home().await;
        let of_keys = json!({"name": "x", "rights": ["see_cameras"]});
        let of_email = json!({"email": "thief@example.org", "password": PASSWORD});
        // The same again, as the account ends by it below.
        let of_password = json!({"current": PASSWORD, "password": PASSWORD});
        let of_deletion = json!({"password": PASSWORD, "site_ids": [home]});
        let wishes = [
            ("auth/mfa/backup-codes", json!({})),
            ("auth/passkeys", json!({})),
            ("auth/keys", of_keys),
            ("auth/export", json!({"password": PASSWORD})),
            ("auth/email", of_email),
            ("auth/password", of_password),
            ("auth/deletion", of_deletion),
        ];
        for (door, wish) in &wishes {
            let refused = alice.post(door, wish.clone()).await;
            refused.is_problem(403, "confirmation_required");
        }
        assert_eq!(alice.get("auth/mfa").await.body(200)["backup_codes_left"], 10);
        show(&alice, json!({"code": phone.code(relay)})).await;
        for (door, wish) in wishes {
            let status = alice.post(door, wish).await.status;
            assert!((200..300).contains(&status), "{door}: {status}");
        }
    })
    .await;
}

#[tokio::test]
async fn backup_codes_work_once_each_and_a_new_set_replaces_the_old() {
    on_every_database(async |relay: &TestRelay| {
        let mut alice = relay.person("alice").await;
        alice
            .post("auth/mfa/backup-codes", json!({}))
            .await
            .is_problem(403, "confirmation_required");
        confirm(&alice).await;
        alice.post("auth/mfa/backup-codes", json!({})).await.is_problem(409, "not_set_up");
        let (_, codes) = set_up(relay, &mut alice).await;
        let typed = codes[0].to_uppercase().replace('-', " ");
        for (code, status) in [(&typed, 200), (&codes[0], 403), (&codes[1], 200)] {
            let question = asked(relay, "alice@example.org").await;
            answer(relay, &question, json!({"backup_code": code})).await.body(status);
        }
        assert_eq!(alice.get("auth/mfa").await.body(200)["backup_codes_left"], 8);
        show(&alice, json!({"backup_code": codes[3]})).await;
        let fresh = alice.post("auth/mfa/backup-codes", json!({})).await.body(201);
        let fresh: Vec<String> = serde_json::from_value(fresh["backup_codes"].clone()).unwrap();
        for (code, status) in [(&codes[2], 403), (&fresh[0], 200)] {
            let question = asked(relay, "alice@example.org").await;
            answer(relay, &question, json!({"backup_code": code})).await.body(status);
        }
        // Another account's are nothing here.
        let mut bob = relay.person("bob").await;
        set_up(relay, &mut bob).await;
        let question = asked(relay, "bob@example.org").await;
        let foreign = answer(relay, &question, json!({"backup_code": fresh[1]})).await;
        foreign.is_problem(403, "invalid_code");
    })
    .await;
}

#[tokio::test]
async fn the_first_factor_ends_other_sign_ins_and_changes_this_one() {
    on_every_database(async |relay: &TestRelay| {
        let mut alice = relay.person("alice").await;
        let body = json!({"email": "alice@example.org", "password": PASSWORD});
        let elsewhere = relay.stranger().post("auth/login", body).await.cookie();
        let elsewhere = Person { cookie: Some(elsewhere), ..relay.stranger() };
        elsewhere.get("auth/me").await.body(200);
        let before = alice.clone();
        set_up(relay, &mut alice).await;
        assert_ne!(
            before.cookie, alice.cookie,
            "who has seen the cookie has nothing of the new one"
        );
        before.get("auth/me").await.is_problem(401, "unauthenticated");
        elsewhere.get("auth/me").await.is_problem(401, "unauthenticated");
        alice.get("auth/me").await.body(200);
        with_ticket(&alice).await;
        // A cookie that somebody planted is not the one that a sign-in gives.
        let planted = Person { cookie: Some("session=planted".to_owned()), ..relay.stranger() };
        let body = json!({"email": "bob@example.org", "password": PASSWORD});
        let answer = planted.post("auth/register", body).await;
        assert_ne!(answer.cookie(), "session=planted");
        planted.get("auth/me").await.is_problem(401, "unauthenticated");
    })
    .await;
}

#[tokio::test]
async fn a_factor_goes_with_password_and_factor_alone() {
    on_every_database(async |relay: &TestRelay| {
        let mut alice = relay.person("alice").await;
        let (phone, codes) = set_up(relay, &mut alice).await;
        relay.pass(Duration::from_mins(10));
        alice.delete("auth/mfa/totp").await.is_problem(403, "confirmation_required");
        let shown = json!({"password": "not the right one"});
        alice.post("auth/confirm", shown).await.is_problem(403, "invalid_credentials");
        alice.post("auth/confirm", json!({})).await.is_problem(403, "confirmation_required");
        confirm(&alice).await;
        alice.delete("auth/mfa/totp").await.is_problem(403, "confirmation_required");
        let shown = json!({"factor": {"code": phone.code(relay)}});
        alice.post("auth/confirm", shown).await.body(204);
        alice.delete("auth/mfa/totp").await.body(204);
        alice.delete("auth/mfa/totp").await.is_problem(404, "not_found");
        let state = alice.get("auth/mfa").await.body(200);
        assert_eq!((&state["code"], &state["backup_codes_left"]), (&json!(false), &json!(0)));
        let body = json!({"email": "alice@example.org", "password": PASSWORD});
        relay.stranger().post("auth/login", body).await.cookie();
        // The old codes are nothing after another set-up.
        set_up(relay, &mut alice).await;
        let question = asked(relay, "alice@example.org").await;
        let old = answer(relay, &question, json!({"backup_code": codes[5]})).await;
        old.is_problem(403, "invalid_code");
    })
    .await;
}

#[tokio::test]
async fn wrong_passwords_at_a_stolen_sign_in_are_few_and_lock_nobody_else_out() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let wrong = json!({"password": "guess after guess"});
        let mut judged = 0;
        for _ in 0..30 {
            let refused = alice.post("auth/confirm", wrong.clone()).await;
            judged += usize::from(refused.status == 403);
        }
        assert!(judged <= 10, "{judged} of 30 guesses were judged");
        let body = json!({"email": "alice@example.org", "password": PASSWORD});
        let elsewhere = relay.stranger().post("auth/login", body).await.cookie();
        confirm(&Person { cookie: Some(elsewhere), ..relay.stranger() }).await;
    })
    .await;
}

/// Makes an administrator of somebody, as the relay's command line does.
pub(crate) async fn promote(relay: &TestRelay, person: &Person) {
    use nightjar_relay::engines::db::Executor as _;
    let me = person.get("auth/me").await.body(200);
    let id: AccountId = me["account"]["account_id"].as_str().unwrap().parse().unwrap();
    let sql = "update accounts set role = 'admin' where account_id = $1";
    relay.app().db.execute(sql, vec![id.into()]).await.unwrap();
}

#[tokio::test]
async fn an_administrator_without_a_factor_can_only_set_one_up() {
    on_every_database(async |relay: &TestRelay| {
        let mut root = relay.person("root").await;
        let home = root.home().await;
        promote(relay, &root).await;
        for path in
            ["cameras", "sites", "clips", "events", &format!("sites/{home}/pairings"), "auth/keys"]
        {
            root.get(path).await.is_problem(403, "second_factor_required");
        }
        let ticket = root.post("ws/tickets", Value::Null).await;
        ticket.is_problem(403, "second_factor_required");
        let me = root.get("auth/me").await.body(200);
        assert_eq!((&me["second_factor_required"], &me["sites"]), (&json!(true), &json!([])));
        let (phone, _) = set_up(relay, &mut root).await;
        root.get("cameras").await.body(200);
        assert_eq!(root.get("auth/me").await.body(200)["second_factor_required"], false);
        // And keeps it.
        confirm(&root).await;
        let shown = json!({"factor": {"code": phone.code(relay)}});
        root.post("auth/confirm", shown).await.body(204);
        root.delete("auth/mfa/totp").await.is_problem(409, "second_factor_required");
        root.get("cameras").await.body(200);
        root.post("auth/logout", Value::Null).await.body(204);
    })
    .await;
}

#[tokio::test]
async fn a_site_may_require_a_factor_of_its_members() {
    on_every_database(async |relay: &TestRelay| {
        let (mut alice, mut bob) = (relay.person("alice").await, relay.person("bob").await);
        let home = alice.home().await;
        let (camera, own) = (relay.camera_of(&alice).await, relay.camera_of(&bob).await);
        let_in(&alice, &bob, "viewer").await;
        let (site, of_camera) = (format!("sites/{home}"), format!("cameras/{}", camera.id()));
        let required = json!({"requires_second_factor": true});
        // Who has none asks none of others.
        let refused = alice.patch(&site, required.clone()).await;
        refused.is_problem(403, "second_factor_required");
        set_up(relay, &mut alice).await;
        bob.patch(&site, required.clone()).await.is_problem(403, "forbidden");
        let mut socket = with_ticket(&bob).await;
        bob.get(&of_camera).await.body(200);
        let changed = alice.patch(&site, required).await.body(200);
        assert_eq!(changed["requires_second_factor"], true);

        for path in [&site, &of_camera] {
            bob.get(path).await.is_problem(403, "second_factor_required");
        }
        let cameras = bob.get("cameras").await.body(200);
        assert_eq!(cameras["items"].as_array().unwrap().len(), 1, "his own");
        let sites = bob.get("sites").await.body(200);
        let theirs = sites["items"].as_array().unwrap();
        let theirs = theirs.iter().find(|site| site["site_id"] == json!(home)).unwrap();
        assert_eq!((&theirs["may"], &theirs["requires_second_factor"]), (&json!([]), &json!(true)));
        // His own site goes on, and is the first that he hears of.
        camera.beat(relay, health()).await;
        own.beat(relay, health()).await;
        let first = crate::ws::next_but_notifications(&mut socket).await;
        assert_eq!(first["camera"]["camera_id"], json!(own.id()), "{first}");

        let (phone, _) = set_up(relay, &mut bob).await;
        bob.get(&of_camera).await.body(200);
        confirm(&bob).await;
        let shown = json!({"factor": {"code": phone.code(relay)}});
        bob.post("auth/confirm", shown).await.body(204);
        bob.delete("auth/mfa/totp").await.is_problem(409, "second_factor_required");
        alice.patch(&site, json!({"requires_second_factor": false})).await.body(200);
        bob.delete("auth/mfa/totp").await.body(204);
        bob.get(&of_camera).await.body(200);
    })
    .await;
}

#[tokio::test]
async fn an_operator_removes_the_factors_of_somebody_who_has_lost_them() {
    on_every_database(async |relay: &TestRelay| {
        let mut alice = relay.person("alice").await;
        set_up(relay, &mut alice).await;
        let app = relay.app();
        nightjar_relay::domain::factors::remove_all(&app.db, " Alice@example.org", app.now())
            .await
            .unwrap();
        alice.get("auth/me").await.is_problem(401, "unauthenticated");
        let body = json!({"email": "alice@example.org", "password": PASSWORD});
        let cookie = relay.stranger().post("auth/login", body).await.cookie();
        let alice = Person { cookie: Some(cookie), ..relay.stranger() };
        let state = alice.get("auth/mfa").await.body(200);
        assert_eq!((&state["code"], &state["backup_codes_left"]), (&json!(false), &json!(0)));
    })
    .await;
}

#[tokio::test]
async fn secrets_of_apps_lie_sealed_and_outlast_a_restart() {
    use nightjar_relay::engines::db::Executor as _;
    let relay = TestRelay::start(Engine::Sqlite, |_| {}).await;
    let mut alice = relay.person("alice").await;
    confirm(&alice).await;
    let beginning = alice.post("auth/mfa/totp", json!({})).await.body(201);
    let phone = Phone::new(&beginning);
    let code = json!({"code": phone.code(&relay)});
    let answer = alice.post("auth/mfa/totp/confirm", code).await;
    alice.cookie = Some(answer.cookie());
    let codes: Vec<String> =
        serde_json::from_value(answer.body(200)["backup_codes"].clone()).unwrap();
    let sql = "select sealed_secret from totp_secrets";
    let row = relay.app().db.query_one(sql, Vec::new()).await.unwrap().unwrap();
    let sealed: String = row.get("sealed_secret").unwrap();
    let secret = Secret::try_from_base32(beginning["secret"].as_str().unwrap()).unwrap();
    assert!(!sealed.contains(&hex::encode(secret.as_bytes())));
    let sql = "select code_hash from backup_codes";
    for row in relay.app().db.query(sql, Vec::new()).await.unwrap() {
        let hash: String = row.get("code_hash").unwrap();
        assert!(!codes.contains(&hash));
    }
    let relay = relay.restart().await;
    relay.pass(STEP);
    sign_in(&relay, "alice@example.org", phone.code(&relay)).await.body(200);
    relay.stop().await;
}
