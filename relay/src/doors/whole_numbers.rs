//! JSON has one kind of number: `213.0` is a whole one, and some writers spell it so (JSON Schema,
//! Validation 6.1.1). serde takes it for none.

use serde::de::DeserializeOwned;
use serde_json::{Number, Value};

/// From here on it may be a longer whole number, which was rounded when it was read: that must not become
/// one that fits.
const ROUNDED_FROM: f64 = 9_223_372_036_854_775_808.0;

/// Reads a value; whole numbers may be spelled with a fraction of nothing.
pub(super) fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<T> {
    serde_json::from_slice(bytes).or_else(|error| {
        let Ok(mut value) = serde_json::from_slice::<Value>(bytes) else { return Err(error) };
        if !respell(&mut value) {
            return Err(error);
        }
        // What is said of the respelled value is not where the sender would look for it.
        serde_json::from_value(value).map_err(|_| error)
    })
}

/// Spells whole numbers as such; returns whether there was one to respell.
fn respell(value: &mut Value) -> bool {
    match value {
        Value::Number(number) if !number.is_i64() && !number.is_u64() => {
            let whole = number.as_f64().and_then(whole);
            let found = whole.is_some();
            if let Some(whole) = whole {
                *number = whole;
            }
            found
        }
        Value::Array(items) => items.iter_mut().map(respell).max() == Some(true),
        Value::Object(fields) => fields.values_mut().map(respell).max() == Some(true),
        _ => false,
    }
}

/// Gives the number without a fraction, if it has none and fits into 64 bits.
fn whole(number: f64) -> Option<Number> {
    if number.fract() != 0.0 || number.abs() >= ROUNDED_FROM {
        return None;
    }
    // Adding nothing takes the sign from `-0`.
    format!("{:.0}", number + 0.0).parse::<i64>().ok().map(Number::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_is_one_however_it_is_spelled() {
        for text in ["[213, 0, 4]", "[213.0, -0.0, 4e0]", "[2.13e2, 0.000, 4.00]"] {
            assert_eq!(from_slice::<Vec<u32>>(text.as_bytes()).unwrap(), [213, 0, 4], "{text}");
        }
        assert_eq!(from_slice::<Vec<i64>>(b"[-2.0]").unwrap(), [-2]);
        assert_eq!(from_slice::<Vec<i64>>(b"[4e18]").unwrap(), [4_000_000_000_000_000_000]);
        from_slice::<Vec<i64>>(b"[-9223372036854775809]").unwrap_err();
        // A fraction stays one.
        assert_eq!(from_slice::<(u32, f32)>(b"[1.0, 0.5]").unwrap(), (1, 0.5));
    }

    #[test]
    fn what_is_none_is_refused_as_it_was_written() {
        for text in
            ["[0.5]", "[-1.0]", "[1e300]", "[9007199254740993.5]", "[true]", "[1.0", "[1.0, \"x\"]"]
        {
            from_slice::<Vec<u32>>(text.as_bytes()).unwrap_err();
        }
        let error = from_slice::<Vec<u32>>(b"[\n1.0, \"x\"]").unwrap_err();
        assert_eq!(error.line(), 2);
    }
}
