//! What single values look like in the description of the HTTP interface.
//!
//! Called by generators of that description. Says in their words what `scalar` reads, and nothing
//! that it refuses.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    ArrayBuilder, KnownFormat, ObjectBuilder, OneOfBuilder, Schema, SchemaFormat, Type,
};
use utoipa::{PartialSchema, ToSchema};

use super::scalar::{Content, Diff, FileId, Hash, Re, StampText};
use crate::limits::{DIFF_STEPS_MAX, RE_BYTES_MAX};

/// A text of a certain form.
macro_rules! text {
    ($type:ident, $pattern:expr) => {
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new().schema_type(Type::String).pattern($pattern).into()
            }
        }

        impl ToSchema for $type {}
    };
}

text!(FileId, Some("^[0-7][0-9A-HJKMNP-TV-Z]{25}$"));
text!(StampText, Some("^[0-7][0-9A-HJKMNP-TV-Z]{25}$"));
text!(Hash, Some("^[0-9a-f]{64}$"));
text!(Content, None::<String>);

fn number() -> ObjectBuilder {
    let format = SchemaFormat::KnownFormat(KnownFormat::Int64);
    ObjectBuilder::new().schema_type(Type::Integer).format(Some(format))
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

impl PartialSchema for Re {
    fn schema() -> RefOr<Schema> {
        // So many characters, as long as each is one byte.
        let text = text().max_length(Some(RE_BYTES_MAX));
        OneOfBuilder::new().item(number()).item(text).into()
    }
}

impl ToSchema for Re {}

impl PartialSchema for Diff {
    fn schema() -> RefOr<Schema> {
        let step = OneOfBuilder::new().item(number()).item(text());
        ArrayBuilder::new().items(step).max_items(Some(DIFF_STEPS_MAX)).into()
    }
}

impl ToSchema for Diff {}
