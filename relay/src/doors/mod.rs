//! Doors let somebody in: HTTP, WebSocket, MQTT. They authenticate, call the domain, and answer.

pub mod mqtt;
pub mod server;
pub mod web;
pub mod websocket;
