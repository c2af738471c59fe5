//! Doors let somebody in: HTTP, WebSocket, MQTT. They authenticate, call the domain, and answer.

mod documented;
mod extract;
pub mod http;
mod json;
pub mod mqtt;
pub mod plain_http;
mod principal;
mod problem;
mod reference;
mod requests;
pub mod router;
pub mod server;
pub mod web;
pub mod websocket;
mod whole_numbers;
