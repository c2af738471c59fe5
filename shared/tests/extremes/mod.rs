//! Messages with extreme values: each field of a message in turn replaced by what JSON can say and
//! nobody means. The tests of the messages and of the relay share it.

use serde_json::Value;

/// As text, because some of them no `Value` can hold.
const EXTREMES: [&str; 24] = [
    "1e999",
    "-1e999",
    "1e39",
    "-1e39",
    "1e-400",
    "-0.0",
    "-1",
    "1.5",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551615",
    "3153600000001",
    "253402300800000",
    "null",
    "true",
    "\"\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"\\u202e\\u200b\\u0007\"",
    "[]",
    "{}",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
];

const MARK: &str = "here is what is replaced";

/// Returns every message that differs from `message` in one value, which is an extreme one.
pub(crate) fn of(message: &Value) -> Vec<String> {
    let long = format!("\"{}\"", "x".repeat(5_000));
    let mut places = Vec::new();
    find_places(message, &mut Vec::new(), &mut places);
    let marked = places.iter().map(|place| {
        let mut message = message.clone();
        let spot = place.iter().try_fold(&mut message, |value, step| match step {
            Step::Field(name) => value.get_mut(name),
            Step::Item(index) => value.get_mut(*index),
        });
        if let Some(spot) = spot {
            *spot = Value::from(MARK);
        }
        message.to_string()
    });
    let mark = format!("\"{MARK}\"");
    marked
        .flat_map(|text| {
            let extremes = EXTREMES.iter().copied().chain([long.as_str()]);
            extremes.map(|extreme| text.replace(&mark, extreme)).collect::<Vec<_>>()
        })
        .collect()
}

#[derive(Clone)]
enum Step {
    Field(String),
    Item(usize),
}

fn find_places(value: &Value, place: &mut Vec<Step>, places: &mut Vec<Vec<Step>>) {
    let inner: Vec<(Step, &Value)> = match value {
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (Step::Field(name.clone()), value)).collect()
        }
        Value::Array(items) => {
            items.iter().enumerate().map(|(index, value)| (Step::Item(index), value)).collect()
        }
        _ => Vec::new(),
    };
    for (step, value) in inner {
        place.push(step);
        places.push(place.clone());
        find_places(value, place, places);
        place.pop();
    }
}
