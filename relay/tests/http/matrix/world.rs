//! Somebody of each kind, and the things that one of them owns.

use std::{collections::BTreeMap, fmt};

use nightjar_relay::engines::db::Executor as _;
use nightjar_shared::{
    ids::{CameraId, EventId, SiteId},
    topic::Channel,
};
use reqwest::Method;
use serde_json::{Value, json};

use super::requests::Door;
use crate::{
    api_keys::make as key_of,
    clips::upload,
    device::{Device, Online, event, health},
    factors::{promote, set_up},
    live::{OFFER, answer, online, watch},
    members::{account_id as id_of, let_in, put_out},
    person::{Answer, Person},
    push::made_up,
    relay::{TestRelay, eventually},
    told::until_told,
};

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Principal {
    /// Somebody who proves nothing.
    Stranger,
    Owner,
    Manager,
    Viewer,
    Installer,
    /// Somebody who was a member, or a guest until yesterday.
    Former,
    /// The owner of another site.
    Other,
    /// An administrator of the relay, who has no part in the site.
    Admin,
    /// A program with a key of the owner's, for seeing that cameras are there.
    Key,
    /// A camera of the site.
    Camera,
    /// A camera of another site.
    OtherCamera,
    /// A camera that was removed from the site.
    RemovedCamera,
}

impl Principal {
    pub(super) const ALL: &[Self] = &[
        Self::Stranger,
        Self::Owner,
        Self::Manager,
        Self::Viewer,
        Self::Installer,
        Self::Former,
        Self::Other,
        Self::Admin,
        Self::Key,
        Self::Camera,
        Self::OtherCamera,
        Self::RemovedCamera,
    ];
}

impl fmt::Display for Principal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Stranger => "stranger",
            Self::Owner => "owner",
            Self::Manager => "manager",
            Self::Viewer => "viewer",
            Self::Installer => "installer",
            Self::Former => "former",
            Self::Other => "other",
            Self::Admin => "admin",
            Self::Key => "key",
            Self::Camera => "camera",
            Self::OtherCamera => "other camera",
            Self::RemovedCamera => "removed camera",
        })
    }
}

/// Ids by what they name: `camera`, `clip`, and so on.
#[derive(Debug, Clone)]
pub(super) struct Things {
    ids: BTreeMap<&'static str, String>,
    /// Instead of what fits, a word that must not come out anywhere.
    canaries: Canaries,
}

/// Where canaries are put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Canaries {
    Nowhere,
    /// In fields whose names say that they are secret; the others are as they should be.
    InSecrets,
    Everywhere,
}

/// Parts of names of what opens something.
const SECRET: &[&str] = &[
    "password",
    "token",
    "secret",
    "code",
    "ticket",
    "known_device",
    "credential",
    "totp",
    "backup",
];

/// The word that stands in a field of this name.
pub(super) fn canary(name: &str) -> String {
    format!("canary-{name}-9c41e7b2d05f")
}

/// Returns whether a field's name says that it is secret.
pub(super) fn is_secret(name: &str) -> bool {
    SECRET.iter().any(|part| name.contains(part))
}

impl Things {
    pub(super) fn with(canaries: Canaries) -> Self {
        Self { canaries, ..nothing() }
    }

    /// The id that stands in a path behind `segment`, in the place called `name`.
    pub(super) fn in_path(&self, segment: &str, name: &str) -> String {
        if self.canaries == Canaries::Everywhere {
            return canary(name);
        }
        let kind = match (segment, name) {
            ("sites", _) => "site",
            ("cameras" | "mutes", _) => "camera",
            ("pairings", _) => "pairing",
            ("commands", _) => "command",
            ("events", _) => "event",
            ("clips" | "uploads", _) => "clip",
            ("shares", _) => "share",
            ("live", _) => "session",
            ("keys", _) => "api_key",
            ("passkeys", _) => "passkey",
            ("sessions", _) => "sign_in",
            ("members" | "accounts", _) => "account",
            ("invitations", _) => "invitation",
            ("push", _) => "subscription",
            ("notifications", _) => "notification",
            ("webhooks", _) => "webhook",
            ("views", _) => "view",
            ("letters", _) => "letter",
            ("jobs", _) => "job",
            _ => panic!(
                "the matrix knows nothing that stands behind `{segment}/` as {{{name}}}: name it in \
                 `Things::in_path` of relay/tests/http/matrix/world.rs, and make one in `World::new`"
            ),
        };
        self.ids[kind].clone()
    }

    /// The id of what a field or a parameter of this name means.
    pub(super) fn named(&self, name: &str) -> Option<String> {
        match self.canaries {
            Canaries::Everywhere if !name.is_empty() => return Some(canary(name)),
            Canaries::InSecrets if is_secret(name) => return Some(canary(name)),
            _ => {}
        }
        let kind = name.strip_suffix("_id").unwrap_or(name);
        self.ids.get(kind).filter(|_| name.ends_with("_id") || kind == "camera").cloned()
    }
}

pub(super) struct World {
    people: BTreeMap<Principal, Person>,
    pub(super) things: Things,
    /// The same of nobody.
    pub(super) missing: Things,
    pub(super) owner_id: String,
    /// It must not vanish.
    _camera: Online,
}

impl World {
    /// Makes one; a number tells its people from those of others at the same relay.
    pub(super) async fn new(relay: &TestRelay, number: u32) -> Self {
        // So many people do not sign up at once.
        relay.pass(std::time::Duration::from_mins(20));
        let person = async |name: &str| relay.person(&format!("{name}{number}")).await;
        let (owner, other) = (person("owner").await, person("other").await);
        if number == 0 {
            // Whose address requests name.
            relay.person("matrix").await;
        }
        let mut people = BTreeMap::from([(Principal::Stranger, relay.stranger())]);
        let removed = removed_camera(relay, &owner).await;
        let (device, mut camera) = online(relay, &owner).await;
        let foreign = relay.camera_of(&other).await;
        for (principal, role) in [
            (Principal::Manager, "manager"),
            (Principal::Viewer, "viewer"),
            (Principal::Installer, "installer"),
            (Principal::Former, "viewer"),
        ] {
            let member = person(&principal.to_string()).await;
            let_in(&owner, &member, role).await;
            people.insert(principal, member);
        }
        put_out(&owner, &people[&Principal::Former]).await;
        let mut admin = person("admin").await;
        promote(relay, &admin).await;
        set_up(relay, &mut admin).await;
        let mut things = things(&owner, &device, &mut camera).await;
        let manager = id_of(&people[&Principal::Manager]).await;
        let offered = format!("sites/{}/ownership", things.ids["site"]);
        owner.post(&offered, json!({"account_id": manager})).await.body(200);
        owner.post(&format!("cameras/{}/offer", device.id()), json!({})).await.body(201);
        let (program, key) = key_of(&owner, json!({"name": "x", "rights": ["see_cameras"]})).await;
        things.ids.insert("api_key", key["key_id"].as_str().unwrap().to_owned());
        things.ids.insert("sign_in", sign_in_of(&owner).await);
        let browser = owner.post("notifications/push", made_up(number)).await.body(201);
        let subscription = browser["subscription_id"].as_str().unwrap().to_owned();
        things.ids.insert("subscription", subscription);
        let told = until_told(&owner, "camera_paired", 1).await;
        let notification = told[0]["notification_id"].as_str().unwrap().to_owned();
        things.ids.insert("notification", notification);
        let hook = json!({"name": "x", "url": "https://hook.invalid/", "kinds": ["motion"]});
        let hook = owner.post(&format!("sites/{}/webhooks", things.ids["site"]), hook).await;
        let webhook = hook.body(201)["webhook"]["webhook_id"].as_str().unwrap().to_owned();
        things.ids.insert("webhook", webhook);
        // No test has an authenticator here.
        things.ids.insert("passkey", CameraId::generate().to_string());
        let member = person("member").await;
        let_in(&owner, &member, "viewer").await;
        things.ids.insert("account", id_of(&member).await);
        // Nobody has shown just now who they are.
        relay.pass(std::time::Duration::from_mins(11));
        things.ids.insert("view", asked_view(&admin, &things.ids["site"]).await);
        things.ids.insert("letter", letter(relay, number).await);
        things.ids.insert("job", "old_trail".to_owned());
        begin_end(&admin, &things.ids["account"]).await;
        let missing = nothing();
        let owner_id = id_of(&owner).await;
        people.extend([
            (Principal::Owner, owner),
            (Principal::Other, other),
            (Principal::Admin, admin),
            (Principal::Key, program),
            (Principal::Camera, device.caller),
            (Principal::OtherCamera, foreign.caller),
            (Principal::RemovedCamera, removed.caller),
        ]);
        Self { people, things, missing, owner_id, _camera: camera }
    }

    pub(super) fn person(&self, principal: Principal) -> &Person {
        &self.people[&principal]
    }

    /// Asks a door for these things.
    pub(super) async fn ask(
        &self,
        door: &Door,
        principal: Principal,
        things: &Things,
        headers: &[(&str, String)],
    ) -> Answer {
        let address = door.address(things);
        let mut request = self.person(principal).request(door.method.clone(), &address);
        request = request.header("if-match", "*");
        if let Some((kind, body)) = door.body(things) {
            request = request.header("content-type", kind).body(body);
        }
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        Answer::of(request).await
    }

    /// Asks for a path as it is written.
    pub(super) async fn knock(&self, principal: Principal, method: &Method, path: &str) -> Answer {
        Answer::of(self.person(principal).request(method.clone(), path)).await
    }

    /// An answer to somebody who has no part in the site names nothing of it.
    #[track_caller]
    pub(super) fn assert_nothing_leaks(&self, door: &Door, principal: Principal, answer: &Answer) {
        let has_a_part = matches!(
            principal,
            Principal::Owner
                | Principal::Manager
                | Principal::Viewer
                | Principal::Installer
                | Principal::Key
                | Principal::Camera
        );
        if has_a_part {
            return;
        }
        // Administrators read who signs in, which sites and cameras there are and who watches; never what
        // is seen.
        let admins = principal == Principal::Admin && door.template.starts_with("/api/v1/admin/");
        let known: &[&str] = if admins {
            &["account", "site", "camera", "session", "view", "letter", "job"]
        } else {
            &["account"]
        };
        let of_site = self.things.ids.iter().filter(|(kind, _)| !known.contains(*kind));
        for (kind, id) in of_site {
            let is_named = answer.text.contains(id.as_str());
            assert!(!is_named, "{} tells {principal} of a {kind}: {}", door.name(), answer.text);
        }
    }

    /// All that the owner had is still there.
    pub(super) async fn assert_untouched(&self) {
        let owner = self.person(Principal::Owner);
        for (kind, path) in [
            ("camera", "cameras"),
            ("clip", "clips"),
            ("event", "events"),
            ("pairing", "pairings"),
            ("command", "commands"),
            ("session", "live"),
        ] {
            owner.get(&format!("{path}/{}", self.things.ids[kind])).await.body(200);
        }
        let camera = owner.get(&format!("cameras/{}", self.things.ids["camera"])).await.body(200);
        assert_eq!(camera["name"], "Front door");
        let shares =
            owner.get(&format!("clips/{}/shares", self.things.ids["clip"])).await.body(200);
        assert_eq!(shares["items"].as_array().unwrap().len(), 1);
    }
}

/// The administrator asks for a view, which nobody has allowed yet.
async fn asked_view(admin: &Person, site: &str) -> String {
    let body = json!({"reason": "pictures stand still", "minutes": 5});
    let asked = admin.post(&format!("admin/sites/{site}/views"), body).await.body(201);
    asked["view_id"].as_str().unwrap().to_owned()
}

/// A mail that was given up.
async fn letter(relay: &TestRelay, number: u32) -> String {
    let id = CameraId::generate().to_string();
    let sql =
        "insert into mails (mail_id, recipient, kind, sealed, state, attempts, queued_at, due_at,
             expires_at)
         values ($1, $2, 'account_exists', 'x', 'failed', 3, 1, 1, 4102444800000)";
    let recipient = format!("away{number}@example.org");
    let values = vec![id.as_str().into(), recipient.into()];
    relay.app().db.execute(sql, values).await.unwrap();
    id
}

/// The administrator begins the end of an account.
async fn begin_end(admin: &Person, account: &str) {
    let path = format!("admin/accounts/{account}/deletion");
    let goes = admin.get(&path).await.body(200);
    let sites: Vec<&Value> =
        goes["sites"].as_array().unwrap().iter().map(|site| &site["site_id"]).collect();
    admin.post(&path, json!({"site_ids": sites})).await.body(202);
}

async fn sign_in_of(person: &Person) -> String {
    let sign_ins = person.get("auth/sessions").await.body(200);
    sign_ins["items"][0]["sign_in_id"].as_str().unwrap().to_owned()
}

async fn removed_camera(relay: &TestRelay, owner: &Person) -> Device {
    let device = relay.camera_of(owner).await;
    owner.delete(&format!("cameras/{}", device.id())).await.body(204);
    device
}

/// Makes one of everything.
async fn things(owner: &Person, device: &Device, camera: &mut Online) -> Things {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let pairing = owner.open_pairing().await;
    let clip = upload(device, None).await;
    owner.patch(&format!("clips/{clip}"), json!({"visibility": "site"})).await.body(200);
    let share = owner.post(&format!("clips/{clip}/shares"), json!({})).await.body(201);
    let event_id = EventId::generate();
    camera.say(Channel::UpEvent, &event(event_id, "started", 1)).await;
    let issued = owner
        .post(&format!("cameras/{}/commands", device.id()), json!({"kind": "arm"}))
        .await
        .body(202);
    camera.command().await;
    camera.say(Channel::UpConfiguration, &json!({"protocol": 1, "pre_roll_s": 3})).await;
    let (opened, _) = tokio::join!(watch(owner, device, OFFER), answer(camera));
    let location = opened.headers["location"].to_str().unwrap().to_owned();
    // Whoever offers from now on is refused at once, and waits for no answer.
    let mut private = health();
    (private["privacy"], private["viewers"]) = (json!(true), json!(1));
    camera.say(Channel::UpHealth, &private).await;
    let path = format!("cameras/{}", device.id());
    let is_private = async || owner.get(&path).await.body(200)["privacy"] == true;
    eventually(is_private, |it| *it).await;
    let home = owner.home().await;
    let invited = owner.post(&format!("sites/{home}/invitations"), json!({"role": "viewer"})).await;
    let invitation = invited.body(201)["invitation_id"].clone();
    let ids = BTreeMap::from([
        ("invitation", text(&invitation)),
        ("site", home),
        ("camera", device.id().to_string()),
        ("pairing", text(&pairing["pairing_id"])),
        ("command", text(&issued["command_id"])),
        ("event", event_id.to_string()),
        ("clip", clip.to_string()),
        ("share", text(&share["share_id"])),
        ("session", location.rsplit('/').next().unwrap().to_owned()),
    ]);
    Things { ids, canaries: Canaries::Nowhere }
}

fn nothing() -> Things {
    let kinds = [
        "site",
        "camera",
        "pairing",
        "command",
        "event",
        "clip",
        "share",
        "session",
        "account",
        "invitation",
        "api_key",
        "passkey",
        "sign_in",
        "subscription",
        "notification",
        "webhook",
        "view",
        "letter",
        "job",
    ];
    let id = |kind| {
        if kind == "site" {
            SiteId::generate().to_string()
        } else {
            CameraId::generate().to_string()
        }
    };
    let ids = kinds.map(|kind| (kind, id(kind))).into();
    Things { ids, canaries: Canaries::Nowhere }
}
