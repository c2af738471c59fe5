//! Lets an encoder encode some pictures, and says how many pixels a second it keeps up with.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use gstreamer::{self as gst, prelude::*};
use gstreamer_video::{VideoCapsBuilder, VideoFormat};
use nightjar_core::encoding::Throughput;
use rustix::time::{ClockId, clock_gettime};

use crate::{
    capture::Geometry,
    encode::{
        elements::{caps_filter, frame_sink},
        encoder::{Encoder, EncoderKind},
    },
};

/// What software is measured with. Its time grows with the pixels.
const SMALL: Geometry = Geometry { width: 640, height: 360, fps: (30, 1) };
/// What hardware is measured with: it takes its time for each picture, however small.
const LARGE: Geometry = Geometry { width: 1_280, height: 720, fps: (30, 1) };
/// As many pixels share a bit of the stream as in 2 Mbit/s of 1280x720 at 30 fps.
const PIXELS_A_BIT: u32 = 14;
/// Pictures that an encoder is given, and for how long at most.
const PICTURES: usize = 24;
const LONGEST: Duration = Duration::from_millis(500);
/// How long hardware may take for those that it was given.
const LAST_WITHIN: gst::ClockTime = gst::ClockTime::from_seconds(2);
/// Of a processor with several cores an encoder has nearly one for itself; of a single one, half. What
/// remains is for conversion, motion, recording and viewers.
const SHARE_OF_MANY_CORES: f64 = 0.7;
const SHARE_OF_ONE_CORE: f64 = 0.4;

pub(super) fn cores() -> usize {
    thread::available_parallelism().map_or(1, Into::into)
}

pub(super) fn measure(kind: EncoderKind) -> anyhow::Result<Throughput> {
    let geometry = if kind.is_hardware() { LARGE } else { SMALL };
    let bitrate_kbps = geometry.width * geometry.height / PIXELS_A_BIT * geometry.fps.0 / 1_000;
    let taken = time_taken(&Encoder::new(kind, geometry, bitrate_kbps)?, geometry)?;
    let share =
        if kind.is_hardware() || cores() > 1 { SHARE_OF_MANY_CORES } else { SHARE_OF_ONE_CORE };
    let pixels = f64::from(geometry.width) * f64::from(geometry.height);
    let per_second = pixels / taken.as_secs_f64().max(1e-6) * share;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive, and far below 2^53"
    )]
    let pixels_per_s = per_second as u64;
    let throughput = Throughput { pixels_per_s };
    tracing::info!(
        encoder = kind.element(),
        fps_at_1280x720 = throughput.fps(1_280, 720),
        "measured what the encoder keeps up with"
    );
    Ok(throughput)
}

/// Encodes some pictures; gives the time that one of them takes. In software that is processor time, as
/// what else the machine does at the moment says nothing of the encoder.
fn time_taken(encoder: &Encoder, geometry: Geometry) -> anyhow::Result<Duration> {
    let (made, counted) = std::sync::mpsc::sync_channel(4 * PICTURES);
    let sink = frame_sink(move |_| {
        // Full: more than enough.
        let _ = made.try_send(());
    });
    let chain = [&encoder.element, &caps_filter(&encoder.output)?, sink.upcast_ref()];
    let pipeline = gst::Pipeline::with_name("measure");
    pipeline.add_many(chain)?;
    gst::Element::link_many(chain)?;
    let source = gst::Pad::builder(gst::PadDirection::Src).name("src").build();
    source.set_active(true)?;
    source.link(&encoder.element.static_pad("sink").context("an encoder without an input")?)?;
    let bus = pipeline.bus().context("a pipeline without a bus")?;
    let outcome = run(&pipeline, &source, &bus, encoder.is_hardware(), geometry);
    let stopped = pipeline.set_state(gst::State::Null);
    let taken = outcome?;
    stopped.context("the encoder does not stop")?;
    if counted.try_iter().count() == 0 {
        bail!("it made no frame of the pictures that it was given");
    }
    Ok(taken)
}

fn run(
    pipeline: &gst::Pipeline,
    source: &gst::Pad,
    bus: &gst::Bus,
    is_hardware: bool,
    geometry: Geometry,
) -> anyhow::Result<Duration> {
    pipeline.set_state(gst::State::Playing).context("the encoder does not start")?;
    let number = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    let caps = VideoCapsBuilder::new()
        .format(VideoFormat::I420)
        .width(number(geometry.width))
        .height(number(geometry.height))
        .framerate(gst::Fraction::new(number(geometry.fps.0), number(geometry.fps.1)))
        .pixel_aspect_ratio(gst::Fraction::new(1, 1))
        .build();
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    source.push_event(gst::event::StreamStart::new("measure"));
    source.push_event(gst::event::Caps::new(&caps));
    source.push_event(gst::event::Segment::new(&segment));
    let push = |number: usize| {
        let number = u32::try_from(number)?;
        let mut buffer = picture(geometry, number);
        let time = gst::ClockTime::from_nseconds(geometry.interval().as_nanos().try_into()?)
            * number.into();
        buffer.get_mut().context("a shared picture")?.set_pts(time);
        source.push(buffer).map_err(|flow| anyhow::anyhow!("it refuses pictures ({flow})"))?;
        anyhow::Ok(())
    };
    // The first picture opens it.
    push(0)?;
    let began = Instant::now();
    let mut each = Vec::new();
    while each.len() < PICTURES && began.elapsed() < LONGEST {
        let before = thread_time();
        push(each.len() + 1)?;
        each.push(thread_time().saturating_sub(before));
    }
    source.push_event(gst::event::Eos::new());
    let end =
        bus.timed_pop_filtered(LAST_WITHIN, &[gst::MessageType::Eos, gst::MessageType::Error]);
    match end.as_ref().map(|message| message.view()) {
        Some(gst::MessageView::Eos(_)) => {}
        Some(gst::MessageView::Error(error)) => bail!("{}", error.error().message()),
        _ => bail!("it does not come to an end"),
    }
    if is_hardware {
        return Ok(began.elapsed() / u32::try_from(each.len()).unwrap_or(1).max(1));
    }
    // The middle one: some fall into a moment in which the machine did something else.
    each.sort_unstable();
    each.get(each.len() / 2).copied().context("it takes too long for each picture")
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// A picture with edges that move, and noise as of a sensor: neither the cheapest nor the dearest.
fn picture(geometry: Geometry, number: u32) -> gst::Buffer {
    let (width, height) = (geometry.width as usize, geometry.height as usize);
    let mut bytes = vec![128_u8; width * height * 3 / 2];
    let mut noise = number.wrapping_mul(0x9e37_79b9) | 1;
    // A quarter of it moves.
    let shift = |y: usize| if y < height / 4 { number as usize * 4 } else { 0 };
    for (y, row) in bytes[..width * height].chunks_exact_mut(width).enumerate() {
        noise ^= noise << 13;
        noise ^= noise >> 17;
        noise ^= noise << 5;
        for (x, pixel) in row.iter_mut().enumerate() {
            let edge = if ((x + shift(y)) / 64 + y / 48).is_multiple_of(2) { 60 } else { 170 };
            *pixel = edge + ((noise >> (x % 24)) & 1) as u8;
        }
    }
    gst::Buffer::from_mut_slice(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoder_that_makes_nothing_of_pictures_is_found_out() {
        gst::init().unwrap();
        let real = Encoder::new(EncoderKind::available()[0], SMALL, 500).unwrap();
        let element = gst::ElementFactory::make("identity").property("drop-probability", 1.0_f32);
        let deaf =
            Encoder { element: element.build().unwrap(), output: gst::Caps::new_any(), ..real };
        let error = format!("{:#}", time_taken(&deaf, SMALL).unwrap_err());
        assert!(!error.is_empty(), "{error}");
    }
}
