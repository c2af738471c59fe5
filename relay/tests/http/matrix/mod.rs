//! Every door, message and topic, asked by everybody: `docs/authorization.md` says who is let in, and
//! the router itself says what doors there are. A door without a row fails here.

mod canaries;
mod requests;
mod sockets;
mod table;
mod topics;
mod world;

use std::collections::BTreeSet;

use reqwest::Method;

use self::{
    requests::Door,
    table::{Outcome, Row},
    world::{Principal, World},
};
use crate::{
    person::Answer,
    relay::{TestRelay, on_sqlite},
};

/// What proxies and frameworks read who asks, or what is asked, from. Nobody here does.
const MISLEADING: &[&str] = &[
    "x-forwarded-user",
    "x-account-id",
    "x-user-id",
    "x-camera-id",
    "x-original-url",
    "x-rewrite-url",
];

/// Doors where a camera names what it is about to make: a name that is taken is told from one that is
/// free, and both are random.
const MAKES_WHAT_IT_NAMES: &[&str] = &["POST /api/v1/agent/clips"];

fn rows_of_doors() -> Vec<Row> {
    table::read("## Doors")
}

/// Tells what to do to whoever has made a new door.
fn advice(missing: &[String]) -> String {
    format!(
        "These doors are in the router and have no row in docs/authorization.md:\n{}\nAdd a row to its \
         table \"Doors\" and say in each column who is let in: `yes`, `401` (proves nothing), `403` (may \
         see that it is there and may not do this), `404` (for them it does not exist) or `asks` (the \
         door asks for a password, a code or a signature of its own). Then run\n    cargo nextest run \
         --workspace --test http -E 'test(matrix)'\nwhich asks the door as everybody and shows what is \
         different from the row.",
        missing.join("\n")
    )
}

#[test]
fn every_door_of_the_router_has_a_row_and_every_row_a_door() {
    let doors: BTreeSet<String> = requests::doors().iter().map(Door::name).collect();
    let rows: BTreeSet<String> = rows_of_doors().into_iter().map(|row| row.name).collect();
    let missing: Vec<String> = doors.difference(&rows).cloned().collect();
    assert!(missing.is_empty(), "{}", advice(&missing));
    let stale: Vec<_> = rows.difference(&doors).collect();
    assert!(stale.is_empty(), "docs/authorization.md has rows of doors that are gone: {stale:?}");
}

/// Collects what is different from the table, so that one run shows all of it.
#[derive(Default)]
struct Differences(Vec<String>);

impl Differences {
    fn check(&mut self, row: &Row, principal: Principal, answer: &Answer) {
        let expected = row.outcome(principal);
        if !expected.is_met_by(answer.status) {
            let start: String = answer.text.chars().take(120).collect();
            self.0.push(format!(
                "{} as {}: the table says {}, the door {} {start}",
                row.name, principal, expected, answer.status
            ));
        }
    }

    #[track_caller]
    fn assert_none(self) {
        assert!(self.0.is_empty(), "{} differences:\n{}", self.0.len(), self.0.join("\n"));
    }
}

#[tokio::test]
async fn whoever_is_not_let_in_gets_the_answer_that_the_table_says_and_learns_nothing() {
    on_sqlite(async |relay: &TestRelay| {
        let world = World::new(relay, 0).await;
        let mut differences = Differences::default();
        for row in rows_of_doors() {
            let door = requests::door(&row.name);
            for principal in Principal::ALL {
                if row.outcome(*principal) == Outcome::Yes {
                    continue;
                }
                let answer = world.ask(&door, *principal, &world.things, &[]).await;
                differences.check(&row, *principal, &answer);
                world.assert_nothing_leaks(&door, *principal, &answer);
                if [Principal::Stranger, Principal::Other].contains(principal) {
                    misled(&world, &row, &door, *principal, &mut differences).await;
                }
                if row.outcome(*principal) == Outcome::NotFound
                    && !MAKES_WHAT_IT_NAMES.contains(&&*row.name)
                {
                    let missing = world.ask(&door, *principal, &world.missing, &[]).await;
                    assert_eq!(
                        (answer.status, &answer.text),
                        (missing.status, &missing.text),
                        "{} tells {principal} a foreign thing from a missing one",
                        row.name
                    );
                }
            }
        }
        differences.assert_none();
        world.assert_untouched().await;
    })
    .await;
}

/// Says in headers that it is somebody else, or another method: nothing changes.
async fn misled(
    world: &World,
    row: &Row,
    door: &Door,
    principal: Principal,
    differences: &mut Differences,
) {
    let owner = world.owner_id.clone();
    let mut headers: Vec<(&str, String)> =
        MISLEADING.iter().map(|name| (*name, owner.clone())).collect();
    headers.push(("x-http-method-override", "DELETE".to_owned()));
    let answer = world.ask(door, principal, &world.things, &headers).await;
    differences.check(row, principal, &answer);
    world.assert_nothing_leaks(door, principal, &answer);
}

#[tokio::test]
async fn whoever_is_let_in_by_the_table_is_let_in() {
    on_sqlite(async |relay: &TestRelay| {
        let mut number = 0;
        let mut world = World::new(relay, number).await;
        let mut differences = Differences::default();
        for row in rows_of_doors() {
            let door = requests::door(&row.name);
            for principal in Principal::ALL {
                if row.outcome(*principal) != Outcome::Yes {
                    continue;
                }
                let answer = world.ask(&door, *principal, &world.things, &[]).await;
                differences.check(&row, *principal, &answer);
                if door.takes_away() && answer.status < 300 {
                    number += 1;
                    world = World::new(relay, number).await;
                }
            }
        }
        differences.assert_none();
    })
    .await;
}

#[tokio::test]
async fn lists_show_nothing_of_others_whatever_is_asked_for() {
    on_sqlite(async |relay: &TestRelay| {
        let world = World::new(relay, 0).await;
        // Metrics are asked from the relay's own machine here, to which they tell of all cameras.
        let is_list = |door: &&Door| door.method == Method::GET && door.template != "/metrics";
        for door in requests::doors().iter().filter(is_list) {
            for principal in
                [Principal::Stranger, Principal::Former, Principal::Other, Principal::Admin]
            {
                // Each query that names something names something of the owner's.
                let answer = world.ask(door, principal, &world.things, &[]).await;
                world.assert_nothing_leaks(door, principal, &answer);
            }
        }
    })
    .await;
}

/// What a door that leads to footage, live pictures or what was seen has in its path.
const OF_PICTURES: [&str; 7] =
    ["clips", "events", "live", "whep", "timeline", "shares", "configuration"];

#[tokio::test]
async fn no_door_to_pictures_knows_an_administrator_who_has_no_part_in_the_site() {
    on_sqlite(async |relay: &TestRelay| {
        let world = World::new(relay, 0).await;
        let mut asked = 0;
        for door in requests::doors() {
            let segments: Vec<&str> = door.template.split('/').collect();
            let leads_to_pictures = segments.iter().any(|segment| OF_PICTURES.contains(segment))
                && door.template.contains('{')
                && !["admin", "agent"].iter().any(|root| segments.get(3) == Some(root));
            // Preflights come without anybody.
            if !leads_to_pictures || door.method == Method::OPTIONS {
                continue;
            }
            asked += 1;
            let answer = world.ask(door, Principal::Admin, &world.things, &[]).await;
            let missing = world.ask(door, Principal::Admin, &world.missing, &[]).await;
            assert_eq!(answer.status, 404, "{}: {}", door.name(), answer.text);
            assert_eq!((answer.status, &answer.text), (missing.status, &missing.text));
            world.assert_nothing_leaks(door, Principal::Admin, &answer);
        }
        assert!(asked >= 18, "only {asked} doors lead to pictures");
        world.assert_untouched().await;
    })
    .await;
}

#[tokio::test]
async fn no_other_spelling_of_a_path_and_no_other_method_leads_past_a_guard() {
    on_sqlite(async |relay: &TestRelay| {
        let world = World::new(relay, 0).await;
        let doors = requests::doors();
        let named = |path: &str, method: &Method| {
            doors.iter().any(|door| door.template == path && door.method == *method)
        };
        let mut paths: Vec<&Door> = Vec::new();
        for door in doors {
            if !paths.iter().any(|known| known.template == door.template) {
                paths.push(door);
            }
        }
        let methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"];
        for (index, door) in paths.into_iter().enumerate() {
            // Who has no part in the site is, in turns, somebody and nobody.
            let outsider = [Principal::Stranger, Principal::Other][index % 2];
            for principal in [Principal::Owner, outsider] {
                for method in methods.map(|name| Method::from_bytes(name.as_bytes()).unwrap()) {
                    if named(&door.template, &method) {
                        continue;
                    }
                    let other = door.by(method);
                    let answer = world.ask(&other, principal, &world.things, &[]).await;
                    assert_eq!(
                        answer.status,
                        405,
                        "{} as {principal}: {}",
                        other.name(),
                        answer.text
                    );
                    world.assert_nothing_leaks(&other, principal, &answer);
                }
                for path in requests::other_spellings(&door.path(&world.things)) {
                    let answer = world.knock(principal, &door.method, &path).await;
                    let is_nothing = matches!(answer.status, 400 | 401 | 404 | 405);
                    assert!(is_nothing, "{} {path} as {principal}: {}", door.method, answer.status);
                    world.assert_nothing_leaks(door, principal, &answer);
                }
            }
        }
        world.assert_untouched().await;
    })
    .await;
}

#[tokio::test]
async fn a_door_that_is_only_looked_at_asks_for_the_same() {
    on_sqlite(async |relay: &TestRelay| {
        let world = World::new(relay, 0).await;
        let doors = requests::doors();
        let mut differences = Differences::default();
        for row in rows_of_doors() {
            let door = requests::door(&row.name);
            let has_own = doors
                .iter()
                .any(|other| other.template == door.template && other.method == Method::HEAD);
            if door.method != Method::GET || has_own {
                continue;
            }
            let head = door.by(Method::HEAD);
            for principal in Principal::ALL {
                let answer = world.ask(&head, *principal, &world.things, &[]).await;
                differences.check(&row, *principal, &answer);
                assert!(answer.text.is_empty(), "HEAD {}", head.template);
            }
        }
        differences.assert_none();
    })
    .await;
}
