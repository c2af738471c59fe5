//! The relay's engines, each by itself: broker, object store, database, certificates.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod database;
#[path = "../support/databases.rs"]
mod databases;
#[path = "../support/issuer.rs"]
#[expect(dead_code, reason = "the tests of the doors ask more of it")]
mod issuer;
mod mqtt;
#[path = "../support/mqtt_client.rs"]
mod mqtt_client;
mod objects;
mod outgoing;
#[path = "../support/mod.rs"]
mod support;
mod tls;
