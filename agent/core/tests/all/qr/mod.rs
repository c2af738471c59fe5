//! The code of the app, in pictures as a cheap camera takes them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod scene;

use nightjar_core::{
    picture::LumaFrame,
    qr::{Seen, View, read},
};
use nightjar_shared::{
    pairing_qr::{PairingQr, QR_BYTES_MAX},
    time::UnixMillis,
};
use proptest::{prelude::*, test_runner::Config};

use self::scene::{HEIGHT, Scene, WIDTH, code, largest};
use crate::simulator::random::Random;

/// What the app shows with a Wi-Fi network of usual length.
fn text() -> String {
    let pairing = PairingQr {
        relay_url: "https://cameras.example.org".to_owned(),
        secret: "mC8TqHnLr5o0Ttq9fPq4xA".to_owned(),
        ca_sha256: Some("0123456789abcdef".repeat(4)),
        expires_at: UnixMillis(1_796_100_000_000),
        owner_key: Some("11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=".to_owned()),
        wifi: serde_json::from_str(r#"{"ssid": "Home 5 GHz", "passphrase": "correct horse"}"#).ok(),
    };
    pairing.to_string()
}

/// Looks of all kinds, as the agent's task makes them one after the other.
fn seen(picture: &LumaFrame) -> Vec<Seen> {
    let mut seen: Vec<Seen> = View::ALL.into_iter().flat_map(|view| read(picture, view)).collect();
    seen.dedup();
    seen
}

#[track_caller]
fn assert_read(scene: &Scene) {
    let text = text();
    let seen = seen(&scene.draw(&[&code(text.as_bytes())], 7));
    assert!(seen.contains(&Seen::Text(text)), "{scene:?}: {seen:?}");
}

#[test]
fn a_code_is_read_from_near_and_far() {
    for share in [0.95, 0.7, 0.5, 0.35, 0.25] {
        assert_read(&Scene { share, ..Scene::default() });
    }
}

#[test]
fn a_code_is_read_out_of_focus() {
    for blur in [0, 1, 2, 3, 4] {
        assert_read(&Scene { blur, ..Scene::default() });
    }
}

#[test]
fn a_code_is_read_too_dark_and_too_bright() {
    for exposure in [0.25, 0.5, 1.0, 1.5, 2.5] {
        assert_read(&Scene { exposure, ..Scene::default() });
    }
}

#[test]
fn a_code_is_read_turned_mirrored_pale_noisy_and_under_a_lamp() {
    let usual = Scene::default();
    for turned_degrees in [15.0, 45.0, 90.0, 180.0, 287.0] {
        assert_read(&Scene { turned_degrees, share: 0.6, ..usual.clone() });
    }
    assert_read(&Scene { mirrored: true, ..usual.clone() });
    assert_read(&Scene { mirrored: true, turned_degrees: 30.0, share: 0.6, ..usual.clone() });
    assert_read(&Scene { levels: (95.0, 140.0), ..usual.clone() });
    assert_read(&Scene { levels: (2.0, 255.0), ..usual.clone() });
    assert_read(&Scene { noise: 15.0, blur: 1, ..usual.clone() });
    assert_read(&Scene { glare: Some((0.1, 0.05, 0.05)), ..usual });
}

#[test]
fn the_longest_text_that_is_followed_is_read_and_a_longer_one_named() {
    let longest = "n".repeat(QR_BYTES_MAX);
    let scene = Scene { share: 0.8, blur: 1, ..Scene::default() };
    let picture = scene.draw(&[&largest(longest.as_bytes())], 3);
    assert_eq!(seen(&picture), [Seen::Text(longest.clone())]);
    let longer = scene.draw(&[&code(format!("{longest}n").as_bytes())], 3);
    assert_eq!(read(&longer, View::Whole), [Seen::TooLong]);
    let huge = Scene { share: 0.95, noise: 0.0, ..Scene::default() };
    let huge = huge.draw(&[&code("h".repeat(2_000).as_bytes())], 3);
    assert!(matches!(read(&huge, View::Whole)[..], [Seen::TooLong] | []), "of 177 squares a side");
}

#[test]
fn bytes_that_are_no_text_and_many_codes_at_once_are_told_apart() {
    let scene = Scene { share: 0.45, ..Scene::default() };
    let broken = scene.draw(&[&code(b"NIGHTJAR:\xff\xfe\x80;;")], 1);
    assert_eq!(read(&broken, View::Whole), [Seen::NotText]);
    let (one, other) = (code(b"https://one.example"), code(b"https://other.example"));
    let seen = read(&scene.draw(&[&one, &other], 1), View::Whole);
    let text = |text: &str| Seen::Text(text.to_owned());
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(seen.contains(&text("https://one.example")), "{seen:?}");
    assert!(seen.contains(&text("https://other.example")), "{seen:?}");
}

#[test]
fn pictures_without_a_code_and_impossible_ones_hold_none() {
    assert_eq!(seen(&Scene::default().draw(&[], 5)), []);
    let whole = Scene::default().draw(&[], 5);
    for (width, height, stride) in
        [(0, 0, 0), (1, 1, 1), (WIDTH, HEIGHT + 1, WIDTH), (WIDTH, 2, WIDTH - 1)]
    {
        assert_eq!(seen(&LumaFrame { width, height, stride, ..whole.clone() }), []);
    }
}

proptest! {
    #![proptest_config(Config { cases: 24, ..Config::default() })]

    /// What is read of a code that somebody has drawn over is what it said, or nothing.
    #[test]
    fn a_damaged_code_is_read_right_or_not_at_all(seed in any::<u64>(), spots in 0_usize..40) {
        let text = text();
        let mut random = Random::new(seed);
        let picture = Scene::default().draw(&[&code(text.as_bytes())], seed);
        let mut data = picture.data.to_vec();
        for _ in 0..spots {
            let (x, y) = (400 + random.below(480), 120 + random.below(480));
            let level = if random.below(2) == 0 { 10 } else { 240 };
            for row in y..(y + 12).min(HEIGHT) {
                data[row * WIDTH + x..row * WIDTH + x + 12].fill(level);
            }
        }
        let damaged = LumaFrame { data: data.into(), ..picture };
        // The reader may panic on what it was not made for: that is why it has its own process.
        for view in View::ALL {
            let seen = std::panic::catch_unwind(|| read(&damaged, view)).unwrap_or_default();
            for code in seen {
                prop_assert_eq!(code, Seen::Text(text.clone()));
            }
        }
    }
}
