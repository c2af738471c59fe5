//! Making room: how much space there is, and which clips go first when it runs out.

pub(super) mod ballast;
pub(super) mod keeper;
pub(super) mod retention;
pub(super) mod space;
