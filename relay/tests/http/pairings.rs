use std::time::Duration;

use nightjar_shared::{
    introduction::{Introduction, IntroductionAnswer},
    pairing::{JoinCode, ProvisioningFile},
};
use serde_json::{Value, json};

use crate::{
    person::Person,
    proxies::from_address,
    relay::{TestRelay, on_every_database, on_sqlite},
};

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[tokio::test]
async fn a_camera_is_paired_by_the_code_that_somebody_types() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let pairing = alice.open_pairing().await;
        let path = format!("pairings/{}", text(&pairing["pairing_id"]));
        assert_eq!(alice.get(&path).await.body(200)["state"], "open");

        let mut camera = relay.device();
        let typed = text(&pairing["code"]).to_lowercase().replace('-', " ");
        let claimed = camera.claim_by("code", &typed).await.body(200);
        assert_eq!(claimed["site_id"], json!(alice.home().await));
        assert_eq!(claimed["mqtt"]["client_id"], claimed["camera_id"]);
        assert!(text(&claimed["ca_pem"]).starts_with("-----BEGIN CERTIFICATE-----"));

        let now = alice.get(&path).await.body(200);
        assert_eq!((&now["state"], &now["camera_id"]), (&json!("claimed"), &claimed["camera_id"]));
        let cameras = alice.get("cameras").await.body(200);
        assert_eq!(cameras["items"][0]["name"], "Front door");
        assert_eq!(cameras["items"][0]["status"], "offline");
    })
    .await;
}

#[tokio::test]
async fn a_camera_is_paired_by_the_file_on_its_boot_partition() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let pairing = alice.open_pairing().await;
        let file: ProvisioningFile = toml::from_str(text(&pairing["provisioning"])).unwrap();
        assert_eq!(file.relay_url, relay.origin());
        // The code has run out by then, the secret has not.
        relay.pass(Duration::from_hours(23));
        relay.device().claim_by("secret", &file.secret).await.body(200);
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_got_lost_strands_nobody() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let pairing = alice.open_pairing().await;
        let mut camera = relay.device();
        let secret = text(&pairing["secret"]);
        let first = camera.claim_by("secret", secret).await.body(200);
        let again = camera.claim_by("secret", secret).await.body(200);
        assert_eq!(first["camera_id"], again["camera_id"]);
        let other = relay.device().claim_by("secret", secret).await;
        other.is_problem(404, "not_found_or_expired");
        let code = relay.device().claim_by("code", text(&pairing["code"])).await;
        code.is_problem(404, "not_found_or_expired");
        let cameras = alice.get("cameras").await.body(200);
        assert_eq!(cameras["items"].as_array().unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn wrong_expired_and_closed_pairings_look_alike() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let closed = alice.open_pairing().await;
        let path = format!("pairings/{}", text(&closed["pairing_id"]));
        alice.delete(&path).await.body(204);
        alice.get(&path).await.is_problem(404, "not_found");

        let open = alice.open_pairing().await;
        relay.pass(Duration::from_mins(11));
        for (field, value) in [
            ("code", "BCDF-GHJK"),
            ("code", "no code at all"),
            ("code", text(&open["code"])),
            ("secret", text(&closed["secret"])),
            ("secret", ""),
        ] {
            let answer = relay.device().claim_by(field, value).await;
            answer.is_problem(404, "not_found_or_expired");
        }
        relay.pass(Duration::from_hours(24));
        let late = relay.device().claim_by("secret", text(&open["secret"])).await;
        late.is_problem(404, "not_found_or_expired");
        let state = alice.get(&format!("pairings/{}", text(&open["pairing_id"]))).await.body(200);
        assert_eq!(state["state"], "expired");
    })
    .await;
}

#[tokio::test]
async fn guessing_codes_is_stopped() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let pairing = alice.open_pairing().await;
        let mut guesser = relay.device();
        for _ in 0..10 {
            let answer = guesser.claim_by("code", "BCDF-GHJK").await;
            answer.is_problem(404, "not_found_or_expired");
        }
        let right = text(&pairing["code"]);
        guesser.claim_by("code", right).await.is_problem(429, "rate_limited");
        relay.pass(Duration::from_secs(31));
        guesser.claim_by("code", right).await.body(200);
    })
    .await;
}

#[tokio::test]
async fn guessing_codes_at_once_gains_nothing() {
    on_sqlite(async |relay: &TestRelay| {
        let guesser = relay.device();
        let mut claims = Vec::new();
        for _ in 0..60 {
            claims.push(guesser.claim_body("code", "BCDF-GHJK").await);
        }
        let at_once = claims.into_iter().map(|body| guesser.caller.post("pairings/claim", body));
        let answers = futures::future::join_all(at_once).await;
        let looked_at = answers.iter().filter(|answer| answer.status == 404).count();
        let refused = answers.iter().filter(|answer| answer.status == 429).count();
        assert_eq!((looked_at, refused), (10, 50));
    })
    .await;
}

#[tokio::test]
async fn right_claims_and_those_without_proof_cost_no_guess() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        for _ in 0..15 {
            let pairing = alice.open_pairing().await;
            relay.device().claim_by("code", text(&pairing["code"])).await.body(200);
            let mut unsigned = relay.device().claim_body("code", "BCDF-GHJK").await;
            unsigned["signature"] = json!("");
            let answer = relay.device().caller.post("pairings/claim", unsigned).await;
            answer.is_problem(401, "invalid_proof");
        }
    })
    .await;
}

#[tokio::test]
async fn of_two_cameras_with_one_code_exactly_one_is_paired() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        for _ in 0..8 {
            let pairing = alice.open_pairing().await;
            let code = text(&pairing["code"]);
            let (mut first, mut second) = (relay.device(), relay.device());
            let (one, other) =
                tokio::join!(first.claim_by("code", code), second.claim_by("code", code));
            let mut statuses = [one.status, other.status];
            statuses.sort_unstable();
            assert_eq!(statuses, [200, 404], "{} {}", one.text, other.text);
            relay.pass(Duration::from_secs(31));
        }
        let cameras = alice.get("cameras").await.body(200);
        assert_eq!(cameras["items"].as_array().unwrap().len(), 8);
    })
    .await;
}

#[tokio::test]
async fn a_claim_without_the_proof_of_its_key_is_refused() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let pairing = alice.open_pairing().await;
        let secret = text(&pairing["secret"]);
        let camera = relay.device();

        let mut borrowed = camera.claim_body("secret", secret).await;
        borrowed["public_key"] = json!(relay.device().public_key());
        let mut unsigned = camera.claim_body("secret", secret).await;
        unsigned["signature"] = json!("");
        let mut other_text = camera.claim_body("secret", secret).await;
        other_text["signature"] = json!(camera.sign("anything"));
        let mut made_up = camera.claim_body("secret", secret).await;
        made_up["nonce"] = json!("made-up");
        for body in [borrowed, unsigned, other_text, made_up] {
            let answer = camera.caller.post("pairings/claim", body).await;
            answer.is_problem(401, "invalid_proof");
        }

        let late = camera.claim_body("secret", secret).await;
        relay.pass(Duration::from_secs(61));
        camera.caller.post("pairings/claim", late).await.is_problem(401, "invalid_proof");

        let good = camera.claim_body("secret", secret).await;
        camera.caller.post("pairings/claim", good.clone()).await.body(200);
        // A nonce works once, also for who is right.
        camera.caller.post("pairings/claim", good).await.is_problem(401, "invalid_proof");
    })
    .await;
}

#[tokio::test]
async fn a_newer_agent_is_told_to_wait_for_a_newer_relay() {
    on_sqlite(async |relay: &TestRelay| {
        let camera = relay.device();
        let mut body = camera.claim_body("code", "BCDF-GHJK").await;
        body["protocol"] = json!(2);
        let answer = camera.caller.post("pairings/claim", body).await;
        answer.is_problem(426, "unsupported_protocol");
    })
    .await;
}

#[tokio::test]
async fn a_camera_of_another_site_is_not_taken_over() {
    on_every_database(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let mut camera = relay.camera_of(&alice).await;
        let pairing = bob.open_pairing().await;
        let secret = text(&pairing["secret"]).to_owned();
        camera.claim_by("secret", &secret).await.is_problem(409, "already_paired");
        // Once its owner has let it go, it may.
        alice.delete(&format!("cameras/{}", camera.id())).await.body(204);
        camera.claim_by("secret", &secret).await.body(200);
    })
    .await;
}

#[tokio::test]
async fn a_site_has_twenty_open_pairings_at_most() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        for _ in 0..20 {
            alice.open_pairing().await;
        }
        let home = alice.home().await;
        let answer = alice.post(&format!("sites/{home}/pairings"), json!({})).await;
        answer.is_problem(409, "too_many_pairings");
    })
    .await;
}

#[tokio::test]
async fn the_more_codes_are_open_the_fewer_guesses_there_are() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        for _ in 0..20 {
            alice.open_pairing().await;
        }
        let mut looked_at = 0;
        for number in 2..5 {
            let mut guesser = relay.device();
            guesser.caller = from_address(&guesser.caller, &format!("127.0.0.{number}"));
            for _ in 0..6 {
                let answer = guesser.claim_by("code", "BCDF-GHJK").await;
                looked_at += usize::from(answer.status == 404);
            }
        }
        // A hundred in all, each weighs twenty.
        assert_eq!(looked_at, 5);
        relay.pass(Duration::from_mins(11));
        // The codes have ended: a guess weighs little again.
        let mut guesser = relay.device();
        for _ in 0..6 {
            guesser.claim_by("code", "BCDF-GHJK").await.is_problem(404, "not_found_or_expired");
        }
    })
    .await;
}

/// Asks the relay to prove that it knows a code; gives whether it did.
async fn introduced(relay: &TestRelay, code: &str) -> bool {
    introduced_to(&relay.stranger(), code).await
}

async fn introduced_to(stranger: &Person, code: &str) -> bool {
    let (introduction, question) = Introduction::begin(&code.parse::<JoinCode>().unwrap());
    let question = serde_json::to_value(question).unwrap();
    let answer = stranger.post("pairings/introduce", question).await.body(200);
    let answer: IntroductionAnswer = serde_json::from_value(answer).unwrap();
    introduction.check(&answer).is_ok()
}

#[tokio::test]
async fn the_relay_proves_that_it_knows_a_code_and_no_other() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let pairing = alice.open_pairing().await;
        let code = text(&pairing["code"]);
        assert!(introduced(relay, code).await);
        // Of a code that nobody has opened, and of one that begins alike, the answer proves nothing.
        let last = if code.ends_with('B') { "C" } else { "B" };
        assert!(!introduced(relay, &format!("{}{last}", &code[..8])).await);
        assert!(!introduced(relay, "BCDF-GHJK").await);
        let odd = json!({"head": "\u{0}", "message": ""});
        relay.stranger().post("pairings/introduce", odd).await.is_problem(422, "invalid_claim");
        relay.pass(Duration::from_mins(11));
        assert!(!introduced(relay, code).await);
    })
    .await;
}

#[tokio::test]
async fn asking_for_the_proof_of_a_code_counts_as_a_guess() {
    on_sqlite(async |relay: &TestRelay| {
        for _ in 0..10 {
            assert!(!introduced(relay, "BCDF-GHJK").await);
        }
        let question = json!({"head": "BCD", "message": ""});
        let answer = relay.stranger().post("pairings/introduce", question.clone()).await;
        answer.is_problem(429, "rate_limited");
        relay.pass(Duration::from_secs(31));
        let answer = relay.stranger().post("pairings/introduce", question).await;
        answer.is_problem(422, "invalid_claim");
    })
    .await;
}

#[tokio::test]
async fn however_many_codes_are_open_cameras_that_know_theirs_are_introduced() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        for number in 2..22 {
            let pairing = alice.open_pairing().await;
            let camera = from_address(&relay.stranger(), &format!("127.0.0.{number}"));
            assert!(introduced_to(&camera, text(&pairing["code"])).await, "{number}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_pairings_of_a_site_are_listed_and_taken_back() {
    on_every_database(async |relay: &TestRelay| {
        let (alice, bob) = (relay.person("alice").await, relay.person("bob").await);
        let path = format!("sites/{}/pairings", alice.home().await);
        let first = alice.open_pairing().await;
        let second = alice.open_pairing().await;
        relay.device().claim_by("secret", text(&second["secret"])).await.body(200);
        let listed = alice.get(&path).await.body(200);
        let items = listed["items"].as_array().unwrap();
        assert_eq!(items.len(), 1, "{listed}");
        assert_eq!(items[0]["pairing_id"], first["pairing_id"]);
        assert!(!listed.to_string().contains(text(&first["secret"])));
        bob.get(&path).await.is_problem(404, "not_found");
        alice.delete(&format!("pairings/{}", text(&first["pairing_id"]))).await.body(204);
        assert_eq!(alice.get(&path).await.body(200)["items"], json!([]));
    })
    .await;
}
