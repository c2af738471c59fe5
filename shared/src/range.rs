//! What numbers a message may hold. JSON has them without a limit; what stores, adds and shows them
//! has not. A message that breaks one of these rules is refused where it arrives.

use crate::{
    api::{
        ClaimRequest, ClipAnnouncement, ClipCompletion, ClipFailure, PartRequest, PartsSent,
        TokenRequest,
    },
    command::CommandAck,
    configuration::{Configuration, Point},
    event::{BoundingBox, EventMessage, Health, Presence},
    image::ImageSettings,
    introduction::IntroductionRequest,
    pairing::{AnnouncementQuestion, AnnouncementRequest},
    release::UpdateReport,
    signal::{SessionStatistics, Signal},
    time::{TIME_MAX, UnixMillis},
};

/// A century, in milliseconds: no boot, clip or movement lasts longer, and a time plus some of them
/// stays far from the limits of 64 bits.
pub const DURATION_MS_MAX: u64 = 100 * 365 * 86_400_000;
/// The largest whole number that every reader of JSON keeps exact (RFC 7493, 2.2).
pub const COUNT_MAX: u64 = (1 << 53) - 1;
/// What rounding may add to a share of the picture, or take from it.
const SHARE_SLACK: f32 = 0.001;

/// Which field is out of range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{field}: expected {expected}")]
pub struct OutOfRange {
    pub field: &'static str,
    pub expected: &'static str,
}

type Checked = Result<(), OutOfRange>;

/// A body or message whose numbers can be told to be possible ones. What holds no number, or whose
/// numbers are checked with the rest of it, says so by an empty implementation.
pub trait Check {
    /// Names the first field that is out of range.
    fn check(&self) -> Checked {
        Ok(())
    }
}

impl<T: Check> Check for Vec<T> {
    fn check(&self) -> Checked {
        self.iter().try_for_each(Check::check)
    }
}

fn ensure(is_possible: bool, field: &'static str, expected: &'static str) -> Checked {
    if is_possible { Ok(()) } else { Err(OutOfRange { field, expected }) }
}

fn time(field: &'static str, at: UnixMillis) -> Checked {
    ensure((UnixMillis(0)..=TIME_MAX).contains(&at), field, "a time of the years 1970 to 9999")
}

fn duration(field: &'static str, duration_ms: Option<u64>) -> Checked {
    ensure(duration_ms.is_none_or(|ms| ms <= DURATION_MS_MAX), field, "a century at most")
}

fn count(field: &'static str, count: u64) -> Checked {
    ensure(count <= COUNT_MAX, field, "at most 2^53 - 1")
}

fn finite(field: &'static str, number: f32) -> Checked {
    ensure(number.is_finite(), field, "a finite number")
}

fn corners(field: &'static str, points: &[Point]) -> Checked {
    points.iter().try_for_each(|(x, y)| finite(field, *x).and_then(|()| finite(field, *y)))
}

fn share(field: &'static str, share: f32) -> Checked {
    let possible = -SHARE_SLACK..=1.0 + SHARE_SLACK;
    ensure(possible.contains(&share), field, "0 to 1")
}

impl Check for UpdateReport {}

impl Check for BoundingBox {
    fn check(&self) -> Checked {
        [self.x, self.y, self.width, self.height].into_iter().try_for_each(|it| share("boxes", it))
    }
}

impl Check for EventMessage {
    fn check(&self) -> Checked {
        time("at", self.at)?;
        duration("uptime_ms", Some(self.uptime_ms))?;
        duration("duration_ms", self.duration_ms)?;
        // What is no share of a picture is left out where it is stored.
        self.peak_area.map_or(Ok(()), |area| finite("peak_area", area))?;
        self.boxes.check()
    }
}

impl Check for Health {
    fn check(&self) -> Checked {
        time("at", self.at)?;
        duration("uptime_ms", Some(self.uptime_ms))?;
        finite("capture.fps", self.capture.fps)?;
        finite("retention_days", self.retention_days)?;
        self.retention_horizon_days.map_or(Ok(()), |it| finite("retention_horizon_days", it))?;
        self.temperature_celsius.map_or(Ok(()), |it| finite("temperature_celsius", it))?;
        count("disk_free_bytes", self.disk_free_bytes)?;
        count("disk_total_bytes", self.disk_total_bytes)?;
        count("recordings_bytes", self.recordings_bytes)?;
        count("queue_length", self.queue_length)?;
        count("queue_age_ms", self.queue_age_ms.unwrap_or_default())?;
        count("write_errors", self.write_errors)
    }
}

impl Check for Presence {
    fn check(&self) -> Checked {
        self.boots.iter().try_for_each(|boot| time("boots.began_at", boot.began_at))
    }
}

/// Its ranges are its own: [`Configuration::validate`]. Here is what that leaves open.
impl Check for Configuration {
    fn check(&self) -> Checked {
        count("max_bytes", self.max_bytes.unwrap_or_default())?;
        finite("motion_sensitivity", self.motion_sensitivity.unwrap_or_default())?;
        finite("tamper_sensitivity", self.tamper_sensitivity.unwrap_or_default())?;
        for zone in self.motion_zones.iter().flatten() {
            finite("motion_zones.sensitivity", zone.sensitivity.unwrap_or_default())?;
            finite("motion_zones.min_area", zone.min_area.unwrap_or_default())?;
            corners("motion_zones.points", &zone.points)?;
        }
        for (_, value) in self.image.iter().flat_map(ImageSettings::values) {
            finite("image", value)?;
        }
        for control in self.image_controls.iter().flatten() {
            finite("image_controls.minimum", control.minimum)?;
            finite("image_controls.maximum", control.maximum)?;
        }
        let mut masks = self.privacy_masks.iter().flatten();
        masks.try_for_each(|mask| corners("privacy_masks.points", &mask.points))
    }
}

impl Check for SessionStatistics {
    fn check(&self) -> Checked {
        finite("statistics.fps", self.fps)?;
        self.loss.map_or(Ok(()), |loss| share("statistics.loss", loss))?;
        count("statistics.bitrate_bps", self.bitrate_bps)
    }
}

impl Check for Signal {
    fn check(&self) -> Checked {
        self.statistics.as_ref().map_or(Ok(()), Check::check)
    }
}

impl Check for ClipAnnouncement {
    fn check(&self) -> Checked {
        time("started_at", self.started_at)?;
        duration("started_uptime_ms", self.started_uptime_ms)
    }
}

impl Check for PartRequest {
    fn check(&self) -> Checked {
        // How long a part may be is for the store's rules.
        duration("duration_ms", self.duration_ms)
    }
}

impl Check for ClipCompletion {
    fn check(&self) -> Checked {
        time("ended_at", self.ended_at)?;
        duration("duration_ms", Some(self.duration_ms))
    }
}

impl Check for CommandAck {}
impl Check for PartsSent {}
impl Check for ClipFailure {}
impl Check for AnnouncementRequest {}
impl Check for AnnouncementQuestion {}
impl Check for IntroductionRequest {}
impl Check for ClaimRequest {}
impl Check for TokenRequest {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_range_is_named() {
        let refusal = |x: f32| BoundingBox { x, y: 0.0, width: 1.0, height: 0.5 }.check();
        assert_eq!(refusal(1.000_01), Ok(()));
        for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1.1, -0.1] {
            assert_eq!(refusal(odd).unwrap_err().to_string(), "boxes: expected 0 to 1", "{odd}");
        }
        for at in [i64::MIN, -1, TIME_MAX.0 + 1, i64::MAX] {
            assert_eq!(time("at", UnixMillis(at)).unwrap_err().field, "at");
        }
        duration("duration_ms", Some(DURATION_MS_MAX)).unwrap();
        duration("duration_ms", Some(u64::MAX)).unwrap_err();
        count("queue_length", COUNT_MAX + 1).unwrap_err();
    }
}
