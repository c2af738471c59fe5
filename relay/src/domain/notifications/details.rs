//! What else there is to say of what happened, by name: kept as JSON with each notification.

use serde_json::Value;

/// A camera's name at that time.
pub const CAMERA: &str = "camera";
/// A site's name at that time.
pub const SITE: &str = "site";
/// Who did it, by the name that they gave themselves.
pub const PERSON: &str = "person";
/// With which browser or program somebody signed in.
pub const PROGRAM: &str = "program";
/// From which network.
pub const NETWORK: &str = "network";
/// What a webhook is called.
pub const WEBHOOK: &str = "webhook";
/// A word for what was told of, by the program that told it.
pub const LABEL: &str = "label";
/// A whole sentence, for what has no form of its own.
pub const SENTENCE: &str = "sentence";
/// By which clock the people of the site live.
pub const TIME_ZONE: &str = "time_zone";

/// Returns a text among the details.
pub(super) fn text<'a>(details: &'a Value, name: &str) -> Option<&'a str> {
    details.get(name)?.as_str()
}
