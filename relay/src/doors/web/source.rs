//! Offers the source of this relay to everyone who uses it, as section 13 of its licence asks of
//! who changes it: docs/decisions/0037-the-relay-offers-its-source.md.

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, header};

use crate::error::Error;

/// The files that this relay was built from. Empty where the build found no git repository.
static ARCHIVE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/source.tar.gz"));

static LICENCE: &str = include_str!("../../../../LICENSE");

const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(super) const ARCHIVE_PATH: &str = "/source.tar.gz";
pub(super) const LICENCE_PATH: &str = "/licence.txt";

// The app's router follows links within the relay itself, but for those with `download` or `target`.

/// Writes what stands below every page: version, licence, and where the source is. An address that
/// the operator configured comes before the archive, which may be of an older commit of theirs.
pub(super) fn notice(source_url: Option<&str>) -> String {
    let source = match source_url {
        Some(url) => format!(
            "<a href=\"{}\" rel=\"noreferrer\" data-testid=\"source\">Source</a>",
            escaped(url)
        ),
        None if ARCHIVE.is_empty() => {
            tracing::warn!("this build carries no source: name its address as source_url");
            "<span data-testid=\"source\">Source: ask who runs this relay</span>".to_owned()
        }
        None => format!("<a href=\"{ARCHIVE_PATH}\" download data-testid=\"source\">Source</a>"),
    };
    format!(
        "<span data-testid=\"version\">Nightjar {VERSION}</span>\n\
         <a href=\"{LICENCE_PATH}\" target=\"_blank\" data-testid=\"licence\">\
         Free software, AGPL-3.0-or-later</a>\n\
         {source}"
    )
}

/// Serves the archive that the build made.
pub(super) async fn archive() -> Response {
    if ARCHIVE.is_empty() {
        return Error::not_found().into_response();
    }
    let name = format!("attachment; filename=\"nightjar-{VERSION}.tar.gz\"");
    let mut response = served(Bytes::from_static(ARCHIVE), "application/gzip");
    if let Ok(name) = HeaderValue::try_from(name) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, name);
    }
    response
}

/// Serves the text of the licence.
pub(super) async fn licence() -> Response {
    served(Bytes::from_static(LICENCE.as_bytes()), "text/plain; charset=utf-8")
}

fn served(content: Bytes, content_type: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, content).into_response()
}

fn escaped(url: &str) -> String {
    url.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_s_own_address_of_the_source_comes_first() {
        let notice = notice(Some("https://git.example.org/?p=nightjar&h=\"1\""));
        assert!(
            notice.contains("href=\"https://git.example.org/?p=nightjar&amp;h=&quot;1&quot;\""),
            "{notice}"
        );
        assert!(!notice.contains(ARCHIVE_PATH), "{notice}");
    }
}
