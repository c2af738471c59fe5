//! Text from outside, made fit to be stored and shown.

use nightjar_shared::text;

use crate::error::{Error, ProblemCode, Result};

const NAME_CHARS_MAX: usize = 80;
const REPORT_CHARS_MAX: usize = 300;

/// Brings a name that a person gave to its one form: 1 to 80 characters, all of which can be seen.
pub(super) fn name(text: &str) -> Result<String> {
    text::name(text, NAME_CHARS_MAX).ok_or_else(|| {
        let title = "A name has 1 to 80 characters on one line, and none that cannot be seen.";
        Error::invalid(ProblemCode::InvalidName, title)
    })
}

/// Shortens the name that a camera gives itself, where a person would be asked again.
pub(super) fn camera_name(text: &str) -> String {
    let name: String = report(text.trim()).chars().take(NAME_CHARS_MAX).collect();
    text::name(&name, NAME_CHARS_MAX).unwrap_or_else(|| "camera".to_owned())
}

/// Shortens what a program says about itself or a failure, and drops what cannot
/// be seen of it.
pub(super) fn report(text: &str) -> String {
    text.chars().filter(|letter| !text::is_hidden(*letter)).take(REPORT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_trimmed_and_must_not_be_empty_long_or_odd() {
        assert_eq!(name("  Front door ").unwrap(), "Front door");
        for text in ["", "   ", "a\0b", "two\nlines", "a\u{202e}b", &"x".repeat(81)] {
            assert_eq!(name(text).unwrap_err().code(), ProblemCode::InvalidName, "{text:?}");
        }
    }

    #[test]
    fn a_camera_always_has_a_name() {
        assert_eq!(camera_name(" Porch\n"), "Porch");
        assert_eq!(camera_name("\0"), "camera");
        assert_eq!(camera_name(&"x".repeat(100)).len(), 80);
    }

    #[test]
    fn a_report_is_shortened_instead() {
        assert_eq!(report("a\0\n\u{202e}b"), "ab");
        assert_eq!(report(&"x".repeat(1000)).len(), 300);
    }
}
