//! Tells systemd that the agent does its work: not that its process exists, but that pictures
//! come, and that they reach the disk while something is recorded.

use std::time::Duration;

use nightjar_core::monotonic::MonotonicNanos;
use tokio::{
    sync::{
        broadcast::{self, error::TryRecvError},
        watch,
    },
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::kept::Switches;
use crate::{
    clock::Clock,
    encode::{CaptureStatus, Media},
    record::{RecordStatus, Recorder},
    shutdown,
};

/// How long recording may go on without anything written before it counts as a hang: continuous footage is synced every
/// 10 s, all other every second.
const LONGEST_WRITE: Duration = Duration::from_secs(25);

/// Reports to systemd until cancelled. Where no watchdog is wanted it only waits.
pub(super) async fn run(
    media: Media,
    recorder: Recorder,
    clock: Clock,
    switches: watch::Receiver<Switches>,
    cancel: CancellationToken,
) {
    let Some(every) = shutdown::watchdog_interval() else {
        return cancel.cancelled().await;
    };
    let mut frames = media.frames();
    let (status, record) = (media.status(), recorder.status());
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let captured = drain(&mut frames);
        if !works(captured, &status.borrow(), *switches.borrow()) {
            tracing::error!(
                "no picture, and capturing does not know why: systemd is not told \"alive\""
            );
        } else if !writes(&record.borrow(), recorder.last_written_at(), clock.monotonic()) {
            tracing::error!(
                "nothing reaches the disk while recording: systemd is not told \"alive\""
            );
        } else {
            shutdown::notify_alive();
        }
    }
}

/// Empties the queue and returns whether anything was in it.
fn drain<T: Clone>(frames: &mut broadcast::Receiver<T>) -> bool {
    let mut any = false;
    loop {
        match frames.try_recv() {
            Ok(_) | Err(TryRecvError::Lagged(_)) => any = true,
            Err(TryRecvError::Empty | TryRecvError::Closed) => return any,
        }
    }
}

/// Returns whether capturing works. A missing or broken camera is known and waited for: a restart
/// would not bring it back. Silence without a reason is a hang, and so is a driver that does not
/// come back.
fn works(captured: bool, status: &CaptureStatus, switches: Switches) -> bool {
    !status.hangs && (captured || switches.privacy || status.problem.is_some())
}

/// Returns whether writing works. A disk that refuses is known and tried again; one that never
/// answers is a hang. (A camera that
/// gives no picture while it records is not the disk's fault: its clip is closed soon.)
pub(super) fn writes(
    status: &RecordStatus,
    last_written: MonotonicNanos,
    now: MonotonicNanos,
) -> bool {
    let known = status.problem.is_some() || status.retention.problem.is_some();
    !status.recording || known || now.since(last_written) < LONGEST_WRITE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_never_answers_while_recording_is_a_hang() {
        let at = |seconds: u64| MonotonicNanos(seconds * 1_000_000_000);
        let recording = RecordStatus { recording: true, ..RecordStatus::default() };
        let idle = RecordStatus::default();
        let refused = RecordStatus { problem: Some("I/O error".to_owned()), ..recording.clone() };
        assert!(writes(&recording, at(100), at(124)));
        assert!(!writes(&recording, at(100), at(125)));
        assert!(writes(&idle, at(100), at(900)));
        assert!(writes(&refused, at(100), at(900)));
    }

    #[test]
    fn only_unexplained_silence_is_a_hang() {
        let on = Switches { armed: true, privacy: false };
        let unplugged =
            CaptureStatus { problem: Some("no camera".to_owned()), ..CaptureStatus::default() };
        let running = CaptureStatus { running: true, ..CaptureStatus::default() };
        assert!(works(true, &running, on));
        assert!(works(false, &unplugged, on));
        assert!(works(false, &running, Switches { privacy: true, ..on }));
        let stuck = CaptureStatus { hangs: true, ..unplugged };
        assert!(!works(false, &stuck, on));
        assert!(!works(false, &stuck, Switches { privacy: true, ..on }));
        assert!(!works(false, &running, on));
    }
}
