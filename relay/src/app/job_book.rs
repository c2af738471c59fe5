//! How the relay's jobs went, until that is written down.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nightjar_shared::{admin::Job, time::UnixMillis};

/// How one job went.
#[derive(Debug, Clone)]
pub struct Facts {
    pub runs: u64,
    pub failures: u64,
    pub started_at: UnixMillis,
    pub duration: Duration,
    pub failed_at: Option<UnixMillis>,
    pub reason: Option<String>,
}

impl Facts {
    fn at(started_at: UnixMillis) -> Self {
        let (runs, failures, duration) = (0, 0, Duration::ZERO);
        Self { runs, failures, started_at, duration, failed_at: None, reason: None }
    }
}

#[derive(Default)]
pub struct JobBook {
    /// Not written down yet.
    unwritten: Mutex<BTreeMap<Job, Facts>>,
    /// Held by whoever writes them down: who reads waits until what was taken can be read.
    writing: tokio::sync::Mutex<()>,
}

impl JobBook {
    pub fn note(
        &self,
        job: Job,
        started_at: UnixMillis,
        duration: Duration,
        failure: Option<String>,
    ) {
        let mut unwritten = self.lock();
        let facts = unwritten.entry(job).or_insert_with(|| Facts::at(started_at));
        facts.runs += 1;
        (facts.started_at, facts.duration) = (started_at, duration);
        if let Some(reason) = failure {
            facts.failures += 1;
            (facts.failed_at, facts.reason) = (Some(started_at), Some(reason));
        }
    }

    /// Takes what is not written down yet, for `write`. Of two at once the second comes after the first.
    pub async fn write_down<E>(
        &self,
        write: impl AsyncFnOnce(BTreeMap<Job, Facts>) -> Result<(), E>,
    ) -> Result<(), E> {
        let _writing = self.writing.lock().await;
        let unwritten = std::mem::take(&mut *self.lock());
        write(unwritten).await
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Job, Facts>> {
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
