//! What is open ends with the right that opened it: sign-ins that end, roles that are lost, cameras
//! that are removed. Both ends of a live picture are told.

use futures::StreamExt as _;
use nightjar_shared::{
    ids::AccountId,
    signal::{Signal, SignalKind},
};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    auth::tokens,
    databases::Engine,
    device::{Device, Online},
    live::{OFFER, answer, online, watch},
    live_limits::report,
    live_socket::{hear, say},
    members::let_in,
    person::{PASSWORD, Person},
    relay::{TestRelay, eventually, on_every_database, on_sqlite},
    support::{PATIENCE, until, within},
    turn::{credentials, metric, relay_with_turn},
    turn_client::TurnClient,
    ws::{Socket, open, with_ticket},
};

/// Changes the database as only its owner could.
async fn alter(
    relay: &TestRelay,
    sql: &'static str,
    values: Vec<nightjar_relay::engines::db::Value>,
) {
    use nightjar_relay::engines::db::Executor as _;
    relay.app().db.execute(sql, values).await.unwrap();
}

async fn account_id(person: &Person) -> AccountId {
    let me = person.get("auth/me").await.body(200);
    me["account"]["account_id"].as_str().unwrap().parse().unwrap()
}

/// Changes what a member is where nobody here hears of it, as another replica does.
async fn set_role(relay: &TestRelay, host: &Person, guest: &Person, role: &'static str) {
    let sql = "update members set role = $3 where site_id = $1 and account_id = $2";
    let home = host.home().await;
    alter(relay, sql, vec![home.into(), account_id(guest).await.into(), role.into()]).await;
}

/// The same person at another device.
async fn sign_in_again(relay: &TestRelay, email: &str) -> Person {
    let mut person = relay.stranger();
    let body = json!({"email": email, "password": PASSWORD});
    person.cookie = Some(person.post("auth/login", body).await.cookie());
    person
}

/// A session that streams: where it lives, and the offer that the camera had.
async fn watching(person: &Person, device: &Device, camera: &mut Online) -> (String, Signal) {
    let (opened, offer) = tokio::join!(watch(person, device, OFFER), answer(camera));
    (opened.headers["location"].to_str().unwrap().to_owned(), offer)
}

/// The camera is told to end this session, and a member sees that it ended.
async fn ends(witness: &Person, camera: &mut Online, offer: &Signal) {
    let bye = camera.heard_signal().await;
    assert_eq!((bye.kind, bye.session_id), (SignalKind::Bye, offer.session_id));
    assert_eq!(bye.reason.as_deref(), Some("access_ended"));
    let path = format!("live/{}", offer.session_id);
    let session = witness.get(&path).await.body(200);
    assert_eq!(
        (&session["state"], &session["reason"]),
        (&json!("completed"), &json!("access_ended"))
    );
}

pub(crate) async fn is_closed(socket: &mut Socket) {
    loop {
        match within(PATIENCE, socket.next()).await {
            Some(Ok(Message::Close(_)) | Err(_)) | None => return,
            Some(Ok(_)) => {}
        }
    }
}

async fn still_streams(person: &Person, location: &str) {
    assert_eq!(person.get(location).await.body(200)["state"], "streaming");
}

#[tokio::test]
async fn signing_out_ends_what_that_sign_in_watches_and_nothing_else() {
    on_every_database(async |relay: &TestRelay| {
        let phone = relay.person("alice").await;
        let tablet = sign_in_again(relay, "alice@example.org").await;
        let (device, mut camera) = online(relay, &phone).await;
        let (on_tablet, _) = watching(&tablet, &device, &mut camera).await;
        let (_, offer) = watching(&phone, &device, &mut camera).await;
        let mut socket = with_ticket(&phone).await;
        let mut other = with_ticket(&tablet).await;
        phone.post("auth/logout", Value::Null).await.body(204);
        ends(&tablet, &mut camera, &offer).await;
        is_closed(&mut socket).await;
        still_streams(&tablet, &on_tablet).await;
        say(&mut other, json!({"type": "ping"})).await;
        hear(&mut other, "pong").await;
    })
    .await;
}

#[tokio::test]
async fn a_copied_refresh_token_ends_all_that_its_account_watches() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let (device, mut camera) = online(relay, &alice).await;
        let (script, refresh) = tokens(relay).await;
        let (_, offer) = watching(&script, &device, &mut camera).await;
        let refresh = json!({"refresh_token": refresh});
        script.post("auth/refresh", refresh.clone()).await.body(200);
        script.post("auth/refresh", refresh).await.is_problem(401, "invalid_refresh_token");
        ends(&alice, &mut camera, &offer).await;
    })
    .await;
}

#[tokio::test]
async fn a_sign_in_that_runs_out_takes_sockets_and_pictures_along() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let (device, mut camera) = online(relay, &alice).await;
        for sql in
            ["update sessions set expires_at = 0", "update token_families set expires_at = 0"]
        {
            let (script, _) = tokens(relay).await;
            let browser = sign_in_again(relay, "alice@example.org").await;
            let viewer = if sql.contains("families") { &script } else { &browser };
            let (_, offer) = watching(viewer, &device, &mut camera).await;
            let mut socket = with_ticket(viewer).await;
            alter(relay, sql, Vec::new()).await;
            relay.sweep().await;
            let witness = sign_in_again(relay, "alice@example.org").await;
            ends(&witness, &mut camera, &offer).await;
            is_closed(&mut socket).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_member_who_may_not_watch_any_more_watches_no_more() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let guest = relay.person("guest").await;
        let (device, mut camera) = online(relay, &alice).await;
        let (hers, _) = watching(&alice, &device, &mut camera).await;
        let_in(&alice, &guest, "viewer").await;
        let (_, offer) = watching(&guest, &device, &mut camera).await;
        // One who watches by a socket hears of it there.
        let mut socket = with_ticket(&guest).await;
        say(&mut socket, json!({"type": "join", "camera_id": device.id()})).await;
        let joined = hear(&mut socket, "joined").await;
        set_role(relay, &alice, &guest, "installer").await;
        relay.sweep().await;
        let mut ended = Vec::new();
        for _ in 0..2 {
            let bye = camera.heard_signal().await;
            assert_eq!((bye.kind, bye.reason.as_deref()), (SignalKind::Bye, Some("access_ended")));
            ended.push(json!(bye.session_id));
        }
        assert!(ended.contains(&json!(offer.session_id)) && ended.contains(&joined["session_id"]));
        assert_eq!(hear(&mut socket, "bye").await["reason"], "access_ended");
        still_streams(&alice, &hers).await;

        set_role(relay, &alice, &guest, "viewer").await;
        let (_, offer) = watching(&guest, &device, &mut camera).await;
        let gone = "delete from members where account_id = $1";
        alter(relay, gone, vec![account_id(&guest).await.into()]).await;
        relay.sweep().await;
        ends(&alice, &mut camera, &offer).await;
        still_streams(&alice, &hers).await;
    })
    .await;
}

#[tokio::test]
async fn who_waits_for_an_answer_waits_no_longer_than_the_right_to_it() {
    on_sqlite(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let other = sign_in_again(relay, "alice@example.org").await;
        let (device, mut camera) = online(relay, &alice).await;
        let sign_out = async {
            let offer = camera.heard_signal().await;
            alice.post("auth/logout", Value::Null).await.body(204);
            offer
        };
        let (refused, offer) = tokio::join!(watch(&alice, &device, OFFER), sign_out);
        refused.is_problem(409, "session_ended");
        let bye = camera.heard_signal().await;
        assert_eq!((bye.kind, bye.session_id), (SignalKind::Bye, offer.session_id));
        let session = other.get(&format!("live/{}", offer.session_id)).await.body(200);
        assert_eq!(session["state"], "cancelled");
    })
    .await;
}

#[tokio::test]
async fn a_camera_that_streams_on_to_nobodys_session_is_told_to_end_it() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let guest = relay.person("guest").await;
        let_in(&alice, &guest, "viewer").await;
        let (device, mut camera) = online(relay, &alice).await;
        let (_, offer) = watching(&guest, &device, &mut camera).await;
        // The camera is lost, and its picture flows on; it is back, and so is its viewer's right.
        camera.mqtt.vanish();
        let app = relay.app();
        until("its end is noticed", || !app.broker.online(device.id())).await;
        let failed = "update live_sessions set state = 'failed', reason = 'camera_offline',
             ended_at = 1";
        alter(relay, failed, Vec::new()).await;
        let mut camera = device.connect(relay).await;
        camera.signal(&report(offer.session_id)).await;
        // Her account goes, with all that is hers; what the camera reports next is ended.
        let gone = "delete from members where account_id = $1";
        alter(relay, gone, vec![account_id(&guest).await.into()]).await;
        camera.signal(&report(offer.session_id)).await;
        let bye = camera.heard_signal().await;
        assert_eq!((bye.kind, bye.session_id), (SignalKind::Bye, offer.session_id));
        assert_eq!(bye.reason.as_deref(), Some("access_ended"));
        alter(relay, "delete from live_sessions", Vec::new()).await;
        camera.signal(&report(offer.session_id)).await;
        let bye = camera.heard_signal().await;
        assert_eq!((bye.kind, bye.reason.as_deref()), (SignalKind::Bye, Some("viewer_gone")));
    })
    .await;
}

#[tokio::test]
async fn a_connection_ends_with_its_camera() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let (device, _camera) = online(relay, &alice).await;
        alter(relay, "delete from cameras", Vec::new()).await;
        relay.sweep().await;
        until("it is gone", || !relay.app().broker.online(device.id())).await;
    })
    .await;
}

#[tokio::test]
async fn a_ticket_is_no_good_without_its_sign_in() {
    on_every_database(async |relay: &TestRelay| {
        let alice = relay.person("alice").await;
        let ticket = alice.post("ws/tickets", Value::Null).await.body(200);
        alice.post("auth/logout", Value::Null).await.body(204);
        let query = format!("?ticket={}", ticket["ticket"].as_str().unwrap());
        assert_eq!(open(&alice, &query, &[]).await.unwrap_err(), 401);
    })
    .await;
}

#[tokio::test]
async fn a_pairing_is_good_for_as_long_as_who_opened_it_may_pair() {
    on_every_database(async |relay: &TestRelay| {
        let (alice, helper) = (relay.person("alice").await, relay.person("helper").await);
        let_in(&alice, &helper, "installer").await;
        let path = format!("sites/{}/pairings", alice.home().await);
        let pairing = helper.post(&path, json!({})).await.body(201);
        let secret = pairing["secret"].as_str().unwrap();
        set_role(relay, &alice, &helper, "viewer").await;
        let mut device = relay.device();
        device.claim_by("secret", secret).await.is_problem(404, "not_found_or_expired");
        set_role(relay, &alice, &helper, "installer").await;
        device.claim_by("secret", secret).await.body(200);
        // What was paired stays, and its lost answer may be asked for again.
        set_role(relay, &alice, &helper, "viewer").await;
        device.claim_by("secret", secret).await.body(200);
    })
    .await;
}

#[tokio::test]
async fn what_was_allocated_ahead_of_a_session_ends_with_the_right_to_one() {
    let relay = relay_with_turn(&[]).await;
    let (alice, guest) = (relay.person("alice").await, relay.person("guest").await);
    let (device, _camera) = online(&relay, &alice).await;
    let_in(&alice, &guest, "viewer").await;
    let given = credentials(&guest, &device).await;
    let held = TurnClient::new(&given.port, &given.user, &given.password).await;
    held.allocate().await.unwrap();
    relay.sweep().await;
    assert_eq!(metric(&relay, "nightjar_turn_allocations").await, 1);
    set_role(&relay, &alice, &guest, "installer").await;
    relay.sweep().await;
    let counted = async || metric(&relay, "nightjar_turn_allocations").await;
    eventually(counted, |left| *left == 0).await;
    relay.stop().await;
}

#[tokio::test]
async fn who_watched_is_told_to_those_who_may_watch() {
    let relay = TestRelay::start(Engine::Sqlite, |_| {}).await;
    let alice = relay.person("alice").await;
    let (device, mut camera) = online(&relay, &alice).await;
    watching(&alice, &device, &mut camera).await;
    let listed = alice.get(&format!("cameras/{}/live", device.id())).await.body(200);
    let viewer = &listed["items"][0];
    assert_eq!(viewer["account_id"], json!(account_id(&alice).await));
    assert_eq!(viewer["account_name"], "alice");
    relay.stop().await;
}
