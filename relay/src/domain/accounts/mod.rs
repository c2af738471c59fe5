//! Accounts: people, and how they prove who they are.

mod find;
mod profile;
mod sessions;
mod sign_in;
mod sign_up;
mod tickets;
mod tokens;

pub use self::{
    profile::{Account, Me, me},
    sessions::{Credential, Session, authenticate, logout, renew_session, start_session},
    sign_in::{Login, login},
    sign_up::{RegistrationState, SignUp, create, register, registration},
    tickets::{Ticket, issue_ticket, redeem_ticket},
    tokens::{Tokens, refresh, start_tokens},
};
pub(super) use self::{sessions::close_sockets_without_right, sign_up::NewAccount};
pub use super::signed_in::SignedIn;
