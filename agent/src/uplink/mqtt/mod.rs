//! MQTT, as far as the client library shapes it: how the broker is reached, what goes in, what
//! comes out. Nothing here waits for the rest of the agent, or decides what is sent.

mod broker;
mod error;
mod in_flight;
mod publisher;
mod receiver;
mod routes;
pub mod simulated;

pub use self::{broker::Broker, error::AddressError, routes::Route};
pub(super) use self::{
    error::LinkError,
    in_flight::PacketKind,
    publisher::{MAX_PACKET_BYTES, Publisher},
    receiver::{Arrivals, Progress, Receiver},
};
