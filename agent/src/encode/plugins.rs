//! Which of GStreamer's plugins are missing, by the Debian package that has them.

use anyhow::Context as _;
use gstreamer as gst;

/// What the agent makes pipelines of. Encoders, of which one will do, stand apart.
const NEEDED: [(&str, &[&str]); 4] = [
    (
        "gstreamer1.0-plugins-base",
        &["videoconvert", "videoscale", "videorate", "decodebin", "appsink"],
    ),
    ("gstreamer1.0-plugins-good", &["v4l2src", "jpegdec", "jpegenc", "deinterlace", "videoflip"]),
    ("gstreamer1.0-plugins-bad", &["webrtcbin", "h264parse", "dtlssrtpenc", "srtpenc"]),
    ("gstreamer1.0-nice", &["nicesrc", "nicesink"]),
];

/// A package some of whose elements are not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingPackage {
    pub package: &'static str,
    pub elements: Vec<&'static str>,
}

/// Lists what is to be installed; nothing when all is there.
pub fn missing_packages() -> anyhow::Result<Vec<MissingPackage>> {
    gst::init().context("GStreamer does not start")?;
    let is_missing = |element: &&str| gst::ElementFactory::find(element).is_none();
    let missing = NEEDED.into_iter().map(|(package, elements)| {
        let elements = elements.iter().copied().filter(is_missing).collect();
        MissingPackage { package, elements }
    });
    Ok(missing.filter(|package| !package.elements.is_empty()).collect())
}
