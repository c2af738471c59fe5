//! The architecture test must be able to fail: each rule, broken on purpose.

use crate::{
    packages::PACKAGES,
    rules::{MAX_LINES, Package, dependencies},
    source::Source,
};

fn package(folder: &str) -> &'static Package {
    PACKAGES.iter().find(|package| package.folder == folder).unwrap()
}

fn check(folder: &str, path: &str, text: &str) -> Vec<String> {
    package(folder).check(&Source { path: path.to_owned(), text: text.to_owned() })
}

#[track_caller]
fn assert_found(wrong: &[String], part: &str) {
    assert!(wrong.len() == 1 && wrong[0].contains(part), "expected `{part}`, found {wrong:?}");
}

#[test]
fn a_feature_that_imports_its_neighbour_is_found() {
    let wrong = check("agent", "motion.rs", "\nuse crate::record::Recorder;\n");
    assert_found(&wrong, "motion.rs:2: `motion` must not import `record`");
}

#[test]
fn an_upward_import_is_found_in_a_tree_by_super_and_without_use() {
    for text in [
        "use crate::{clock, live::Live, frame::{EncodedFrame}};",
        "use super::live::Live;",
        "use super::{live as picture, clock};",
        "fn f() { crate::live::start(); }",
        "mod tests { use super::super::live::Live; }",
        "type T = Vec<crate::live::Live>;",
        "use nightjar_agent::live::Live;",
    ] {
        assert_found(&check("agent", "store.rs", text), "`live`");
    }
}

#[test]
fn downward_imports_comments_texts_and_own_modules_are_fine() {
    let text = r##"
        // use crate::record::Recorder;
        /* crate::live::start /* nested */ crate::uplink */
        use crate::{clock::monotonic_now, encode::Media, motion::Motion};
        use super::config::Config; use nightjar_core::motion::Detector;
        const A: &str = "crate::record::Recorder";
        const B: &str = r#"use crate::"live"::x"#;
        const C: char = '"'; fn f<'a>(x: &'a str) -> char { '\'' }
        mod tests { use super::*; use super::f; }
    "##;
    assert_eq!(check("agent", "motion.rs", text), Vec::<String>::new());
}

#[test]
fn the_relay_s_floors_are_kept() {
    assert_found(&check("relay", "domain/live.rs", "use crate::doors::http;"), "`doors`");
    assert_found(&check("relay", "engines/db/mod.rs", "use crate::domain::App;"), "`domain`");
    assert_found(&check("relay", "config.rs", "use crate::engines::tls::Ca;"), "`engines`");
}

#[test]
fn a_door_that_asks_an_engine_is_found_and_so_are_engines_that_meet() {
    let database = "use crate::engines::{db::Db, broker::Arrival};";
    assert_found(&check("relay", "doors/mqtt.rs", database), "doors does not reach `engines::db");
    let neighbour = "use crate::engines::objects::Store; use super::tls; use super::sqlite::Db;";
    let wrong = check("relay", "engines/db/mod.rs", neighbour);
    assert_found(&wrong[..1], "engines does not reach `engines::objects");
    let traffic = "use crate::engines::broker::Arrival;";
    assert_eq!(check("relay", "doors/mqtt.rs", traffic), Vec::<String>::new());
}

#[test]
fn a_module_without_a_row_is_found() {
    assert_found(&check("agent", "helpers.rs", ""), "`helpers` stands in no row");
}

#[test]
fn agent_and_relay_never_name_each_other() {
    let text = "use nightjar_relay::config::Config;";
    assert_found(&check("agent", "app.rs", text), "nightjar-shared alone");
    let relay_test =
        Source { path: "pairing.rs".to_owned(), text: "use nightjar_agent::app;".to_owned() };
    assert_found(&package("relay").check_test(&relay_test), "nightjar-shared alone");
}

#[test]
fn a_foreign_crate_away_from_its_owner_is_found() {
    assert_found(&check("agent", "record/mod.rs", "use gstreamer as gst;"), "`gstreamer` belongs");
    assert_found(&check("agent", "upload/mod.rs", "use ::reqwest::Client;"), "`reqwest` belongs");
    assert_found(&check("relay", "domain/mod.rs", "type J = axum::Json<u8>;"), "`axum` belongs");
    assert_found(&check("relay", "doors/mqtt.rs", "use {rmqtt::Hook, std::fmt};"), "`rmqtt`");
}

fn house(files: &[(&str, &str)]) -> Vec<Source> {
    let source =
        |(path, text): &(&str, &str)| Source { path: (*path).into(), text: (*text).into() };
    files.iter().map(source).collect()
}

#[test]
fn a_circle_of_imports_is_found_over_any_number_of_files() {
    let circle = house(&[
        ("hall/door.rs", "use super::kitchen::{self, Table};"),
        ("hall/kitchen.rs", "fn f() { crate::garden::dig(); }"),
        ("garden.rs", "\nuse crate::hall::door::Door;"),
        ("cellar.rs", "use crate::garden;"),
    ]);
    let wrong = package("shared").circles(&circle);
    assert_eq!(wrong.len(), 3, "{wrong:?}");
    assert!(wrong[0].contains("garden.rs:2: imports hall/door.rs"), "{wrong:?}");
    assert!(wrong.iter().all(|wrong| !wrong.contains("cellar")), "{wrong:?}");
}

#[test]
fn a_room_that_uses_its_house_and_a_test_close_no_circle() {
    let fine = house(&[
        ("hall/mod.rs", "mod kitchen; use self::kitchen::Table; pub struct Size;"),
        ("hall/kitchen.rs", "use super::Size; use crate::hall::Size as S;"),
        ("garden.rs", "use crate::hall::Table;\n#[cfg(test)]\nmod tests { use crate::cellar; }"),
        ("cellar.rs", "use crate::garden;"),
        ("hall/tests.rs", "use crate::garden;"),
    ]);
    assert_eq!(package("shared").circles(&fine), Vec::<String>::new());
}

#[test]
fn a_permitted_circle_that_is_open_is_found() {
    let permits = Package { permitted_circles: &[("a.rs", "b.rs")], ..*package("shared") };
    let closed = house(&[("a.rs", "use super::b;"), ("b.rs", "use super::a;")]);
    assert_eq!(permits.circles(&closed), Vec::<String>::new());
    let open = house(&[("a.rs", "use super::b;"), ("b.rs", "")]);
    assert_found(&permits.circles(&open), "closes no circle any more");
}

#[test]
fn a_pure_package_that_does_something_is_found() {
    let wrong = check("agent/core", "motion/gate.rs", "use std::{fs::File, time::Duration};");
    assert_found(&wrong, "`std::fs` belongs to nobody");
    assert_found(&check("agent/core", "mp4/scan.rs", "std::thread::yield_now();"), "`std::thread`");
    let manifest = "[dependencies]\ntokio.workspace = true\n";
    assert_found(&package("agent/core").unowned(manifest), "`tokio` has no owner");
}

#[test]
fn a_topic_spelled_outside_shared_is_found() {
    let wrong = check("agent", "uplink/mod.rs", r#"let t = format!("nightjar/v1/{id}");"#);
    assert_found(&wrong, "topic text");
    assert_found(&check("e2e", "demo.rs", r#"let t = "a/down/command";"#), "topic text");
    assert_eq!(check("shared", "topic.rs", r#""nightjar/v1/""#), Vec::<String>::new());
}

#[test]
fn sql_outside_the_database_is_found_and_prose_is_not() {
    let wrong =
        check("relay", "domain/clips.rs", r#"let q = "select id from clips where a = $1";"#);
    assert_found(&wrong, "SQL belongs to engines/db/");
    let prose = r#"let text = "update the agent";"#;
    assert_eq!(check("relay", "domain/clips.rs", prose), Vec::<String>::new());
}

#[test]
fn a_file_that_is_too_long_is_found() {
    let wrong = check("agent", "app.rs", &"\n".repeat(MAX_LINES + 1));
    assert_found(&wrong, "at most");
}

#[test]
fn a_dependency_that_nobody_owns_is_found() {
    let manifest = "[package]\nname = \"x\"\n[dependencies]\n# why\nserde.workspace = true\n\
                    left-pad = \"1\"\n\n[dev-dependencies]\nother = \"1\"\n";
    assert_eq!(dependencies(manifest), ["serde", "left-pad"]);
    assert_found(&package("relay").unowned(manifest), "`left-pad` has no owner");
}
