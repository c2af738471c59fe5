//! A camera that belongs to nobody is shown QR codes: the real agent, in front of a film of them.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use nightjar_shared::{pairing_qr::PairingQr, time::UnixMillis};
use qrcode::{Color, EcLevel, QrCode};
use serde_json::Value;

use crate::{
    pairing::camera_id,
    relay::Relay,
    support::{Home, output, wait_for},
};

const WIDTH: usize = 960;
const HEIGHT: usize = 720;
/// Frames of each code; the film has five a second.
const FRAMES: usize = 6;

/// What one part of the film shows.
pub(crate) type Codes<'a> = &'a [&'a [u8]];

/// A picture of codes side by side on a grey wall.
fn picture(codes: Codes<'_>) -> Vec<u8> {
    let mut picture = vec![110; WIDTH * HEIGHT];
    for (index, text) in codes.iter().enumerate() {
        let code = QrCode::with_error_correction_level(text, EcLevel::M).unwrap();
        let (squares, colors) = (code.width(), code.to_colors());
        let pixels = (WIDTH / codes.len()).min(HEIGHT) * 9 / 10 / (squares + 8);
        let side = (squares + 8) * pixels;
        let left = WIDTH * (2 * index + 1) / (2 * codes.len()) - side / 2;
        for (x, y) in (0..side).flat_map(|x| (0..side).map(move |y| (x, y))) {
            let (column, row) = ((x / pixels).wrapping_sub(4), (y / pixels).wrapping_sub(4));
            let inside = column < squares && row < squares;
            let is_dark = inside && colors[row * squares + column] == Color::Dark;
            picture[((HEIGHT - side) / 2 + y) * WIDTH + left + x] = if is_dark { 20 } else { 230 };
        }
    }
    picture
}

/// Films one part after the other.
fn film(path: &Path, parts: &[Codes<'_>]) {
    film_with(path, parts, "null");
}

/// The same through a filter of ffmpeg.
fn film_with(path: &Path, parts: &[Codes<'_>], filter: &str) {
    let mut camera = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "rawvideo", "-pix_fmt", "gray", "-r", "5", "-s"])
        .arg(format!("{WIDTH}x{HEIGHT}"))
        .args(["-i", "-", "-vf", filter])
        .args(["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut frames = camera.stdin.take().unwrap();
    for part in parts {
        let picture = picture(part);
        for _ in 0..FRAMES {
            frames.write_all(&picture).unwrap();
        }
    }
    drop(frames);
    assert!(camera.wait().unwrap().success());
}

/// A camera that looks at a film of codes.
pub(crate) fn before(parts: &[Codes<'_>], more: &str) -> Home {
    let home = Home::with_config("");
    let path = home.path("codes.mp4");
    film(&path, parts);
    home.configure(&format!(
        "name = \"lens\"\n[source]\nkind = \"file\"\npath = \"{}\"\nwidth = {WIDTH}\n\
         height = {HEIGHT}\nfps = 5\nfit_to_encoder = false\n[recording]\nmode = \"continuous\"\n\
         min_free_percent = 0\n{more}",
        path.display()
    ));
    home
}

/// The code of a pairing that is open at a relay.
pub(crate) fn code_of(pairing: &Value) -> PairingQr {
    pairing["qr"].as_str().unwrap().parse().unwrap()
}

/// Numbers of the processes that look for codes for an agent.
fn readers(agent: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{agent}/task")).into_iter().flatten().flatten();
    let children = threads
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|text| {
            text.split_whitespace().filter_map(|it| it.parse().ok()).collect::<Vec<_>>()
        });
    let looks = |child: &u32| {
        let line = fs::read_to_string(format!("/proc/{child}/cmdline")).unwrap_or_default();
        line.contains("qr-reader")
    };
    children.filter(looks).collect()
}

#[tokio::test]
async fn a_camera_that_is_shown_the_app_s_code_comes_online_and_looks_no_more() {
    let Some(relay) = Relay::start_with("https").await else { return };
    let pairing = relay.open_pairing().await;
    let owner_key = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=".to_owned();
    let code = PairingQr { owner_key: Some(owner_key.clone()), ..code_of(&pairing) };
    assert!(code.ca_sha256.is_some(), "the relay's authority is in the code");
    let home = before(&[&[code.to_string().as_bytes()]], "");
    let agent = home.run();
    home.wait_for_log("paired");
    let camera = camera_id(&home);
    relay.until_online(&camera).await;
    assert_eq!(relay.camera(&camera).await["name"], "lens");

    let saved = fs::read_to_string(home.data_dir().join("pairing.json")).unwrap();
    assert!(saved.contains(&owner_key), "the owner's key came with the code: {saved}");
    wait_for("the end of the process that looked", || readers(agent.id()).is_empty().then_some(()));
    let log = home.log();
    assert!(!log.contains(&code.secret), "the secret stands in the log");
    assert_eq!(log.matches("a pairing code is seen").count(), 1, "{log}");
    let report = doctor(&home);
    assert_eq!(report["code"], "qr_not_looking", "{report}");
}

/// What `doctor` says of the code.
pub(crate) fn doctor(home: &Home) -> Value {
    let report = output(home.command("doctor").arg("--json"), "").stdout;
    let report: Value = serde_json::from_slice(&report).unwrap();
    let checks = report["checks"].as_array().unwrap().clone();
    checks.into_iter().find(|check| check["name"] == "pairing by QR code").unwrap()
}

/// A code of a fifth of the picture's height: looked at in half the pixels, it has no more squares that can be
/// told apart.
#[tokio::test]
async fn a_small_code_is_read_in_all_the_pixels_that_a_camera_has() {
    let Some(relay) = Relay::start().await else { return };
    let code = code_of(&relay.open_pairing().await).to_string();
    let home = before(&[&[code.as_bytes()]], "");
    let far = "scale=288:216:flags=area,pad=1920:1080:(ow-iw)/2:(oh-ih)/2:color=gray";
    film_with(&home.path("far.mp4"), &[&[code.as_bytes()]], far);
    let config = fs::read_to_string(home.path("agent.toml")).unwrap();
    let (narrow, wide) =
        (format!("width = {WIDTH}\nheight = {HEIGHT}"), "width = 1920\nheight = 1080");
    home.configure(&config.replace(&narrow, wide).replace("codes.mp4", "far.mp4"));
    let _agent = home.run();
    home.wait_for_log("paired");
    relay.until_online(&camera_id(&home)).await;
}

#[tokio::test]
async fn hostile_codes_are_each_named_and_the_right_one_still_pairs() {
    let Some(relay) = Relay::start().await else { return };
    let good = code_of(&relay.open_pairing().await);
    let nobody = PairingQr { relay_url: "http://127.0.0.1:9".to_owned(), ..good.clone() };
    let used = PairingQr { secret: "c3BlbnQ".to_owned(), ..good.clone() };
    let expired = PairingQr { expires_at: UnixMillis(1_000_000), ..good.clone() };
    let other = PairingQr { secret: "b3RoZXI".to_owned(), ..good.clone() };
    let [good, nobody, used, expired, other] =
        [good, nobody, used, expired, other].map(|code| code.to_string());
    let (plain, control) = (
        good.replace("http://", "http://a."),
        format!("{}N:a\u{1b}[2J;;", &good[..good.len() - 1]),
    );
    let (newer, huge) = (good.replace("V:1", "V:9"), "x".repeat(700));
    let parts: [Codes<'_>; 11] = [
        &[b"https://example.org/menu"],
        &[b"WIFI:T:WPA;S:Home;P:geheim-geheim;;"],
        &[b"\xff\xfe\x80\x81 bytes"],
        &[huge.as_bytes()],
        &[expired.as_bytes()],
        &[control.as_bytes()],
        &[plain.as_bytes()],
        &[newer.as_bytes()],
        &[used.as_bytes(), other.as_bytes()],
        &[used.as_bytes()],
        &[nobody.as_bytes()],
    ];
    let home = before(&parts, "");
    let mut agent = home.run();
    let codes = [
        "qr_other_product",
        "qr_wifi_alone",
        "qr_not_text",
        "qr_too_long",
        "qr_expired",
        "qr_wifi",
        "qr_relay",
        "qr_newer_version",
        "qr_several",
        "not_accepted",
        "unreachable",
    ];
    for code in codes {
        home.wait_for_log(&format!("code=\"{code}\""));
    }
    let log = home.log();
    for code in &codes[..9] {
        let times = log.matches(&format!("code=\"{code}\"")).count();
        assert_eq!(times, 1, "{code} is told once, however often the film shows it: {log}");
    }
    assert!(
        !log.contains("geheim") && !log.contains("c3BlbnQ") && !log.contains('\u{1b}'),
        "{log}"
    );
    let report = doctor(&home);
    let code = report["code"].as_str().unwrap();
    assert!(codes.contains(&code) && !report["next_step"].is_null(), "{report}");
    assert!(agent.is_running(), "the agent ended over a code");

    // The same camera, shown the right one at last.
    drop(agent);
    film(&home.path("right.mp4"), &[&[good.as_bytes()]]);
    let config = fs::read_to_string(home.path("agent.toml")).unwrap();
    home.configure(&config.replace("codes.mp4", "right.mp4"));
    let _agent = home.run();
    home.wait_for_log("paired");
    relay.until_online(&camera_id(&home)).await;
    assert!(!home.data_dir().join("lens.json").exists());
}

#[tokio::test]
async fn a_paired_camera_follows_no_code_and_a_named_relay_alone_is_followed() {
    let Some(relay) = Relay::start().await else { return };
    let pairing = relay.open_pairing().await;
    let code = code_of(&pairing).to_string();
    let home = before(&[&[code.as_bytes()]], "[qr]\nrelay = \"https://mine.example\"\n");
    let agent = home.run();
    home.wait_for_log("code=\"qr_foreign_relay\"");
    assert_eq!(doctor(&home)["code"], "qr_foreign_relay");
    drop(agent);

    let own = relay.open_pairing().await;
    let camera = crate::pairing::pair_with_file(&home, &own);
    let agent = home.run();
    relay.until_online(&camera).await;
    home.wait_for_log("the camera sees");
    assert_eq!(readers(agent.id()), [] as [u32; 0], "a paired camera does not look");
    assert_eq!(camera_id(&home), camera);
}
