//! What is asked of each door, made of the router's own description.

use std::sync::LazyLock;

use nightjar_relay::doors::router;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::world::Things;

/// A door as the router describes it.
#[derive(Debug, Clone)]
pub(super) struct Door {
    pub(super) method: Method,
    /// With names in braces where ids stand.
    pub(super) template: String,
    operation: Value,
    schemas: Value,
}

/// All doors of the router. Writing the description takes a while.
pub(super) fn doors() -> &'static [Door] {
    static DOORS: LazyLock<Vec<Door>> = LazyLock::new(described);
    &DOORS
}

fn described() -> Vec<Door> {
    let description = router::description().unwrap();
    let paths = description["paths"].as_object().unwrap();
    let of_path = |(path, item): (&String, &Value)| {
        let operations = item.as_object().unwrap().clone();
        let path = path.clone();
        let schemas = description["components"]["schemas"].clone();
        operations.into_iter().filter(|(name, _)| name != "parameters").map(
            move |(name, operation)| Door {
                method: Method::from_bytes(name.to_uppercase().as_bytes()).unwrap(),
                template: path.clone(),
                operation,
                schemas: schemas.clone(),
            },
        )
    };
    paths.iter().flat_map(of_path).collect()
}

/// The door of a row.
pub(super) fn door(name: &str) -> Door {
    let found = doors().iter().find(|door| door.name() == name);
    found.cloned().unwrap_or_else(|| panic!("docs/authorization.md has a row of no door: {name}"))
}

impl Door {
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.method, self.template)
    }

    /// The same, asked in another way.
    pub(super) fn by(&self, method: Method) -> Self {
        Self { method, ..self.clone() }
    }

    /// Returns whether the next one may find something missing, or be somebody else.
    pub(super) fn takes_away(&self) -> bool {
        let ends =
            ["/logout", "/move", "/accept", "/ownership", "/backup-codes", "/grant", "/refuse"];
        self.method == Method::DELETE || ends.iter().any(|end| self.template.ends_with(end))
    }

    /// Its path, with these things' ids.
    pub(super) fn path(&self, things: &Things) -> String {
        let mut before = "";
        let mut segments = Vec::new();
        for segment in self.template.split('/') {
            segments.push(match segment.strip_prefix('{').and_then(|it| it.strip_suffix('}')) {
                Some(name) => things.in_path(before, name),
                None => segment.to_owned(),
            });
            before = segment;
        }
        segments.join("/")
    }

    /// Its path and its query.
    pub(super) fn address(&self, things: &Things) -> String {
        let query = self.query(things).join("&");
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{}{mark}{query}", self.path(things))
    }

    /// Its query: what names something names one of these things.
    fn query(&self, things: &Things) -> Vec<String> {
        let parameters = self.operation["parameters"].as_array().cloned().unwrap_or_default();
        let of_query = parameters.into_iter().filter(|parameter| parameter["in"] == "query");
        let pair = |parameter: Value| {
            let name = parameter["name"].as_str().unwrap();
            if let Some(id) = things.named(name) {
                return Some(format!("{name}={id}"));
            }
            let is_needed = parameter["required"] == true;
            let value = self.example(name, &parameter["schema"], things);
            is_needed.then(|| format!("{name}={}", value.to_string().trim_matches('"')))
        };
        of_query.filter_map(pair).collect()
    }

    /// Its body and the type of that: the least that the description takes.
    pub(super) fn body(&self, things: &Things) -> Option<(String, String)> {
        let content = self.operation["requestBody"]["content"].as_object()?;
        let (kind, described) = content.iter().next()?;
        let body = if kind == "application/json" {
            self.example("", &described["schema"], things).to_string()
        } else {
            "v=0\r\n".to_owned()
        };
        Some((kind.clone(), body))
    }

    /// Makes a value that the schema takes.
    fn example(&self, name: &str, schema: &Value, things: &Things) -> Value {
        if let Some(reference) = schema["$ref"].as_str() {
            let target = reference.rsplit('/').next().unwrap();
            return self.example(name, &self.schemas[target], things);
        }
        for choice in ["oneOf", "anyOf", "allOf"] {
            if let Some(options) = schema[choice].as_array() {
                let real = options.iter().find(|option| option["type"] != "null");
                return self.example(name, real.unwrap_or(&options[0]), things);
            }
        }
        let kind = match &schema["type"] {
            Value::Array(kinds) => kinds.iter().find(|kind| *kind != "null").cloned(),
            kind => Some(kind.clone()),
        };
        match kind.as_ref().and_then(Value::as_str) {
            Some("string") => self.text(name, schema, things),
            Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(json!(1)),
            Some("boolean") => json!(false),
            Some("array") if schema["minItems"].as_u64().unwrap_or(0) > 0 => {
                json!([self.example("", &schema["items"], things)])
            }
            Some("array") => json!([]),
            _ => self.object(schema, things),
        }
    }

    #[expect(clippy::unused_self, reason = "reads as the others do")]
    fn text(&self, name: &str, schema: &Value, things: &Things) -> Value {
        if let Some(id) = things.named(name) {
            return json!(id);
        }
        if let Some(word) = schema["enum"].get(0) {
            return word.clone();
        }
        // Of the words that are a type of their own, the description has none here.
        if name == "role" {
            return json!("viewer");
        }
        if schema["format"] == "email" {
            return json!("matrix@example.org");
        }
        if schema["format"] == "uuid" {
            return json!("0190a3b2-7c11-7def-8000-0123456789ab");
        }
        let length = schema["minLength"].as_u64().unwrap_or(1).max(1);
        json!("x".repeat(usize::try_from(length).unwrap()))
    }

    /// What must be there, and what names something.
    fn object(&self, schema: &Value, things: &Things) -> Value {
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        let Some(properties) = schema["properties"].as_object() else { return json!({}) };
        let is_there =
            |name: &String| required.contains(&json!(name)) || things.named(name).is_some();
        let fields = properties.iter().filter(|(name, _)| is_there(name));
        let fields: Map<String, Value> = fields
            .map(|(name, schema)| (name.clone(), self.example(name, schema, things)))
            .collect();
        Value::Object(fields)
    }
}

/// The same path as somebody writes it who hopes that a guard and a router read it differently.
pub(super) fn other_spellings(path: &str) -> Vec<String> {
    let last = path.rfind('/').unwrap() + 1;
    let escaped = |place: usize| {
        let letter = path.as_bytes()[place];
        format!("{}%{letter:02x}{}", &path[..place], &path[place + 1..])
    };
    let mut spellings = vec![
        format!("{path}/"),
        format!("/{path}"),
        format!("{}/{}", &path[..last], &path[last..]),
        escaped(1),
        format!("{path}%00"),
        format!("{path}%2f"),
        format!("{path};x=1"),
        format!("{}%2f{}", &path[..last - 1], &path[last..]),
    ];
    if let Some(rest) = path.strip_prefix("/api/v1/") {
        spellings.push(format!("/API/v1/{rest}"));
        spellings.push(format!("/api/V1/{rest}"));
        spellings.push(format!("/api//v1/{rest}"));
        spellings.push(format!("/api/v1//{rest}"));
        spellings.push(format!("/api/v1/x/..%2f{rest}"));
        spellings.push(format!("/api/v1/{}", rest.to_uppercase()));
    }
    spellings.retain(|spelling| spelling != path);
    spellings
}
