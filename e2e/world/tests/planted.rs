//! Faults that are planted into what the real programs stand on are found by the invariant that they
//! break, and a seed that found one finds it again.

use nightjar_world::{Fault, Run, run};

/// A fault shows in one of so many seeds.
const SEEDS: u64 = 40;

/// What the invariant says that the fault breaks.
fn expected(fault: Fault) -> &'static str {
    match fault {
        Fault::ForgottenCommand => "runs for the 2. time",
        Fault::LostAck => "at the end",
        Fault::EndlessCommand => "commands do not end",
        Fault::LostEvent | Fault::DoubledEvent => "events: ",
        Fault::ForeignEvent => "hears of the foreign camera",
        Fault::SilentLoss => "is gone and told as",
        Fault::LostPart => "is not in the store",
        Fault::DoubledPart => "has other parts at the relay",
        Fault::EndlessSession => "live sessions is still on its way",
    }
}

fn shows(fault: Fault, run: &Run) -> bool {
    run.violations.iter().any(|text| text.contains(expected(fault)))
}

fn is_found_and_replayed(fault: Fault) {
    let found = (0..SEEDS).find_map(|seed| {
        let run = run(seed, Some(fault));
        shows(fault, &run).then_some((seed, run))
    });
    let Some((seed, first)) = found else { panic!("no seed below {SEEDS} finds {fault:?}") };
    let second = run(seed, Some(fault));
    assert_eq!(first.violations, second.violations, "seed {seed} replays {fault:?}");
    assert_eq!(first.digest, second.digest, "seed {seed} replays {fault:?}");
}

macro_rules! found {
    ($($name:ident: $fault:ident),+ $(,)?) => {
        $(
            #[test]
            fn $name() {
                is_found_and_replayed(Fault::$fault);
            }
        )+
    };
}

found! {
    a_command_that_runs_twice_is_found: ForgottenCommand,
    an_acknowledgement_that_is_lost_is_found: LostAck,
    a_command_that_does_not_end_is_found: EndlessCommand,
    an_event_that_is_lost_is_found: LostEvent,
    an_event_that_is_doubled_is_found: DoubledEvent,
    an_event_that_strangers_see_is_found: ForeignEvent,
    a_camera_that_is_gone_and_told_as_there_is_found: SilentLoss,
    a_part_that_is_lost_is_found: LostPart,
    a_part_that_is_doubled_is_found: DoubledPart,
    a_live_session_that_does_not_end_is_found: EndlessSession,
}
