//! Clips that lie on a camera's disk and that the relay has yet to get.

use std::fs;

use nightjar_agent::{
    clock::{boot_id, unix_now},
    store::{ClipKind, INDEX_FILE, NewClip, NewPart, Store},
};
use nightjar_core::mp4::{
    FragmentEntry, Sample, TIMESCALE, VideoTrack, fragment, index_reserve, init_segment,
    random_access_index, segment_index,
};
use nightjar_shared::{api::PartKind, ids::ClipId, time::ClockState};

use crate::support::Home;

const PICTURE_BYTES: usize = 400_000;
/// Seconds, each of one frame and one fragment: as many bytes as a picture has, in four segments.
const FILM_S: u32 = 8;
const FRAME_BYTES: usize = 50_000;

/// Of x264, constrained baseline, 1280x720.
const SPS: [u8; 21] = [
    0x67, 0x42, 0xc0, 0x1f, 0xd9, 0x00, 0x50, 0x05, 0xbb, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10,
    0x00, 0x00, 0x03, 0x01, 0xe0,
];
const PPS: [u8; 4] = [0x68, 0xcb, 0x83, 0xcb];

/// A clip on the disk.
pub(crate) struct Left {
    pub(crate) clip_id: String,
    /// What of it the relay should have in the end: a picture, or a film without its indexes.
    pub(crate) content: Vec<u8>,
}

/// Puts clips on a camera's disk and into its index: large pictures, and as many films.
pub(crate) async fn leave_clips(home: &Home, clips: usize) -> Vec<Left> {
    let recordings = home.data_dir().join("recordings");
    fs::create_dir_all(&recordings).unwrap();
    let store = Store::open(&home.data_dir().join(INDEX_FILE)).unwrap();
    let mut left = Vec::new();
    for number in 0..clips {
        let clip_id = ClipId::generate();
        let is_film = number % 2 == 1;
        let (file, content) = if is_film { film(number) } else { picture(number) };
        let (kind, part_kind, content_type, extension) = if is_film {
            (ClipKind::Motion, PartKind::File, "video/mp4", "mp4")
        } else {
            (ClipKind::Snapshot, PartKind::Snapshot, "image/jpeg", "jpg")
        };
        let path = format!("{clip_id}.{extension}");
        fs::write(recordings.join(&path), &file).unwrap();
        let clip = NewClip {
            clip_id,
            event_id: None,
            kind,
            started_at: unix_now(),
            clock: ClockState::Synced,
            boot_id: boot_id().unwrap(),
            started_uptime_ms: 1,
        };
        let duration_ms = if is_film { u64::from(FILM_S) * 1_000 } else { 0 };
        let part = NewPart {
            index: 0,
            kind: part_kind,
            path,
            content_type,
            length: file.len() as u64,
            duration_ms: is_film.then_some(duration_ms),
        };
        store.begin_clip(clip, None).await.unwrap();
        store.close_clip(clip_id, duration_ms, vec![part], None).await.unwrap();
        left.push(Left { clip_id: clip_id.to_string(), content });
    }
    left
}

/// Bytes that differ from clip to clip.
fn filling(number: usize, length: usize) -> Vec<u8> {
    (1..=u8::MAX).cycle().skip(number).take(length).collect()
}

fn picture(number: usize) -> (Vec<u8>, Vec<u8>) {
    let picture = filling(number, PICTURE_BYTES);
    (picture.clone(), picture)
}

fn film(number: usize) -> (Vec<u8>, Vec<u8>) {
    let mut frame = Vec::new();
    for unit in [&SPS[..], &PPS[..], &[&[0x65, 0x88], &filling(number, FRAME_BYTES)[..]].concat()] {
        frame.extend([0, 0, 0, 1]);
        frame.extend(unit);
    }
    let init = init_segment(&VideoTrack::from_key_frame(&frame).unwrap(), unix_now());
    let mut reserve = index_reserve(FILM_S as usize);
    let (mut media, mut entries) = (Vec::new(), Vec::new());
    for second in 0..FILM_S {
        let sample = Sample { data: &frame, key_frame: true, duration: TIMESCALE };
        let decode_time = u64::from(second * TIMESCALE);
        let bytes = fragment(second + 1, decode_time, &[sample]);
        entries.push(FragmentEntry {
            offset: (init.len() + reserve.len() + media.len()) as u64,
            length: u32::try_from(bytes.len()).unwrap(),
            decode_time,
            duration: TIMESCALE,
            starts_with_key_frame: true,
        });
        media.extend(bytes);
    }
    let index = segment_index(&entries, reserve.len()).unwrap();
    reserve[..index.len()].copy_from_slice(&index);
    let file = [&init, &reserve, &media, &random_access_index(&entries)[..]].concat();
    (file, [init, media].concat())
}
