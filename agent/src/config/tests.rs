use nightjar_shared::{configuration::PrivacyMask, image::ImageSettings};

use super::*;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("agent.toml"))
}

#[test]
fn an_empty_file_gives_the_defaults() {
    assert_eq!(parse("").unwrap(), Config::default());
}

#[test]
fn an_unknown_key_is_named_with_the_known_ones() {
    let message = parse("[motion]\nsensitivty = 0.4\n").unwrap_err().to_string();
    assert!(message.contains("sensitivty") && message.contains("sensitivity"), "{message}");
    assert!(!message.contains('\n'), "{message}");
}

#[test]
fn a_kind_that_does_not_exist_is_refused_with_those_that_do() {
    let message = parse("[source]\nkind = \"webcam\"\n").unwrap_err().to_string();
    assert!(message.contains("source.kind = \"webcam\" is not known"), "{message}");
    assert!(message.contains("line 2") && message.contains("\"v4l2\", \"libcamera\""), "{message}");
}

#[test]
fn a_value_of_the_wrong_type_is_shown_with_its_key() {
    let message = parse("[source]\nwidth = \"wide\"\n").unwrap_err().to_string();
    assert!(message.contains("width = \"wide\"") && message.contains("u32"), "{message}");
}

#[test]
fn what_the_owner_configures_comes_before_the_file() {
    let mut config = parse("[recording]\npre_roll_s = 3\npost_roll_s = 7\n").unwrap();
    let changes = Configuration { pre_roll_s: Some(9), ..Configuration::default() };
    config.adopt(&changes, Orientation::default());
    assert_eq!((config.recording.pre_roll_s, config.recording.post_roll_s), (9, 7));
}

/// A mask in the left upper corner, as a file has it.
const CORNER: &str = "[[source.masks]]\npoints = [[0.0, 0.0], [0.25, 0.0], [0.25, 0.5]]\n";

#[test]
fn masks_of_file_and_app_stay_on_their_part_of_the_scene_when_either_turns_the_picture() {
    let turned = |rotation| {
        let image = Some(ImageSettings { rotation, ..ImageSettings::default() });
        Configuration { image, ..Configuration::default() }
    };
    let drawn = |config: &Config| config.source.masks[0].points.clone();
    // The file's mask, while the app turns the picture, twice.
    let mut config = parse(CORNER).unwrap();
    config.adopt(&turned(180), Orientation::default());
    assert_eq!(drawn(&config)[1], (0.75, 1.0));
    let upside_down = Orientation::of(&config.source.image);
    config.adopt(&turned(90), upside_down);
    assert_eq!(drawn(&config)[1], (1.0, 0.25));

    // The app's mask, while the file turns the picture.
    let points = vec![(0.0, 0.0), (0.25, 0.0), (0.25, 0.5)];
    let masks = Some(vec![PrivacyMask { points, ..PrivacyMask::default() }]);
    let of_app = Configuration { privacy_masks: masks, ..Configuration::default() };
    let mut config = parse("[source.image]\nrotation = 180\n").unwrap();
    config.adopt(&of_app, Orientation::default());
    assert_eq!(drawn(&config)[1], (0.75, 1.0));
    // One that was drawn as the file shows it stays where it was drawn.
    config.adopt(&of_app, upside_down);
    assert_eq!(drawn(&config)[1], (0.25, 0.0));
}

#[test]
fn a_picture_that_cannot_be_is_refused_and_a_key_that_does_not_exist_named() {
    let message = parse("[source.image]\nrotation = 45\n").unwrap_err().to_string();
    assert!(message.contains("image.rotation = 45"), "{message}");
    let message = parse("[source.image]\nroation = 90\n").unwrap_err().to_string();
    assert!(message.contains("roation") && message.contains("`rotation`"), "{message}");
}

#[test]
fn the_hours_of_continuous_footage_are_a_schedule_like_any_other() {
    let text = |zone| {
        format!(
            "[recording]\nmode = \"both\"\n[recording.schedule]\ntime_zone = \"{zone}\"\n\
             armed = [{{ day = \"monday\", from_minute = 480, until_minute = 1080 }}]\n"
        )
    };
    let recording = parse(&text("Europe/Zurich")).unwrap().recording;
    assert_eq!(recording.mode, RecordingMode::Both);
    assert_eq!(recording.schedule.unwrap().armed[0].until_minute, 1_080);
    let message = parse(&text("Mars/Olympus")).unwrap_err().to_string();
    assert!(message.contains("recording.schedule") && message.contains("Mars"), "{message}");
    let message = parse("[recording]\nmode = \"sometimes\"\n").unwrap_err().to_string();
    assert!(message.contains("recording.mode = \"sometimes\" is not known"), "{message}");
}

#[test]
fn a_value_out_of_range_names_key_value_and_remedy() {
    let message = parse("[recording]\nmax_clip_s = 1\n").unwrap_err().to_string();
    assert!(message.contains("recording.max_clip_s = 1"), "{message}");
    assert!(message.contains("between 5 and 3600"), "{message}");
}

#[test]
fn an_ip_camera_is_an_address_and_a_file_with_its_login() {
    let text = "[source]\nkind = \"rtsp\"\n[source.rtsp]\nurl = \"rtsp://10.0.0.9:554/main?channel=1\"\n\
                login_file = \"/etc/nightjar/porch-login\"\n";
    let camera = parse(text).unwrap().source.rtsp.unwrap();
    assert_eq!((camera.url.host(), camera.transport), ("10.0.0.9:554", RtspTransport::Tcp));
    let absent = parse("[source]\nkind = \"rtsp\"\n").unwrap_err().to_string();
    assert!(absent.contains("source.rtsp") && absent.contains("[source.rtsp] url"), "{absent}");
}

#[test]
fn no_error_shows_what_an_address_hides() {
    for line in [
        "url = \"rtsp://root:s3cret@10.0.0.9/main\"",
        "url = \"rtsp://root:s3cret@10.0.0.9/main",
        "url = \"http://10.0.0.9/?password=s3cret\"",
        "url = \"rtsp://\"",
    ] {
        let message =
            parse(&format!("[source]\nkind = \"rtsp\"\n[source.rtsp]\n{line}\n")).unwrap_err();
        let message = message.to_string();
        assert!(message.contains("line 4") && !message.contains("s3cret"), "{message}");
    }
    let text = "[source]\nkind = \"rtsp\"\nwidth = 1\n[source.rtsp]\n\
                url = \"rtsp://10.0.0.9/user=root&password=s3cret\"\n";
    let message = parse(text).unwrap_err().to_string();
    assert!(message.contains("source.width") && !message.contains("s3cret"), "{message}");
    let shown = format!("{:?}", parse(&text.replace("width = 1\n", "")).unwrap());
    assert!(shown.contains("rtsp://10.0.0.9/…") && !shown.contains("s3cret"), "{shown}");
}

#[test]
fn of_what_is_written_of_a_camera_an_error_shows_the_key_alone() {
    for (lines, shown) in [
        ("url = \"root:s3cret@10.0.0.9/main\"", "url"),
        ("url = \"rtsp:\\u002f\\u002froot:s3cret@10.0.0.9/main\"", "url"),
        ("url = \"rtsp:\\u002f\\u002froot:s3cret", "url"),
        ("url = rtsp:root:s3cret", "url"),
        ("url = { user = \"root\", password = \"s3cret\" }", "url"),
        ("url = [\"s3cret\"]", "url"),
        ("url = \"rtsp://a/\"\nlogin_file = { password = \"s3cret\" }", "login_file"),
        ("url = \"rtsp://a/\"\ntransport = \"s3cret\"", "transport"),
        ("url = \"rtsp://a/\"\npassword = \"s3cret\"", "password"),
        ("url = \"rtsp://a/\"\n\"pass word\" = \"s3cret\"", "expected one of"),
        ("url = \"rtsp://a/\"\npassword: s3cret", "line 5"),
        ("url = \"\"\"\nroot:s3cret=\n\"\"\"", "url"),
        ("small_url = \"\"", "url"),
    ] {
        let text = format!("[source]\nkind = \"rtsp\"\n[source.rtsp]\n{lines}\n");
        let message = parse(&text).unwrap_err().to_string();
        assert!(message.contains(shown) && !message.contains("s3cret"), "{lines}: {message}");
    }
    for text in [
        "source = { kind = \"rtsp\", wdth = 1, rtsp = { url = \"root:s3cret@a\" } }",
        "source = { kind = \"rtsp\", rtsp = { url = \"root:s3cret@a\" } }",
        "source.kind = \"rtsp\"\nsource.rtsp.url = \"root:s3cret@a\"",
        "[source]\nrtsp = \"root:s3cret@a\"",
        "[[source.rtsp]]\nurl = \"root:s3cret@a\"",
        "[source]\nurl = \"root:s3cret@a\"",
        "[source]\nkind = \"rtsp\"\npassword = \"s3cret\"",
    ] {
        let message = parse(text).unwrap_err().to_string();
        assert!(message.contains("line ") && !message.contains("s3cret"), "{text}: {message}");
    }
}

#[test]
fn an_address_that_cannot_be_asked_is_refused_when_it_is_read() {
    let address = |text: &str| StreamAddress::try_from(text.to_owned());
    for usual in ["rtsp://cam/a", "RTSP://10.0.0.9:554/", "rtsp://[::1]:8554/main", "rtsp://cam"] {
        assert!(address(usual).is_ok(), "{usual}");
    }
    assert_eq!(address("RTSP://10.0.0.9:554/x").unwrap().host(), "10.0.0.9:554");
    for odd in [
        "rtsp://[::1/main",
        "rtsp://10.0.0.1:99999/a",
        "rtsp://:8554/x",
        "rtsp:// 10.0.0.1/a",
        "rtsp://10.0.0.1/a\u{1b}[2J",
        "rtsps://10.0.0.1/a",
        "rtsp:10.0.0.1",
        "",
    ] {
        assert!(address(odd).unwrap_err().contains("rtsp://HOST:PORT/PATH"), "{odd}");
    }
    assert!(address("rtsp://root:s3cret@cam/a").unwrap_err().contains("login_file"));
}
