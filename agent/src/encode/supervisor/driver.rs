//! Waits for the camera's driver to start and to stop, and tells of one that does not.

use std::time::Duration;

use tokio::{
    task::{JoinError, JoinHandle},
    time,
};

use super::Supervisor;
use crate::{capture, config::SourceKind};

/// A driver that takes longer to start is told of, but may only be slow.
const SLOW_LIMIT: Duration = Duration::from_secs(4);

impl Supervisor {
    /// Waits for the driver to start, and tells of it when it takes its time.
    pub(super) async fn wait_for_start<T>(
        &self,
        start: &mut JoinHandle<T>,
        limit: Duration,
    ) -> Option<Result<T, JoinError>> {
        let soon = time::timeout(SLOW_LIMIT, &mut *start);
        if let Ok(started) = self.cancel.run_until_cancelled(soon).await? {
            return Some(started);
        }
        // What an IP camera was found to lack says more.
        if self.config.kind != SourceKind::Rtsp || self.status.borrow().problem.is_none() {
            self.report_failure(capture::slow_start(self.config.kind).to_owned());
        }
        self.wait_for_driver(start, limit.saturating_sub(SLOW_LIMIT), "start").await
    }

    /// What the driver gives, however late; nothing when the agent stops meanwhile.
    pub(super) async fn wait_for_driver<T>(
        &self,
        task: &mut JoinHandle<T>,
        limit: Duration,
        what: &str,
    ) -> Option<Result<T, JoinError>> {
        let done = self.cancel.run_until_cancelled(time::timeout(limit, &mut *task)).await?;
        if let Ok(done) = done {
            return Some(done);
        }
        self.report_failure(format!(
            "the camera's driver does not {what}; unplug the camera and plug it in again"
        ));
        self.status.send_modify(|status| status.hangs = true);
        let done = self.cancel.run_until_cancelled(task).await?;
        self.status.send_modify(|status| status.hangs = false);
        Some(done)
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc::channel, time::Duration};

    use tokio::{sync::watch, task::spawn_blocking};

    use super::super::tests::supervisor;
    use crate::encode::CaptureStatus;

    #[tokio::test]
    async fn a_driver_that_hangs_is_told_of_and_waited_for() {
        let (status, mut seen) = watch::channel(CaptureStatus::default());
        let supervisor = supervisor(status);
        let (let_go, held) = channel::<()>();
        let mut driver = spawn_blocking(move || held.recv().is_ok());
        let limit = Duration::from_millis(1);
        let (came, ()) =
            tokio::join!(supervisor.wait_for_driver(&mut driver, limit, "start"), async {
                let hangs = seen.wait_for(|status| status.hangs).await.unwrap();
                assert!(hangs.problem.as_ref().unwrap().contains("does not start"));
                drop(hangs);
                let_go.send(()).unwrap();
            });
        assert!(came.unwrap().unwrap());
        assert!(!supervisor.status.borrow().hangs);

        let (_let_go, held) = channel::<()>();
        let mut driver = spawn_blocking(move || held.recv_timeout(Duration::from_secs(1)).is_ok());
        supervisor.cancel.cancel();
        assert!(supervisor.wait_for_driver(&mut driver, limit, "stop").await.is_none());
    }
}
