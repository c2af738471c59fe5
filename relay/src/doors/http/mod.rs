//! The HTTP doors, one file per resource: take the request apart, call the domain, answer.

pub mod accounts;
pub mod admin;
pub mod agent;
pub mod announcements;
pub mod api_keys;
pub mod audit;
pub mod camera_moves;
pub mod cameras;
pub mod clips;
pub mod commands;
pub mod events;
pub mod factors;
pub mod invitations;
pub mod live;
pub mod members;
pub mod notices;
pub mod ops;
pub mod pairings;
pub mod parting;
pub mod passwords;
pub mod releases;
pub mod shares;
pub mod sign_ins;
pub mod sites;
pub mod sockets;
pub mod whep;
