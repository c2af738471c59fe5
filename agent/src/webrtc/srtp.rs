//! SRTP for what viewers are sent, by a library that costs less than what `GStreamer` takes: Debian builds
//! libsrtp with NSS, which makes and frees a context for every packet. Figures are in
//! docs/decisions/0034-srtp-by-rtc-srtp.md.
//!
//! DTLS, the keys that it agrees on, and RTCP stay with `GStreamer`. Whatever it agrees on that is not
//! known here, its own encryption takes.

use std::sync::{Arc, Mutex};

use gstreamer::{self as gst, glib, prelude::*};
use rtc_srtp::{context::Context, crypto::default_provider, protection_profile::ProtectionProfile};

use super::inside;
use crate::lock::lock;

/// What `dtlssrtpenc` calls the one profile that it offers, `AES_CM_128_HMAC_SHA1_80`.
const CIPHER: &str = "aes-128-icm";
const AUTHENTICATION: &str = "hmac-sha1-80";
const PROFILE: ProtectionProfile = ProtectionProfile::Aes128CmHmacSha1_80;

type Keyed = Arc<Mutex<Option<Context>>>;

/// Encrypts what this connection sends as soon as its keys are known.
pub(super) fn take(webrtc: &gst::Element) -> anyhow::Result<()> {
    inside::with_each(webrtc, "dtlssrtpenc", |sender| {
        let Some(encoder) = sender.downcast_ref::<gst::Bin>().and_then(encoder_of) else { return };
        let keyed = Keyed::default();
        encrypt_before(&encoder, &keyed);
        // `dtlssrtpenc` sets ciphers and key together, before it lets packets through.
        encoder.connect_notify(Some("key"), move |encoder, _| {
            let context = context_for(encoder);
            *lock(&keyed) = context;
        });
    })
}

fn encoder_of(sender: &gst::Bin) -> Option<gst::Element> {
    let is_encoder =
        |element: &gst::Element| element.factory().is_some_and(|it| it.name() == "srtpenc");
    sender.children().into_iter().find(is_encoder)
}

/// With the keys that the encoder was given.
fn context_for(encoder: &gst::Element) -> Option<Context> {
    let is = |property: &str, wanted: &str| {
        let value = encoder.property_value(property);
        glib::EnumValue::from_value(&value).is_some_and(|(_, value)| value.nick() == wanted)
    };
    let known = is("rtp-cipher", CIPHER) && is("rtp-auth", AUTHENTICATION);
    let key = encoder.property::<Option<gst::Buffer>>("key").filter(|_| known)?;
    let key = key.map_readable().ok()?;
    let (key, salt) = key.split_at_checked(PROFILE.key_len())?;
    let provider = default_provider().ok()?;
    Context::new(key, salt, PROFILE, None, None, provider.crypto())
        .inspect_err(|error| tracing::warn!(%error, "SRTP is left to GStreamer"))
        .ok()
}

/// Takes packets that are on their way into the encoder, and hands them on behind it.
fn encrypt_before(encoder: &gst::Element, keyed: &Keyed) {
    let keyed = Arc::clone(keyed);
    let encrypt = move |encoder: &gst::Element, entry: &gst::Pad| {
        let Some(number) = entry.name().strip_prefix("rtp_sink_").map(str::to_owned) else {
            return;
        };
        let (encoder, keyed) = (encoder.downgrade(), Arc::clone(&keyed));
        inside::with_pad_before(entry, move |before| {
            let exit = encoder.upgrade().and_then(|it| it.static_pad(&format!("rtp_src_{number}")));
            if let Some(exit) = exit {
                encrypt_between(before, &exit, &keyed);
            }
        });
    };
    // `webrtcbin` makes the first ones before anybody hears of the element.
    encoder.sink_pads().iter().for_each(|entry| encrypt(encoder, entry));
    encoder.connect_pad_added(encrypt);
}

fn encrypt_between(before: &gst::Pad, exit: &gst::Pad, keyed: &Keyed) {
    let (exit, keyed) = (exit.downgrade(), Arc::clone(keyed));
    let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
    before.add_probe(kinds, move |_, info| {
        let mut keyed = lock(&keyed);
        let (Some(context), Some(exit)) = (keyed.as_mut(), exit.upgrade()) else {
            return gst::PadProbeReturn::Ok;
        };
        info.flow_res = match info.data.take() {
            Some(gst::PadProbeData::Buffer(packet)) => {
                let packet = encrypted(context, &packet);
                drop(keyed);
                packet.and_then(|packet| exit.push(packet))
            }
            Some(gst::PadProbeData::BufferList(list)) => {
                let packets = list.iter_owned().map(|packet| encrypted(context, &packet));
                let list = packets.collect::<Result<gst::BufferList, _>>();
                drop(keyed);
                list.and_then(|list| exit.push_list(list))
            }
            _ => Err(gst::FlowError::Error),
        };
        gst::PadProbeReturn::Handled
    });
}

fn encrypted(context: &mut Context, packet: &gst::Buffer) -> Result<gst::Buffer, gst::FlowError> {
    let plain = packet.map_readable().map_err(|_| gst::FlowError::Error)?;
    let secret = context.encrypt_rtp(&plain).map_err(|error| {
        tracing::warn!(%error, "a packet cannot be encrypted");
        gst::FlowError::Error
    })?;
    let mut secret = gst::Buffer::from_mut_slice(secret);
    if let Some(secret) = secret.get_mut() {
        packet
            .copy_into(secret, gst::BufferCopyFlags::FLAGS | gst::BufferCopyFlags::TIMESTAMPS, ..)
            .map_err(|_| gst::FlowError::Error)?;
    }
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            atomic::{AtomicUsize, Ordering},
            mpsc,
        },
        time::Duration,
    };

    use gstreamer_app::AppSrc;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);
    const SSRC: u32 = 7;

    fn encoder(cipher: &str, key_bytes: u8) -> gst::Element {
        gst::init().unwrap();
        gst::ElementFactory::make("srtpenc")
            .property_from_str("rtp-cipher", cipher)
            .property_from_str("rtcp-cipher", cipher)
            .property("key", gst::Buffer::from_mut_slice((0..key_bytes).collect::<Vec<u8>>()))
            .build()
            .unwrap()
    }

    fn packet(sequence: u16) -> Vec<u8> {
        let mut packet = vec![0x90, 96];
        packet.extend(sequence.to_be_bytes());
        packet.extend([0, 0, 0, 1]);
        packet.extend(SSRC.to_be_bytes());
        // One header extension, as for transport-wide congestion control, and its padding.
        packet.extend([0xbe, 0xde, 0, 1, 0x31, 0x12, 0x34, 0]);
        packet
            .extend((0..1_000_u32).map(|at| at.wrapping_mul(u32::from(sequence)).to_le_bytes()[0]));
        packet
    }

    /// What passes a pad, a packet at a time, and how often something came.
    fn listen(pad: &gst::Pad) -> (mpsc::Receiver<Vec<u8>>, Arc<AtomicUsize>) {
        let (arrived, arrivals) = mpsc::channel();
        let times = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&times);
        let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
        pad.add_probe(kinds, move |_, info| {
            count.fetch_add(1, Ordering::Relaxed);
            let send = |buffer: &gst::BufferRef| {
                drop(arrived.send(buffer.map_readable().unwrap().to_vec()));
            };
            match (info.buffer_list(), info.buffer()) {
                (Some(list), _) => list.iter().for_each(send),
                (None, Some(buffer)) => send(buffer),
                (None, None) => {}
            }
            gst::PadProbeReturn::Ok
        });
        (arrivals, times)
    }

    /// A pipeline of a source, an element between these pads of it, and a sink.
    fn through(
        element: &gst::Element,
        (entry, exit): (&str, &str),
        caps: &gst::Caps,
    ) -> (gst::Pipeline, AppSrc, gst::Pad) {
        let pipeline = gst::Pipeline::new();
        let source = AppSrc::builder().format(gst::Format::Time).caps(caps).build();
        let sink = gst::ElementFactory::make("fakesink").property("async", false).build().unwrap();
        pipeline.add_many([source.upcast_ref(), element, &sink]).unwrap();
        source.link_pads(Some("src"), element, Some(entry)).unwrap();
        element.link_pads(Some(exit), &sink, Some("sink")).unwrap();
        let end = sink.static_pad("sink").unwrap();
        (pipeline, source, end)
    }

    fn received(arrivals: &mpsc::Receiver<Vec<u8>>, count: usize) -> Vec<Vec<u8>> {
        (0..count).map(|_| arrivals.recv_timeout(PATIENCE).unwrap()).collect()
    }

    /// Sends packets through an encoder with `keyed` before it, and then through `GStreamer`'s
    /// decoder. Tells how often the encoder itself had something to do.
    #[track_caller]
    fn assert_decrypted(encoder: &gst::Element, keyed: &Keyed) -> usize {
        encrypt_before(encoder, keyed);
        let caps = gst::Caps::builder("application/x-rtp")
            .field("media", "video")
            .field("clock-rate", 90_000_i32)
            .field("ssrc", SSRC)
            .field("payload", 96_i32)
            .build();
        let (pipeline, source, end) = through(encoder, ("rtp_sink_0", "rtp_src_0"), &caps);
        let (_, seen) = listen(&encoder.static_pad("rtp_sink_0").unwrap());
        let (arrivals, _) = listen(&end);
        pipeline.set_state(gst::State::Playing).unwrap();
        for sequences in LISTS {
            let mut packets =
                sequences.iter().map(|number| gst::Buffer::from_mut_slice(packet(*number)));
            match sequences {
                [_] => source.push_buffer(packets.next().unwrap()).unwrap(),
                _ => source.push_buffer_list(packets.collect::<gst::BufferList>()).unwrap(),
            };
        }
        let sent = LISTS.concat();
        let secret = received(&arrivals, sent.len());
        let caps = end.current_caps().unwrap();
        pipeline.set_state(gst::State::Null).unwrap();

        let decoder = gst::ElementFactory::make("srtpdec").build().unwrap();
        let (pipeline, source, end) = through(&decoder, ("rtp_sink", "rtp_src"), &caps);
        let (arrivals, _) = listen(&end);
        pipeline.set_state(gst::State::Playing).unwrap();
        for packet in secret {
            source.push_buffer(gst::Buffer::from_mut_slice(packet)).unwrap();
        }
        let plain = received(&arrivals, sent.len());
        pipeline.set_state(gst::State::Null).unwrap();
        for (number, plain) in sent.into_iter().zip(plain) {
            assert!(plain == packet(number), "packet {number} is {:?}…", &plain[..20]);
        }
        seen.load(Ordering::Relaxed)
    }

    /// Numbers that begin anew in between, in a list and alone.
    const LISTS: [&[u16]; 4] = [&[30_000, 45_000, 60_000], &[65_535], &[0, 1, 2], &[3]];

    #[test]
    fn gstreamer_reads_what_was_encrypted_here() {
        let encoder = encoder(CIPHER, 30);
        let keyed = Arc::new(Mutex::new(context_for(&encoder)));
        assert_eq!(assert_decrypted(&encoder, &keyed), 0, "the encoder had nothing to do");
    }

    #[test]
    fn without_a_key_the_encoder_does_it() {
        let encoder = encoder(CIPHER, 30);
        assert_eq!(assert_decrypted(&encoder, &Keyed::default()), LISTS.len());
    }

    /// As `webrtcbin` has it: pads first, then put in, then the keys.
    #[test]
    fn a_sender_that_was_made_ready_before_it_was_put_in_is_found() {
        gst::init().unwrap();
        let pipeline = gst::Pipeline::new();
        take(pipeline.upcast_ref()).unwrap();
        let sender = gst::ElementFactory::make("dtlssrtpenc").build().unwrap();
        let entry = sender.request_pad_simple("rtp_sink_0").unwrap();
        let encoder = encoder_of(sender.downcast_ref().unwrap()).unwrap();
        let (_, seen) = listen(&encoder.static_pad("rtp_sink_0").unwrap());
        let caps = gst::Caps::builder("application/x-rtp").field("ssrc", SSRC).build();
        let source = AppSrc::builder().format(gst::Format::Time).caps(&caps).build();
        let sink = gst::ElementFactory::make("fakesink").property("async", false).build().unwrap();
        let (arrivals, _) = listen(&sink.static_pad("sink").unwrap());
        pipeline.add_many([source.upcast_ref(), &sender, &sink]).unwrap();
        source.static_pad("src").unwrap().link(&entry).unwrap();
        sender.link(&sink).unwrap();
        for stream in ["srtp", "srtcp"] {
            sender.set_property(&format!("{stream}-cipher"), CIPHER);
            sender.set_property(&format!("{stream}-auth"), AUTHENTICATION);
        }
        sender.set_property("key", gst::Buffer::from_mut_slice((0..30).collect::<Vec<u8>>()));

        pipeline.set_state(gst::State::Playing).unwrap();
        source.push_buffer(gst::Buffer::from_mut_slice(packet(1))).unwrap();
        let [secret] = &received(&arrivals, 1)[..] else { panic!("one packet, and no more") };
        pipeline.set_state(gst::State::Null).unwrap();
        let plain = packet(1);
        assert_eq!(secret.len(), plain.len() + 10, "with its authentication");
        assert!(secret[..20] == plain[..20] && secret[20..60] != plain[20..60]);
        assert_eq!(seen.load(Ordering::Relaxed), 0, "the encoder had nothing to do");
    }

    #[test]
    fn what_is_not_known_here_is_left_to_the_encoder() {
        assert!(context_for(&encoder(CIPHER, 30)).is_some());
        assert!(context_for(&encoder(CIPHER, 12)).is_none(), "too short a key");
        assert!(context_for(&encoder("aes-256-icm", 46)).is_none());
    }
}
