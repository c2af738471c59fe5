//! How a viewer's connection fares, from what `webrtcbin` counts.

use std::time::Duration;

use gstreamer as gst;
use gstreamer_webrtc::WebRTCStatsType;
use nightjar_core::{monotonic::MonotonicNanos, picture::Layer};
use nightjar_shared::signal::SessionStatistics;

/// What is known of a connection at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sample {
    pub local_candidate: Option<String>,
    pub remote_candidate: Option<String>,
    pub rtt_ms: Option<u32>,
    pub loss: Option<f32>,
    /// Since the connection began.
    pub bytes_sent: u64,
    /// Since the connection began.
    pub frames_sent: u64,
    pub layer: Layer,
    /// How old the newest picture was when it was sent; nothing before the first.
    pub age: Option<Duration>,
}

impl Sample {
    fn latency_ms(&self) -> Option<u32> {
        let on_the_way = Duration::from_millis(u64::from(self.rtt_ms?) / 2);
        u32::try_from((self.age? + on_the_way).as_millis()).ok()
    }
}

/// Makes rates out of counts.
#[derive(Debug, Default)]
pub struct Meter {
    last: Option<(MonotonicNanos, u64, u64)>,
}

impl Meter {
    /// What happened since the sample before.
    pub fn statistics(&mut self, sample: Sample, now: MonotonicNanos) -> SessionStatistics {
        let Sample { bytes_sent, frames_sent, .. } = sample;
        let latency_ms = sample.latency_ms();
        let last = self.last.replace((now, bytes_sent, frames_sent));
        let (at, bytes, frames) = last.unwrap_or((now, bytes_sent, frames_sent));
        let elapsed_ms = u64::try_from(now.since(at).as_millis()).unwrap_or(u64::MAX).max(1);
        let frames = frames_sent.saturating_sub(frames);
        let thousandths = frames.saturating_mul(1_000_000) / elapsed_ms;
        SessionStatistics {
            local_candidate: sample.local_candidate,
            remote_candidate: sample.remote_candidate,
            rtt_ms: sample.rtt_ms,
            loss: sample.loss,
            bitrate_bps: bytes_sent.saturating_sub(bytes).saturating_mul(8_000) / elapsed_ms,
            fps: f32::from(u16::try_from(thousandths / 100).unwrap_or(u16::MAX)) / 10.0,
            layer: Some(sample.layer.name().to_owned()),
            latency_ms,
        }
    }
}

/// Reads the answer to `get-stats`; `sample` is what the engine does not know.
pub(super) fn read(stats: &gst::StructureRef, mut sample: Sample) -> Sample {
    let entry = |id: &str| stats.get::<gst::Structure>(id).ok();
    for (_, value) in stats {
        let Ok(entry_of) = value.get::<gst::Structure>() else { continue };
        match entry_of.get::<WebRTCStatsType>("type") {
            Ok(WebRTCStatsType::OutboundRtp) => {
                sample.bytes_sent += entry_of.get::<u64>("bytes-sent").unwrap_or_default();
            }
            Ok(WebRTCStatsType::RemoteInboundRtp) => {
                sample.rtt_ms = entry_of.get::<f64>("round-trip-time").ok().and_then(milliseconds);
                sample.loss = entry_of.get::<f64>("fraction-lost").ok().map(fraction);
            }
            Ok(WebRTCStatsType::CandidatePair) => {
                let kind = |field: &str| {
                    let id = entry_of.get::<String>(field).ok()?;
                    entry(&id)?.get::<String>("candidate-type").ok()
                };
                sample.local_candidate = kind("local-candidate-id");
                sample.remote_candidate = kind("remote-candidate-id");
            }
            _ => {}
        }
    }
    sample
}

/// Nothing was measured yet when it is zero.
fn milliseconds(seconds: f64) -> Option<u32> {
    let duration = Duration::try_from_secs_f64(seconds).ok()?;
    (!duration.is_zero()).then(|| u32::try_from(duration.as_millis()).unwrap_or(u32::MAX))
}

/// A receiver report counts in 256ths.
fn fraction(loss: f64) -> f32 {
    let percent = (loss.clamp(0.0, 1.0) * 1_000.0).round();
    let thousandths = (0..=1_000_u16).find(|value| f64::from(*value) >= percent).unwrap_or(1_000);
    f32::from(thousandths) / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_the_time_between_two_samples() {
        let mut meter = Meter::default();
        let start = MonotonicNanos(5_000_000_000);
        let sample =
            |bytes_sent, frames_sent| Sample { bytes_sent, frames_sent, ..Sample::default() };
        let first = meter.statistics(sample(1_000, 10), start);
        assert_eq!((first.bitrate_bps, first.fps), (0, 0.0));
        let second = meter.statistics(sample(251_000, 69), start.plus(Duration::from_secs(2)));
        assert_eq!((second.bitrate_bps, second.fps), (1_000_000, 29.5));
        // A counter that began anew gives no nonsense.
        let third = meter.statistics(sample(0, 0), start.plus(Duration::from_secs(4)));
        assert_eq!((third.bitrate_bps, third.fps), (0, 0.0));
    }

    #[test]
    fn latency_is_a_picture_s_age_and_half_of_the_round_trip() {
        let mut meter = Meter::default();
        let mut latency_ms = |age, rtt_ms| {
            let sample = Sample { age, rtt_ms, layer: Layer::Low, ..Sample::default() };
            let told = meter.statistics(sample, MonotonicNanos(0));
            assert_eq!(told.layer.as_deref(), Some("low"));
            told.latency_ms
        };
        let age = Some(Duration::from_millis(18));
        assert_eq!(latency_ms(age, Some(40)), Some(38));
        assert_eq!((latency_ms(age, None), latency_ms(None, Some(40))), (None, None));
    }

    #[test]
    fn loss_and_round_trip_are_rounded_to_what_people_read() {
        assert_eq!(
            (milliseconds(0.0421), milliseconds(0.0), milliseconds(-1.0)),
            (Some(42), None, None)
        );
        assert_eq!((fraction(0.25), fraction(2.0), fraction(0.0)), (0.25, 1.0, 0.0));
    }
}
