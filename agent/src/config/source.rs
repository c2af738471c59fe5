//! `[source]`: where pictures come from.

use std::path::{Path, PathBuf};

use nightjar_shared::{configuration::PrivacyMask, image::ImageSettings};
use serde::Deserialize;

use super::{ConfigError, RtspConfig, image, range, unknown};

const SOURCE_KINDS: &str = "\"v4l2\", \"libcamera\", \"rtsp\", \"file\" or \"synthetic\"";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum SourceKind {
    V4l2,
    Libcamera,
    Rtsp,
    File,
    Synthetic,
}

impl SourceKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V4l2 => "v4l2",
            Self::Libcamera => "libcamera",
            Self::Rtsp => "rtsp",
            Self::File => "file",
            Self::Synthetic => "synthetic",
        }
    }
}

impl TryFrom<String> for SourceKind {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        match word.as_str() {
            "v4l2" => Ok(Self::V4l2),
            "libcamera" => Ok(Self::Libcamera),
            "rtsp" => Ok(Self::Rtsp),
            "file" => Ok(Self::File),
            "synthetic" => Ok(Self::Synthetic),
            _ => Err(unknown("source.kind", &word, SOURCE_KINDS)),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SourceConfig {
    pub kind: SourceKind,
    /// For `v4l2`: a stable path below /dev/v4l, a device node, the place where the camera is plugged in
    /// as `probe` names it, or `auto`. For `libcamera`: the camera's name, or `auto`.
    pub device: String,
    /// For `file`: looped at its own pace.
    pub path: Option<PathBuf>,
    /// For `rtsp`: where the camera is.
    pub rtsp: Option<RtspConfig>,
    pub width: u32,
    pub height: u32,
    pub fps: u32,
    /// No more is captured than the encoder was found to keep up with.
    pub fit_to_encoder: bool,
    /// Target bitrate of the encoder, kbit/s.
    pub bitrate_kbps: u32,
    /// For `synthetic`: seconds without motion, then seconds with a walker, in turns.
    pub quiet_s: u32,
    pub walk_s: u32,
    /// Filled before anything else sees the picture.
    pub masks: Vec<PrivacyMask>,
    #[serde(deserialize_with = "image::image")]
    pub image: ImageSettings,
    /// For `synthetic`: draws the capture time into the picture, for latency measurements.
    pub stamp: bool,
}

impl Default for SourceConfig {
    fn default() -> Self {
        Self {
            kind: SourceKind::V4l2,
            device: "auto".to_owned(),
            path: None,
            rtsp: None,
            width: 1280,
            height: 720,
            fps: 15,
            fit_to_encoder: true,
            bitrate_kbps: 2_000,
            quiet_s: 20,
            walk_s: 8,
            masks: Vec::new(),
            image: ImageSettings::default(),
            stamp: false,
        }
    }
}

impl SourceConfig {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        range("source.width", self.width, 160, 3840)?;
        range("source.height", self.height, 120, 2160)?;
        range("source.fps", self.fps, 1, 60)?;
        range("source.bitrate_kbps", self.bitrate_kbps, 100, 20_000)?;
        match (self.kind, &self.path) {
            (SourceKind::File, None) => Err(ConfigError::value(
                "source.path",
                &"(absent)",
                "a source of kind \"file\" needs the path of a video file",
            )),
            (SourceKind::File, Some(path)) if !path.is_file() => Err(ConfigError::value(
                "source.path",
                &path.display(),
                "no such file; name a readable video file",
            )),
            _ if self.kind == SourceKind::Rtsp && self.rtsp.is_none() => Err(ConfigError::value(
                "source.rtsp",
                &"(absent)",
                "a source of kind \"rtsp\" needs the camera's address: [source.rtsp] url = \"rtsp://…\"",
            )),
            _ => Ok(()),
        }
    }

    /// Says whether the camera is there now. An agent that runs without it reports that and waits.
    pub fn check_device(&self) -> Result<(), ConfigError> {
        if self.kind != SourceKind::V4l2
            || !Path::new(&self.device).is_absolute()
            || Path::new(&self.device).exists()
        {
            return Ok(());
        }
        Err(ConfigError::value(
            "source.device",
            &self.device,
            "no such device; plug the camera in, or choose \"auto\" or one that \
             `nightjar-agent probe` lists",
        ))
    }
}
