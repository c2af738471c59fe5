use super::*;

/// What Chromium offers for a video it wants to receive, shortened to what matters.
const BROWSER: &str = include_str!("../../../fuzz/seeds/offer/chromium.sdp");

#[test]
fn constrained_baseline_with_packetization_mode_one_is_chosen() {
    let offer = Offer::parse(BROWSER).unwrap();
    assert_eq!(offer.payload_type, 106);
    assert_eq!(offer.profile_level_id.as_deref(), Some("42e01f"));
}

#[test]
fn h264_without_a_mode_is_taken_where_mode_one_is_not_offered() {
    // As `whepclientsrc` writes it.
    let unnamed = BROWSER.replace("packetization-mode=1;", "");
    let offer = Offer::parse(&unnamed).unwrap();
    assert_eq!(offer.payload_type, 106);
    assert!(offer.rewritten().contains("packetization-mode=1;profile-level-id=42e01f"));
    let main_alone =
        BROWSER.replace("packetization-mode=1;profile-level-id=42E01F", "profile-level-id=42E01F");
    assert_eq!(Offer::parse(&main_alone).unwrap().payload_type, 102, "mode 1 comes first");
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
    let uri = PLAYOUT_DELAY;
    let knows = BROWSER.replace("a=recvonly", &format!("a=extmap:5 {uri}\r\na=recvonly"));
    let offer = Offer::parse(&knows).unwrap();
    assert_eq!(offer.playout_delay, Some(5));
    assert!(!offer.rewritten().contains(uri));
    assert_eq!(Offer::parse(BROWSER).unwrap().playout_delay, None);
}

#[test]
fn a_restart_changes_the_ice_user_the_password_and_the_candidates_alone() {
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

    let candidate = "a=candidate:2 1 udp 1 192.0.2.2 9 typ host\r\n";
    let with_one = format!("{fragment}m=video 9 X 0\r\na=mid:0\r\n{candidate}a=candidate:junk\r\n");
    let again = restarted.restarted(&with_one).unwrap();
    assert_eq!(again.rewritten(), format!("{text}{candidate}"));
    let two = BROWSER.replace("a=group:BUNDLE 0", "a=group:BUNDLE 0 1")
        + &BROWSER[BROWSER.find("m=").unwrap()..].replace("a=mid:0", "a=mid:1");
    let two = Offer::parse(&two).unwrap().restarted(&with_one).unwrap();
    let (first, second) = two.rewritten().split_once("\r\nm=video 9 UDP/TLS/RTP/SAVPF 96").unwrap();
    assert!(first.ends_with(candidate.trim()) && !second.contains("candidate"), "{first}");
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
    let unsupported = |text: &str| matches!(Offer::parse(text), Err(InvalidOffer::Unsupported(_)));
    for (text, expected) in [
        (String::new(), InvalidOffer::NotSdp(1)),
        ("hello".to_owned(), InvalidOffer::NotSdp(1)),
        (BROWSER.replace("o=-", "o=- x"), InvalidOffer::NotSdp(2)),
        (BROWSER.replace("s=-", "s"), InvalidOffer::NotSdp(3)),
        (BROWSER.replace("m=video 9", "m=video x"), InvalidOffer::NotSdp(8)),
        (BROWSER.replace("a=mid:0", "a=mid:\u{7}"), InvalidOffer::NotSdp(16)),
        (BROWSER[..BROWSER.find("m=").unwrap()].to_owned(), InvalidOffer::NoVideo),
        (BROWSER.replace("a=mid:0", "a=mid:"), InvalidOffer::Names),
        (BROWSER.replace("a=recvonly", "a=recvonly\r\na=sendonly"), InvalidOffer::Directions),
        (BROWSER.replace("a=recvonly", "a=sendonly"), InvalidOffer::NoVideo),
        (BROWSER.replace("m=video", "m=audio"), InvalidOffer::NoVideo),
        (BROWSER.replace("m=video 9", "m=video 0"), InvalidOffer::NoVideo),
        (BROWSER.replace("H264", "VP9"), InvalidOffer::NoH264),
        (BROWSER.replace("packetization-mode=1", "packetization-mode=0"), InvalidOffer::NoH264),
        (without("a=ice-pwd:EUdRmOjSLRqNpPMJbcDUsGpx\r\n"), InvalidOffer::Missing("ice-pwd")),
        (BROWSER.replace("p0vR", "p0v"), InvalidOffer::Missing("ice-ufrag")),
        (without("a=fingerprint"), InvalidOffer::NotSdp(14)),
        (BROWSER.replace("7B:8B", "7B:8"), InvalidOffer::Missing("fingerprint")),
        (BROWSER.repeat(40), InvalidOffer::TooLarge),
        ("a=x\r\n".repeat(2_000), InvalidOffer::TooLarge),
    ] {
        assert_eq!(Offer::parse(&text).map(drop), Err(expected));
    }
    for text in [
        BROWSER.replace("sha-256", "md5"),
        BROWSER.replace("actpass", "holdconn"),
        BROWSER.replace("a=fingerprint", "a=crypto"),
        BROWSER.replace("UDP/TLS/RTP/SAVPF", "RTP/SAVPF-MUX"),
        BROWSER.replace("a=mid:0", &format!("a=mid:{}", "x".repeat(65))),
        without("a=rtcp-mux\r\n"),
    ] {
        assert!(unsupported(&text), "{:?}", Offer::parse(&text).map(drop));
    }
}

/// The browser's offer with a section of sound as well.
fn with_sound(section: &str) -> String {
    BROWSER.replace("a=group:BUNDLE 0", "a=group:BUNDLE 0 1") + section
}

fn sound() -> String {
    let lines = BROWSER.lines();
    let transport = ["a=ice-", "a=fingerprint", "a=setup", "a=rtcp-mux"];
    let transport = lines.filter(|line| transport.iter().any(|start| line.starts_with(start)));
    let transport: String = transport.flat_map(|line| [line, "\r\n"]).collect();
    "m=audio 9 UDP/TLS/RTP/SAVPF 111 112 0\r\n".to_owned()
        + &transport
        + "a=mid:1\r\na=recvonly\r\na=rtpmap:111 opus/48000/2\r\na=rtpmap:112 junk\r\n"
}

#[test]
fn a_section_that_is_not_ours_keeps_the_formats_whose_codec_is_told() {
    let offer = Offer::parse(&with_sound(&sound())).unwrap();
    let text = offer.rewritten();
    assert!(text.contains("m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"), "{text}");
    assert_eq!(Offer::parse(text).unwrap().rewritten(), text);
}

#[test]
fn a_section_without_a_direction_both_sends_and_receives() {
    let offer = Offer::parse(&BROWSER.replace("a=recvonly\r\n", "")).unwrap();
    assert!(offer.rewritten().contains("a=sendrecv\r\n"));
    assert_eq!(Offer::parse(offer.rewritten()).unwrap(), offer);
}

#[test]
fn sections_that_the_engine_would_trip_over_are_rejected_in_the_answer() {
    for (line, other) in [
        ("a=rtpmap:111 opus/48000/2\r\n", ""),
        ("a=recvonly\r\n", "a=recvonly\r\na=inactive\r\n"),
        ("m=audio 9", "m=audio 0"),
        ("m=audio 9", "m=text 9"),
        ("a=mid:1\r\n", ""),
    ] {
        let offer = Offer::parse(&with_sound(&sound().replace(line, other))).unwrap();
        assert!(!offer.rewritten().contains("m=audio"), "{line}: {}", offer.rewritten());
        let answer = offer.answered("v=0\r\na=group:BUNDLE 0\r\nm=video 9 X 106\r\na=mid:0\r\n");
        assert!(answer.contains("\r\nm=video 9 UDP/TLS/RTP/SAVPF 106\r\n"), "{answer}");
        let rejected = answer.lines().filter(|line| line.contains(" 0 UDP/TLS/RTP/SAVPF 111 "));
        assert_eq!(rejected.count(), 1, "{answer}");
    }
}

#[test]
fn bundled_sections_get_the_transport_of_the_one_that_their_group_names_first() {
    let own = sound().replace("p0vR", "anew").replace("7B:8B", "7C:8B");
    let offer = Offer::parse(&with_sound(&own)).unwrap();
    assert_eq!(offer.rewritten().matches("a=ice-ufrag:p0vR").count(), 2, "{}", offer.rewritten());
    assert!(offer.fingerprint.unwrap().starts_with("sha-256 7B:8B"));

    let swapped = with_sound(&own).replace("BUNDLE 0 1", "BUNDLE 1 0");
    let offer = Offer::parse(&swapped).unwrap();
    assert_eq!(offer.rewritten().matches("a=ice-ufrag:anew").count(), 2, "{}", offer.rewritten());
    assert!(offer.fingerprint.as_deref().unwrap().starts_with("sha-256 7C:8B"));
    assert_eq!(offer.section_of(None), Some(1));
    let answer = offer.answered("v=0\r\na=group:BUNDLE 0 1\r\nm=video 9 X 106\r\n");
    assert!(answer.contains("a=group:BUNDLE 1 0\r\n"), "{answer}");
}

#[test]
fn the_strongest_is_not_needed_and_one_known_hash_function_is_enough() {
    let line = BROWSER.lines().find(|line| line.starts_with("a=fingerprint")).unwrap();
    let two = BROWSER.replace(line, &format!("a=fingerprint:sha-1 00:11\r\n{line}"));
    let offer = Offer::parse(&two).unwrap();
    assert!(offer.fingerprint.as_deref().unwrap().starts_with("sha-256 7B"));
    assert!(!offer.rewritten().contains("sha-1"));
}

#[test]
fn an_offer_without_names_and_groups_is_answered_without() {
    let plain = BROWSER.replace("a=mid:0\r\n", "").replace("a=group:BUNDLE 0\r\n", "");
    let offer = Offer::parse(&plain).unwrap();
    let made = offer.rewritten().replace("recvonly", "sendonly");
    let answer = offer.answered(&made);
    assert!(!answer.contains("a=mid") && !answer.contains("a=group"), "{answer}");
    assert_eq!((offer.section_of(Some("0")), offer.mid_of(0)), (Some(0), None));
}

#[test]
fn h264_without_parameters_is_taken_where_no_mode_is_named() {
    let bare = BROWSER.lines().filter(|line| !line.starts_with("a=fmtp:")).collect::<Vec<_>>();
    let offer = Offer::parse(&bare.join("\n")).unwrap();
    assert_eq!((offer.payload_type, offer.profile_level_id), (102, None));
}

#[test]
fn extensions_that_are_received_alone_are_answered_as_sent_alone() {
    let one_way = BROWSER
        .replace("a=extmap:1 urn:ietf:params:rtp-hdrext:toffset", "a=extmap:4/recvonly URI extra")
        .replace("URI", TRANSPORT_CC);
    let offer = Offer::parse(&one_way).unwrap();
    assert_eq!(offer.transport_cc, Some(4));
    let answer =
        offer.answered(&format!("v=0\r\nm=video 9 X 106\r\na=extmap:4 {TRANSPORT_CC}\r\n"));
    assert!(answer.ends_with(&format!("a=extmap:4/sendonly {TRANSPORT_CC}\r\n")), "{answer}");
    let only_sent = one_way.replace("/recvonly", "/sendonly");
    assert_eq!(Offer::parse(&only_sent).unwrap().transport_cc, None);
}

#[test]
fn a_video_section_that_can_be_answered_is_found_behind_one_that_cannot() {
    let first = BROWSER[BROWSER.find("m=").unwrap()..].replace("H264", "VP9");
    let both = BROWSER.replace("m=video", &(first.replace("a=mid:0", "a=mid:9") + "m=video"));
    let offer = Offer::parse(&both).unwrap();
    assert_eq!(offer.payload_type, 106);
    assert_eq!(offer.mid_of(0), Some("0"));
}

#[test]
fn candidates_are_checked_word_by_word() {
    let good = "candidate:1467250027 1 udp 2122260223 192.168.0.196 46243 typ host generation 0";
    assert!(is_candidate(good));
    assert!(is_candidate("candidate:1 1 UDP 1 192.0.2.1 9 typ host"));
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
        "candidate:1 1 tcp 1 192.0.2.1 9 typ host tcptype active",
        "candidate:1 1 udp 1 b5cb0f2c-ddd7-4e5e-9d4c-1be6d4cc1a44.local 9 typ host",
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
