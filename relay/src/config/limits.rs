//! `[limits]`: what one camera, site or account may use of the relay, and what stays free for all.

use serde::{Deserialize, Serialize};

use super::ConfigError;

const MEGABYTE: u64 = 1_000_000;

/// Every quota. Beyond one, the relay answers 507 `quota_exceeded`, or 507 `no_space` where the disk
/// is what is short.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Of clips and pictures that one camera may have in the store.
    pub camera_megabytes: u64,
    /// Of all cameras of one site.
    pub site_megabytes: u64,
    /// Of all sites that one account owns.
    pub account_megabytes: u64,
    pub camera_events: u64,
    pub site_events: u64,
    pub account_events: u64,
    pub camera_clips: u64,
    pub site_clips: u64,
    pub account_clips: u64,
    /// What the store leaves free on its disk, in percent of it or in megabytes: the larger of both.
    pub free_percent: u8,
    pub free_megabytes: u64,
    /// Below so much free space nothing new of cameras is written into the database either.
    pub database_free_megabytes: u64,
    /// Space that is set aside for signing out, removing cameras and deleting on a full disk. 0 sets
    /// nothing aside.
    pub ballast_megabytes: u64,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            camera_megabytes: 200_000,
            site_megabytes: 1_000_000,
            account_megabytes: 2_000_000,
            // An event has about half a kilobyte, eight at most.
            camera_events: 200_000,
            site_events: 1_000_000,
            account_events: 2_000_000,
            camera_clips: 200_000,
            site_clips: 1_000_000,
            account_clips: 2_000_000,
            free_percent: 5,
            free_megabytes: 1_000,
            database_free_megabytes: 64,
            ballast_megabytes: 32,
        }
    }
}

/// How much something uses, or may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    pub bytes: u64,
    pub clips: u64,
    pub events: u64,
}

impl Amount {
    #[must_use]
    pub fn plus(self, more: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(more.bytes),
            clips: self.clips.saturating_add(more.clips),
            events: self.events.saturating_add(more.events),
        }
    }
}

impl LimitsConfig {
    pub fn of_camera(&self) -> Amount {
        amount(self.camera_megabytes, self.camera_clips, self.camera_events)
    }

    pub fn of_site(&self) -> Amount {
        amount(self.site_megabytes, self.site_clips, self.site_events)
    }

    pub fn of_account(&self) -> Amount {
        amount(self.account_megabytes, self.account_clips, self.account_events)
    }

    pub fn free_bytes(&self) -> u64 {
        self.free_megabytes.saturating_mul(MEGABYTE)
    }

    pub fn database_free_bytes(&self) -> u64 {
        self.database_free_megabytes.saturating_mul(MEGABYTE)
    }

    pub fn ballast_bytes(&self) -> u64 {
        self.ballast_megabytes.saturating_mul(MEGABYTE)
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.free_percent > 90 {
            let remedy = "write 0 to 90";
            return Err(ConfigError::value("limits.free_percent", self.free_percent, remedy));
        }
        Ok(())
    }
}

fn amount(megabytes: u64, clips: u64, events: u64) -> Amount {
    Amount { bytes: megabytes.saturating_mul(MEGABYTE), clips, events }
}
