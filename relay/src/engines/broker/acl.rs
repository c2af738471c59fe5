//! What a camera may do at the broker: pure decisions from its authenticated identity.

use nightjar_shared::{
    ids::CameraId,
    topic::{self, Channel, Topic},
};

/// Why the broker refused something. The texts are labels of a metric: they name the rule, never
/// the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("identity")]
    Identity,
    #[error("credential")]
    Credential,
    #[error("last_will")]
    LastWill,
    #[error("publish")]
    Publish,
    #[error("subscribe")]
    Subscribe,
}

/// Reads which camera a client claims to be. Client id and user name must both be its id: another
/// client id would let a camera take over a session that is not its own.
pub fn claimed_identity(client_id: &str, user_name: Option<&str>) -> Result<CameraId, Refusal> {
    if user_name == Some(client_id) {
        client_id.parse().map_err(|_| Refusal::Identity)
    } else {
        Err(Refusal::Identity)
    }
}

/// Judges a last will when the camera connects, because it bypasses the checks of ordinary
/// messages: its own presence, and nothing else.
pub fn check_last_will(camera_id: CameraId, topic: &str) -> Result<(), Refusal> {
    match topic.parse::<Topic>() {
        Ok(topic) if topic == Topic::new(camera_id, Channel::UpPresence) => Ok(()),
        _ => Err(Refusal::LastWill),
    }
}

/// Lets a camera publish below its own `up/`; only its presence is retained.
pub fn check_publish(camera_id: CameraId, topic: &str, retain: bool) -> Result<Channel, Refusal> {
    let topic: Topic = topic.parse().map_err(|_| Refusal::Publish)?;
    if topic.may_be_published_by(camera_id) && (!retain || topic.channel == Channel::UpPresence) {
        Ok(topic.channel)
    } else {
        Err(Refusal::Publish)
    }
}

/// Lets a camera subscribe below its own `down/`.
pub fn check_subscribe(camera_id: CameraId, filter: &str) -> Result<(), Refusal> {
    if topic::may_subscribe(camera_id, filter) { Ok(()) } else { Err(Refusal::Subscribe) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn presence(camera_id: CameraId) -> String {
        Topic::new(camera_id, Channel::UpPresence).to_string()
    }

    #[test]
    fn client_id_and_user_name_must_be_the_same_camera() {
        let camera = CameraId::generate();
        let other = CameraId::generate().to_string();
        let text = camera.to_string();
        assert_eq!(claimed_identity(&text, Some(&text)), Ok(camera));
        assert!(claimed_identity(&text, Some(&other)).is_err());
        assert!(claimed_identity(&text, None).is_err());
        assert!(claimed_identity("", Some("")).is_err());
        assert!(claimed_identity("relay", Some("relay")).is_err());
    }

    #[test]
    fn a_last_will_speaks_of_its_own_presence_only() {
        let own = CameraId::generate();
        assert!(check_last_will(own, &presence(own)).is_ok());
        assert!(check_last_will(own, &presence(CameraId::generate())).is_err());
        assert!(check_last_will(own, &Topic::new(own, Channel::UpEvent).to_string()).is_err());
        assert!(check_last_will(own, &Topic::new(own, Channel::DownCommand).to_string()).is_err());
        assert!(check_last_will(own, "").is_err());
    }

    #[test]
    fn only_presence_may_be_retained() {
        let own = CameraId::generate();
        let event = Topic::new(own, Channel::UpEvent).to_string();
        assert!(check_publish(own, &presence(own), true).is_ok());
        assert!(check_publish(own, &event, false).is_ok());
        assert!(check_publish(own, &event, true).is_err());
    }

    #[test]
    fn down_topics_foreign_topics_and_the_empty_topic_are_not_published() {
        let own = CameraId::generate();
        let down = Topic::new(own, Channel::DownCommand).to_string();
        for topic in [down, presence(CameraId::generate()), String::new(), "$SYS/x".to_owned()] {
            assert_eq!(check_publish(own, &topic, false), Err(Refusal::Publish), "{topic}");
        }
    }
}
