pub mod files;
pub mod fragmenter;
pub mod preroll;
pub mod retention;
pub mod session;
pub mod writer;
