//! How clips are played: from the parts that are stored, by addresses that run out.
//!
//! A clip is one file, one picture, or an initialisation segment and segments. Of the last kind
//! everything up to the first segment that is missing plays, also while the clip still grows.

use std::{fmt::Write as _, time::Duration};

use nightjar_shared::{
    api::{FIRST_SEGMENT, PartKind},
    audit::Action,
    ids::ClipId,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    access::{self, Caller, Right},
    audit::seen,
    clips::deed,
    page::{PAGE_BYTES_MAX, fitting},
};
use crate::{
    app::App,
    clock,
    engines::{
        db::{
            clips::ClipRow,
            parts::{self, PartRow},
        },
        objects::{ObjectKey, PLAYBACK_EXPIRY_MAX, ReadWindow},
    },
    error::{Error, ProblemCode, Result},
};

/// How a clip is played: its parts in order. Ask again before `expires_at`.
#[derive(Clone, Serialize, ToSchema)]
pub struct Playback {
    pub parts: Vec<PlaybackPart>,
    /// No further part is expected now: these are all there are.
    pub ended: bool,
    /// There are further parts now, which this answer had no room for: ask for those after its last.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
    #[schema(value_type = i64)]
    pub expires_at: UnixMillis,
}

#[derive(Clone, Serialize, ToSchema)]
pub struct PlaybackPart {
    pub index: u32,
    /// `file`, `init`, `segment` or `snapshot`.
    #[schema(value_type = String)]
    pub kind: PartKind,
    pub url: String,
    pub length: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Lower-case hexadecimal.
    pub sha256: String,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PlaybackQuery {
    /// Only parts with a larger index: what a clip that grows has got since.
    pub after: Option<u32>,
    /// Says that it is to be kept and not watched: it stands so in the trail of who did what.
    #[serde(default)]
    pub download: bool,
}

/// Finds where the parts of a clip are.
pub async fn get(
    app: &App,
    caller: Caller,
    clip_id: ClipId,
    query: PlaybackQuery,
) -> Result<Playback> {
    let row = access::clip(app, caller, clip_id, Right::SeePictures).await?;
    let playback = of_clip(app, &row, query.after, None, ReadWindow::new).await?;
    let action = if query.download { Action::ClipDownloaded } else { Action::ClipPlayed };
    seen(app, deed(action, caller, &row)).await?;
    Ok(playback.page())
}

/// Writes the parts of a clip as an HLS playlist, for players that know nothing else.
pub async fn playlist(app: &App, caller: Caller, clip_id: ClipId) -> Result<String> {
    let row = access::clip(app, caller, clip_id, Right::SeePictures).await?;
    // A player asks for it once, and plays for as long as it may.
    let playback = of_clip(app, &row, None, None, ReadWindow::whole).await?;
    if playback.parts.iter().all(|part| part.kind != PartKind::Segment) {
        return Err(Error::conflict(
            ProblemCode::NotSegmented,
            "This clip is one file: play that.",
        ));
    }
    seen(app, deed(Action::ClipPlayed, caller, &row)).await?;
    Ok(hls(&playback))
}

impl Playback {
    /// Leaves out what is too much for one answer.
    pub(super) fn page(self) -> Self {
        let found = self.parts.len();
        let parts = fitting(self.parts, PAGE_BYTES_MAX);
        let more = parts.len() < found;
        Self { ended: self.ended && !more, parts, more, ..self }
    }
}

/// Signs the parts of a clip for a caller who may see it, or may until a time: no address outlives it.
pub(super) async fn of_clip(
    app: &App,
    row: &ClipRow,
    after: Option<u32>,
    until: Option<UnixMillis>,
    window: fn(UnixMillis, Duration) -> ReadWindow,
) -> Result<Playback> {
    let stored = parts::of_clip(&app.db, row.clip_id).await?;
    let footage = Footage::of(&stored).ok_or_else(|| {
        Error::conflict(ProblemCode::NotReady, "Nothing of this clip can be played yet.")
    })?;
    // The store goes by the machine's clock; read first, it ends no address later than the other.
    let (signing_at, now) = (clock::now(), app.now());
    let lifetime = until.map_or(PLAYBACK_EXPIRY_MAX, |until| until.since(now));
    let window = window(signing_at, lifetime);
    let left = window.left(signing_at);
    if left.is_zero() {
        return Err(Error::not_found());
    }
    let mut parts = Vec::new();
    for part in footage.parts.into_iter().filter(|part| after.is_none_or(|it| part.index > it)) {
        let key: ObjectKey = part.object_key.parse().map_err(anyhow::Error::from)?;
        let whole = if part.kind == PartKind::File { row.duration_ms } else { None };
        parts.push(PlaybackPart {
            index: part.index,
            kind: part.kind,
            url: app.objects.presign_get(&key, window),
            length: part.length,
            duration_ms: part.duration_ms.or(whole),
            sha256: part.sha256.clone(),
        });
    }
    Ok(Playback { parts, ended: !row.state.is_open(), more: false, expires_at: now.plus(left) })
}

/// The stored parts of a clip that can be played.
pub(super) struct Footage<'a> {
    pub(super) parts: Vec<&'a PartRow>,
}

impl<'a> Footage<'a> {
    /// Judges parts in the order of their indexes; gives nothing when none of them can be played.
    pub(super) fn of(parts: &'a [PartRow]) -> Option<Self> {
        let stored = |kind| move |part: &&PartRow| part.stored && part.kind == kind;
        let whole = parts
            .iter()
            .find(|part| stored(PartKind::File)(part) || stored(PartKind::Snapshot)(part));
        if let Some(whole) = whole {
            return Some(Self { parts: vec![whole] });
        }
        let init = parts.iter().find(stored(PartKind::Init))?;
        let segments: Vec<_> = parts
            .iter()
            .filter(stored(PartKind::Segment))
            .zip(FIRST_SEGMENT..)
            .take_while(|(part, index)| part.index == *index)
            .map(|(part, _)| part)
            .collect();
        (!segments.is_empty())
            .then(|| Self { parts: std::iter::once(init).chain(segments).collect() })
    }

    /// Adds up how long its segments play.
    pub(super) fn duration_ms(&self) -> u64 {
        self.parts.iter().filter_map(|part| part.duration_ms).sum()
    }
}

/// What cameras keep their segments below. A playlist's target duration must not change while it
/// grows.
const SEGMENT_MS: u64 = 4_000;

/// Writes a playlist of fragmented MP4 (RFC 8216). While the clip grows, a player asks again for
/// more.
fn hls(playback: &Playback) -> String {
    let longest = playback.parts.iter().filter_map(|part| part.duration_ms);
    let longest = longest.max().unwrap_or(0).max(SEGMENT_MS);
    let mut text = format!(
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:{}\n#EXT-X-PLAYLIST-TYPE:{}\n\
         #EXT-X-INDEPENDENT-SEGMENTS\n",
        longest.div_ceil(1_000),
        if playback.ended { "VOD" } else { "EVENT" },
    );
    for part in &playback.parts {
        let written = match part.kind {
            PartKind::Init => writeln!(text, "#EXT-X-MAP:URI=\"{}\"", part.url),
            PartKind::Segment => {
                let duration_ms = part.duration_ms.unwrap_or(0);
                let (seconds, millis) = (duration_ms / 1_000, duration_ms % 1_000);
                writeln!(text, "#EXTINF:{seconds}.{millis:03},\n{}", part.url)
            }
            _ => Ok(()),
        };
        debug_assert!(written.is_ok(), "text takes everything");
    }
    if playback.ended {
        text.push_str("#EXT-X-ENDLIST\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(index: u32, kind: PartKind, stored: bool) -> PartRow {
        PartRow {
            index,
            kind,
            length: 10,
            sha256: "00".repeat(32),
            content_type: "video/mp4".to_owned(),
            object_key: format!("camera/clip/{index}.mp4"),
            stored,
            duration_ms: (kind == PartKind::Segment).then_some(2_000),
        }
    }

    fn indexes(parts: &[PartRow]) -> Option<Vec<u32>> {
        Footage::of(parts).map(|footage| footage.parts.iter().map(|part| part.index).collect())
    }

    #[test]
    fn what_plays_ends_before_the_first_missing_segment() {
        use PartKind::{Init, Segment, Thumbnail};
        let mut parts = vec![part(0, Init, true), part(1, Thumbnail, true)];
        assert_eq!(indexes(&parts), None, "no footage yet");
        parts.extend([part(2, Segment, true), part(3, Segment, true), part(4, Segment, false)]);
        parts.push(part(5, Segment, true));
        assert_eq!(indexes(&parts), Some(vec![0, 2, 3]));
        assert_eq!(Footage::of(&parts).unwrap().duration_ms(), 4_000);
        parts[4].stored = true;
        assert_eq!(indexes(&parts), Some(vec![0, 2, 3, 4, 5]));
        parts[0].stored = false;
        assert_eq!(indexes(&parts), None, "nothing decodes without the initialisation segment");
    }

    #[test]
    fn a_clip_in_one_file_is_that_file() {
        use PartKind::{File, Thumbnail};
        let parts = [part(0, File, true), part(1, Thumbnail, true)];
        assert_eq!(indexes(&parts), Some(vec![0]));
        assert_eq!(indexes(&[part(0, File, false)]), None);
    }

    #[test]
    fn a_playlist_names_init_segments_and_their_lengths() {
        let part = |index, kind, duration_ms| PlaybackPart {
            index,
            kind,
            url: format!("http://store/{index}"),
            length: 1,
            duration_ms,
            sha256: String::new(),
        };
        let mut playback = Playback {
            parts: vec![
                part(0, PartKind::Init, None),
                part(2, PartKind::Segment, Some(2_067)),
                part(3, PartKind::Segment, Some(980)),
            ],
            ended: true,
            more: false,
            expires_at: UnixMillis(0),
        };
        assert_eq!(
            hls(&playback),
            "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:4\n#EXT-X-PLAYLIST-TYPE:VOD\n\
             #EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-MAP:URI=\"http://store/0\"\n\
             #EXTINF:2.067,\nhttp://store/2\n#EXTINF:0.980,\nhttp://store/3\n#EXT-X-ENDLIST\n"
        );
        playback.ended = false;
        let growing = hls(&playback);
        assert!(growing.contains("TYPE:EVENT") && !growing.contains("ENDLIST"), "{growing}");
    }
}
