//! Every set of words that `shared` spells and people, the app or a database see.

use std::collections::BTreeMap;

use nightjar_shared::{
    admin::ViewState,
    api::PartKind,
    camera::{CameraActivity, CameraStatus, GapReason},
    clip::{ClipKind, ClipState, Visibility},
    command::{Command, CommandReason, CommandState},
    configuration::{RecordingMode, ZoneKind},
    event::{EventEndReason, EventKind, EventState, TamperKind, TranscodeReason},
    factor::FactorKind,
    finding::Verdict,
    image::ImageControlKind,
    pairing::PairingState,
    problem::ProblemCode,
    release::{ReleaseState, UpdateProblem, UpdateState},
    role::{AccountRole, Registration, Right, Role},
    session::{SessionEndReason, SessionState},
    signal::{CandidateKind, VideoLayer},
    time::ClockState,
};

/// The sets by name, each with its words in order.
pub(crate) fn sets() -> BTreeMap<&'static str, Vec<&'static str>> {
    macro_rules! sets {
        ($($set:ident),+ $(,)?) => {
            BTreeMap::from([
                ("CommandKind", Command::KINDS.to_vec()),
                $((stringify!($set), $set::ALL.iter().map(|word| word.as_str()).collect())),+
            ])
        };
    }
    sets!(
        AccountRole,
        CameraActivity,
        CameraStatus,
        CandidateKind,
        ClipKind,
        ClipState,
        ClockState,
        CommandReason,
        CommandState,
        EventEndReason,
        EventKind,
        EventState,
        FactorKind,
        GapReason,
        ImageControlKind,
        PairingState,
        PartKind,
        ProblemCode,
        RecordingMode,
        Registration,
        ReleaseState,
        Right,
        Role,
        SessionEndReason,
        SessionState,
        TamperKind,
        TranscodeReason,
        UpdateProblem,
        UpdateState,
        Verdict,
        VideoLayer,
        ViewState,
        Visibility,
        ZoneKind,
    )
}
