//! Films as files: reads the grey pictures of a recording, writes drawn ones.

mod footage;
mod writer;

pub use self::{
    footage::{RawFormat, file_pictures, raw_pictures},
    writer::Film,
};
