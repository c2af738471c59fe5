//! Cameras: their credentials, their presence, their health.

use nightjar_shared::{
    event::{Health, Presence},
    ids::CameraId,
    time::UnixMillis,
};

use super::App;
use crate::error::Result;

/// A device token that is good now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    pub camera_id: CameraId,
    pub expires_at: UnixMillis,
}

/// Whose token this is; nothing when it is unknown, expired or revoked.
pub async fn verify_device_token(_app: &App, _token: &str) -> Result<Option<Device>> {
    Ok(None)
}

/// A camera said that it is there, or its last will that it is not.
pub async fn presence(_app: &App, _camera_id: CameraId, _presence: Presence) -> Result<()> {
    Ok(())
}

/// A camera's health arrived over MQTT.
pub async fn health(_app: &App, _camera_id: CameraId, _health: Health) -> Result<()> {
    Ok(())
}

/// A camera's MQTT connection stands, and it has subscribed: what waited for it is sent.
pub async fn ready(_app: &App, _camera_id: CameraId) -> Result<()> {
    Ok(())
}

/// A camera's MQTT connection ended, by whatever cause.
pub async fn disconnected(_app: &App, _camera_id: CameraId) -> Result<()> {
    Ok(())
}
