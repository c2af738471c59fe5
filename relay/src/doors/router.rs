//! Every route, and who may call it.

use std::sync::{Arc, LazyLock};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    response::IntoResponse as _,
    routing::{MethodRouter, get},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use nightjar_shared::range::{COUNT_MAX, DURATION_MS_MAX};
use serde_json::{Map, Value};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        self,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    documented::{Problem, add_problems, operations, spell_out},
    extract::JSON_BYTES_MAX,
    http::{
        accounts, admin, agent, announcements, api_keys, audit, camera_moves, cameras, clips,
        commands, events, factors, invitations, live, members, notices, notifications, ops,
        pairings, parting, passwords, push, releases, retention, shares, sign_ins, sites, sockets,
        uploads, views, webhooks, whep,
    },
    mqtt::websocket,
    reference, requests, web,
};
use crate::{
    app::App,
    error::{Error, ProblemCode},
};

type Routes = OpenApiRouter<Arc<App>>;

/// Routes for anyone, signed in or not.
fn anybody() -> Routes {
    OpenApiRouter::new()
        .routes(routes!(accounts::register))
        .routes(routes!(accounts::registration))
        .routes(routes!(accounts::first_admin))
        .routes(routes!(accounts::login))
        .routes(routes!(accounts::refresh))
        .routes(routes!(factors::verify))
        .routes(routes!(factors::challenge))
        .routes(routes!(factors::sign_in))
        .routes(routes!(passwords::forgot))
        .routes(routes!(passwords::reset))
        .routes(routes!(passwords::verify_address))
        .routes(routes!(pairings::claim))
        .routes(routes!(pairings::introduce))
        .routes(routes!(announcements::announce))
        .routes(routes!(announcements::state))
        .routes(routes!(shares::open))
        .routes(routes!(invitations::open))
        .routes(routes!(invitations::register))
        .routes(routes!(notifications::mute_by_message))
        .routes(routes!(agent::challenge))
        .routes(routes!(agent::token))
        // Authenticates itself, by a ticket or by the cookie.
        .routes(routes!(sockets::connect))
}

/// Routes for an account, by its cookie, its access token or an API key. What it may do to which object is
/// decided in `domain::access`.
fn accounts_only() -> Routes {
    OpenApiRouter::new()
        .routes(routes!(accounts::logout))
        .routes(routes!(accounts::me, accounts::change_me))
        .routes(routes!(sign_ins::list, sign_ins::end_others))
        .routes(routes!(sign_ins::end))
        .routes(routes!(passwords::change))
        .routes(routes!(parting::export))
        .routes(routes!(parting::preview, parting::delete))
        .routes(routes!(passwords::change_address))
        .routes(routes!(passwords::send_verification))
        .merge(own_factors())
        .routes(routes!(sites::list, sites::create))
        .routes(routes!(sites::get, sites::change, sites::remove))
        .routes(routes!(members::list))
        .routes(routes!(members::change, members::remove))
        .routes(routes!(members::leave))
        .routes(routes!(members::offer, members::withdraw))
        .routes(routes!(members::accept))
        .routes(routes!(invitations::list, invitations::create))
        .routes(routes!(invitations::revoke))
        .routes(routes!(invitations::accept))
        .routes(routes!(audit::of_site))
        .routes(routes!(audit::of_account))
        .routes(routes!(pairings::list, pairings::open))
        .routes(routes!(announcements::find))
        .routes(routes!(announcements::accept))
        .routes(routes!(pairings::get, pairings::delete))
        .routes(routes!(cameras::list))
        .routes(routes!(cameras::get, cameras::change, cameras::remove))
        .routes(routes!(camera_moves::relocate))
        .routes(routes!(camera_moves::offer, camera_moves::withdraw))
        .routes(routes!(camera_moves::open))
        .routes(routes!(camera_moves::accept))
        .routes(routes!(cameras::health))
        .routes(routes!(cameras::configuration))
        .routes(routes!(cameras::timeline))
        .routes(routes!(cameras::statistics))
        .routes(routes!(releases::get, releases::change))
        .routes(routes!(commands::issue, commands::list))
        .routes(routes!(commands::get))
        .routes(routes!(live::list))
        .merge(watching())
        .merge(happenings())
        .merge(owned())
        .routes(routes!(clips::list))
        .routes(routes!(clips::get, clips::change, clips::delete))
        .routes(routes!(clips::playback))
        .routes(routes!(clips::playlist))
        .routes(routes!(shares::list, shares::create))
        .routes(routes!(shares::revoke))
        .routes(routes!(push::state, push::subscribe))
        .routes(routes!(push::unsubscribe))
        .routes(routes!(webhooks::list, webhooks::create))
        .routes(routes!(webhooks::change, webhooks::remove))
        .routes(routes!(webhooks::replace_secret))
        .routes(routes!(webhooks::try_out))
        .routes(routes!(webhooks::attempts))
        .routes(routes!(sockets::issue_ticket))
        .merge(notified())
        .routes(routes!(views::list))
        .routes(routes!(views::grant))
        .routes(routes!(views::refuse))
        .routes(routes!(views::end))
        .merge(administrators())
}

/// Routes for administrators of the relay; each asks `domain::admin` who calls.
fn administrators() -> Routes {
    OpenApiRouter::new()
        .routes(routes!(admin::reset_links::make_reset_link))
        .routes(routes!(audit::of_relay))
        .routes(routes!(admin::accounts::list))
        .routes(routes!(admin::accounts::get, admin::accounts::change))
        .routes(routes!(admin::accounts::sign_out))
        .routes(routes!(admin::accounts::reset))
        .routes(routes!(
            admin::accounts::deletion,
            admin::accounts::begin_deletion,
            admin::accounts::take_deletion_back
        ))
        .routes(routes!(admin::sites::list))
        .routes(routes!(admin::sites::get, admin::sites::change))
        .routes(routes!(admin::sites::ask))
        .routes(routes!(admin::sites::views))
        .routes(routes!(admin::sites::give_back))
        .routes(routes!(admin::sites::cameras))
        .routes(routes!(admin::sites::camera))
        .routes(routes!(admin::sites::storage))
        .routes(routes!(admin::sites::live))
        .routes(routes!(admin::sites::end_live))
        .routes(routes!(admin::service::jobs))
        .routes(routes!(admin::service::run))
        .routes(routes!(admin::service::letters))
        .routes(routes!(admin::service::retry))
        .routes(routes!(admin::service::drop_letter))
        .routes(routes!(admin::service::statistics))
        .routes(routes!(admin::service::settings, admin::service::change_settings))
}

/// Routes of what people say of clips, bring and keep.
fn owned() -> Routes {
    OpenApiRouter::new()
        .routes(routes!(uploads::begin))
        .routes(routes!(uploads::complete))
        .routes(routes!(clips::see, clips::unsee))
        .routes(routes!(clips::view))
        .routes(routes!(clips::statistics))
        .routes(routes!(retention::get, retention::change))
        .routes(routes!(retention::preview))
}

/// Routes of what happened, as cameras, people and programs say.
fn happenings() -> Routes {
    OpenApiRouter::new()
        .routes(routes!(events::list))
        .routes(routes!(events::get, events::delete))
        .routes(routes!(events::see, events::unsee))
        .routes(routes!(events::tell))
        .routes(routes!(events::bookmark))
}

/// Routes for a person alone, to what shows that it is they.
fn own_factors() -> Routes {
    OpenApiRouter::new()
        .routes(routes!(factors::confirm))
        .routes(routes!(factors::state))
        .routes(routes!(factors::begin_totp, factors::remove_totp))
        .routes(routes!(factors::confirm_totp))
        .routes(routes!(factors::new_backup_codes))
        .routes(routes!(factors::begin_passkey))
        .routes(routes!(factors::keep_passkey))
        .routes(routes!(factors::remove_passkey))
        .routes(routes!(api_keys::list, api_keys::create))
        .routes(routes!(api_keys::remove))
}

/// Routes for what a person is told.
fn notified() -> Routes {
    OpenApiRouter::new()
        .routes(routes!(notifications::list))
        .routes(routes!(notifications::unread))
        .routes(routes!(notifications::read_all))
        .routes(routes!(notifications::read))
        .routes(routes!(notifications::settings, notifications::change_settings))
        .routes(routes!(notifications::mute))
        .routes(routes!(notifications::unmute))
        .routes(routes!(notifications::test))
}

/// Routes of WHEP, open to pages of other origins, too.
fn watching() -> Routes {
    OpenApiRouter::new()
        .routes(routes!(whep::open, whep::describe, whep::head))
        .routes(routes!(live::get, whep::change, whep::close, whep::describe_session))
        .layer(middleware::from_fn(whep::share))
}

/// Routes for a camera, by its device token.
fn cameras_only() -> Routes {
    OpenApiRouter::new()
        .routes(routes!(agent::network))
        .routes(routes!(releases::report))
        .routes(routes!(agent::announce_clip))
        .routes(routes!(agent::permit_parts))
        .routes(routes!(agent::confirm_parts))
        .routes(routes!(agent::complete_clip))
        .routes(routes!(agent::fail_clip))
}

/// Routes for anyone who reaches the listener; nothing here says anything about accounts or
/// cameras.
fn strangers() -> Routes {
    OpenApiRouter::new().routes(routes!(ops::healthz)).routes(routes!(ops::ca_pem))
}

/// Routes for cameras that speak MQTT within https; the broker asks who they are.
fn mqtt() -> Routes {
    OpenApiRouter::new().routes(routes!(websocket::connect))
}

/// Routes for those who run the relay.
fn operators() -> Routes {
    OpenApiRouter::new().routes(routes!(ops::readyz)).routes(routes!(ops::metrics))
}

/// Routes for strangers who look for somebody to tell.
fn notices() -> Routes {
    OpenApiRouter::new().routes(routes!(notices::security_txt))
}

/// Builds all doors over HTTP.
pub fn router(app: &Arc<App>) -> anyhow::Result<Router> {
    let app_files = web::router(
        &app.config.public_url,
        &app.config.store.origin(),
        app.config.source_url.as_deref(),
    )?;
    let mut doors = everybody();
    if app.config.operations_listen.is_none() {
        doors = described(doors.merge(operators()));
    }
    let (api, _) = doors.split_for_parts();
    Ok(served(limited(api).merge(app_files), app))
}

/// Builds the doors of those who run the relay, for a listener of their own.
pub fn for_operators(app: &Arc<App>) -> Router {
    let doors = OpenApiRouter::new().routes(routes!(ops::healthz)).routes(routes!(ops::readyz));
    let doors = doors.route("/metrics", get(ops::metrics_for_operators));
    let (doors, _) = described(doors).split_for_parts();
    served(limited(doors), app)
}

/// Adds the description of the doors, for programs and for people. It is written when it is asked for first: a
/// relay that starts has other things to do.
fn described(doors: Routes) -> Routes {
    static DESCRIPTION: LazyLock<Option<(Bytes, Bytes)>> = LazyLock::new(|| {
        let written = description().inspect_err(|error| {
            tracing::error!(%error, "cannot write openapi.json");
        });
        let description = written.ok()?;
        Some((description.to_string().into(), reference::page(&description).into()))
    });
    let policy = (header::CONTENT_SECURITY_POLICY, reference::POLICY);
    doors
        .route(
            "/openapi.json",
            fixed("application/json", None, || DESCRIPTION.as_ref().map(|(json, _)| json.clone())),
        )
        .route(
            "/docs",
            fixed("text/html; charset=utf-8", Some(policy), || {
                DESCRIPTION.as_ref().map(|(_, page)| page.clone())
            }),
        )
        .route(
            reference::STYLE_PATH,
            fixed("text/css", None, || Some(Bytes::from_static(reference::STYLE.as_bytes()))),
        )
}

/// Serves a text that stays as it is.
fn fixed(
    content_type: &'static str,
    more: Option<(HeaderName, &'static str)>,
    text: fn() -> Option<Bytes>,
) -> MethodRouter<Arc<App>> {
    let nosniff = (header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    let headers: HeaderMap = [(header::CONTENT_TYPE, content_type), nosniff]
        .into_iter()
        .chain(more)
        .map(|(name, value)| (name, HeaderValue::from_static(value)))
        .collect();
    get(async move || match text() {
        Some(text) => (headers.clone(), text).into_response(),
        None => Error::from(anyhow::anyhow!("the doors cannot be described")).into_response(),
    })
}

/// The API alone, without the app and a description of itself.
pub fn api(app: &Arc<App>) -> Router {
    let (api, _) = documented().split_for_parts();
    served(limited(api), app)
}

fn limited(api: Router<Arc<App>>) -> Router<Arc<App>> {
    api.method_not_allowed_fallback(method_not_allowed).layer(DefaultBodyLimit::max(JSON_BYTES_MAX))
}

fn served(doors: Router<Arc<App>>, app: &Arc<App>) -> Router {
    doors
        .layer(middleware::from_fn_with_state(app.clone(), requests::around))
        .with_state(app.clone())
}

/// Writes the contents of `openapi.json`.
pub fn description() -> serde_json::Result<Value> {
    bounded(documented().get_openapi())
}

/// Says of each whole number without a sign how large it can be, in the place of utoipa's name for its
/// type, which no reader of such documents knows.
fn bounded(description: &openapi::OpenApi) -> serde_json::Result<Value> {
    let mut description = serde_json::to_value(description)?;
    bound(&mut description);
    Ok(description)
}

fn bound(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(bound),
        Value::Object(fields) => {
            let maximum = match fields.get("format").and_then(Value::as_str) {
                Some("u-int16") => Some(u64::from(u16::MAX)),
                Some("u-int32") => Some(u64::from(u32::MAX)),
                Some("u-int64") => Some(COUNT_MAX),
                _ => None,
            };
            if let Some(maximum) = maximum {
                fields.remove("format");
                fields.entry("maximum").or_insert_with(|| maximum.into());
            }
            bound_durations(fields);
            spell_out(fields);
            fields.values_mut().for_each(bound);
        }
        _ => {}
    }
}

/// Says of each duration how long it can be: names of durations end in their unit.
fn bound_durations(fields: &mut Map<String, Value>) {
    for (_, field) in fields.iter_mut().filter(|(name, _)| name.ends_with("_ms")) {
        if let Value::Object(field) = field
            && field.get("format").is_some_and(|format| format == "u-int64")
        {
            field.entry("maximum").or_insert_with(|| DURATION_MS_MAX.into());
        }
    }
}

fn documented() -> Routes {
    let mut routes = everybody().merge(operators());
    add_problems(routes.get_openapi_mut());
    routes
}

fn everybody() -> Routes {
    let api = anybody()
        .merge(secured(accounts_only(), &["cookie", "access_token"]))
        .merge(secured(cameras_only(), &["device_token"]));
    OpenApiRouter::with_openapi(Description::openapi())
        .nest("/api/v1", api)
        .merge(strangers())
        .merge(mqtt())
        .merge(notices())
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Nightjar relay",
        description = "Meeting point of a fleet of cameras. Times are Unix milliseconds, ids \
            UUIDs. An object that you may not see answers like one that does not exist."
    ),
    components(schemas(Problem)),
    modifiers(&SecuritySchemes)
)]
struct Description;

struct SecuritySchemes;

impl Modify for SecuritySchemes {
    fn modify(&self, description: &mut openapi::OpenApi) {
        let components = description.components.get_or_insert_default();
        let bearer =
            || SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        let cookie = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new("__Host-session")));
        components.add_security_scheme("cookie", cookie);
        components.add_security_scheme("access_token", bearer());
        components.add_security_scheme("device_token", bearer());
    }
}

/// Lets any one of the schemes open these routes. `OPTIONS` answers strangers, too, because
/// preflights come without credentials; it says less to them.
fn secured(mut routes: Routes, schemes: &[&str]) -> Routes {
    for operation in operations(routes.get_openapi_mut()) {
        let requirements = schemes
            .iter()
            .map(|scheme| openapi::SecurityRequirement::new(*scheme, Vec::<String>::new()));
        operation.security = Some(requirements.collect());
    }
    let items = routes.get_openapi_mut().paths.paths.values_mut();
    for operation in items.filter_map(|item| item.options.as_mut()) {
        let nobody = openapi::SecurityRequirement::default();
        operation.security.get_or_insert_default().push(nobody);
    }
    routes
}

async fn method_not_allowed() -> Error {
    Error::refused(405, ProblemCode::MethodNotAllowed, "This door knows other methods.")
}
