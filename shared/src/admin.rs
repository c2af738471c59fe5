//! What administrators of a relay look at and change.

use crate::word::words;

words! {
    /// What may be changed while the relay runs. The words are those of the configuration, where it has
    /// the same key.
    Setting {
        Registration = "registration",
        /// Shown to all who use the app.
        Banner = "banner",
        /// How much the relay logs.
        LogLevel = "log.level",
        /// Whether mail leaves.
        MailOn = "mail.on",
        MailRequireVerified = "mail.require_verified",
        AuditKeepDays = "audit.keep_days",
        TurnSiteMegabytesPerDay = "turn.site_megabytes_per_day",
        CameraMegabytes = "limits.camera_megabytes",
        SiteMegabytes = "limits.site_megabytes",
        AccountMegabytes = "limits.account_megabytes",
        CameraEvents = "limits.camera_events",
        SiteEvents = "limits.site_events",
        AccountEvents = "limits.account_events",
        CameraClips = "limits.camera_clips",
        SiteClips = "limits.site_clips",
        AccountClips = "limits.account_clips",
    }
}

words! {
    /// Where the value of a setting comes from.
    SettingSource {
        Default = "default",
        File = "file",
        Admin = "admin",
    }
}

words! {
    /// How much a program logs: this and what is graver.
    LogLevel {
        Error = "error",
        Warn = "warn",
        Info = "info",
        Debug = "debug",
        Trace = "trace",
    }
}

words! {
    /// What the relay does by itself, again and again.
    Job {
        Sockets = "sockets",
        Guests = "guests",
        Views = "views",
        RightsToWatch = "rights_to_watch",
        RemovedCameras = "removed_cameras",
        Cameras = "cameras",
        Trail = "trail",
        Commands = "commands",
        RelayedBytes = "relayed_bytes",
        UnseenViewers = "unseen_viewers",
        LiveSessions = "live_sessions",
        OpenClips = "open_clips",
        Certificate = "certificate",
        OldCredentials = "old_credentials",
        OldCommands = "old_commands",
        OldSessions = "old_sessions",
        OldInvitations = "old_invitations",
        OldOffers = "old_offers",
        OldTimelines = "old_timelines",
        TrailCounts = "trail_counts",
        OldTrail = "old_trail",
        OldMails = "old_mails",
        OldStatistics = "old_statistics",
        OldViews = "old_views",
        SignedOutBrowsers = "signed_out_browsers",
        Statistics = "statistics",
        Accounts = "accounts",
        Objects = "objects",
        Mails = "mails",
        Sites = "sites",
        TemporaryCameras = "temporary_cameras",
        OldWebhookSecrets = "old_webhook_secrets",
        Imports = "imports",
        Retention = "retention",
        DeletedClips = "deleted_clips",
        OldPlays = "old_plays",
        OldNotifications = "old_notifications",
        OldDeliveries = "old_deliveries",
    }
}

words! {
    /// What is counted over time.
    Series {
        Accounts = "accounts",
        Cameras = "cameras",
        CamerasOnline = "cameras_online",
        BytesStored = "bytes_stored",
        Events = "events",
        Clips = "clips",
        LiveMinutes = "live_minutes",
        RelayedBytes = "relayed_bytes",
        SignInsRefused = "sign_ins_refused",
    }
}

impl Series {
    /// Returns whether it is how much there is, and not how much has come.
    pub fn is_level(self) -> bool {
        matches!(self, Self::Accounts | Self::Cameras | Self::CamerasOnline | Self::BytesStored)
    }
}

words! {
    /// The span of one value.
    Period {
        Hour = "hour",
        Day = "day",
    }
}

words! {
    /// How far a view of a site is that an administrator asked for.
    ViewState {
        Asked = "asked",
        Granted = "granted",
        Refused = "refused",
        /// Nobody answered.
        Expired = "expired",
        Ended = "ended",
    }
}

words! {
    /// Which part of the trail of who did what an administrator reads.
    TrailScope {
        /// What concerns no site.
        Relay = "relay",
        /// What was done at all sites, too; never what was seen there, nor what became of footage.
        All = "all",
        /// Who signed in or could not, and what changed of accounts.
        Security = "security",
    }
}

words! {
    /// How something leaves that waits in a queue.
    LetterChannel {
        Mail = "mail",
        WebPush = "web_push",
        Webhook = "webhook",
    }
}
