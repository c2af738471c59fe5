//! What others are told of the certificates.

use crate::app::App;
pub use crate::engines::tls::PublicStatus;

/// Returns what an ACME server wants to read, while an order is under way.
pub fn http_answer(app: &App, token: &str) -> Option<String> {
    app.certificates.http_answer(token)
}

/// Returns how it stands with the public certificate; nothing where the relay shows its own alone.
pub fn public(app: &App) -> Option<PublicStatus> {
    let status = app.certificates.public();
    status.source.is_some().then_some(status)
}
