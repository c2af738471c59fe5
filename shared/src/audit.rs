//! Who did what at a relay: the words of its trail.

use crate::word::words;

words! {
    /// What was done. A word, once published, keeps its meaning: trails are kept for a year.
    Action {
        AccountCreated = "account_created",
        /// Addresses and details of what it did, and of what was done to it, were forgotten.
        AccountDeleted = "account_deleted",
        SignedIn = "signed_in",
        /// Once for the first wrong password of an account, an address and an hour, once for the others.
        SignInFailed = "sign_in_failed",
        SignedOut = "signed_out",
        /// One of one's own, from another one.
        SignInEnded = "sign_in_ended",
        OtherSignInsEnded = "other_sign_ins_ended",
        PasswordChanged = "password_changed",
        /// Somebody asked for a link by mail; the account that it went to.
        PasswordResetAsked = "password_reset_asked",
        /// By a link.
        PasswordReset = "password_reset",
        /// To be brought by hand.
        ResetLinkMade = "reset_link_made",
        AddressConfirmed = "address_confirmed",
        AddressChanged = "address_changed",
        NameChanged = "name_changed",
        DataExported = "data_exported",
        /// What the account wants to be told of.
        NotificationsChanged = "notifications_changed",
        /// A refresh token came twice, so it was copied: its sign-in was ended.
        TokenCopied = "token_copied",
        TotpSetUp = "totp_set_up",
        TotpRemoved = "totp_removed",
        PasskeyAdded = "passkey_added",
        PasskeyRemoved = "passkey_removed",
        /// A passkey's counter went back, so it may have been copied: it was refused.
        PasskeyCopied = "passkey_copied",
        BackupCodesMade = "backup_codes_made",
        SecondFactorRefused = "second_factor_refused",
        /// By an operator, with all of them.
        FactorsRemoved = "factors_removed",
        /// Who was signed in could not show again who they are.
        ConfirmationRefused = "confirmation_refused",
        ApiKeyMade = "api_key_made",
        ApiKeyRemoved = "api_key_removed",
        /// A browser takes messages of the account from now on.
        PushSubscribed = "push_subscribed",
        PushUnsubscribed = "push_unsubscribed",
        SiteCreated = "site_created",
        SiteChanged = "site_changed",
        /// Addresses and details of what was done there were forgotten.
        SiteDeleted = "site_deleted",
        MemberInvited = "member_invited",
        InvitationRevoked = "invitation_revoked",
        MemberJoined = "member_joined",
        MemberChanged = "member_changed",
        MemberRemoved = "member_removed",
        SiteLeft = "site_left",
        /// A guest's time was over.
        MembershipEnded = "membership_ended",
        OwnershipOffered = "ownership_offered",
        OwnershipWithdrawn = "ownership_withdrawn",
        OwnershipAccepted = "ownership_accepted",
        CameraAccepted = "camera_accepted",
        CameraPaired = "camera_paired",
        /// To the owner of another site.
        CameraOffered = "camera_offered",
        /// Written down at both sites.
        CameraMoved = "camera_moved",
        CameraRenamed = "camera_renamed",
        CameraRemoved = "camera_removed",
        PairingOpened = "pairing_opened",
        PairingPrepared = "pairing_prepared",
        PairingClosed = "pairing_closed",
        /// A wrong code or secret, counted like failed sign-ins.
        PairingGuessed = "pairing_guessed",
        UpdatesOn = "updates_on",
        UpdatesOff = "updates_off",
        CommandIssued = "command_issued",
        CommandEnded = "command_ended",
        LiveBegan = "live_began",
        LiveEnded = "live_ended",
        ClipPlayed = "clip_played",
        ClipDownloaded = "clip_downloaded",
        ClipShown = "clip_shown",
        ClipHidden = "clip_hidden",
        /// Its title, note or tags.
        ClipChanged = "clip_changed",
        ClipProtected = "clip_protected",
        ClipUnprotected = "clip_unprotected",
        /// By hand, not by its camera.
        ClipImported = "clip_imported",
        ClipDeleted = "clip_deleted",
        /// By the rules of its site: an entry for all that went at once.
        FootageExpired = "footage_expired",
        RetentionChanged = "retention_changed",
        BookmarkMade = "bookmark_made",
        /// Told of by a program.
        EventOpened = "event_opened",
        EventDeleted = "event_deleted",
        ClipShared = "clip_shared",
        ShareOpened = "share_opened",
        ShareRevoked = "share_revoked",
        WebhookAdded = "webhook_added",
        WebhookChanged = "webhook_changed",
        WebhookRemoved = "webhook_removed",
        WebhookSecretReplaced = "webhook_secret_replaced",
        WebhookTried = "webhook_tried",
        /// By the relay, because nothing was taken for days.
        WebhookGivenUp = "webhook_given_up",
        ReleaseAdded = "release_added",
        ReleaseStaged = "release_staged",
        ReleasePaused = "release_paused",
        ReleaseWithdrawn = "release_withdrawn",
        /// By a link that is printed where there is no account yet.
        FirstAdminMade = "first_admin_made",
        /// By an administrator, as all down to the settings.
        AccountDisabled = "account_disabled",
        AccountEnabled = "account_enabled",
        AccountRoleChanged = "account_role_changed",
        /// Everywhere, with its programs' keys.
        AccountSignedOut = "account_signed_out",
        /// The password does not work any more; a link sets another one.
        PasswordVoided = "password_voided",
        /// Until then it can be taken back.
        DeletionBegun = "deletion_begun",
        DeletionTakenBack = "deletion_taken_back",
        SiteLimitsChanged = "site_limits_changed",
        LiveEndedByAdmin = "live_ended_by_admin",
        JobRun = "job_run",
        LetterRetried = "letter_retried",
        LetterDropped = "letter_dropped",
        SettingChanged = "setting_changed",
        /// An administrator asked an owner to see the site for a while.
        ViewAsked = "view_asked",
        ViewGranted = "view_granted",
        ViewRefused = "view_refused",
        /// Its time was over, or somebody ended it.
        ViewEnded = "view_ended",
        /// The oldest entries, whose time was over, were deleted.
        TrailCut = "trail_cut",
    }
}

words! {
    /// What kind of somebody did it.
    ActorKind {
        /// A person who was signed in.
        Account = "account",
        /// A program, by a key that a person made for it.
        Key = "key",
        Camera = "camera",
        /// Whoever has a link.
        Link = "link",
        /// Somebody who proved nothing.
        Stranger = "stranger",
        /// The relay itself, or who runs it, at its command line.
        Relay = "relay",
    }
}
