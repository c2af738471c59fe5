//! What the system asks of the relay: its end, or another look at files; and what systemd hears.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// All parts together; systemd and people expect an end within 5 s.
pub const STOP_WITHIN: Duration = Duration::from_millis(4500);

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// SIGTERM and SIGINT.
    Stop,
    /// SIGHUP.
    LookAgain,
}

/// The signals that are heard.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    pub fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    pub async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.hang_up.recv() => Asked::LookAgain,
        }
    }

    /// Waits for one that asks for the end.
    pub async fn until_stop(&mut self) {
        while self.next().await != Asked::Stop {}
    }
}

/// Tells systemd, where it is there, that the relay serves.
pub fn notify_ready() {
    notify(NotifyState::Ready);
}

pub fn notify_stopping() {
    notify(NotifyState::Stopping);
}

pub fn notify_alive() {
    notify(NotifyState::Watchdog);
}

fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::debug!(%error, "cannot notify systemd");
    }
}

/// Returns how often systemd wants to hear that the relay is alive: nothing without a watchdog.
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 3)
}
