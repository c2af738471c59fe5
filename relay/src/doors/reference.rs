//! `/docs`: the API's description as a page that needs no script and nothing from elsewhere. It is written
//! once, from what the doors say of themselves.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::{Map, Value};

const METHODS: [&str; 7] = ["get", "head", "options", "post", "put", "patch", "delete"];
/// Where the page finds how it looks.
pub(super) const STYLE_PATH: &str = "/docs/style.css";
/// The page takes nothing but its style, and cannot be framed.
pub(super) const POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'";
pub(super) const STYLE: &str = include_str!("reference.css");

/// Writes the page.
pub(super) fn page(description: &Value) -> String {
    let mut page = Page(String::new());
    let info = &description["info"];
    page.markup("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>");
    page.text(text_of(&info["title"]));
    page.markup(
        ": API</title><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">",
    );
    page.markup(
        "<meta name=\"color-scheme\" content=\"light dark\"><link rel=\"stylesheet\" href=\"",
    );
    page.markup(STYLE_PATH);
    page.markup(
        "\"></head><body><a class=\"skip\" href=\"#doors\">Skip to the doors</a><header><h1>",
    );
    page.text(text_of(&info["title"]));
    page.markup("</h1><p>");
    page.text(text_of(&info["description"]));
    page.markup("</p><p>For programs: <a href=\"/openapi.json\">openapi.json</a>.</p></header>");
    let tags = by_tag(description);
    page.markup("<nav aria-label=\"Subjects\"><ul>");
    for (tag, doors) in &tags {
        page.markup("<li><a href=\"#tag-");
        page.text(tag);
        page.markup("\">");
        page.text(tag);
        page.markup("</a> ");
        page.text(&doors.len().to_string());
        page.markup("</li>");
    }
    page.markup("<li><a href=\"#schemas\">schemas</a></li></ul></nav><main id=\"doors\">");
    for (tag, doors) in &tags {
        page.markup("<section><h2 id=\"tag-");
        page.text(tag);
        page.markup("\">");
        page.text(tag);
        page.markup("</h2>");
        for door in doors {
            page.door(door);
        }
        page.markup("</section>");
    }
    page.schemas(&description["components"]["schemas"]);
    page.markup("</main></body></html>");
    page.0
}

struct Door<'a> {
    method: &'a str,
    path: &'a str,
    operation: &'a Value,
}

/// Sorts the doors by what they are about, in the order of their paths.
fn by_tag(description: &Value) -> Vec<(&str, Vec<Door<'_>>)> {
    let mut tags: BTreeMap<&str, Vec<Door<'_>>> = BTreeMap::new();
    let paths = description["paths"].as_object();
    for (path, item) in paths.into_iter().flatten() {
        for method in METHODS {
            let operation = &item[method];
            if operation.is_object() {
                let tag = operation["tags"][0].as_str().unwrap_or("others");
                tags.entry(tag).or_default().push(Door { method, path, operation });
            }
        }
    }
    tags.into_iter().collect()
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A page that grows. Whatever comes from the description goes through [`Page::text`].
struct Page(String);

impl Page {
    fn markup(&mut self, markup: &str) {
        self.0.push_str(markup);
    }

    fn text(&mut self, text: &str) {
        for letter in text.chars() {
            match letter {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                letter => self.0.push(letter),
            }
        }
    }

    fn element(&mut self, tag: &str, text: &str) {
        // Writing to a String cannot fail.
        let _ = write!(self.0, "<{tag}>");
        self.text(text);
        let _ = write!(self.0, "</{tag}>");
    }

    fn door(&mut self, door: &Door<'_>) {
        let Door { method, path, operation } = door;
        self.markup("<details><summary><code class=\"method\">");
        self.text(&method.to_uppercase());
        self.markup("</code> ");
        self.element("code", path);
        self.markup("</summary>");
        for said in ["summary", "description"] {
            if let Some(text) = operation[said].as_str() {
                self.element("p", text);
            }
        }
        self.markup("<p>");
        self.text(&who(operation));
        self.markup("</p>");
        self.parameters(&operation["parameters"]);
        let body = &operation["requestBody"]["content"];
        if body.is_object() {
            self.element("h3", "Body");
            self.content(body);
        }
        self.element("h3", "Answers");
        self.markup("<ul>");
        for (status, answer) in operation["responses"].as_object().into_iter().flatten() {
            self.markup("<li>");
            self.element("code", status);
            self.markup(" ");
            self.text(text_of(&answer["description"]));
            self.content(&answer["content"]);
            self.markup("</li>");
        }
        self.markup("</ul></details>");
    }

    fn parameters(&mut self, parameters: &Value) {
        let Some(parameters) = parameters.as_array().filter(|list| !list.is_empty()) else {
            return;
        };
        self.element("h3", "Parameters");
        self.markup("<ul>");
        for parameter in parameters {
            self.markup("<li>");
            self.element("code", text_of(&parameter["name"]));
            let place = text_of(&parameter["in"]);
            self.text(&format!(" in the {place}"));
            self.text(if parameter["required"] == true { ", needed: " } else { ": " });
            self.schema(&parameter["schema"]);
            if let Some(text) = parameter["description"].as_str() {
                self.text(&format!(". {text}"));
            }
            self.markup("</li>");
        }
        self.markup("</ul>");
    }

    fn content(&mut self, content: &Value) {
        for (kind, described) in content.as_object().into_iter().flatten() {
            self.markup(" ");
            self.element("code", kind);
            self.markup(": ");
            self.schema(&described["schema"]);
        }
    }

    /// Writes what a value is, in a few words; what has a name is linked.
    fn schema(&mut self, schema: &Value) {
        if let Some(reference) = schema["$ref"].as_str() {
            let name = reference.rsplit('/').next().unwrap_or_default();
            self.markup("<a href=\"#schema-");
            self.text(name);
            self.markup("\">");
            self.text(name);
            self.markup("</a>");
            return;
        }
        for choice in ["oneOf", "anyOf", "allOf"] {
            if let Some(options) = schema[choice].as_array() {
                for (index, option) in options.iter().enumerate() {
                    self.text(if index == 0 {
                        ""
                    } else if choice == "allOf" {
                        " and "
                    } else {
                        " or "
                    });
                    self.schema(option);
                }
                return;
            }
        }
        if schema["type"] == "array" {
            self.text("list of ");
            self.schema(&schema["items"]);
        } else {
            self.text(&plain(schema));
        }
        let is_nested = schema["properties"].is_object();
        if is_nested {
            self.fields(schema);
        }
    }

    fn fields(&mut self, schema: &Value) {
        let required = schema["required"].as_array();
        let is_required =
            |name: &str| required.is_some_and(|list| list.iter().any(|it| it == name));
        self.markup("<dl>");
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            self.markup("<dt><code>");
            self.text(name);
            self.markup("</code>");
            self.text(if is_required(name) { "" } else { " (may be absent)" });
            self.markup("</dt><dd>");
            self.schema(field);
            if let Some(text) = field["description"].as_str() {
                self.text(&format!(". {text}"));
            }
            self.markup("</dd>");
        }
        self.markup("</dl>");
    }

    fn schemas(&mut self, schemas: &Value) {
        self.markup("<section><h2 id=\"schemas\">schemas</h2>");
        for (name, schema) in schemas.as_object().unwrap_or(&Map::new()) {
            self.markup("<h3 id=\"schema-");
            self.text(name);
            self.markup("\"><code>");
            self.text(name);
            self.markup("</code></h3>");
            if let Some(text) = schema["description"].as_str() {
                self.element("p", text);
            }
            self.markup("<div>");
            self.schema(schema);
            self.markup("</div>");
        }
        self.markup("</section>");
    }
}

/// Says who may call.
fn who(operation: &Value) -> String {
    let Some(ways) = operation["security"].as_array() else { return "For anybody.".to_owned() };
    let names = ways.iter().filter_map(Value::as_object).flat_map(|way| way.keys());
    let names: Vec<String> = names.map(|name| name.replace('_', " ")).collect();
    format!("With {}.", names.join(" or "))
}

/// Says what a plain value may be.
fn plain(schema: &Value) -> String {
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().map(text_of).collect::<Vec<_>>().join(" or "),
        kind => text_of(kind).to_owned(),
    };
    let mut said = if kinds.is_empty() { "anything".to_owned() } else { kinds };
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<&str> = words.iter().map(text_of).collect();
        let _ = write!(said, ": {}", words.join(", "));
    }
    for (key, word) in [
        ("format", "format"),
        ("minimum", "from"),
        ("maximum", "to"),
        ("minLength", "at least characters"),
        ("maxLength", "at most characters"),
    ] {
        match &schema[key] {
            Value::Null => {}
            Value::String(text) => drop(write!(said, ", {word} {text}")),
            limit => drop(write!(said, ", {word} {limit}")),
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::page;

    #[test]
    fn what_the_description_says_is_text_and_never_markup() {
        let evil = "<script>alert(1)</script>\" onload=\"x";
        let description = json!({
            "info": {"title": evil, "description": evil},
            "paths": {evil: {"get": {
                "tags": [evil], "summary": evil, "description": evil,
                "parameters": [{"name": evil, "in": evil, "schema": {"$ref": evil}}],
                "requestBody": {"content": {evil: {"schema": {"type": evil, "enum": [evil]}}}},
                "responses": {evil: {"description": evil}}
            }}},
            "components": {"schemas": {evil: {"description": evil, "properties": {evil: {}}}}}
        });
        let page = page(&description);
        assert!(!page.contains("<script") && !page.contains("\" onload"), "{page}");
    }
}
