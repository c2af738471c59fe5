//! MQTT topics. This is the only place where their text is spelled.
//!
//! Below `nightjar/v1/{camera_id}/`: `down/command`, `down/signal` to the camera; `up/event`,
//! `up/health`, `up/configuration`, `up/ack`, `up/presence` and `up/signal/{replica}` from it.

use std::{fmt, str::FromStr};

use crate::ids::CameraId;

const ROOT: &str = "nightjar/v1/";

/// What a camera's topics are for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Channel {
    DownCommand,
    DownSignal,
    UpEvent,
    UpHealth,
    /// The settings that the camera goes by, on each connection and whenever one changes.
    UpConfiguration,
    UpAck,
    /// Retained, and the camera's last will.
    UpPresence,
    /// Signalling answers, addressed to the relay replica that holds the viewer.
    UpSignal {
        replica: String,
    },
}

impl Channel {
    /// Returns every channel, signals to the relay among them to this replica.
    pub fn all(replica: &str) -> Vec<Self> {
        let mut all = vec![Self::DownCommand];
        while let Some(next) = all.last().and_then(|last| last.next(replica)) {
            all.push(next);
        }
        all
    }

    /// Returns the one behind it: a new channel has its place here, because the compiler asks for it.
    fn next(&self, replica: &str) -> Option<Self> {
        Some(match self {
            Self::DownCommand => Self::DownSignal,
            Self::DownSignal => Self::UpEvent,
            Self::UpEvent => Self::UpHealth,
            Self::UpHealth => Self::UpConfiguration,
            Self::UpConfiguration => Self::UpAck,
            Self::UpAck => Self::UpPresence,
            Self::UpPresence => Self::UpSignal { replica: replica.to_owned() },
            Self::UpSignal { .. } => return None,
        })
    }

    pub fn is_up(&self) -> bool {
        !matches!(self, Self::DownCommand | Self::DownSignal)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Topic {
    pub camera_id: CameraId,
    pub channel: Channel,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a topic of Nightjar")]
pub struct InvalidTopic(pub String);

impl Topic {
    pub fn new(camera_id: CameraId, channel: Channel) -> Self {
        Self { camera_id, channel }
    }

    /// Returns whether `camera_id` may publish to this topic: only below its own `up/`.
    pub fn may_be_published_by(&self, camera_id: CameraId) -> bool {
        self.camera_id == camera_id && self.channel.is_up()
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{ROOT}{}/", self.camera_id)?;
        match &self.channel {
            Channel::DownCommand => formatter.write_str("down/command"),
            Channel::DownSignal => formatter.write_str("down/signal"),
            Channel::UpEvent => formatter.write_str("up/event"),
            Channel::UpHealth => formatter.write_str("up/health"),
            Channel::UpConfiguration => formatter.write_str("up/configuration"),
            Channel::UpAck => formatter.write_str("up/ack"),
            Channel::UpPresence => formatter.write_str("up/presence"),
            Channel::UpSignal { replica } => write!(formatter, "up/signal/{replica}"),
        }
    }
}

impl FromStr for Topic {
    type Err = InvalidTopic;

    fn from_str(text: &str) -> Result<Self, InvalidTopic> {
        let invalid = || InvalidTopic(text.chars().take(128).collect());
        let levels: Vec<&str> = text.strip_prefix(ROOT).ok_or_else(invalid)?.split('/').collect();
        let (camera, rest) = levels.split_first().ok_or_else(invalid)?;
        let channel = match rest {
            ["down", "command"] => Channel::DownCommand,
            ["down", "signal"] => Channel::DownSignal,
            ["up", "event"] => Channel::UpEvent,
            ["up", "health"] => Channel::UpHealth,
            ["up", "configuration"] => Channel::UpConfiguration,
            ["up", "ack"] => Channel::UpAck,
            ["up", "presence"] => Channel::UpPresence,
            ["up", "signal", replica] if is_replica(replica) => {
                Channel::UpSignal { replica: (*replica).to_owned() }
            }
            _ => return Err(invalid()),
        };
        Ok(Self { camera_id: camera.parse().map_err(|_| invalid())?, channel })
    }
}

/// Checks a replica's name: one topic level without wildcards, at most 64 bytes.
fn is_replica(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Writes the filter a camera subscribes to: all that is sent to it.
pub fn down_filter(camera_id: CameraId) -> String {
    format!("{ROOT}{camera_id}/down/+")
}

/// Returns whether `camera_id` may subscribe to `filter`: its own `down/` topics, by name or by the
/// one wildcard that covers just them.
pub fn may_subscribe(camera_id: CameraId, filter: &str) -> bool {
    filter == down_filter(camera_id)
        || filter == format!("{ROOT}{camera_id}/down/#")
        || filter
            .parse::<Topic>()
            .is_ok_and(|topic| topic.camera_id == camera_id && !topic.channel.is_up())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_channel_survives_the_way_through_text() {
        let camera_id = CameraId::generate();
        for channel in Channel::all("r-1") {
            let topic = Topic::new(camera_id, channel);
            assert_eq!(topic.to_string().parse::<Topic>().unwrap(), topic);
        }
    }

    #[test]
    fn wildcards_foreign_roots_and_odd_replicas_are_no_topics() {
        let camera = CameraId::generate();
        for text in [
            "#".to_owned(),
            format!("nightjar/v2/{camera}/up/event"),
            format!("nightjar/v1/{camera}/up/#"),
            format!("nightjar/v1/{camera}/up/signal/+"),
            format!("nightjar/v1/{camera}/up/signal/"),
            format!("nightjar/v1/{camera}/up/event/"),
            format!("$share/g/nightjar/v1/{camera}/down/command"),
            "nightjar/v1/+/up/event".to_owned(),
        ] {
            assert!(text.parse::<Topic>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_camera_subscribes_to_its_own_down_topics_only() {
        let own = CameraId::generate();
        let other = CameraId::generate();
        assert!(may_subscribe(own, &down_filter(own)));
        assert!(may_subscribe(own, &Topic::new(own, Channel::DownCommand).to_string()));
        for filter in [
            "#".to_owned(),
            "+/#".to_owned(),
            "$SYS/#".to_owned(),
            down_filter(other),
            format!("$share/g/{}", down_filter(own)),
            Topic::new(own, Channel::UpEvent).to_string(),
            format!("nightjar/v1/{own}/#"),
        ] {
            assert!(!may_subscribe(own, &filter), "{filter}");
        }
    }
}
