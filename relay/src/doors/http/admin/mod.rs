//! Doors of administrators: to accounts, to what sites may use, to the relay itself. None of them leads to
//! a picture, a clip or an event.

pub mod accounts;
pub mod reset_links;
pub mod service;
pub mod sites;
