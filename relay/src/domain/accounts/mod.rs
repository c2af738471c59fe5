//! Accounts: people, and how they prove who they are.

mod address;
mod client;
mod confirm;
mod deletion;
mod export;
mod find;
mod first;
mod links;
mod password;
mod profile;
mod sessions;
mod sign_in;
mod sign_up;
mod strength;
mod tickets;
mod tokens;

pub use self::{
    address::{
        AddressChange, AddressChanged, Verification, change_address, send_verification,
        verify_address,
    },
    client::Client,
    deletion::{Deletion, DeletionRequest, SiteToGo, delete_account, deletion},
    export::{ExportRequest, export},
    first::{FirstAdmin, make_first_admin, make_first_admin_link},
    links::Link,
    password::{
        PasswordChange, PasswordReset, change_password, forgot_password, make_reset_link,
        reset_link_by_admin, reset_password,
    },
    profile::{Account, Me, ProfileChange, change_profile, me},
    sessions::{
        Credential, Session, SignIn, authenticate, end_other_sign_ins, end_sign_in, logout,
        renew_session, sign_ins, start_session,
    },
    sign_in::{Login, login, note_sign_in, refuse_disabled},
    sign_up::{
        NewAccount, Registered, RegistrationState, SignUp, create, create_invited, prepare,
        register, registration,
    },
    tickets::{Ticket, issue_ticket, redeem_ticket},
    tokens::{Tokens, refresh, start_tokens},
};
pub(super) use self::{
    deletion::{delete_for, delete_given_up_sites, what_goes_with},
    links::make_reset as make_link,
    sessions::close_sockets_without_right,
};
pub use super::signed_in::SignedIn;
