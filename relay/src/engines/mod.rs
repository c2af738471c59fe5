//! What does the work: database, broker, object store, fan-out, certificates. Engines know no
//! domain type beyond `shared`, and nothing of HTTP routes.

pub mod db;
