//! What people are told, by what, and how far it is.

use crate::word::words;

words! {
    /// What somebody is told of.
    Kind {
        /// Something began to move in front of a camera.
        Motion = "motion",
        /// Somebody rang at a camera, as a program tells.
        Doorbell = "doorbell",
        /// A program told of something else that happened at a camera.
        Report = "report",
        /// A camera sees nothing of its place any more: covered, turned away, blinded.
        Tamper = "tamper",
        /// A camera was not heard from for a while.
        CameraOffline = "camera_offline",
        /// It is back.
        CameraOnline = "camera_online",
        /// A camera's disk is nearly full, or failed.
        Disk = "disk",
        /// Somebody watches a camera live.
        Watched = "watched",
        /// Somebody signed in with a browser or program that had not before.
        NewSignIn = "new_sign_in",
        /// A camera came to a site.
        CameraPaired = "camera_paired",
        /// A camera was removed from its site.
        CameraRemoved = "camera_removed",
        /// The relay's room for a site's footage is nearly used up.
        Quota = "quota",
        /// Footage will soon be deleted because its time is over.
        Retention = "retention",
        /// An administrator of the relay asks to see a site for a while.
        ViewAsked = "view_asked",
        /// A webhook of theirs was turned off by the relay, because nothing was taken for days.
        WebhookOff = "webhook_off",
        /// Somebody wanted to see whether anything arrives.
        Test = "test",
    }
}

words! {
    /// By what somebody is told.
    Channel {
        /// The list in the app. What is there can be looked up later.
        App = "app",
        Mail = "mail",
        /// A message to a browser, which shows it whether the app is open or not.
        WebPush = "web_push",
        /// A request to an address of the person's own.
        Webhook = "webhook",
    }
}

words! {
    /// Which telling of one notification it is.
    Form {
        /// The first.
        News = "news",
        /// It happened again meanwhile, so often.
        Digest = "digest",
        /// What was told has a picture now.
        Picture = "picture",
    }
}

words! {
    /// How far a delivery is.
    DeliveryState {
        Waiting = "waiting",
        /// Whoever passes it on has taken it.
        Sent = "sent",
        /// It will not be tried again by itself.
        Failed = "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rules are kept, and webhooks are written for these words: they keep their spelling.
    #[test]
    fn words_keep_their_spelling() {
        let kinds: Vec<_> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(
            kinds.join(" "),
            "motion doorbell report tamper camera_offline camera_online disk watched new_sign_in \
             camera_paired camera_removed quota retention view_asked webhook_off test"
        );
        let channels: Vec<_> = Channel::ALL.iter().map(|channel| channel.as_str()).collect();
        assert_eq!(channels.join(" "), "app mail web_push webhook");
        let forms: Vec<_> = Form::ALL.iter().map(|form| form.as_str()).collect();
        assert_eq!(forms.join(" "), "news digest picture");
        let states: Vec<_> = DeliveryState::ALL.iter().map(|state| state.as_str()).collect();
        assert_eq!(states.join(" "), "waiting sent failed");
    }
}
