//! Cameras that refuse, lie and stall: each is named, with what to do, and looked at again.

use std::time::Duration;

use nightjar_agent::config::SourceConfig;
use nightjar_core::monotonic::MonotonicNanos;

use crate::{
    liar::{Endless, Liar, Lie, Lying, Play},
    watcher::{Watcher, camera, mask, next, until_asked_again},
};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_camera_is_named_with_its_remedy() {
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("rtsp://{}/main", listener.local_addr().unwrap())
    };
    let ends = Play { frames: 20, ..Play::default() };
    let stalls = Play { stalls: true, ..ends };
    let elsewhere = "Location: rtsp://10.255.255.1/other\r\n";
    let digest = "WWW-Authenticate: Digest realm=\"cam\", nonce=\"1\"\r\n";
    let cases = [
        (Liar::Refuses(302, elsewhere), "another address (302)", "write it into source.rtsp"),
        (Liar::Refuses(401, digest), "wants a login", "source.rtsp.login_file"),
        (Liar::Refuses(404, ""), "has no such stream (404)", "correct the path"),
        (Liar::Refuses(453, ""), "refuses the stream (453)", "how many may watch"),
        (Liar::Describes("video", "H265/90000"), "gives h265 and not H.264", "to H.264"),
        (Liar::Describes("audio", "PCMU/8000"), "gives no video", "correct the path"),
        (Liar::Babbles, "does not say", "update or reset it"),
        (Liar::IsMute, "no answer in 8 s", "see that it is on"),
        (Liar::Plays(ends), "ended the stream", "asked again"),
        (Liar::Plays(stalls), "gave no picture for 4 s", "the network"),
    ];
    let mut watchers =
        vec![(Watcher::start(&camera(&closed)), None, "cannot be reached", "see that it is on")];
    for (liar, what, remedy) in cases {
        let lying = liar.listen();
        let watcher = Watcher::start(&camera(&lying.url()));
        watchers.push((watcher, Some(lying), what, remedy));
    }
    for (watcher, _lying, what, remedy) in watchers {
        let problem = watcher.complains(what).await;
        assert!(problem.contains(remedy) && problem.contains("127.0.0.1"), "{what}: {problem}");
        watcher.stop().await;
    }
}

/// 16000x16000, of baseline.
const HUGE: &[u8] = &[0x67, 0x42, 0xc0, 0x1f, 0xda, 0x00, 0x3e, 0x80, 0x07, 0xd1, 0x90];
/// 640x368, all of it but 2x2 cropped away.
const CROPPED: &[u8] =
    &[0x67, 0x42, 0xc0, 0x1f, 0xda, 0x02, 0x80, 0xbf, 0x80, 0x50, 0x20, 0x2e, 0x10];
/// 640x368, more than all of it cropped away.
const CROPPED_AWAY: &[u8] =
    &[0x67, 0x42, 0xc0, 0x1f, 0xda, 0x02, 0x80, 0xbf, 0x80, 0x64, 0x60, 0x12, 0xd4];

#[tokio::test(flavor = "multi_thread")]
async fn pictures_of_a_size_that_cannot_be_are_refused_before_they_are_decoded_and_not_asked_for_soon()
 {
    let lying = |lie| Liar::Plays(Play { lie, ..Play::default() }).listen();
    let good = lying(Lie::None);
    let mut watched = Vec::new();
    for (from, set, what) in [
        (0, HUGE, "pictures of 16000x16000; choose a mode of at most 4096x2304"),
        (30, HUGE, "pictures of 16000x16000; choose a mode of at most 4096x2304"),
        (0, CROPPED, "pictures of 2x2; choose a mode of at least 16x16"),
        (30, CROPPED_AWAY, "whose parameter sets cannot be read; set its size anew"),
    ] {
        for masks in [Vec::new(), vec![mask()]] {
            let lying = lying(Lie::Sequence(from, set));
            let mut config = SourceConfig { masks, ..camera(&lying.url()) };
            config.rtsp.as_mut().unwrap().small_url = Some(good.url().try_into().unwrap());
            watched.push((Watcher::start(&config), lying, what));
        }
    }
    for (watcher, _, what) in &watched {
        watcher.complains(what).await;
    }
    until_asked_again().await;
    for (watcher, lying, what) in watched {
        assert_eq!(lying.connections(), 1, "{what}");
        watcher.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_refuses_is_not_stormed() {
    let refusing = Liar::Refuses(404, "").listen();
    let locked = Liar::Refuses(401, "WWW-Authenticate: Basic realm=\"cam\"\r\n").listen();
    let watchers = [&refusing, &locked].map(|lying| Watcher::start(&camera(&lying.url())));
    for watcher in &watchers {
        watcher.until("a refusal", |status| status.problem.is_some()).await;
    }
    until_asked_again().await;
    assert_eq!((refusing.connections(), locked.connections()), (1, 1));
    for watcher in watchers {
        watcher.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_without_parameter_sets_or_key_frames_never_becomes_one_that_nobody_can_play() {
    let plays =
        [Play { sets: false, ..Play::default() }, Play { key_frames: false, ..Play::default() }];
    let watchers = plays.map(|play| {
        let watcher = Watcher::start(&camera(&Liar::Plays(play).listen().url()));
        let frames = watcher.media.frames();
        (watcher, frames)
    });
    // They are told of at the same time; then nobody begins to wait for longer.
    for (watcher, _) in &watchers {
        watcher.complains("no key frame with parameter sets").await;
    }
    for (watcher, mut frames) in watchers {
        let problem = watcher.complains("no key frame with parameter sets").await;
        assert!(problem.contains("set it to a key frame each second or two"), "{problem}");
        assert!(frames.try_recv().is_err(), "nothing was given out");
        watcher.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_whose_clock_lies_is_placed_in_our_time() {
    let watchers = [0, 1, 60_000_000].map(|ticks| {
        let lying = Liar::Plays(Play { ticks, ..Play::default() }).listen();
        let watcher = Watcher::start(&camera(&lying.url()));
        let frames = watcher.media.frames();
        (ticks, watcher, frames)
    });
    for (ticks, watcher, mut frames) in watchers {
        let first = next(&mut frames).await;
        let mut last = MonotonicNanos::default();
        for _ in 0..45 {
            let frame = next(&mut frames).await;
            let now = nightjar_agent::clock::monotonic_now();
            assert!(frame.captured_at > last && frame.captured_at <= now, "{ticks}");
            last = frame.captured_at;
        }
        let passed = last.since(first.captured_at);
        assert!(passed > Duration::from_millis(1_500), "{ticks}: {passed:?} of 3 s");
        let status = watcher.until("pictures", |status| status.running).await;
        assert_eq!(status.transcoded, None, "{ticks}");
        watcher.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_without_end_fills_no_memory() {
    /// 4 MB, what comes until somebody looks, and what the kernel holds: far less than is offered.
    const TAKEN_MAX: usize = 128 << 20;
    let endless: Vec<(Watcher, Lying, &str, Endless)> = ["DESCRIBE", "SETUP", "PLAY"]
        .into_iter()
        .zip([Endless::Line, Endless::Headers, Endless::Body])
        .map(|(method, part)| {
            let lying = Liar::Endless(method, part).listen();
            (Watcher::start(&camera(&lying.url())), lying, method, part)
        })
        .collect();
    for (watcher, lying, method, part) in endless {
        watcher.complains("a message that does not end").await;
        watcher.stop().await;
        let taken = lying.taken() / lying.connections();
        assert!(taken < TAKEN_MAX, "{method}, {part:?}: {taken} bytes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_without_end_fills_no_memory() {
    let lying = Liar::NeverEnds.listen();
    let watcher = Watcher::start(&camera(&lying.url()));
    watcher.complains("that does not end").await;
    watcher.stop().await;
}
