//! Who waits for something to do: what is new need not wait for the next tick.

use nightjar_shared::notification::Channel;
use tokio::sync::Notify;

#[derive(Default)]
pub struct Due {
    /// Something happened that may be told.
    pub happenings: Notify,
    mail: Notify,
    web_push: Notify,
    webhook: Notify,
    /// Nobody waits for it: the list of the app is written at once.
    app: Notify,
}

impl Due {
    /// Returns what wakes who sends by a channel.
    pub fn of(&self, channel: Channel) -> &Notify {
        match channel {
            Channel::App => &self.app,
            Channel::Mail => &self.mail,
            Channel::WebPush => &self.web_push,
            Channel::Webhook => &self.webhook,
        }
    }

    /// Wakes all who send.
    pub fn all(&self) {
        for channel in Channel::ALL {
            self.of(*channel).notify_one();
        }
    }
}
