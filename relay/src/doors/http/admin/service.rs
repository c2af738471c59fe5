//! The relay itself: its jobs, what waits to leave, its settings, its counts over time.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use nightjar_shared::admin::Job;
use uuid::Uuid;

use crate::{
    app::App,
    domain::{
        List, PageRequest,
        admin::{
            Desk,
            job_list::{self, JobList},
            letters::{self, Letter, LetterSelection},
            settings::{self, SettingChanges, SettingList},
            statistics::{self, Statistics, StatisticsSelection},
        },
    },
    doors::{
        extract::{Id, Json, Query},
        principal::SignedIn,
    },
    error::Result,
};

/// Lists what the relay does by itself, and how it went.
#[utoipa::path(get, path = "/admin/jobs", tag = "admin",
    responses((status = 200, body = JobList)))]
pub async fn jobs(State(app): State<Arc<App>>, signed_in: SignedIn) -> Result<Json<JobList>> {
    let desk = Desk::of(&app, signed_in.caller).await?;
    Ok(Json(job_list::list(&desk).await?))
}

/// Asks for a job to be done now.
#[utoipa::path(post, path = "/admin/jobs/{job}/run", tag = "admin", params(("job" = Job, Path)),
    responses((status = 202)))]
pub async fn run(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(job): Id<Job>,
) -> Result<StatusCode> {
    let desk = Desk::of(&app, signed_in.caller).await?;
    job_list::ask(&desk, job).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Lists what waits to leave and what was given up, newest first.
#[utoipa::path(get, path = "/admin/letters", tag = "admin", params(LetterSelection, PageRequest),
    responses((status = 200, body = List<Letter>)))]
pub async fn letters(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Query(selection): Query<LetterSelection>,
    Query(page): Query<PageRequest>,
) -> Result<Json<List<Letter>>> {
    let desk = Desk::of(&app, signed_in.caller).await?;
    Ok(Json(letters::list(&desk, &selection, &page).await?))
}

/// Tries again what was given up.
#[utoipa::path(post, path = "/admin/letters/{id}/retry", tag = "admin",
    params(("id" = String, Path)), responses((status = 202)))]
pub async fn retry(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(letter_id): Id<Uuid>,
) -> Result<StatusCode> {
    let desk = Desk::of(&app, signed_in.caller).await?;
    letters::retry(&desk, &letter_id.to_string()).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Drops what waits to leave, or was given up.
#[utoipa::path(delete, path = "/admin/letters/{id}", tag = "admin",
    params(("id" = String, Path)), responses((status = 204)))]
pub async fn drop_letter(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(letter_id): Id<Uuid>,
) -> Result<StatusCode> {
    let desk = Desk::of(&app, signed_in.caller).await?;
    letters::remove(&desk, &letter_id.to_string()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Shows counts over time.
#[utoipa::path(get, path = "/admin/statistics", tag = "admin", params(StatisticsSelection),
    responses((status = 200, body = Statistics)))]
pub async fn statistics(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Query(selection): Query<StatisticsSelection>,
) -> Result<Json<Statistics>> {
    let desk = Desk::of(&app, signed_in.caller).await?;
    Ok(Json(statistics::list(&desk, &selection).await?))
}

/// Shows the settings that may be changed while the relay runs, and where each value comes from.
#[utoipa::path(get, path = "/admin/settings", tag = "admin",
    responses((status = 200, body = SettingList)))]
pub async fn settings(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
) -> Result<Json<SettingList>> {
    let desk = Desk::of(&app, signed_in.caller).await?;
    Ok(Json(settings::list(&desk, &app.config).await?))
}

/// Changes settings, at once and without a restart: all that are named, or none.
#[utoipa::path(patch, path = "/admin/settings", tag = "admin", request_body = SettingChanges,
    responses((status = 200, body = SettingList)))]
pub async fn change_settings(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Json(changes): Json<SettingChanges>,
) -> Result<Json<SettingList>> {
    let desk = Desk::of(&app, signed_in.caller).await?;
    Ok(Json(settings::change(&desk, &app.config, &changes).await?))
}
