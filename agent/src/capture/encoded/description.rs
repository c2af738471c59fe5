//! What an IP camera's description (SDP) says of its H.264, beyond what the client reads.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use nightjar_core::h264::nal_units;

/// Reads the parameter sets of the first stream of H.264: all of them, as some cameras have several.
pub(super) fn parameter_sets(description: &[u8]) -> Vec<Vec<u8>> {
    let description = String::from_utf8_lossy(description);
    let mut streams = description.split("\nm=");
    let is_ours = |stream: &&str| stream.to_ascii_lowercase().contains(" h264/");
    let Some(stream) = streams.find(is_ours) else { return Vec::new() };
    let told = stream.lines().filter(|line| line.starts_with("a=fmtp:"));
    let told = told.filter_map(|line| line.split_once("sprop-parameter-sets="));
    let sets = told.flat_map(|(_, sets)| sets.split([';', ' ']).next().unwrap_or("").split(','));
    // Some write start codes into them.
    let decoded = sets.filter_map(|set| STANDARD.decode(set.trim()).ok());
    decoded
        .flat_map(|set| {
            let marked = [&[0, 0, 1][..], &set].concat();
            nal_units(&marked).map(<[u8]>::to_vec).collect::<Vec<_>>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(sets: &str) -> Vec<Vec<u8>> {
        let text = format!(
            "v=0\r\nm=audio 0 RTP/AVP 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n\
             a=fmtp:96 packetization-mode=1;sprop-parameter-sets={sets};profile-level-id=42c01f\r\n"
        );
        parameter_sets(text.as_bytes())
    }

    #[test]
    fn all_parameter_sets_of_the_description_are_read() {
        assert_eq!(described("Z0LA,aMs="), [vec![0x67, 0x42, 0xc0], vec![0x68, 0xcb]]);
        assert_eq!(described("Z0LA,aMs=,aFM=").len(), 3, "two of pictures");
        assert_eq!(described("AAAAAWfA"), [[0x67, 0xc0]], "behind a start code");
        assert_eq!(described("aMs=,not base64"), [[0x68, 0xcb]]);
        assert!(described("").is_empty() && parameter_sets(&[0xff, 0xfe]).is_empty());
    }
}
