//! Text from outside, made fit to be stored and shown.

use crate::error::{Error, ProblemCode, Result};

const NAME_CHARS_MAX: usize = 80;
const REPORT_CHARS_MAX: usize = 300;

/// Checks a name that a person gave: trimmed, on one line, 1 to 80 characters.
pub(super) fn name(text: &str) -> Result<String> {
    let text = text.trim();
    let length = text.chars().count();
    if length == 0 || length > NAME_CHARS_MAX || text.chars().any(char::is_control) {
        return Err(Error::invalid(
            ProblemCode::InvalidName,
            "A name has 1 to 80 characters on one line.",
        ));
    }
    Ok(text.to_owned())
}

/// Shortens the name that a camera gives itself, where a person would be asked again.
pub(super) fn camera_name(text: &str) -> String {
    let name: String = report(text.trim()).chars().take(NAME_CHARS_MAX).collect();
    if name.is_empty() { "camera".to_owned() } else { name }
}

/// Shortens what a program says about itself or a failure, and drops control characters.
pub(super) fn report(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(REPORT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_trimmed_and_must_not_be_empty_long_or_odd() {
        assert_eq!(name("  Front door ").unwrap(), "Front door");
        for text in ["", "   ", "a\0b", "two\nlines", &"x".repeat(81)] {
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
        assert_eq!(report("a\0\nb"), "ab");
        assert_eq!(report(&"x".repeat(1000)).len(), 300);
    }
}
