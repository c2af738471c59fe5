//! What does the work: database, broker, object store, fan-out, certificates. Engines know no
//! domain type beyond `shared`, and nothing of HTTP routes.

pub mod broker;
pub mod data_lock;
pub mod db;
pub mod mail;
pub mod metrics;
pub mod objects;
pub mod outgoing;
pub mod passphrase;
pub mod private_file;
pub mod realtime;
pub mod seal;
pub mod tls;
pub mod turn;
pub mod web_push;
pub mod webauthn;
pub mod webhook_signature;
