//! The relay's HTTP doors, from outside: the real relay on ports of its own, on every database
//! there is. Most modules mirror the URLs below `/api/v1`; `server` is the listener itself, `web` the
//! door of the app's files.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod acme_misuse;
mod acme_renewal;
mod acme_server;
mod addresses;
mod admin;
mod agent;
mod announcements;
mod api_keys;
mod audit;
mod auth;
mod authenticator;
mod backups;
mod bad_sdp;
mod browser_trust;
mod camera_moves;
mod cameras;
mod certificates;
mod clips;
mod clock_ahead;
mod commands;
#[path = "../support/databases.rs"]
mod databases;
mod device;
mod documented;
mod events;
#[path = "../../../shared/tests/extremes/mod.rs"]
mod extreme_values;
mod extremes;
mod factors;
mod first_admin;
mod growing_clips;
mod health;
#[path = "../support/hostile_http2.rs"]
mod hostile_http2;
mod invitations;
#[path = "../support/issuer.rs"]
mod issuer;
mod live;
mod live_life;
mod live_limits;
mod live_socket;
mod mail;
mod mail_servers;
mod matrix;
mod members;
mod monitoring;
#[path = "../support/mqtt_client.rs"]
#[expect(dead_code, reason = "the broker's tests ask more of an MQTT client")]
mod mqtt_client;
mod mqtt_websocket;
#[path = "../../../shared/tests/mutation/mod.rs"]
mod mutation;
mod operations;
mod own_account;
mod owned_clips;
mod pairings;
mod parting;
mod passkeys;
#[path = "../support/pebble.rs"]
mod pebble;
mod person;
mod pictures;
mod proxies;
mod proxy_programs;
mod push;
mod quotas;
mod relay;
mod releases;
mod renewal;
mod requests;
mod retention;
mod rights;
mod secrets;
mod server;
mod shares;
#[path = "../support/small_disk.rs"]
mod small_disk;
mod smoke;
mod store_away;
#[path = "../support/mod.rs"]
mod support;
mod telemetry;
mod tenancy;
mod timeline;
mod times;
mod told;
mod turn;
mod turn_client;
mod turn_limits;
mod unread;
mod upkeep;
mod uplink;
mod views;
mod web;
mod webhooks;
mod whep;
mod whep_redirect;
mod ws;
mod ws_limits;
