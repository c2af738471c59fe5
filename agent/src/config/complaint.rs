//! What is wrong with the text of agent.toml, without what it hides.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Keys that hold the address and login of a camera, wherever they were written.
const HIDING_KEYS: [&str; 6] = ["url", "small_url", "login_file", "login", "user", "password"];

/// A TOML error on one line, with the number and the text of the line it points at. Of what is below
/// `[source.rtsp]` the key alone is shown: a password can be in any value, in any form.
pub(super) fn one_line(error: &toml::de::Error, text: &str) -> String {
    let message = error.message().replace('\n', " ");
    let Some(span) = error.span() else { return without_values(&message) };
    let before = text.get(..span.start).unwrap_or_default();
    let number = before.matches('\n').count();
    let begin = before.rfind('\n').map_or(0, |at| at + 1);
    let line = text.lines().nth(number).unwrap_or_default();
    let line_span = begin..begin + line.len().max(1);
    let camera = Camera::find(text);
    let key = key_of(line);
    let hides = key.is_some_and(|key| HIDING_KEYS.contains(&key)) || line.contains("://");
    let line = if hides || camera.touches(&line_span) || camera.touches(&span) {
        key.unwrap_or("…").to_owned()
    } else {
        line.trim().chars().take(80).collect()
    };
    let message = if camera.touches(&span) { without_values(&message) } else { message };
    format!("line {}: `{line}`: {message}", number + 1)
}

/// The key that a line gives a value to; nothing where it may be something else.
fn key_of(line: &str) -> Option<&str> {
    let key = line.trim().split(['=', ' ']).next().filter(|_| line.contains('='))?;
    let bare = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.');
    (!key.is_empty() && key.chars().all(bare)).then_some(key)
}

/// A parser's message without what it quotes. What it expected instead comes last, and is its own.
fn without_values(message: &str) -> String {
    let (what, expected) = match message.rsplit_once(", expected ") {
        Some((what, expected)) => (what, Some(expected)),
        None => (message, None),
    };
    let quotes = what.split_once(['`', '"', '\'']);
    match (quotes, expected) {
        (Some((head, _)), Some(expected)) => format!("{head}…, expected {expected}"),
        (Some((head, _)), None) => {
            format!("{head}…; the keys are url, small_url, login_file, transport")
        }
        (None, _) => message.to_owned(),
    }
}

/// Where in a text the camera is described.
enum Camera {
    At(Vec<Range<usize>>),
    /// The text is no TOML.
    Anywhere,
}

impl Camera {
    fn find(text: &str) -> Self {
        let Ok(table) = DeTable::parse(text) else { return Self::Anywhere };
        let mut spans = Vec::new();
        if let Some(DeValue::Table(source)) = find(table.get_ref(), "source").map(Spanned::get_ref)
            && let Some(camera) = find(source, "rtsp")
        {
            spans.push(camera.span());
            gather(camera.get_ref(), &mut spans);
        }
        Self::At(spans)
    }

    fn touches(&self, span: &Range<usize>) -> bool {
        match self {
            Self::Anywhere => true,
            Self::At(spans) => spans
                .iter()
                .any(|own| own.start < span.end.max(span.start + 1) && span.start < own.end),
        }
    }
}

fn find<'a, 'i>(table: &'a DeTable<'i>, name: &str) -> Option<&'a Spanned<DeValue<'i>>> {
    table.iter().find(|(key, _)| key.get_ref().as_ref() == name).map(|(_, value)| value)
}

fn gather(value: &DeValue<'_>, spans: &mut Vec<Range<usize>>) {
    match value {
        DeValue::Table(table) => {
            for (key, value) in table {
                spans.extend([key.span(), value.span()]);
                gather(value.get_ref(), spans);
            }
        }
        DeValue::Array(values) => {
            for value in values {
                spans.push(value.span());
                gather(value.get_ref(), spans);
            }
        }
        _ => {}
    }
}
