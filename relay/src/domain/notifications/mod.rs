//! What people are told: from what happens, by their rules, to the list in the app and to the messages that
//! leave.
//!
//! ```text
//! a deed ── happened ──► happenings ── fan_out ──► notifications (the list)
//!                         one row a place            └─► deliveries ── dispatch ── message::write ──► a channel
//! ```
//!
//! What happened is written down in the transaction of the deed. Who is told is computed when it is told, and
//! again for each message when that leaves.

mod addresses;
pub mod details;
mod fan_out;
mod happening;
mod inbox;
mod message;
mod mutes;
mod policy;
mod settings;
mod texts;

pub use self::{
    fan_out::{fan_out, pictured},
    happening::{
        Happening, camera_came, camera_left, disk_trouble, event_began, happened, watched,
    },
    inbox::{
        InboxSelection, Notification, ReadUntil, Unread, forget_old, list, read, read_all,
        tell_of_event, unread,
    },
    message::write,
    mutes::{Mute, MuteToken, Muted, NewMute, mute, mute_by_message, unmute},
    settings::{NewSettings, Rule, Settings, change, settings},
};

use nightjar_shared::notification::Kind;

use super::access::{self, Caller};
use crate::{app::App, error::Result};

/// Tells the caller something by all channels, to see whether it arrives.
pub async fn test(app: &App, caller: Caller) -> Result<()> {
    access::in_person(caller)?;
    app.limits.test_messages.take(&caller.account_id.to_string(), app.now())?;
    happened(app, &app.db, Happening::to_account(Kind::Test, caller.account_id)).await
}
