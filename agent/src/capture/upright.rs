//! Makes of what a source gives the pictures that a person standing there would see: whole, upright,
//! in planes. What a source says of its pictures is read at every change and not once; what there
//! is nothing to mend in passes through without a copy.

use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use gstreamer::{self as gst, prelude::*};
use gstreamer_video::{VideoCapsBuilder, VideoFormat, VideoInterlaceMode};
use nightjar_core::shape::{UnfitPicture, believable_pixel, check_largest};

/// Makes the elements, in order. They take raw pictures as a decoder or a driver gives them.
pub(crate) fn upright() -> anyhow::Result<Vec<gst::Element>> {
    let make = |name: &str| {
        gst::ElementFactory::make(name).build().with_context(|| {
            format!("GStreamer has no {name}: install gstreamer1.0-plugins-{{base,good}}")
        })
    };
    let planes = VideoCapsBuilder::new().format_list([VideoFormat::I420, VideoFormat::Nv12]);
    let filter = make("capsfilter")?;
    filter.set_property("caps", planes.build());
    let weaver = make("deinterlace")?;
    weaver.set_property_from_str("mode", "auto");
    // One picture of two half pictures, so that the pace stays what the source says.
    weaver.set_property_from_str("fields", "top");
    weaver.set_property_from_str("method", "yadif");
    let turner = make("videoflip")?;
    turner.set_property_from_str("video-direction", "auto");
    let first = make("videoconvert")?;
    read_statements(&first)?;
    Ok(vec![first, filter, weaver, turner])
}

/// Reads what the source says of its pictures on their way into `element`.
fn read_statements(element: &gst::Element) -> anyhow::Result<()> {
    let pad = element.static_pad("sink").context("an element without an input")?;
    let statements = Mutex::new(Statements::default());
    let element = element.downgrade();
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        let mut statements = statements.lock().unwrap_or_else(PoisonError::into_inner);
        match info.event().map(|event| event.view()) {
            Some(gst::EventView::Caps(event)) => match statements.read_caps(event.caps()) {
                Ok(None) => {}
                Ok(Some(square)) => {
                    info.data = Some(gst::PadProbeData::Event(gst::event::Caps::new(&square)));
                }
                Err(refusal) => {
                    if let Some(element) = element.upgrade() {
                        gst::element_error!(element, gst::StreamError::Format, ("{refusal}"));
                    }
                }
            },
            Some(gst::EventView::Tag(event)) => {
                if let Some(turn) = event.tag().get::<gst::tags::ImageOrientation>() {
                    statements.read_turn(turn.get());
                }
            }
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

/// What a source said of its pictures so far, so that each thing is logged once.
#[derive(Default)]
struct Statements {
    interlaced: bool,
    turn: Option<String>,
    turns_told: Vec<String>,
}

impl Statements {
    /// Gives the caps to go on with where those of the source cannot be; refuses what is too large.
    fn read_caps(&mut self, caps: &gst::CapsRef) -> Result<Option<gst::Caps>, UnfitPicture> {
        let Some(structure) = caps.structure(0) else { return Ok(None) };
        let side = |name| structure.get::<i32>(name).ok().and_then(|side| u32::try_from(side).ok());
        if let (Some(width), Some(height)) = (side("width"), side("height")) {
            check_largest(width, height)?;
        }
        let mode = structure.get::<&str>("interlace-mode").map(VideoInterlaceMode::from_string);
        let interlaced = mode.is_ok_and(|mode| mode != VideoInterlaceMode::Progressive);
        if interlaced && !std::mem::replace(&mut self.interlaced, true) {
            tracing::info!("the source gives interlaced pictures; they are woven into whole ones");
        }
        let pixel = structure.get::<gst::Fraction>("pixel-aspect-ratio");
        let side = |side: i32| u32::try_from(side).unwrap_or(0);
        let odd = pixel.is_ok_and(|pixel| {
            believable_pixel((side(pixel.numer()), side(pixel.denom()))).is_none()
        });
        Ok(odd.then(|| {
            let mut square = caps.to_owned();
            square.make_mut().set("pixel-aspect-ratio", gst::Fraction::new(1, 1));
            square
        }))
    }

    fn read_turn(&mut self, turn: &str) {
        if self.turn.as_deref() == Some(turn) {
            return;
        }
        self.turn = Some(turn.to_owned());
        // There are eight of them.
        if turn != "rotate-0" && !self.turns_told.iter().any(|told| told == turn) {
            tracing::info!(turn, "the source's pictures are turned upright, as it says of them");
            self.turns_told.push(turn.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(caps: &str) -> Result<Option<bool>, UnfitPicture> {
        gst::init().unwrap();
        let caps: gst::Caps = caps.parse().unwrap();
        let pixel = |caps: &gst::Caps| {
            let structure = caps.structure(0).unwrap();
            structure.get::<gst::Fraction>("pixel-aspect-ratio").unwrap()
                == gst::Fraction::new(1, 1)
        };
        Statements::default().read_caps(&caps).map(|changed| changed.as_ref().map(pixel))
    }

    #[test]
    fn pictures_that_no_board_has_room_for_are_refused_with_their_size() {
        assert_eq!(read("video/x-raw,width=3840,height=2160"), Ok(None));
        assert_eq!(read("video/x-raw,width=4096,height=2160"), Ok(None));
        assert_eq!(read("video/x-raw,width=1,height=1"), Ok(None));
        for size in ["7680,height=4320", "16384,height=16", "2147483647,height=2147483647"] {
            let refusal = read(&format!("video/x-raw,width={size}")).unwrap_err().to_string();
            assert!(refusal.contains(&size.replace(",height=", "x")), "{refusal}");
        }
    }

    #[test]
    fn pixels_of_television_keep_their_shape_and_those_that_cannot_be_become_square() {
        let with = |pixel: &str| {
            read(&format!("video/x-raw,width=720,height=576,pixel-aspect-ratio={pixel}"))
        };
        for usual in ["1/1", "16/15", "10/11", "64/45", "2/1", "1/2"] {
            assert_eq!(with(usual), Ok(None), "{usual}");
        }
        for odd in ["1000/1", "1/1000", "0/1", "2147483647/3"] {
            assert_eq!(with(odd), Ok(Some(true)), "{odd}");
        }
    }

    const WIDTH: usize = 160;
    const HEIGHT: usize = 120;

    /// A grey picture with something white in one of its corners.
    fn picture((right, lower): (bool, bool)) -> gst::Buffer {
        let mut bytes = vec![128; WIDTH * HEIGHT * 3 / 2];
        for (at, pixel) in bytes[..WIDTH * HEIGHT].iter_mut().enumerate() {
            let corner = (at % WIDTH >= WIDTH / 2, at / WIDTH >= HEIGHT / 2);
            *pixel = if corner == (right, lower) { 235 } else { 100 };
        }
        gst::Buffer::from_mut_slice(bytes)
    }

    /// Whether the white is where a person standing there would see it: left above.
    fn is_upright(sample: &gst::Sample) -> bool {
        let info = gstreamer_video::VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
        let map = sample.buffer().unwrap().map_readable().unwrap();
        let (width, height) = (info.width() as usize, info.height() as usize);
        let stride = usize::try_from(info.stride()[0]).unwrap();
        let white = |x: usize, y: usize| map[y * stride + x] > 200;
        let (right, low) = (width * 3 / 4, height * 3 / 4);
        white(width / 4, height / 4) && !white(right, 8) && !white(8, low) && !white(right, low)
    }

    #[test]
    fn pictures_are_upright_from_the_first_that_is_said_to_be_turned_and_from_the_first_that_is_not()
     {
        gst::init().unwrap();
        let sink = gstreamer_app::AppSink::builder().sync(false).build();
        let mut chain = upright().unwrap();
        chain.push(sink.clone().upcast());
        let pipeline = gst::Pipeline::new();
        pipeline.add_many(&chain).unwrap();
        gst::Element::link_many(&chain).unwrap();
        let source = gst::Pad::builder(gst::PadDirection::Src).name("src").build();
        source.set_active(true).unwrap();
        source.link(&chain[0].static_pad("sink").unwrap()).unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        let caps = VideoCapsBuilder::new().format(VideoFormat::I420).width(160).height(120);
        source.push_event(gst::event::StreamStart::new("turned"));
        source.push_event(gst::event::Caps::new(&caps.framerate((25, 1).into()).build()));
        source
            .push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
        // Which corner of the stored picture is the upper left one of the scene.
        for (turn, corner) in [
            ("rotate-0", (false, false)),
            ("rotate-90", (false, true)),
            ("rotate-0", (false, false)),
            ("rotate-180", (true, true)),
            ("rotate-270", (true, false)),
            ("rotate-90", (false, true)),
            ("flip-rotate-0", (true, false)),
            ("flip-rotate-90", (true, true)),
            ("flip-rotate-180", (false, true)),
            ("flip-rotate-270", (false, false)),
        ] {
            let mut tags = gst::TagList::new();
            let tag = tags.get_mut().unwrap();
            tag.add::<gst::tags::ImageOrientation>(&turn, gst::TagMergeMode::Replace);
            source.push_event(gst::event::Tag::new(tags));
            for number in 0..3 {
                source.push(picture(corner)).unwrap();
                let sample = sink.pull_sample().unwrap();
                assert!(is_upright(&sample), "picture {number} after {turn}");
            }
        }
        pipeline.set_state(gst::State::Null).unwrap();
    }
}
