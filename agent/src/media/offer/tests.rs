use super::*;

/// What Chromium offers for a video it wants to receive, shortened to what matters.
const BROWSER: &str = "v=0\r\n\
o=- 4611731400430051336 2 IN IP4 127.0.0.1\r\n\
s=-\r\n\
t=0 0\r\n\
a=group:BUNDLE 0\r\n\
a=extmap-allow-mixed\r\n\
a=msid-semantic: WMS\r\n\
m=video 9 UDP/TLS/RTP/SAVPF 96 97 102 103 106 107 127 125 39 40\r\n\
c=IN IP4 0.0.0.0\r\n\
a=rtcp:9 IN IP4 0.0.0.0\r\n\
a=ice-ufrag:p0vR\r\n\
a=ice-pwd:EUdRmOjSLRqNpPMJbcDUsGpx\r\n\
a=ice-options:trickle\r\n\
a=fingerprint:sha-256 7B:8B:F0:65:5F:78:E2:51:3B:AC:6F:F3:3F:46:1B:35:DC:B8:5F:64:1A:24:C2:43:F0:A1:58:D0:A1:2C:19:08\r\n\
a=setup:actpass\r\n\
a=mid:0\r\n\
a=extmap:1 urn:ietf:params:rtp-hdrext:toffset\r\n\
a=recvonly\r\n\
a=rtcp-mux\r\n\
a=rtcp-rsize\r\n\
a=rtpmap:96 VP8/90000\r\n\
a=rtpmap:97 rtx/90000\r\n\
a=fmtp:97 apt=96\r\n\
a=rtpmap:102 H264/90000\r\n\
a=rtcp-fb:102 nack\r\n\
a=rtcp-fb:102 nack pli\r\n\
a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f\r\n\
a=rtpmap:103 rtx/90000\r\n\
a=fmtp:103 apt=102\r\n\
a=rtpmap:106 H264/90000\r\n\
a=rtcp-fb:106 nack\r\n\
a=rtcp-fb:106 nack pli\r\n\
a=rtcp-fb:106 transport-cc\r\n\
a=fmtp:106 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42E01F\r\n\
a=rtpmap:107 rtx/90000\r\n\
a=fmtp:107 apt=106\r\n\
a=rtpmap:127 H264/90000\r\n\
a=fmtp:127 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f\r\n";

#[test]
fn constrained_baseline_with_packetization_mode_one_is_chosen() {
    let offer = Offer::parse(BROWSER).unwrap();
    assert_eq!(offer.payload_type, 106);
    assert_eq!(offer.profile_level_id.as_deref(), Some("42e01f"));
}

#[test]
fn only_the_chosen_codec_and_known_attributes_reach_the_engine() {
    let offer = Offer::parse(BROWSER).unwrap();
    let text = offer.rewritten();
    assert!(text.contains("m=video 9 UDP/TLS/RTP/SAVPF 106 107\r\n"), "{text}");
    assert!(text.contains("a=fmtp:107 apt=106\r\n"), "{text}");
    assert!(text.contains("a=rtcp-fb:106 nack pli\r\n"), "{text}");
    assert!(!text.contains("VP8") && !text.contains("extmap") && !text.contains("transport-cc"));
    assert_eq!(Offer::parse(text).unwrap().rewritten(), text, "and it is an offer itself");
}

#[test]
fn other_profiles_do_when_baseline_is_not_offered() {
    let main = BROWSER.replace("42E01F", "640c1f").replace("42001f", "4d001f");
    assert_eq!(Offer::parse(&main).unwrap().payload_type, 102);
    let unnamed = BROWSER.replace(";profile-level-id=42E01F", "").replace("42001f", "zz");
    let offer = Offer::parse(&unnamed).unwrap();
    assert_eq!((offer.payload_type, offer.profile_level_id), (102, None));
}

#[test]
fn the_players_wait_is_known_to_the_answer_alone() {
    let uri = crate::media::playout::PLAYOUT_DELAY;
    let knows = BROWSER.replace("a=recvonly", &format!("a=extmap:5 {uri}\r\na=recvonly"));
    let offer = Offer::parse(&knows).unwrap();
    assert_eq!(offer.playout_delay, Some(5));
    assert!(!offer.rewritten().contains(uri));
    assert_eq!(Offer::parse(BROWSER).unwrap().playout_delay, None);
}

#[test]
fn a_restart_changes_the_ice_user_and_password_alone() {
    let with_candidate = BROWSER.replace(
        "a=setup:actpass",
        "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\na=setup:actpass",
    );
    let offer = Offer::parse(&with_candidate).unwrap();
    let fragment = "a=ice-ufrag:anew\r\na=ice-pwd:0123456789012345678901\r\n";
    let restarted = offer.restarted(fragment).unwrap();
    let text = restarted.rewritten();
    assert!(text.contains("a=ice-ufrag:anew\r\na=ice-pwd:0123456789012345678901\r\n"), "{text}");
    assert!(!text.contains("p0vR") && !text.contains("a=candidate"), "{text}");
    assert_eq!(Offer::parse(text).unwrap(), restarted);
    for bad in ["", "a=ice-ufrag:anew\r\n", "a=ice-ufrag:a\r\na=ice-pwd:0123456789012345678901"] {
        assert!(matches!(offer.restarted(bad), Err(InvalidOffer::Missing(_))), "{bad}");
    }
    assert_eq!(offer.restarted(&"a=x\r\n".repeat(9_000)), Err(InvalidOffer::TooLarge));
}

#[test]
fn candidates_find_their_section() {
    let offer = Offer::parse(BROWSER).unwrap();
    assert_eq!(offer.section_of(Some("0")), Some(0));
    assert_eq!(offer.section_of(None), Some(0));
    assert_eq!(offer.section_of(Some("audio")), None);
    assert_eq!((offer.mid_of(0), offer.mid_of(1)), (Some("0"), None));
}

#[test]
fn each_refusal_is_named() {
    let without = |line: &str| BROWSER.replace(line, "");
    for (text, expected) in [
        (String::new(), InvalidOffer::NotSdp(1)),
        ("hello".to_owned(), InvalidOffer::NotSdp(1)),
        (BROWSER.replace("s=-", "s"), InvalidOffer::NotSdp(3)),
        (BROWSER.replace("m=video 9", "m=video x"), InvalidOffer::NotSdp(8)),
        (BROWSER.replace("a=mid:0", "a=mid:\u{7}"), InvalidOffer::NotSdp(16)),
        (BROWSER[..BROWSER.find("m=").unwrap()].to_owned(), InvalidOffer::Sections),
        (without("a=mid:0\r\n"), InvalidOffer::Names),
        (BROWSER.replace("a=recvonly", "a=sendonly"), InvalidOffer::NoVideo),
        (BROWSER.replace("m=video", "m=audio"), InvalidOffer::NoVideo),
        (BROWSER.replace("H264", "VP9"), InvalidOffer::NoH264),
        (BROWSER.replace("packetization-mode=1", "packetization-mode=0"), InvalidOffer::NoH264),
        (without("a=ice-pwd:EUdRmOjSLRqNpPMJbcDUsGpx\r\n"), InvalidOffer::Missing("ice-pwd")),
        (BROWSER.replace("sha-256", "md5"), InvalidOffer::Missing("fingerprint")),
        (BROWSER.replace("7B:8B", "7B:8"), InvalidOffer::Missing("fingerprint")),
        (BROWSER.replace("actpass", "holdconn"), InvalidOffer::Missing("setup")),
        (without("a=rtcp-mux\r\n"), InvalidOffer::Missing("rtcp-mux")),
        (BROWSER.repeat(40), InvalidOffer::TooLarge),
        ("a=x\r\n".repeat(2_000), InvalidOffer::TooLarge),
    ] {
        assert_eq!(Offer::parse(&text).map(drop), Err(expected));
    }
}

#[test]
fn candidates_are_checked_word_by_word() {
    let good = "candidate:1467250027 1 udp 2122260223 192.168.0.196 46243 typ host generation 0";
    assert!(is_candidate(good));
    assert!(is_candidate(
        "candidate:1 1 UDP 1 b5cb0f2c-ddd7-4e5e-9d4c-1be6d4cc1a44.local 9 typ host"
    ));
    assert!(is_candidate("candidate:1 1 udp 1 ::1 9 typ srflx raddr 10.0.0.1 rport 9"));
    for bad in [
        "",
        "candidate:",
        "1467250027 1 udp 2122260223 192.168.0.196 46243 typ host",
        "candidate:1 1 udp 1 192.168.0.1 99999 typ host",
        "candidate:1 1 udp 1 192.168.0.1 9 typ guest",
        "candidate:1 1 udp 1 192.168.0.1 9 type host",
        "candidate:1 9 udp 1 192.168.0.1 9 typ host",
        "candidate:1 1 udp 1 host_name 9 typ host",
        "candidate:1 1 udp 1 192.168.0.1 9 typ host\r\na=x",
        "candidate:1 1 udp 1 192.168.0.1 9 typ host  generation 0",
    ] {
        assert!(!is_candidate(bad), "{bad}");
    }
    assert!(!is_candidate(&format!("{good} {}", "x".repeat(600))));
}

#[test]
fn cut_and_flipped_offers_never_panic() {
    for end in 0..BROWSER.len() {
        let _ = Offer::parse(&BROWSER[..end]);
    }
    let mut bytes = BROWSER.as_bytes().to_vec();
    for index in 0..bytes.len() {
        let original = bytes[index];
        for replacement in [b'\0', b' ', b':', b'\n', b'9', 0xFF] {
            bytes[index] = replacement;
            let _ = Offer::parse(&String::from_utf8_lossy(&bytes));
        }
        bytes[index] = original;
    }
}
