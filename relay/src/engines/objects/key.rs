//! Names and types of objects. What is checked here never reaches a path, a header or a URL
//! unchecked.

use std::{fmt, str::FromStr};

const KEY_BYTES_MAX: usize = 256;
const SEGMENT_BYTES_MAX: usize = 64;
const SEGMENTS_MAX: usize = 8;

/// What the store takes. Anything that a browser might run is not among it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContentType {
    Mp4,
    Jpeg,
    Playlist,
    /// A Debian package, which only the relay's operator puts there.
    Package,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` cannot be stored: expected video/mp4, image/jpeg or application/vnd.apple.mpegurl")]
pub struct UnsupportedContentType(pub String);

impl ContentType {
    const ALL: [Self; 4] = [Self::Mp4, Self::Jpeg, Self::Playlist, Self::Package];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mp4 => "video/mp4",
            Self::Jpeg => "image/jpeg",
            Self::Playlist => "application/vnd.apple.mpegurl",
            Self::Package => "application/vnd.debian.binary-package",
        }
    }

    /// Returns how keys of this type end, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::Jpeg => "jpg",
            Self::Playlist => "m3u8",
            Self::Package => "deb",
        }
    }
}

impl FromStr for ContentType {
    type Err = UnsupportedContentType;

    fn from_str(text: &str) -> Result<Self, UnsupportedContentType> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| UnsupportedContentType(text.chars().take(64).collect()))
    }
}

/// The name of one object: segments of letters, digits, `-`, `_` and `.`, separated by slashes.
/// Its extension says its type, so that the two can never disagree.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectKey {
    text: String,
    content_type: ContentType,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no object key")]
pub struct InvalidKey(pub String);

impl ObjectKey {
    /// Makes the key `segments[0]/segments[1]/….extension`.
    pub fn new(segments: &[&str], content_type: ContentType) -> Result<Self, InvalidKey> {
        format!("{}.{}", segments.join("/"), content_type.extension()).parse()
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn content_type(&self) -> ContentType {
        self.content_type
    }
}

impl FromStr for ObjectKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let invalid = || InvalidKey(text.chars().take(64).collect());
        let well_formed = text.len() <= KEY_BYTES_MAX
            && text.split('/').count() <= SEGMENTS_MAX
            && text.split('/').all(is_segment);
        let content_type = text
            .rsplit_once('.')
            .filter(|_| well_formed)
            .and_then(|(_, extension)| {
                ContentType::ALL.into_iter().find(|kind| kind.extension() == extension)
            })
            .ok_or_else(invalid)?;
        Ok(Self { text: text.to_owned(), content_type })
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// Segments that begin with a dot are refused: `.` and `..` climb, and dot files are the store's.
fn is_segment(segment: &str) -> bool {
    (1..=SEGMENT_BYTES_MAX).contains(&segment.len())
        && !segment.starts_with('.')
        && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_knows_its_type() {
        let key: ObjectKey = "camera/clip/0.mp4".parse().unwrap();
        assert_eq!(key.content_type(), ContentType::Mp4);
        assert_eq!(ObjectKey::new(&["camera", "clip", "0"], ContentType::Mp4).unwrap(), key);
    }

    #[test]
    fn climbing_hidden_empty_odd_and_over_long_keys_are_refused() {
        let long_segment = format!("{}.mp4", "a".repeat(61));
        let long_key = format!("{}0.mp4", "a/".repeat(8));
        for text in [
            "",
            "/",
            ".mp4",
            "../x.mp4",
            "a/../x.mp4",
            "a/./x.mp4",
            "a//x.mp4",
            "/x.mp4",
            "a/x.mp4/",
            "a\\x.mp4",
            "a%2e/x.mp4",
            "a/\0.mp4",
            "a/ü.mp4",
            "a/x",
            "a/x.html",
            "a/x.MP4",
            ".incoming/x.mp4",
            &long_segment,
            &long_key,
        ] {
            assert!(text.parse::<ObjectKey>().is_err(), "{text}");
        }
    }
}
