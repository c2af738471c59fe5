//! Columns as the types that the agent speaks.

use std::{error::Error, str::FromStr};

use rusqlite::{Row, types::Type};

/// Parses a text column into an id or an enum.
pub(super) fn parsed<T>(row: &Row<'_>, column: &str) -> rusqlite::Result<T>
where
    T: FromStr,
    T::Err: Error + Send + Sync + 'static,
{
    let text: String = row.get(column)?;
    text.parse().map_err(|error| conversion(row, column, error))
}

/// Parses a text column that may be null.
pub(super) fn parsed_option<T>(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<T>>
where
    T: FromStr,
    T::Err: Error + Send + Sync + 'static,
{
    let text: Option<String> = row.get(column)?;
    text.map(|text| text.parse().map_err(|error| conversion(row, column, error))).transpose()
}

fn conversion(
    row: &Row<'_>,
    column: &str,
    error: impl Error + Send + Sync + 'static,
) -> rusqlite::Error {
    let index = row.as_ref().column_index(column).unwrap_or(0);
    rusqlite::Error::FromSqlConversionFailure(index, Type::Text, Box::new(error))
}

/// A text in the index that is none of the words its column may hold.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a known word for this column")]
pub struct UnknownWord(pub String);
