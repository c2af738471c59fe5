use super::*;

const NOW: MonotonicNanos = MonotonicNanos(1_000_000_000);

fn offer() -> Signal {
    Signal {
        sdp: Some("v=0".to_owned()),
        reply_to: Some("replica-1".to_owned()),
        expires_in_ms: 5_000,
        ..Signal::new(SessionId::generate(), SignalKind::Offer)
    }
}

fn with_worker(max_viewers: u32) -> Sessions {
    let mut sessions = Sessions::new(max_viewers);
    assert!(sessions.worker_started().is_empty());
    sessions
}

fn with_answered(id: SessionId) -> Sessions {
    let mut sessions = with_worker(1);
    sessions.on_signal(Signal { session_id: id, ..offer() }, NOW);
    sessions.on_report(answer(id));
    sessions
}

fn reasons(effects: &[Effect]) -> Vec<SessionEndReason> {
    let mut reasons = Vec::new();
    for effect in effects {
        if let Effect::Reply { signal, .. } = effect {
            reasons.extend(signal.end_reason());
        }
    }
    reasons
}

fn answer(session_id: SessionId) -> WorkerReport {
    WorkerReport::Answer { session_id, sdp: Sdp("answer".to_owned()) }
}

#[test]
fn an_offer_goes_to_the_worker_and_its_answer_to_the_replica_that_asked() {
    let mut sessions = with_worker(2);
    let signal = offer();
    let id = signal.session_id;
    let effects = sessions.on_signal(signal.clone(), NOW);
    assert!(matches!(
        &effects[..],
        [Effect::Order(WorkerOrder::Offer { .. }), Effect::ProvideKeyFrame]
    ));
    assert!(sessions.on_signal(signal, NOW).is_empty(), "a duplicate changes nothing");

    let effects = sessions.on_report(answer(id));
    let [Effect::Reply { to, signal }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!((to.as_str(), signal.sdp.as_deref()), ("replica-1", Some("answer")));
    assert!(sessions.on_report(WorkerReport::Streaming { session_id: id }).is_empty());
    assert_eq!(sessions.viewers(), 1);

    let bye = Signal::new(id, SignalKind::Bye);
    assert_eq!(sessions.on_signal(bye.clone(), NOW), [close(id)]);
    assert!(sessions.on_signal(bye, NOW).is_empty());
    assert_eq!(sessions.viewers(), 0);
}

#[test]
fn one_viewer_too_many_is_told_busy() {
    let mut sessions = with_worker(2);
    sessions.on_signal(offer(), NOW);
    sessions.on_signal(offer(), NOW);
    assert_eq!(reasons(&sessions.on_signal(offer(), NOW)), [SessionEndReason::Busy]);
    sessions.set_max_viewers(3);
    assert!(reasons(&sessions.on_signal(offer(), NOW)).is_empty());
}

#[test]
fn privacy_ends_all_sessions_and_refuses_new_ones() {
    let mut sessions = with_worker(2);
    sessions.on_signal(offer(), NOW);
    let effects = sessions.set_private(true);
    assert_eq!(reasons(&effects), [SessionEndReason::PrivacyMode]);
    assert!(matches!(effects[0], Effect::Order(WorkerOrder::Close { .. })));
    assert_eq!(reasons(&sessions.on_signal(offer(), NOW)), [SessionEndReason::PrivacyMode]);
    assert!(sessions.set_private(false).is_empty());
    assert!(reasons(&sessions.on_signal(offer(), NOW)).is_empty());
}

#[test]
fn a_lost_worker_ends_its_sessions_and_the_next_one_gets_only_new_offers() {
    let mut sessions = with_worker(4);
    sessions.on_signal(offer(), NOW);
    assert_eq!(reasons(&sessions.worker_lost()), [SessionEndReason::WorkerRestarted]);
    assert!(sessions.on_signal(offer(), NOW).is_empty(), "it waits for a worker");
    let effects = sessions.worker_started();
    assert!(matches!(
        &effects[..],
        [Effect::Order(WorkerOrder::Offer { .. }), Effect::ProvideKeyFrame]
    ));
    assert!(sessions.worker_started().is_empty());
}

#[test]
fn an_expired_offer_is_forgotten_and_its_late_answer_dropped() {
    let mut sessions = with_worker(1);
    let signal = offer();
    let id = signal.session_id;
    sessions.on_signal(signal, NOW);
    assert!(sessions.expire(NOW.plus(Duration::from_millis(4_999))).is_empty());
    assert_eq!(sessions.expire(NOW.plus(Duration::from_secs(5))), [close(id)]);
    assert_eq!(sessions.on_report(answer(id)), [close(id)]);
    assert_eq!(sessions.viewers(), 0);
}

#[test]
fn an_answered_session_does_not_expire() {
    let mut sessions = with_worker(1);
    let signal = offer();
    let id = signal.session_id;
    sessions.on_signal(signal, NOW);
    sessions.on_report(answer(id));
    assert!(sessions.expire(NOW.plus(Duration::from_hours(1))).is_empty());
}

#[test]
fn a_restart_reaches_the_worker_and_its_answer_the_new_replica() {
    let mut sessions = with_worker(1);
    let signal = offer();
    let id = signal.session_id;
    sessions.on_signal(signal, NOW);
    sessions.on_report(answer(id));
    let restart = |id| Signal {
        sdp: Some("a=ice-ufrag:anew".to_owned()),
        reply_to: Some("replica-2".to_owned()),
        ..Signal::new(id, SignalKind::Restart)
    };
    let fragment = Sdp("a=ice-ufrag:anew".to_owned());
    let expected = Effect::Order(WorkerOrder::Restart { session_id: id, fragment });
    assert_eq!(sessions.on_signal(restart(id), NOW), [expected]);
    let effects = sessions.on_report(answer(id));
    assert!(matches!(&effects[..], [Effect::Reply { to, .. }] if to == "replica-2"));
    let unknown = sessions.on_signal(restart(SessionId::generate()), NOW);
    assert_eq!(reasons(&unknown), [SessionEndReason::ViewerGone]);
}

#[test]
fn candidates_after_the_answer_go_to_viewers_that_hear_of_them() {
    let mut sessions = with_worker(2);
    let (whep, socket) = (offer(), Signal { trickle: true, ..offer() });
    let found = |id| WorkerReport::Candidate {
        session_id: id,
        candidate: "candidate:1".to_owned(),
        sdp_mid: Some("0".to_owned()),
    };
    let ids = [whep.session_id, socket.session_id];
    sessions.on_signal(whep, NOW);
    sessions.on_signal(socket, NOW);
    assert!(sessions.on_report(found(ids[0])).is_empty());
    let effects = sessions.on_report(found(ids[1]));
    let [Effect::Reply { signal, .. }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(signal.candidate.as_deref(), Some("candidate:1"));
}

#[test]
fn candidates_go_to_the_worker_up_to_a_limit() {
    let mut sessions = with_worker(1);
    let signal = offer();
    let id = signal.session_id;
    sessions.on_signal(signal, NOW);
    let candidate = |text: &str| Signal {
        candidate: Some(text.to_owned()),
        ..Signal::new(id, SignalKind::Candidate)
    };
    assert!(sessions.on_signal(candidate(""), NOW).is_empty(), "the end of candidates");
    let forwarded = (0..100).filter(|_| !sessions.on_signal(candidate("x"), NOW).is_empty());
    assert_eq!(forwarded.count(), 64);
    for signal in
        [candidate(&"x".repeat(600)), Signal { sdp_mid: Some("x".repeat(100)), ..candidate("x") }]
    {
        assert!(with_answered(id).on_signal(signal, NOW).is_empty(), "too long");
    }
    let stranger = Signal { session_id: SessionId::generate(), ..candidate("x") };
    assert!(sessions.on_signal(stranger, NOW).is_empty());
}

#[test]
fn offers_without_a_description_or_an_address_are_harmless() {
    let mut sessions = with_worker(1);
    assert_eq!(
        reasons(&sessions.on_signal(Signal { sdp: None, ..offer() }, NOW)),
        [SessionEndReason::InvalidOffer]
    );
    assert!(sessions.on_signal(Signal { reply_to: None, ..offer() }, NOW).is_empty());
    let huge = Signal { sdp: Some("a=x\r\n".repeat(10_000)), ..offer() };
    assert_eq!(reasons(&sessions.on_signal(huge, NOW)), [SessionEndReason::OfferTooLarge]);
    assert_eq!(sessions.viewers(), 0);
}

#[test]
fn shutting_down_tells_every_viewer() {
    let mut sessions = with_worker(4);
    sessions.on_signal(offer(), NOW);
    sessions.on_signal(offer(), NOW);
    assert_eq!(reasons(&sessions.shut_down()), [SessionEndReason::ShuttingDown; 2]);
}
