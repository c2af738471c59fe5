//! Instructions to a camera, and what became of them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{first_protocol, ids::CommandId, time::UnixMillis};

/// A command on its way to a camera (`down/command`).
///
/// `kind` stays text here, so that a camera answers a kind from the future by name instead of
/// failing to parse it. [`Command::parse`] gives it its type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommandMessage {
    #[serde(default = "first_protocol")]
    pub protocol: u32,
    pub command_id: CommandId,
    pub kind: String,
    #[serde(default)]
    pub arguments: Value,
    /// How long after its arrival at the broker the command may still be run. Judged by MQTT's
    /// message expiry and the camera's uptime, never by its wall clock.
    pub expires_in_ms: u64,
    pub issued_at: UnixMillis,
}

/// What a camera can be told to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    Snapshot,
    RecordStart,
    RecordStop,
    Arm,
    Disarm,
    PrivacyOn,
    PrivacyOff,
    Configure(Box<Configuration>),
    Restart,
    Identify,
}

/// The arguments of `configure`. An absent field leaves the setting as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    #[serde(default = "first_protocol")]
    pub protocol: u32,
    /// 0.0 (only large, clear motion) to 1.0 (the slightest).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub motion_sensitivity: Option<f32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub motion_zones: Option<Vec<Zone>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre_roll_s: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_roll_s: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_clip_s: Option<u32>,
    /// Byte budget for recordings on the camera's disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// Target bitrate of the encoder, kbit/s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bitrate_kbps: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_viewers: Option<u32>,
}

/// A polygon in the picture. Coordinates are relative: (0, 0) is the top left corner, (1, 1) the
/// bottom right one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Zone {
    pub name: String,
    pub points: Vec<(f32, f32)>,
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InvalidCommand {
    #[error("unknown_kind: this camera does not know the command `{0}`; update the agent")]
    UnknownKind(String),
    #[error("invalid_arguments: {0}")]
    InvalidArguments(String),
    #[error("unsupported_protocol: this camera speaks protocol {supported}, the command {given}")]
    UnsupportedProtocol { given: u32, supported: u32 },
}

impl Command {
    /// All kinds, as they are spelled on the wire.
    pub const KINDS: [&'static str; 10] = [
        "snapshot",
        "record_start",
        "record_stop",
        "arm",
        "disarm",
        "privacy_on",
        "privacy_off",
        "configure",
        "restart",
        "identify",
    ];

    pub fn parse(kind: &str, arguments: &Value) -> Result<Self, InvalidCommand> {
        Ok(match kind {
            "snapshot" => Self::Snapshot,
            "record_start" => Self::RecordStart,
            "record_stop" => Self::RecordStop,
            "arm" => Self::Arm,
            "disarm" => Self::Disarm,
            "privacy_on" => Self::PrivacyOn,
            "privacy_off" => Self::PrivacyOff,
            "restart" => Self::Restart,
            "identify" => Self::Identify,
            "configure" => Self::Configure(Box::new(Configuration::parse(arguments)?)),
            unknown => {
                return Err(InvalidCommand::UnknownKind(unknown.chars().take(64).collect()));
            }
        })
    }

    pub fn kind(&self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::RecordStart => "record_start",
            Self::RecordStop => "record_stop",
            Self::Arm => "arm",
            Self::Disarm => "disarm",
            Self::PrivacyOn => "privacy_on",
            Self::PrivacyOff => "privacy_off",
            Self::Configure(_) => "configure",
            Self::Restart => "restart",
            Self::Identify => "identify",
        }
    }
}

impl Configuration {
    /// These settings, but for what `newer` sets.
    #[must_use]
    pub fn changed_by(self, newer: Self) -> Self {
        Self {
            protocol: newer.protocol,
            motion_sensitivity: newer.motion_sensitivity.or(self.motion_sensitivity),
            motion_zones: newer.motion_zones.or(self.motion_zones),
            pre_roll_s: newer.pre_roll_s.or(self.pre_roll_s),
            post_roll_s: newer.post_roll_s.or(self.post_roll_s),
            max_clip_s: newer.max_clip_s.or(self.max_clip_s),
            max_bytes: newer.max_bytes.or(self.max_bytes),
            bitrate_kbps: newer.bitrate_kbps.or(self.bitrate_kbps),
            max_viewers: newer.max_viewers.or(self.max_viewers),
        }
    }

    fn parse(arguments: &Value) -> Result<Self, InvalidCommand> {
        let configuration: Self = serde_json::from_value(arguments.clone())
            .map_err(|error| InvalidCommand::InvalidArguments(error.to_string()))?;
        if configuration.protocol > crate::PROTOCOL_VERSION {
            return Err(InvalidCommand::UnsupportedProtocol {
                given: configuration.protocol,
                supported: crate::PROTOCOL_VERSION,
            });
        }
        configuration.validate().map_err(InvalidCommand::InvalidArguments)?;
        Ok(configuration)
    }

    /// Checks ranges; the error names the field, its value and what is allowed.
    fn validate(&self) -> Result<(), String> {
        let range = |name: &str, value: Option<u32>, low: u32, high: u32| match value {
            Some(value) if !(low..=high).contains(&value) => {
                Err(format!("{name} = {value}: expected {low} to {high}"))
            }
            _ => Ok(()),
        };
        range("pre_roll_s", self.pre_roll_s, 0, 60)?;
        range("post_roll_s", self.post_roll_s, 1, 300)?;
        range("max_clip_s", self.max_clip_s, 5, 3600)?;
        range("bitrate_kbps", self.bitrate_kbps, 100, 20_000)?;
        range("max_viewers", self.max_viewers, 0, 64)?;
        if let Some(sensitivity) = self.motion_sensitivity
            && !(0.0..=1.0).contains(&sensitivity)
        {
            return Err(format!("motion_sensitivity = {sensitivity}: expected 0.0 to 1.0"));
        }
        let zones = self.motion_zones.as_deref().unwrap_or_default();
        if zones.len() > 16 {
            return Err(format!("motion_zones: {} zones, at most 16", zones.len()));
        }
        zones.iter().try_for_each(Zone::validate)
    }
}

impl Zone {
    fn validate(&self) -> Result<(), String> {
        if !(3..=32).contains(&self.points.len()) {
            return Err(format!(
                "zone `{}`: {} points, expected 3 to 32",
                self.name,
                self.points.len()
            ));
        }
        let inside = |value: f32| (0.0..=1.0).contains(&value);
        if self.points.iter().all(|(x, y)| inside(*x) && inside(*y)) {
            Ok(())
        } else {
            Err(format!("zone `{}`: coordinates must lie between 0 and 1", self.name))
        }
    }
}

/// A command's way through the relay: queued -> sent -> acked | rejected | failed | expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandState {
    Queued,
    Sent,
    Acked,
    Rejected,
    Failed,
    Expired,
}

impl CommandState {
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Sent)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Acked => "acked",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::Expired => "expired",
        }
    }
}

/// A camera's answer to a command (`up/ack`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommandAck {
    #[serde(default = "first_protocol")]
    pub protocol: u32,
    pub command_id: CommandId,
    pub outcome: Outcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Executed.
    Acked,
    /// Not executed: the camera does not know it, or must not do it now.
    Rejected,
    /// Begun, and gone wrong.
    Failed,
}

impl From<Outcome> for CommandState {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Acked => Self::Acked,
            Outcome::Rejected => Self::Rejected,
            Outcome::Failed => Self::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_parses_to_itself() {
        for kind in Command::KINDS {
            assert_eq!(Command::parse(kind, &json!({})).unwrap().kind(), kind);
        }
    }

    #[test]
    fn an_unknown_kind_is_named() {
        let error = Command::parse("self_destruct", &json!(null)).unwrap_err();
        assert!(error.to_string().contains("self_destruct"));
    }

    #[test]
    fn a_value_out_of_range_is_refused_by_name() {
        let error = Command::parse("configure", &json!({"max_clip_s": 2})).unwrap_err();
        assert!(error.to_string().contains("max_clip_s = 2"));
    }

    #[test]
    fn a_newer_configuration_is_refused_by_version() {
        let error = Command::parse("configure", &json!({"protocol": 9})).unwrap_err();
        assert_eq!(error, InvalidCommand::UnsupportedProtocol { given: 9, supported: 1 });
    }
}
