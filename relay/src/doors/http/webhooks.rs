//! Other programs that are told what happens at a site.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use http::StatusCode;
use nightjar_shared::ids::{SiteId, WebhookId};

use crate::{
    app::App,
    domain::{
        List,
        webhooks::{self, Attempt, MadeWebhook, NewSecret, NewWebhook, Webhook, WebhookChange},
    },
    doors::{
        extract::{Id, Json, created},
        principal::SignedIn,
    },
    error::Result,
};

/// Lists a site's webhooks.
#[utoipa::path(get, path = "/sites/{id}/webhooks", tag = "webhooks",
    params(("id" = String, Path)), responses((status = 200, body = List<Webhook>)))]
pub async fn list(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(site_id): Id<SiteId>,
) -> Result<Json<List<Webhook>>> {
    Ok(Json(webhooks::list(&app, signed_in.caller, site_id).await?))
}

/// Makes a webhook. Its secret is told once.
#[utoipa::path(post, path = "/sites/{id}/webhooks", tag = "webhooks",
    params(("id" = String, Path)), request_body = NewWebhook,
    responses((status = 201, body = MadeWebhook)))]
pub async fn create(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(site_id): Id<SiteId>,
    Json(new): Json<NewWebhook>,
) -> Result<Response> {
    Ok(created(webhooks::create(&app, signed_in.caller, site_id, new).await?))
}

/// Changes a webhook, turns it on or off.
#[utoipa::path(patch, path = "/webhooks/{id}", tag = "webhooks", params(("id" = String, Path)),
    request_body = WebhookChange, responses((status = 200, body = Webhook)))]
pub async fn change(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(webhook_id): Id<WebhookId>,
    Json(change): Json<WebhookChange>,
) -> Result<Json<Webhook>> {
    Ok(Json(webhooks::change(&app, signed_in.caller, webhook_id, change).await?))
}

#[utoipa::path(delete, path = "/webhooks/{id}", tag = "webhooks", params(("id" = String, Path)),
    responses((status = 204)))]
pub async fn remove(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(webhook_id): Id<WebhookId>,
) -> Result<StatusCode> {
    webhooks::remove(&app, signed_in.caller, webhook_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes another secret; for a day requests are signed by both.
#[utoipa::path(post, path = "/webhooks/{id}/secret", tag = "webhooks",
    params(("id" = String, Path)), responses((status = 201, body = NewSecret)))]
pub async fn replace_secret(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(webhook_id): Id<WebhookId>,
) -> Result<Response> {
    Ok(created(webhooks::replace_secret(&app, signed_in.caller, webhook_id).await?))
}

/// Sends a message at once, to see whether it arrives.
#[utoipa::path(post, path = "/webhooks/{id}/test", tag = "webhooks",
    params(("id" = String, Path)), responses((status = 200, body = Attempt)))]
pub async fn try_out(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(webhook_id): Id<WebhookId>,
) -> Result<Json<Attempt>> {
    Ok(Json(webhooks::try_out(&app, signed_in.caller, webhook_id).await?))
}

/// Lists the last attempts with a webhook, newest first.
#[utoipa::path(get, path = "/webhooks/{id}/attempts", tag = "webhooks",
    params(("id" = String, Path)), responses((status = 200, body = List<Attempt>)))]
pub async fn attempts(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(webhook_id): Id<WebhookId>,
) -> Result<Json<List<Attempt>>> {
    Ok(Json(webhooks::attempts(&app, signed_in.caller, webhook_id).await?))
}
