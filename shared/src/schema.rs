//! How values that are texts or numbers on the wire stand in the relay's `OpenAPI` document. Only the
//! relay switches the feature `schema` on.

use utoipa::openapi::{
    ArrayBuilder, KnownFormat, ObjectBuilder, RefOr, SchemaFormat, Type,
    schema::{ArrayItems, Schema},
};

/// The one spelling of an identifier that is taken.
const UUID: &str = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$";

pub(crate) fn uuid() -> RefOr<Schema> {
    let format = SchemaFormat::Custom("uuid".to_owned());
    ObjectBuilder::new().schema_type(Type::String).format(Some(format)).pattern(Some(UUID)).into()
}

/// Describes one of a set of words. With `open` others are taken, too: those of newer peers.
pub(crate) fn word(words: impl Iterator<Item = &'static str>, open: bool) -> RefOr<Schema> {
    let text = ObjectBuilder::new().schema_type(Type::String);
    if open { text.examples(words) } else { text.enum_values(Some(words)) }.into()
}

pub(crate) fn unix_millis(maximum: i64) -> RefOr<Schema> {
    let format = SchemaFormat::KnownFormat(KnownFormat::Int64);
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(format))
        .minimum(Some(0))
        .maximum(usize::try_from(maximum).ok())
        .into()
}

/// Describes a share of the picture, or of one of its sides.
pub(crate) fn share() -> RefOr<Schema> {
    let share = ObjectBuilder::new().schema_type(Type::Number);
    share.minimum(Some(0)).maximum(Some(1)).into()
}

/// Describes the corners of a polygon: lists of two shares of the picture.
pub(crate) fn points() -> RefOr<Schema> {
    let share = ObjectBuilder::new().schema_type(Type::Number).minimum(Some(0)).maximum(Some(1));
    let point = ArrayBuilder::new().items(share).min_items(Some(2)).max_items(Some(2));
    ArrayBuilder::new().items(ArrayItems::from(RefOr::from(point))).into()
}
