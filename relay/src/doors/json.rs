//! JSON of strangers, for every door that takes it: no deeper than it needs to be, with numbers that
//! can be stored, read again and added to each other.

use nightjar_shared::range::Check;
use serde::de::DeserializeOwned;

use super::whole_numbers;
use crate::error::{Error, ProblemCode, Result};

/// What is nested deeper is no message of ours: the deepest has six levels.
const DEPTH_MAX: usize = 32;
/// From here on numbers do not fit into 64 bits with a sign, nor into the database.
const NUMBER_END: f64 = 9_223_372_036_854_775_808.0;

/// Reads a value. What is no JSON of this kind is refused as `malformed` says.
pub(super) fn parse<T: DeserializeOwned + Check>(
    bytes: &[u8],
    malformed: impl FnOnce(String) -> Error,
) -> Result<T> {
    let has_long_number = match scan(bytes) {
        Ok(has_long_number) => has_long_number,
        Err(Odd::Deep) => return Err(malformed(format!("nested deeper than {DEPTH_MAX} levels"))),
        Err(Odd::Number) => {
            let detail = "every number is finite, and below 2^63";
            return Err(out_of_range().with_detail(detail));
        }
    };
    let value: T = whole_numbers::from_slice(bytes).map_err(|error| {
        let detail = error.to_string();
        if has_long_number { out_of_range().with_detail(detail) } else { malformed(detail) }
    })?;
    value.check().map_err(|problem| out_of_range().with_detail(problem.to_string()))?;
    Ok(value)
}

fn out_of_range() -> Error {
    Error::invalid(ProblemCode::OutOfRange, "A number is outside of what it can be.")
}

#[derive(Debug, PartialEq, Eq)]
enum Odd {
    Deep,
    Number,
}

/// Looks at the depth and at each number, and takes anything else for good: whether it is JSON is
/// for its parser to say. Tells whether there is a whole number that fits into 64 bits without a
/// sign alone: its field may say better what is wrong with it.
fn scan(bytes: &[u8]) -> std::result::Result<bool, Odd> {
    let (mut depth, mut at, mut has_long_number) = (0_usize, 0, false);
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'"' => at = end_of_text(bytes, at),
            b'[' | b'{' => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return Err(Odd::Deep);
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'-' | b'0'..=b'9' => {
                let rest = &bytes[at..];
                let length = rest.iter().position(|byte| !is_in_number(*byte));
                let end = length.map_or(bytes.len(), |length| at + length);
                match size(&bytes[at - 1..end]) {
                    Size::Usual => {}
                    Size::Long => has_long_number = true,
                    Size::Impossible => return Err(Odd::Number),
                }
                at = end;
            }
            _ => {}
        }
    }
    Ok(has_long_number)
}

/// Returns where a text ends that begins at `at`, after its first quote.
fn end_of_text(bytes: &[u8], mut at: usize) -> usize {
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'\\' => at += 1,
            b'"' => break,
            _ => {}
        }
    }
    at
}

fn is_in_number(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E')
}

enum Size {
    Usual,
    Long,
    Impossible,
}

/// Tells how large a number is; what is no number at all is its parser's to refuse.
fn size(number: &[u8]) -> Size {
    let Ok(text) = std::str::from_utf8(number) else { return Size::Usual };
    match text.parse::<f64>() {
        Ok(value) if value.abs() < NUMBER_END || value == -NUMBER_END => Size::Usual,
        Ok(_) if text.parse::<u64>().is_ok() => Size::Long,
        Ok(_) => Size::Impossible,
        Err(_) => Size::Usual,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_fit_nowhere_are_found_wherever_they_stand() {
        for odd in ["1e999", "-1e999", "1e39", "18446744073709551616", "-9223372036854777000"] {
            assert_eq!(
                scan(format!("{{\"a\": [1, {odd}]}}").as_bytes()),
                Err(Odd::Number),
                "{odd}"
            );
            assert_eq!(scan(odd.as_bytes()), Err(Odd::Number), "{odd}");
        }
        for fine in ["0", "-0.0", "1e-400", "9223372036854774000", "-9223372036854775808", "1.5e3"]
        {
            assert_eq!(scan(format!("[{fine},{fine}]").as_bytes()), Ok(false), "{fine}");
        }
    }

    #[test]
    fn a_number_for_64_bits_without_a_sign_is_left_to_its_field() {
        for long in ["9223372036854775808", "18446744073709551615"] {
            assert_eq!(scan(format!("[{long}]").as_bytes()), Ok(true), "{long}");
        }
    }

    #[test]
    fn what_stands_in_a_text_is_no_number_and_opens_nothing() {
        let text = r#"{"a\"[[[": "1e999 \\", "b": "[[[["}"#;
        assert_eq!(scan(text.as_bytes()), Ok(false));
        let unfinished = r#""1e999"#;
        assert_eq!(scan(unfinished.as_bytes()), Ok(false));
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(scan(nested(32).as_bytes()), Ok(false));
        assert_eq!(scan(nested(33).as_bytes()), Err(Odd::Deep));
        assert_eq!(scan("[]".repeat(100).as_bytes()), Ok(false));
    }
}
