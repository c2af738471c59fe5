//! What the relay does by itself: how it went, and that it is done now.

use nightjar_shared::{admin::Job, audit::Action, time::UnixMillis};
use serde::Serialize;
use utoipa::ToSchema;

use super::Desk;
use crate::{
    app::{App, job_book::Facts},
    domain::audit::record,
    engines::db::admin::jobs::{self as rows, JobRow, Ran},
    error::{Error, ProblemCode, Result},
};

const REASON_CHARS_MAX: usize = 300;

/// How a job went, of all processes together.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AdminJob {
    pub job: Job,
    pub runs: u64,
    pub failures: u64,
    /// When it began last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<UnixMillis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<UnixMillis>,
    /// Why it failed then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when somebody wants it done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<UnixMillis>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JobList {
    pub items: Vec<AdminJob>,
}

/// Lists all jobs. What is known of the running process is up to date, what others did up to a minute old.
pub async fn list(desk: &Desk<'_>) -> Result<JobList> {
    if let Some(app) = desk.app {
        write_down(app).await?;
    }
    let rows = rows::all(desk.db).await?;
    let view = |job: Job| of(job, rows.iter().find(|row| row.job == job));
    Ok(JobList { items: Job::ALL.iter().copied().map(view).collect() })
}

fn of(job: Job, row: Option<&JobRow>) -> AdminJob {
    AdminJob {
        job,
        runs: row.map_or(0, |row| row.runs),
        failures: row.map_or(0, |row| row.failures),
        started_at: row.and_then(|row| row.started_at),
        duration_ms: row.and_then(|row| row.duration_ms),
        failed_at: row.and_then(|row| row.failed_at),
        reason: row.and_then(|row| row.reason.clone()),
        asked_at: row.and_then(|row| row.asked_at),
    }
}

/// Asks for a job to be done soon: by the relay that runs, within seconds.
pub async fn ask(desk: &Desk<'_>, job: Job) -> Result<()> {
    let transaction = desk.db.begin().await?;
    desk.hold(&transaction).await?;
    if rows::all(&transaction).await?.iter().any(|row| row.job == job && row.asked_at.is_some()) {
        return Err(running());
    }
    rows::ask(&transaction, job, desk.now).await?;
    record(&transaction, desk.now, desk.entry(Action::JobRun).subject(job)).await?;
    transaction.commit().await?;
    if let Some(app) = desk.app {
        app.jobs_due.notify_one();
    }
    Ok(())
}

fn running() -> Error {
    Error::conflict(ProblemCode::JobRunning, "This job was asked for already, and is not done yet.")
}

/// Takes the jobs that somebody wants done.
pub(in crate::domain) async fn take_asked(app: &App) -> Result<Vec<Job>> {
    Ok(rows::take_asked(&app.db).await?)
}

/// Writes down how jobs went since the last time.
pub(in crate::domain) async fn write_down(app: &App) -> Result<()> {
    app.jobs
        .write_down(async |unwritten| {
            for (job, facts) in unwritten {
                rows::note(&app.db.unsynced(), job, ran(facts)).await?;
            }
            Ok(())
        })
        .await
}

fn ran(facts: Facts) -> Ran {
    Ran {
        runs: facts.runs,
        failures: facts.failures,
        started_at: facts.started_at,
        duration_ms: u64::try_from(facts.duration.as_millis()).unwrap_or(u64::MAX),
        failed_at: facts.failed_at,
        reason: facts.reason.map(|text| text.chars().take(REASON_CHARS_MAX).collect()),
    }
}
