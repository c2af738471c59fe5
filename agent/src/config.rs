//! `agent.toml`: every key has a default, an unknown key is an error.

mod complaint;
mod image;
mod live;
mod log;
mod night;
mod qr;
mod recording;
mod relay;
mod rtsp;
mod source;

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

pub use nightjar_core::{motion::MotionConfig, tamper::TamperConfig};
use nightjar_core::{
    orientation::{Change, Orientation},
    schedule::{DailyHours, Week},
};
pub use nightjar_shared::configuration::RecordingMode;
use nightjar_shared::{
    PROTOCOL_VERSION,
    configuration::{Configuration, QuietHours},
    text_file,
};
use serde::Deserialize;

pub use self::{
    live::{AuthenticityMode, LiveConfig, LiveMode, SfuConfig},
    log::{LogConfig, LogFormat},
    night::{LineName, NightConfig, NightMode, SwitchConfig},
    qr::QrConfig,
    recording::RecordingConfig,
    relay::RelayConfig,
    rtsp::{RtspConfig, RtspTransport, StreamAddress},
    source::{SourceConfig, SourceKind},
};

/// Why a configuration cannot be used. One line: the key, its value, the remedy.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read {path}: {source}; create the file or pass --config FILE")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path}: {message}")]
    Parse { path: PathBuf, message: String },
    #[error("{key} = {value}: {remedy}")]
    Value { key: &'static str, value: String, remedy: String },
}

impl ConfigError {
    pub(crate) fn value(
        key: &'static str,
        value: &dyn fmt::Display,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Value { key, value: value.to_string(), remedy: remedy.into() }
    }
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What the owner sees until the camera is renamed in the app.
    pub name: String,
    pub source: SourceConfig,
    pub motion: MotionConfig,
    pub tamper: TamperConfig,
    pub recording: RecordingConfig,
    pub live: LiveConfig,
    pub upload: UploadConfig,
    pub night: NightConfig,
    pub qr: QrConfig,
    pub log: LogConfig,
    /// Where the camera shows itself while it belongs to nobody.
    pub relay: Option<RelayConfig>,
}

fn unknown(key: &str, word: &str, choices: &str) -> String {
    let word: String = word.chars().take(40).collect();
    format!("{key} = \"{word}\" is not known; choose {choices}")
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UploadConfig {
    /// Uploads are no faster than this, kbit/s; 0 for no limit.
    pub max_kbps: u32,
    /// When only pictures and footage of the last minutes are uploaded.
    pub quiet_hours: Option<QuietHours>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "camera".to_owned(),
            source: SourceConfig::default(),
            motion: MotionConfig::default(),
            tamper: TamperConfig::default(),
            recording: RecordingConfig::default(),
            live: LiveConfig::default(),
            upload: UploadConfig::default(),
            night: NightConfig::default(),
            qr: QrConfig::default(),
            log: LogConfig::default(),
            relay: None,
        }
    }
}

impl Config {
    /// Reads and checks a file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let bytes =
            fs::read(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let text = text_file::decode(&bytes).map_err(|problem| ConfigError::Parse {
            path: path.to_owned(),
            message: problem.to_string(),
        })?;
        Self::parse(&text, path)
    }

    /// `path` names the text's origin in errors.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|error| ConfigError::Parse {
            path: path.to_owned(),
            message: complaint::one_line(&error, text),
        })?;
        config.validate()?;
        Ok(config)
    }

    /// Lets what the owner configured in the app come before the file. Its zones and masks are those of
    /// a picture that was shown as `drawn`, those of the file of one as the file shows it: all stay on
    /// their part of the scene.
    pub fn adopt(&mut self, changes: &Configuration, drawn: Orientation) {
        let before = Orientation::of(&self.source.image);
        self.source.image = changes.image.unwrap_or(self.source.image);
        let shown = Orientation::of(&self.source.image);
        let own = Change { from: before, to: shown };
        self.source.masks = own.masks(&self.source.masks);
        self.motion.zones = own.zones(&self.motion.zones);
        let adopted = Change { from: drawn, to: shown };
        let set = |value: &mut u32, change: Option<u32>| *value = change.unwrap_or(*value);
        set(&mut self.source.bitrate_kbps, changes.bitrate_kbps);
        self.recording.mode = changes.recording_mode.unwrap_or(self.recording.mode);
        if let Some(schedule) = &changes.recording_schedule {
            self.recording.schedule = Some(schedule.clone());
        }
        set(&mut self.recording.pre_roll_s, changes.pre_roll_s);
        set(&mut self.recording.post_roll_s, changes.post_roll_s);
        set(&mut self.recording.max_clip_s, changes.max_clip_s);
        set(&mut self.live.max_viewers, changes.max_viewers);
        if let Some(max_bytes) = changes.max_bytes {
            self.recording.max_bytes = max_bytes;
        }
        set(&mut self.motion.min_duration_ms, changes.motion_min_duration_ms);
        set(&mut self.motion.cool_down_s, changes.motion_cool_down_s);
        if let Some(sensitivity) = changes.motion_sensitivity {
            self.motion.sensitivity = sensitivity;
        }
        self.tamper.enabled = changes.tamper_enabled.unwrap_or(self.tamper.enabled);
        self.tamper.sensitivity = changes.tamper_sensitivity.unwrap_or(self.tamper.sensitivity);
        if let Some(zones) = &changes.motion_zones {
            self.motion.zones = adopted.zones(zones);
        }
        if let Some(masks) = &changes.privacy_masks {
            self.source.masks = adopted.masks(masks);
        }
        set(&mut self.upload.max_kbps, changes.upload_max_kbps);
        if let Some(hours) = &changes.upload_quiet_hours {
            self.upload.quiet_hours = Some(hours.clone());
        }
        if let Some(schedule) = &changes.schedule {
            self.motion.schedule = Some(schedule.clone());
        }
    }

    /// All that `configure` can change, as it is now.
    pub fn configuration(&self) -> Configuration {
        let Self { source, motion, tamper, recording, live, upload, .. } = self;
        Configuration {
            protocol: PROTOCOL_VERSION,
            motion_sensitivity: Some(motion.sensitivity),
            motion_zones: Some(motion.zones.clone()),
            motion_min_duration_ms: Some(motion.min_duration_ms),
            motion_cool_down_s: Some(motion.cool_down_s),
            schedule: motion.schedule.clone(),
            tamper_enabled: Some(tamper.enabled),
            tamper_sensitivity: Some(tamper.sensitivity),
            privacy_masks: Some(source.masks.clone()),
            recording_mode: Some(recording.mode),
            recording_schedule: recording.schedule.clone(),
            pre_roll_s: Some(recording.pre_roll_s),
            post_roll_s: Some(recording.post_roll_s),
            max_clip_s: Some(recording.max_clip_s),
            max_bytes: Some(recording.max_bytes),
            bitrate_kbps: Some(source.bitrate_kbps),
            max_viewers: Some(live.max_viewers),
            upload_max_kbps: Some(upload.max_kbps),
            upload_quiet_hours: upload.quiet_hours.clone(),
            image: Some(source.image),
            image_controls: None,
        }
    }

    fn validate(&self) -> Result<(), ConfigError> {
        self.source.validate()?;
        self.relay.as_ref().map_or(Ok(()), RelayConfig::validate)?;
        if !(0.0..=1.0).contains(&self.motion.sensitivity) {
            return Err(ConfigError::value(
                "motion.sensitivity",
                &self.motion.sensitivity,
                "choose a value between 0.0 and 1.0",
            ));
        }
        if !(0.0..=1.0).contains(&self.tamper.sensitivity) {
            return Err(ConfigError::value(
                "tamper.sensitivity",
                &self.tamper.sensitivity,
                "choose a value between 0.0 and 1.0",
            ));
        }
        let recording = &self.recording;
        range("recording.pre_roll_s", recording.pre_roll_s, 0, 60)?;
        range("recording.post_roll_s", recording.post_roll_s, 1, 300)?;
        range("recording.max_clip_s", recording.max_clip_s, 5, 3600)?;
        range("recording.min_free_percent", recording.min_free_percent, 0, 50)?;
        range("recording.max_age_days", recording.max_age_days, 0, 365)?;
        range("recording.continuous_max_age_days", recording.continuous_max_age_days, 0, 365)?;
        self.live.validate()?;
        self.night.validate()?;
        self.qr.validate()?;
        self.validate_shapes()
    }

    /// Zones, masks and schedule obey the same rules here as in `configure`.
    fn validate_shapes(&self) -> Result<(), ConfigError> {
        let refused =
            |key: &'static str, message: String| ConfigError::value(key, &"(see there)", message);
        let image = &self.source.image;
        image.validate().map_err(|message| refused("source.image", message))?;
        let motion = Configuration { privacy_masks: None, ..self.configuration() };
        motion.validate().map_err(|message| refused("motion", message))?;
        let masks = Some(self.source.masks.clone());
        let masks = Configuration { privacy_masks: masks, ..Configuration::default() };
        masks.validate().map_err(|message| refused("source.masks", message))?;
        let schedules = [
            ("motion.schedule", &self.motion.schedule),
            ("recording.schedule", &self.recording.schedule),
        ];
        for (key, schedule) in schedules {
            if let Some(Err(unknown)) = schedule.as_ref().map(Week::new) {
                return Err(refused(key, unknown.to_string()));
            }
        }
        match self.upload.quiet_hours.as_ref().map(DailyHours::new) {
            Some(Err(unknown)) => Err(refused("upload.quiet_hours", unknown.to_string())),
            _ => Ok(()),
        }
    }
}

fn range(key: &'static str, value: u32, low: u32, high: u32) -> Result<(), ConfigError> {
    if (low..=high).contains(&value) {
        Ok(())
    } else {
        Err(ConfigError::value(key, &value, format!("choose a value between {low} and {high}")))
    }
}

#[cfg(test)]
mod tests;
