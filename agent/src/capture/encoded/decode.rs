//! From H.264 to pictures.

use anyhow::Context as _;
use gstreamer as gst;

/// Decoders, in the order in which they are tried. Software first, as for encoders: no board's has
/// been seen to work.
const DECODERS: [&str; 3] = ["avdec_h264", "openh264dec", "v4l2h264dec"];

/// Makes the elements, in order.
pub(crate) fn decoder() -> anyhow::Result<Vec<gst::Element>> {
    let parser = gst::ElementFactory::make("h264parse")
        .build()
        .context("GStreamer has no h264parse: install gstreamer1.0-plugins-bad")?;
    let known = |name: &&str| gst::ElementFactory::find(name).is_some();
    let name = DECODERS.into_iter().find(known);
    let name = name.context("no H.264 decoder: install gstreamer1.0-libav")?;
    let mut decoder = gst::ElementFactory::make(name);
    if name == DECODERS[0] {
        // One thread: several would each keep a picture back. Pictures that a lost frame spoilt would
        // be motion.
        decoder = decoder.property("max-threads", 1_i32).property("output-corrupt", false);
    }
    Ok(vec![parser, decoder.build()?])
}
