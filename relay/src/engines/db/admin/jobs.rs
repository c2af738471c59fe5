//! How jobs went.

use nightjar_shared::{admin::Job, time::UnixMillis};

use crate::engines::db::{DbError, Executor, from_row};

#[derive(Debug, Clone)]
pub struct JobRow {
    pub job: Job,
    pub runs: u64,
    pub failures: u64,
    pub started_at: Option<UnixMillis>,
    pub duration_ms: Option<u64>,
    pub failed_at: Option<UnixMillis>,
    pub reason: Option<String>,
    pub asked_at: Option<UnixMillis>,
}

from_row!(JobRow { job, runs, failures, started_at, duration_ms, failed_at, reason, asked_at });

pub async fn all(db: &impl Executor) -> Result<Vec<JobRow>, DbError> {
    db.all(
        "select job, runs, failures, started_at, duration_ms, failed_at, reason, asked_at
         from jobs order by job",
        vec![],
    )
    .await
}

/// What is added to how a job went.
#[derive(Debug, Clone)]
pub struct Ran {
    pub runs: u64,
    pub failures: u64,
    pub started_at: UnixMillis,
    pub duration_ms: u64,
    pub failed_at: Option<UnixMillis>,
    pub reason: Option<String>,
}

pub async fn note(db: &impl Executor, job: Job, ran: Ran) -> Result<(), DbError> {
    db.execute(
        "insert into jobs (job, runs, failures, started_at, duration_ms, failed_at, reason)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (job) do update set runs = jobs.runs + $2, failures = jobs.failures + $3,
             started_at = $4, duration_ms = $5, failed_at = coalesce($6, jobs.failed_at),
             reason = coalesce($7, jobs.reason)",
        vec![
            job.into(),
            ran.runs.into(),
            ran.failures.into(),
            ran.started_at.into(),
            ran.duration_ms.into(),
            ran.failed_at.into(),
            ran.reason.into(),
        ],
    )
    .await
    .map(drop)
}

/// Asks the relay that runs to do a job soon.
pub async fn ask(db: &impl Executor, job: Job, now: UnixMillis) -> Result<(), DbError> {
    db.execute(
        "insert into jobs (job, runs, failures, asked_at) values ($1, 0, 0, $2)
         on conflict (job) do update set asked_at = $2",
        vec![job.into(), now.into()],
    )
    .await
    .map(drop)
}

/// Takes what was asked for: of two replicas, one has it.
pub async fn take_asked(db: &impl Executor) -> Result<Vec<Job>, DbError> {
    let rows = db.query("select job from jobs where asked_at is not null", vec![]).await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let rows = db
        .query("update jobs set asked_at = null where asked_at is not null returning job", vec![])
        .await?;
    Ok(rows.iter().filter_map(|row| row.get("job").ok()).collect())
}
