//! JSON has one kind of number: `213.0` is a whole one, and some writers spell it so (JSON Schema,
//! Validation 6.1.1). serde takes it for none.

use serde::{
    Deserializer,
    de::{DeserializeOwned, Visitor},
    forward_to_deserialize_any,
};
use serde_json::{Number, Value};

/// From here on it may be a longer whole number, which was rounded when it was read: that must not become
/// one that fits.
const ROUNDED_FROM: f64 = 9_223_372_036_854_775_808.0;

/// Reads a value; whole numbers may be spelled with a fraction of nothing.
pub(super) fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<T> {
    read(bytes).or_else(|error| {
        let Ok(mut value) = serde_json::from_slice::<Value>(bytes) else { return Err(error) };
        if !respell(&mut value) {
            return Err(error);
        }
        // What is said of the respelled value is not where the sender would look for it.
        T::deserialize(Named(value)).map_err(|_| error)
    })
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<T> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = T::deserialize(Named(&mut reader))?;
    reader.end()?;
    Ok(value)
}

/// Reads what has named fields from an object alone: serde takes an array for its fields in their order,
/// and an empty one for all that may be left out.
struct Named<D>(D);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Named<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_any(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_newtype_struct(name, visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_option(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier ignored_any
    }
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
    fn fields_have_names() {
        #[derive(Debug, serde::Deserialize)]
        struct Change {
            #[serde(default)]
            name: Option<String>,
            #[serde(default)]
            count: u32,
        }

        let change: Change = from_slice(br#"{"name": "a", "count": 2.0}"#).unwrap();
        assert_eq!((change.name.as_deref(), change.count), (Some("a"), 2));
        for text in ["[]", "[null, 1]", "[null, 1.0]", "[null, null]", "null", "{} {}"] {
            from_slice::<Change>(text.as_bytes()).unwrap_err();
        }
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
