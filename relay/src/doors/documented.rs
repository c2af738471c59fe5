//! What the API's description says for every route alike: of problems, and of what is spelled in one way
//! everywhere.

use nightjar_shared::{notification::Kind, role::Right};
use serde_json::{Map, Value, json};
use utoipa::openapi::{
    Content, ContentBuilder, OpenApi, PathItem, Ref, RefOr, Response, ResponseBuilder,
    path::Operation,
};

/// Every error's body (RFC 9457), `application/problem+json`.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes nightjar_shared::api::Problem, which knows no OpenAPI")]
pub(super) struct Problem {
    /// Stable, for programs to branch on.
    code: String,
    title: String,
    status: u16,
    detail: Option<String>,
}

/// What may go wrong at every door, whoever calls.
const ANYWHERE: [(&str, &str); 4] = [
    ("400", "The request cannot be read."),
    ("429", "Too often, or too much at once; `Retry-After` says until when."),
    ("500", "The relay failed; its log says why."),
    ("503", "The relay is too busy, or what it stands on is away."),
];
const SECURED: [(&str, &str); 2] =
    [("401", "Nobody is signed in with this."), ("403", "Somebody is, and may not do this.")];
const NAMED: [(&str, &str); 1] = [("404", "There is none, or none that you may see.")];
const CHANGING: [(&str, &str); 1] = [("409", "It is not in a state for this.")];
const WITH_BODY: [(&str, &str); 3] = [
    ("413", "The body is too large."),
    ("415", "The body is of another type."),
    ("422", "The body is readable, and something in it is not right."),
];

/// Says of every operation which problems it answers, as far as its kind tells; an operation says itself
/// what is its own.
pub(super) fn add_problems(description: &mut OpenApi) {
    for (path, item) in &mut description.paths.paths {
        // What an operator need not have written has a path of its own.
        let is_named = path.contains('{') || path.starts_with("/.well-known/");
        for (operation, is_changing) in with_methods(item) {
            let mut problems = ANYWHERE.to_vec();
            if operation.security.is_some() {
                problems.extend(SECURED);
            }
            if is_named {
                problems.extend(NAMED);
            }
            if is_changing {
                problems.extend(CHANGING);
            }
            if operation.request_body.is_some() {
                problems.extend(WITH_BODY);
            }
            let responses = &mut operation.responses.responses;
            for (status, what) in problems {
                responses.entry(status.to_owned()).or_insert_with(|| RefOr::T(problem(what)));
            }
            responses.insert("default".to_owned(), RefOr::T(problem("What went wrong.")));
        }
    }
}

fn problem(description: &str) -> Response {
    ResponseBuilder::new()
        .description(description)
        .content("application/problem+json", content())
        .build()
}

fn content() -> Content {
    ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build()
}

pub(super) fn operations(description: &mut OpenApi) -> impl Iterator<Item = &mut Operation> {
    let items = description.paths.paths.values_mut();
    items.flat_map(with_methods).map(|(operation, _)| operation)
}

/// Lists the operations of a path, and whether each changes something.
fn with_methods(item: &mut PathItem) -> impl Iterator<Item = (&mut Operation, bool)> {
    let reading = [&mut item.get, &mut item.head, &mut item.options].map(|it| (it, false));
    let changing =
        [&mut item.post, &mut item.put, &mut item.patch, &mut item.delete].map(|it| (it, true));
    reading
        .into_iter()
        .chain(changing)
        .filter_map(|(operation, changes)| Some((operation.as_mut()?, changes)))
}

/// Says of fields by their names how they are spelled: ids are UUIDs, rights one of their words. `fields` may
/// be any object of the description.
pub(super) fn spell_out(fields: &mut Map<String, Value>) {
    for (name, field) in fields.iter_mut() {
        let Value::Object(field) = field else { continue };
        match name.as_str() {
            "cameras" | "site_ids" => in_items(field, "format", &json!("uuid")),
            "rights" => in_items(field, "enum", &json!(Right::ALL)),
            "kinds" => in_items(field, "enum", &json!(Kind::ALL)),
            name if name.ends_with("_id") => of_text(field, "format", &json!("uuid")),
            _ => {}
        }
    }
    if let Some(Value::Array(variants)) = fields.get_mut("oneOf") {
        variants.iter_mut().for_each(be_exactly_one);
    }
}

fn in_items(field: &mut Map<String, Value>, key: &str, what: &Value) {
    if let Some(Value::Object(items)) = field.get_mut("items") {
        of_text(items, key, what);
    }
}

/// Adds to what is said of a text, unless it is said already.
fn of_text(field: &mut Map<String, Value>, key: &str, what: &Value) {
    let is_text = match field.get("type") {
        Some(Value::String(kind)) => kind == "string",
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "string"),
        _ => false,
    };
    if is_text && !field.contains_key("pattern") {
        field.entry(key).or_insert_with(|| what.clone());
    }
}

/// Of a value that is one of several, told apart by its only field: there is no other beside it.
fn be_exactly_one(variant: &mut Value) {
    let Value::Object(variant) = variant else { return };
    let names: Vec<&String> = match variant.get("properties") {
        Some(Value::Object(properties)) => properties.keys().collect(),
        _ => return,
    };
    if names.len() == 1 && names.iter().all(|name| *name != "type") {
        variant.entry("additionalProperties").or_insert(json!(false));
    }
}
