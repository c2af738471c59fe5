//! Browsers that take messages while the app is closed.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use http::StatusCode;
use nightjar_shared::ids::SubscriptionId;

use crate::{
    app::App,
    domain::push::{self, NewSubscription, PushState, Subscription},
    doors::{
        extract::{Id, Json, created},
        principal::{SignedIn, SignsIn},
    },
    error::Result,
};

/// Lists my browsers that take messages, and says by which key another one subscribes.
#[utoipa::path(get, path = "/notifications/push", tag = "notifications",
    responses((status = 200, body = PushState)))]
pub async fn state(State(app): State<Arc<App>>, signed_in: SignedIn) -> Result<Json<PushState>> {
    Ok(Json(push::state(&app, &signed_in.session).await?))
}

/// Has messages go to this browser, and to nobody else's account any more.
#[utoipa::path(post, path = "/notifications/push", tag = "notifications",
    request_body = NewSubscription, responses((status = 201, body = Subscription)))]
pub async fn subscribe(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    SignsIn(client): SignsIn,
    Json(new): Json<NewSubscription>,
) -> Result<Response> {
    let program = client.program().to_owned();
    Ok(created(push::subscribe(&app, &signed_in.session, program, new).await?))
}

/// Has no more messages go to one of my browsers.
#[utoipa::path(delete, path = "/notifications/push/{id}", tag = "notifications",
    params(("id" = String, Path)), responses((status = 204)))]
pub async fn unsubscribe(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Id(subscription_id): Id<SubscriptionId>,
) -> Result<StatusCode> {
    push::unsubscribe(&app, signed_in.caller, subscription_id).await?;
    Ok(StatusCode::NO_CONTENT)
}
