//! Which of a camera's modes is captured.
//!
//! What a camera encodes itself goes on as it is, which costs least: its H.264 comes first, where it
//! serves as well as any other mode and is no larger than wanted. Everything else is encoded by the
//! agent's one encoder, so raw pictures come next: they need no decoding and were compressed by nobody
//! before. MJPEG is taken when the camera gives the wanted size or pace in no other way, as most USB
//! cameras do above 640x480, or when its raw pictures do not come.

use std::cmp::Ordering;

use nightjar_shared::event::TranscodeReason;

use super::discover::{Mode, PixelFormat};

/// What `[source]` asks for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    pub width: u32,
    pub height: u32,
    pub fps: u32,
}

/// The mode to capture, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    pub mode: Mode,
    /// One sentence for the owner.
    pub reason: String,
}

/// What speaks against some of a camera's formats.
#[derive(Debug, Clone, Copy, Default)]
pub struct Objections {
    /// Why its own H.264 is not to be used as it is.
    pub own: Option<TranscodeReason>,
    /// Its raw pictures did not come when they were last captured: they need most of the bus, which
    /// another camera may have.
    pub raw_failed: bool,
}

/// `None` when the camera has no mode that the agent can use.
pub fn choose(modes: &[Mode], wanted: Wanted, objections: Objections) -> Option<Choice> {
    let Objections { own: against, raw_failed } = objections;
    let best = |usable: &dyn Fn(PixelFormat) -> bool| {
        let usable = modes.iter().filter(|mode| usable(mode.format));
        usable.min_by(|one, other| compare(one, other, wanted)).copied()
    };
    let raw = best(&|format| !matches!(format, PixelFormat::Mjpeg | PixelFormat::H264));
    let mjpeg = best(&|format| format == PixelFormat::Mjpeg);
    let other = match mjpeg.filter(|_| raw_failed) {
        Some(mjpeg) => Some(mjpeg),
        None => best(&|format| format != PixelFormat::H264),
    };
    let own = best(&|format| format == PixelFormat::H264);
    let serves = |own: &Mode| {
        let large = own.width > wanted.width || own.height > wanted.height;
        other.is_none_or(|other| !large && fit(own, wanted) <= fit(&other, wanted))
    };
    match (own.filter(|own| (against.is_none() || other.is_none()) && serves(own)), other) {
        (Some(mode), _) => Some(Choice { reason: reason_for_own(&mode, against, wanted), mode }),
        (None, Some(mode)) => {
            let why = with_reach(&mode, &reason(&mode, raw, mjpeg, raw_failed), wanted);
            let reason = match (own, against) {
                (None, _) => why,
                (_, Some(against)) => {
                    format!("{why}; its H.264 cannot be used as it is: {against}")
                }
                (Some(own), None) => format!("{why}; its H.264 does not serve: the best is {own}"),
            };
            Some(Choice { mode, reason })
        }
        (None, None) => None,
    }
}

/// How well a mode serves, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// At least the wanted size, at the wanted pace.
    Full,
    /// At least the wanted size, at half of the wanted pace or more.
    Slow,
    /// Smaller, at the wanted pace.
    Small,
    Poor,
}

fn fit(mode: &Mode, wanted: Wanted) -> Fit {
    let large = mode.width >= wanted.width && mode.height >= wanted.height;
    let pace = pace(mode, wanted);
    // 29.97 fps serve as 30.
    let full_pace = pace >= f64::from(wanted.fps) * 0.95;
    match (large, full_pace) {
        (true, true) => Fit::Full,
        (true, false) if pace >= f64::from(wanted.fps) / 2.0 => Fit::Slow,
        (false, true) => Fit::Small,
        _ => Fit::Poor,
    }
}

/// An unknown pace is given the benefit of the doubt.
fn pace(mode: &Mode, wanted: Wanted) -> f64 {
    mode.frames_per_second().unwrap_or(f64::from(wanted.fps))
}

/// The better mode is `Less`.
fn compare(one: &Mode, other: &Mode, wanted: Wanted) -> Ordering {
    let area = |mode: &Mode| u64::from(mode.width) * u64::from(mode.height);
    let smaller = area(one).cmp(&area(other));
    let slower = pace(one, wanted).total_cmp(&pace(other, wanted));
    let cheaper = cost(one.format).cmp(&cost(other.format));
    let fits = (fit(one, wanted), fit(other, wanted));
    fits.0.cmp(&fits.1).then_with(|| match fits.0 {
        // Not more than is wanted: it would be thrown away.
        Fit::Full => smaller.then(cheaper).then(slower),
        Fit::Slow => smaller.then(slower.reverse()).then(cheaper),
        Fit::Small => smaller.reverse().then(cheaper).then(slower),
        Fit::Poor => slower.reverse().then(smaller.reverse()).then(cheaper),
    })
}

/// What it takes to make of a picture what the encoder wants.
fn cost(format: PixelFormat) -> u8 {
    match format {
        PixelFormat::Nv12 | PixelFormat::I420 => 0,
        PixelFormat::Yuyv | PixelFormat::Uyvy => 1,
        PixelFormat::Mjpeg => 2,
        PixelFormat::H264 => 3,
    }
}

fn reason_for_own(mode: &Mode, against: Option<TranscodeReason>, wanted: Wanted) -> String {
    let why = match against {
        Some(against) => {
            format!("it gives nothing else; it is decoded and encoded again: {against}")
        }
        None => "the camera's own H.264 goes on as it is".to_owned(),
    };
    with_reach(mode, &why, wanted)
}

/// Says why a mode comes before the best raw one, or the best one of MJPEG.
fn reason(mode: &Mode, raw: Option<Mode>, mjpeg: Option<Mode>, raw_failed: bool) -> String {
    match (mode.format, raw, mjpeg) {
        (PixelFormat::Mjpeg, None, _) => "the camera gives no raw pictures".to_owned(),
        (PixelFormat::Mjpeg, Some(raw), _) if raw_failed => {
            format!("its raw pictures do not come ({raw}): the bus may have no room for them")
        }
        (PixelFormat::Mjpeg, Some(raw), _) => format!("the best raw mode is {raw}"),
        (_, _, Some(mjpeg)) => {
            format!("raw pictures need no decoding and are not compressed twice, unlike {mjpeg}")
        }
        _ => "raw pictures need no decoding".to_owned(),
    }
}

fn with_reach(mode: &Mode, why: &str, wanted: Wanted) -> String {
    let Wanted { width, height, fps } = wanted;
    match fit(mode, wanted) {
        Fit::Full => format!("{mode}: {why}"),
        _ => format!("{mode}: {why}; the camera does not reach {width}x{height} at {fps} fps"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Wanted = Wanted { width: 1280, height: 720, fps: 30 };

    const NONE: Objections = Objections { own: None, raw_failed: false };

    fn against(reason: TranscodeReason) -> Objections {
        Objections { own: Some(reason), ..NONE }
    }

    fn mode(format: PixelFormat, width: u32, height: u32, fps: u32) -> Mode {
        Mode { format, width, height, fps: Some((fps, 1)) }
    }

    /// A typical USB camera: raw is fast when small, MJPEG always.
    fn webcam() -> Vec<Mode> {
        vec![
            mode(PixelFormat::Yuyv, 640, 480, 30),
            mode(PixelFormat::Yuyv, 1280, 720, 10),
            mode(PixelFormat::Yuyv, 1920, 1080, 5),
            mode(PixelFormat::Mjpeg, 640, 480, 30),
            mode(PixelFormat::Mjpeg, 1280, 720, 30),
            mode(PixelFormat::Mjpeg, 1920, 1080, 30),
        ]
    }

    fn chosen(modes: &[Mode], wanted: Wanted) -> Mode {
        choose(modes, wanted, NONE).unwrap().mode
    }

    #[test]
    fn mjpeg_is_taken_where_raw_is_too_slow_and_the_reason_says_so() {
        let choice = choose(&webcam(), WANTED, NONE).unwrap();
        assert_eq!(choice.mode, mode(PixelFormat::Mjpeg, 1280, 720, 30));
        assert!(choice.reason.contains("YUYV 640x480 at 30 fps"), "{}", choice.reason);
    }

    #[test]
    fn raw_is_taken_where_it_is_fast_enough() {
        let wanted = Wanted { width: 640, height: 480, fps: 15 };
        assert_eq!(chosen(&webcam(), wanted), mode(PixelFormat::Yuyv, 640, 480, 30));
        let wanted = Wanted { fps: 10, ..WANTED };
        assert_eq!(chosen(&webcam(), wanted), mode(PixelFormat::Yuyv, 1280, 720, 10));
    }

    #[test]
    fn a_raw_mode_says_what_it_comes_before_and_gives_way_when_its_pictures_do_not_come() {
        let wanted = Wanted { width: 640, height: 480, fps: 15 };
        let choice = choose(&webcam(), wanted, NONE).unwrap();
        assert!(choice.reason.contains("unlike MJPEG 640x480 at 30 fps"), "{}", choice.reason);

        let failed = Objections { raw_failed: true, ..NONE };
        let choice = choose(&webcam(), wanted, failed).unwrap();
        assert_eq!(choice.mode, mode(PixelFormat::Mjpeg, 640, 480, 30));
        assert!(choice.reason.contains("raw pictures do not come"), "{}", choice.reason);
        let raw_alone = [mode(PixelFormat::Yuyv, 640, 480, 30)];
        assert_eq!(choose(&raw_alone, wanted, failed).unwrap().mode, raw_alone[0]);
    }

    #[test]
    fn planar_formats_come_before_packed_ones() {
        let modes = [
            mode(PixelFormat::Yuyv, 1280, 720, 30),
            mode(PixelFormat::Nv12, 1280, 720, 30),
            mode(PixelFormat::Mjpeg, 1280, 720, 30),
        ];
        assert_eq!(chosen(&modes, WANTED).format, PixelFormat::Nv12);
    }

    #[test]
    fn the_smallest_size_that_is_large_enough_is_taken_at_the_lowest_pace_that_serves() {
        let modes = [
            mode(PixelFormat::Nv12, 3840, 2160, 30),
            mode(PixelFormat::Nv12, 1920, 1080, 60),
            mode(PixelFormat::Nv12, 1920, 1080, 30),
            mode(PixelFormat::Nv12, 640, 480, 60),
        ];
        assert_eq!(chosen(&modes, WANTED), modes[2]);
    }

    #[test]
    fn a_camera_that_cannot_do_it_gives_what_comes_nearest_and_says_so() {
        let modes = [mode(PixelFormat::Yuyv, 320, 240, 30), mode(PixelFormat::Yuyv, 640, 480, 30)];
        let choice = choose(&modes, WANTED, NONE).unwrap();
        assert_eq!(choice.mode, modes[1]);
        assert!(choice.reason.contains("does not reach 1280x720"), "{}", choice.reason);

        let slow = [mode(PixelFormat::Yuyv, 1280, 720, 20), mode(PixelFormat::Yuyv, 640, 480, 30)];
        assert_eq!(chosen(&slow, WANTED), slow[0], "two thirds of the pace, all of the size");
        let slower = [mode(PixelFormat::Yuyv, 1280, 720, 5), mode(PixelFormat::Yuyv, 640, 480, 30)];
        assert_eq!(chosen(&slower, WANTED), slower[1]);
    }

    #[test]
    fn television_rates_and_unknown_rates_serve() {
        let television =
            Mode { fps: Some((30_000, 1_001)), ..mode(PixelFormat::Yuyv, 1280, 720, 0) };
        let silent = Mode { fps: None, ..television };
        assert_eq!(fit(&television, WANTED), Fit::Full);
        assert_eq!(fit(&silent, WANTED), Fit::Full);
    }

    fn webcam_with_h264(width: u32, height: u32, fps: u32) -> Vec<Mode> {
        [webcam(), vec![mode(PixelFormat::H264, width, height, fps)]].concat()
    }

    #[test]
    fn the_h264_that_a_camera_makes_comes_first_where_it_serves_and_the_reason_says_so() {
        let modes = webcam_with_h264(1280, 720, 30);
        let choice = choose(&modes, WANTED, NONE).unwrap();
        assert_eq!(choice.mode, mode(PixelFormat::H264, 1280, 720, 30));
        assert!(choice.reason.contains("goes on as it is"), "{}", choice.reason);

        let masked = choose(&modes, WANTED, against(TranscodeReason::Masks)).unwrap();
        assert_eq!(masked.mode, mode(PixelFormat::Mjpeg, 1280, 720, 30));
        assert!(masked.reason.contains("masks"), "{}", masked.reason);
    }

    #[test]
    fn h264_that_is_slower_or_larger_than_wanted_does_not_serve() {
        for (width, height, fps) in [(1280, 720, 10), (640, 480, 30), (1920, 1080, 30)] {
            let choice = choose(&webcam_with_h264(width, height, fps), WANTED, NONE).unwrap();
            assert_eq!(choice.mode.format, PixelFormat::Mjpeg);
            assert!(choice.reason.contains("its H.264 does not serve"), "{}", choice.reason);
        }
    }

    #[test]
    fn h264_alone_is_taken_whatever_is_against_it() {
        let modes = [mode(PixelFormat::H264, 1920, 1080, 30)];
        for objections in [NONE, against(TranscodeReason::BFrames)] {
            let choice = choose(&modes, WANTED, objections).unwrap();
            assert_eq!(choice.mode, modes[0]);
            let named = choice.reason.contains("b_frames");
            assert_eq!(named, objections.own.is_some(), "{}", choice.reason);
        }
        assert_eq!(choose(&[], WANTED, NONE), None);
    }
}
