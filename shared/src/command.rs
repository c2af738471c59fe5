//! Instructions to a camera, and what became of them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    configuration::Configuration,
    first_protocol,
    ids::CommandId,
    request_id::{self, RequestId},
    time::UnixMillis,
    word::words,
};

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
    /// Of the request that brought it, for logs. It decides nothing.
    #[serde(
        default,
        deserialize_with = "request_id::if_valid",
        skip_serializing_if = "Option::is_none"
    )]
    pub request_id: Option<RequestId>,
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
    /// Look at once for an update, and install it.
    Update,
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InvalidCommand {
    #[error(
        "{code}: this camera does not know the command `{0}`; update the agent",
        code = CommandReason::UnknownKind
    )]
    UnknownKind(String),
    #[error("{code}: {0}", code = CommandReason::InvalidArguments)]
    InvalidArguments(String),
    #[error(
        "{}: this camera speaks protocol {supported}, the command {given}",
        CommandReason::UnsupportedProtocol
    )]
    UnsupportedProtocol { given: u32, supported: u32 },
}

impl Command {
    /// All kinds, as they are spelled on the wire.
    pub const KINDS: [&'static str; 11] = [
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
        "update",
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
            "update" => Self::Update,
            "configure" => Self::Configure(Box::new(parse_configuration(arguments)?)),
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
            Self::Update => "update",
        }
    }
}

fn parse_configuration(arguments: &Value) -> Result<Configuration, InvalidCommand> {
    let configuration: Configuration = serde_json::from_value(arguments.clone())
        .map_err(|error| InvalidCommand::InvalidArguments(error.to_string()))?;
    let configuration = configuration.with_normal_names();
    if configuration.protocol > crate::PROTOCOL_VERSION {
        return Err(InvalidCommand::UnsupportedProtocol {
            given: configuration.protocol,
            supported: crate::PROTOCOL_VERSION,
        });
    }
    configuration.validate().map_err(InvalidCommand::InvalidArguments)?;
    Ok(configuration)
}

words! {
    /// A command's way through the relay: queued -> sent -> acked | rejected | failed | expired.
    CommandState {
        Queued = "queued",
        Sent = "sent",
        Acked = "acked",
        Rejected = "rejected",
        Failed = "failed",
        Expired = "expired",
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

words! {
    /// What became of a command at its camera.
    Outcome {
        /// Executed.
        Acked = "acked",
        /// Not executed: the camera does not know it, or must not do it now.
        Rejected = "rejected",
        /// Begun, and gone wrong.
        Failed = "failed",
    }
}

words! {
    /// Why a command was not executed, or went wrong: the first word of an acknowledgement's
    /// reason.
    CommandReason {
        UnknownKind = "unknown_kind",
        InvalidArguments = "invalid_arguments",
        UnsupportedProtocol = "unsupported_protocol",
        AlreadyRecording = "already_recording",
        NotRecording = "not_recording",
        /// Nothing is recorded in privacy mode.
        PrivacyMode = "privacy_mode",
        NoPicture = "no_picture",
        Busy = "busy",
        /// The board has no light that the agent may switch.
        NoLight = "no_light",
        /// A setting could not be kept on the camera's disk.
        NotKept = "not_kept",
        TimedOut = "timed_out",
        ShuttingDown = "shutting_down",
        /// The agent was restarted while the command ran.
        Interrupted = "interrupted",
        Failed = "failed",
    }
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
    fn a_command_runs_whatever_names_its_request() {
        for odd in [json!("a\nb"), json!("x".repeat(100_000)), json!(7), json!(null), json!({})] {
            let message = json!({
                "command_id": CommandId::generate(), "kind": "arm", "expires_in_ms": 1,
                "issued_at": 1, "request_id": odd,
            });
            let message: CommandMessage = serde_json::from_value(message).unwrap();
            assert_eq!(message.request_id, None);
        }
    }

    #[test]
    fn a_newer_configuration_is_refused_by_version() {
        let error = Command::parse("configure", &json!({"protocol": 9})).unwrap_err();
        assert_eq!(error, InvalidCommand::UnsupportedProtocol { given: 9, supported: 1 });
    }
}
