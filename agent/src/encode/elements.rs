//! Elements and settings that several pipelines share.

use anyhow::Context as _;
use gstreamer::{self as gst, prelude::*};
use gstreamer_app::{AppSink, AppSinkCallbacks};
use tokio::sync::mpsc;

use super::encoder::Encoder;
use crate::{capture::Geometry, config::SourceConfig};

/// Encoders take no smaller side.
const SIDE_MIN: u32 = 16;

/// Only the first failure of a pipeline matters; later ones are dropped.
const FAILURE_QUEUE: usize = 4;

pub(crate) fn make(name: &str) -> anyhow::Result<gst::Element> {
    gst::ElementFactory::make(name).build().with_context(|| {
        format!("GStreamer has no {name}: install gstreamer1.0-plugins-{{base,good,bad}}")
    })
}

pub(crate) fn caps_filter(caps: &gst::Caps) -> anyhow::Result<gst::Element> {
    Ok(gst::ElementFactory::make("capsfilter").property("caps", caps).build()?)
}

/// What the encoder gets for as long as a pipeline runs, whatever the source gives: what has another
/// shape is framed in black.
pub(crate) fn raw_caps(encoder: &Encoder, geometry: Geometry) -> anyhow::Result<gst::Caps> {
    let mut caps = encoder.input.clone();
    let fields = caps.make_mut();
    fields.set("width", i32::try_from(geometry.width)?);
    fields.set("height", i32::try_from(geometry.height)?);
    fields.set("pixel-aspect-ratio", gst::Fraction::new(1, 1));
    fields.set("interlace-mode", "progressive");
    Ok(caps)
}

/// Hands every access unit to `on_frame`.
pub(crate) fn frame_sink(on_frame: impl Fn(&gst::Sample) + Send + 'static) -> AppSink {
    let callbacks = AppSinkCallbacks::builder().new_sample(move |sink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        on_frame(&sample);
        Ok(gst::FlowSuccess::Ok)
    });
    let caps = gst::Caps::builder("video/x-h264")
        .field("stream-format", "byte-stream")
        .field("alignment", "au")
        .build();
    AppSink::builder().caps(&caps).sync(false).callbacks(callbacks.build()).build()
}

/// Errors and the end of the stream, as sentences.
pub(crate) fn watch_bus(pipeline: &gst::Pipeline) -> anyhow::Result<mpsc::Receiver<String>> {
    let (sender, receiver) = mpsc::channel(FAILURE_QUEUE);
    let bus = pipeline.bus().context("a pipeline without a bus")?;
    bus.set_sync_handler(move |_, message| {
        let failure = match message.view() {
            gst::MessageView::Error(error) => Some(describe(error)),
            gst::MessageView::Eos(_) => Some("the source ended".to_owned()),
            _ => None,
        };
        if let Some(failure) = failure {
            let _ = sender.try_send(failure);
        }
        gst::BusSyncReply::Drop
    });
    Ok(receiver)
}

fn describe(error: &gst::message::Error) -> String {
    // Its kind: its name has a number that is another one after each start.
    let kind = |source: &gst::Object| {
        let element = source.downcast_ref::<gst::Element>()?;
        Some(element.factory()?.name().to_string())
    };
    let source = error.src().and_then(kind).unwrap_or_default();
    let (message, remedy) = (error.error().message().to_owned(), remedy(error, &source));
    // What the agent itself says goes in by this one.
    if source == "appsrc" {
        return message;
    }
    format!("{message} ({source}){remedy}")
}

/// What a person can do about an error of a camera, as an addition to its sentence.
fn remedy(error: &gst::message::Error, source: &str) -> &'static str {
    if !source.starts_with("v4l2src") {
        return "";
    }
    let debug = error.debug().unwrap_or_default();
    match error.error().kind::<gst::ResourceError>() {
        Some(gst::ResourceError::Busy) => BUSY,
        // Some drivers say it in the details alone.
        _ if debug.contains("Device or resource busy") => BUSY,
        Some(gst::ResourceError::Read | gst::ResourceError::NotFound) => {
            ": the camera broke off; see that it is plugged in firmly"
        }
        _ => ": the camera does not do what was asked; if it stays like this, plug it in again",
    }
}

const BUSY: &str =
    ": another program uses the camera; end it, `nightjar-agent doctor` as root names it";

/// Pictures larger than wanted are shrunk, keeping their shape; H.264 wants even sizes.
pub(crate) fn encoded_geometry(source: Geometry, wanted: &SourceConfig) -> Geometry {
    let (width, height) = fit((source.width, source.height), (wanted.width, wanted.height));
    Geometry { width, height, ..source }
}

/// The largest even size of the same shape that is not larger than `most`, and one that encoders take.
pub(crate) fn fit(size: (u32, u32), most: (u32, u32)) -> (u32, u32) {
    let (width, height) = (u64::from(size.0), u64::from(size.1));
    let (most_width, most_height) = (u64::from(most.0), u64::from(most.1));
    let (width, height) = if width <= most_width && height <= most_height {
        (width, height)
    } else if width * most_height >= height * most_width {
        (most_width, height * most_width / width)
    } else {
        (width * most_height / height, most_height)
    };
    let even = |pixels: u64| u32::try_from(pixels / 2 * 2).unwrap_or(SIDE_MIN).max(SIDE_MIN);
    (even(width), even(height))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(width: u32, height: u32) -> (u32, u32) {
        let wanted = SourceConfig { width: 1280, height: 720, ..SourceConfig::default() };
        let source = Geometry { width, height, fps: (30, 1) };
        let geometry = encoded_geometry(source, &wanted);
        (geometry.width, geometry.height)
    }

    #[test]
    fn pictures_are_never_enlarged_and_keep_their_shape() {
        assert_eq!(encoded(1280, 720), (1280, 720));
        assert_eq!(encoded(768, 576), (768, 576));
        assert_eq!(encoded(641, 361), (640, 360));
        assert_eq!(encoded(3840, 2160), (1280, 720));
        assert_eq!(encoded(1600, 1200), (960, 720));
        assert_eq!(encoded(720, 1280), (404, 720));
        assert_eq!(encoded(360, 640), (360, 640));
        assert_eq!(encoded(1, 1), (16, 16), "the smallest that encoders take");
        assert_eq!(encoded(8_192, 20), (1_280, 16));
    }
}
