//! Tells systemd that the agent does its work: not that its process exists, but that pictures
//! come.

use tokio::{
    sync::{
        broadcast::{self, error::TryRecvError},
        watch,
    },
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::control::Switches;
use crate::{frame::CaptureStatus, media::Media, shutdown};

/// Until cancelled; ends at once where nobody asked for a watchdog.
pub(super) async fn run(
    media: Media,
    switches: watch::Receiver<Switches>,
    cancel: CancellationToken,
) {
    let Some(every) = shutdown::watchdog_interval() else {
        return cancel.cancelled().await;
    };
    let mut frames = media.frames();
    let status = media.status();
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let captured = drain(&mut frames);
        if works(captured, &status.borrow(), *switches.borrow()) {
            shutdown::notify_alive();
        } else {
            tracing::error!(
                "no picture, and capturing does not know why: systemd is not told \"alive\""
            );
        }
    }
}

/// Whether anything came since the last look.
fn drain<T: Clone>(frames: &mut broadcast::Receiver<T>) -> bool {
    let mut any = false;
    loop {
        match frames.try_recv() {
            Ok(_) | Err(TryRecvError::Lagged(_)) => any = true,
            Err(TryRecvError::Empty | TryRecvError::Closed) => return any,
        }
    }
}

/// A missing or broken camera is known and waited for: a restart would not bring it back.
/// Silence without a reason is a hang.
fn works(captured: bool, status: &CaptureStatus, switches: Switches) -> bool {
    captured || switches.privacy || status.problem.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unexplained_silence_is_a_hang() {
        let on = Switches { armed: true, privacy: false };
        let unplugged =
            CaptureStatus { problem: Some("no camera".to_owned()), ..CaptureStatus::default() };
        let running = CaptureStatus { running: true, ..CaptureStatus::default() };
        assert!(works(true, &running, on));
        assert!(works(false, &unplugged, on));
        assert!(works(false, &running, Switches { privacy: true, ..on }));
        assert!(!works(false, &running, on));
    }
}
