//! Second factors: what somebody has, beside the password that they know.
//!
//! An account has a secret of one-time codes, or passkeys, or both, and backup codes for the day on
//! which all of them are lost. Administrators need one, and so do the members of a site whose owner
//! says so.

mod backup_codes;
mod challenge;
mod identity;
mod passkeys;
mod set_up;
mod sign_in;
mod state;
mod totp;
mod verify;

pub(super) use self::set_up::delete_expired;
pub use self::{
    identity::{Confirmation, confirm_identity, confirm_now, confirmed, confirmed_twice},
    passkeys::{
        NewPasskey, Passkey, PasskeyAnswer, PasskeyCreation, PasskeyQuestion, ask_for_passkey,
        begin_passkey, keep_passkey, remove_passkey, sign_in_with_passkey,
    },
    set_up::{SetUp, new_backup_codes, remove_all},
    sign_in::{SecondFactorQuestion, answer, ask},
    state::{FactorState, state},
    totp::{TotpBeginning, begin_totp, confirm_totp, remove_totp},
    verify::Factor,
};
