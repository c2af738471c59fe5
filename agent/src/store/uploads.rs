//! Which clips the relay must still get, and how far each has come.

use nightjar_shared::{ids::ClipId, time::UnixMillis};
use rusqlite::params;

use super::{Result, Store, clips::ClipState, row::parsed};

/// A clip of which the relay must still learn something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadCandidate {
    pub clip_id: ClipId,
    pub state: ClipState,
    pub started_at: UnixMillis,
    /// A picture of it (its thumbnail, or the snapshot that it is) is not uploaded yet.
    pub picture_waits: bool,
    /// It has a picture, uploaded or not.
    pub has_picture: bool,
}

/// What must wait now, however urgent it is otherwise.
#[derive(Debug, Clone, Default)]
pub struct Held {
    /// Clips that failed a moment ago.
    pub delayed: Vec<ClipId>,
    /// The footage of closed clips that began earlier.
    pub older_than: Option<UnixMillis>,
}

impl Store {
    /// Lists what waits to be uploaded, the most urgent first: pictures before footage, then what was
    /// tried least, then the newest, so that what just happened does not wait for a backlog. Behind
    /// them comes what is held. Clips that are being written are among them, continuous footage is
    /// not.
    pub async fn upload_candidates(
        &self,
        limit: usize,
        held: Held,
    ) -> Result<Vec<UploadCandidate>> {
        self.read(move |connection| {
            let delayed = serde_json::to_string(&held.delayed)?;
            let older_than = held.older_than.map_or(i64::MIN, |time| time.0);
            let mut statement = connection.prepare_cached(
                "select clips.clip_id, clips.state, clips.started_at,
                        exists (select 1 from clip_parts where clip_parts.clip_id = clips.clip_id
                                and clip_parts.kind in ('thumbnail', 'snapshot')
                                and uploaded_at is null) as picture_waits,
                        exists (select 1 from clip_parts where clip_parts.clip_id = clips.clip_id
                                and clip_parts.kind in ('thumbnail', 'snapshot')) as has_picture
                 from clips left join uploads on uploads.clip_id = clips.clip_id
                 where uploads.state = 'waiting'
                     or (clips.state = 'open' and clips.kind in ('motion', 'manual'))
                 order by clips.clip_id in (select value from json_each(?2))
                         or (clips.state <> 'open' and not picture_waits and clips.started_at < ?3),
                     picture_waits desc, coalesce(uploads.attempts, 0), clips.sequence desc
                 limit ?1",
            )?;
            let rows = statement.query_map(params![limit, delayed, older_than], |row| {
                Ok(UploadCandidate {
                    clip_id: parsed(row, "clip_id")?,
                    state: parsed(row, "state")?,
                    started_at: UnixMillis(row.get("started_at")?),
                    picture_waits: row.get("picture_waits")?,
                    has_picture: row.get("has_picture")?,
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// Notes that the object store has a part.
    pub async fn part_uploaded(&self, clip_id: ClipId, index: u32, now: UnixMillis) -> Result<()> {
        self.write(move |transaction| {
            transaction.execute(
                "update clip_parts set uploaded_at = ?3 where clip_id = ?1 and part_index = ?2",
                params![clip_id.to_string(), index, now.0],
            )?;
            Ok(())
        })
        .await
    }

    /// Ends an upload: the relay has verified the clip, or its owner deleted it there.
    pub async fn upload_done(&self, clip_id: ClipId) -> Result<()> {
        self.end_upload(clip_id, "done", None).await
    }

    /// Notes that a try went wrong and another may go well: other clips come first.
    pub async fn upload_delayed(&self, clip_id: ClipId, error: String) -> Result<()> {
        self.write(move |transaction| {
            transaction.execute(
                "update uploads set attempts = attempts + 1, last_error = ?2 where clip_id = ?1",
                params![clip_id.to_string(), error],
            )?;
            Ok(())
        })
        .await
    }

    /// Gives an upload up: the relay will never have this clip.
    pub async fn upload_failed(&self, clip_id: ClipId, reason: String) -> Result<()> {
        self.end_upload(clip_id, "failed", Some(reason)).await
    }

    /// Ends an upload. A clip whose files are gone is forgotten now.
    async fn end_upload(
        &self,
        clip_id: ClipId,
        state: &'static str,
        reason: Option<String>,
    ) -> Result<()> {
        self.write(move |transaction| {
            let id = clip_id.to_string();
            transaction.execute(
                "update uploads set state = ?2, last_error = ?3 where clip_id = ?1",
                params![id, state, reason],
            )?;
            transaction.execute("delete from clips where clip_id = ?1 and state = 'gone'", [id])?;
            Ok(())
        })
        .await
    }
}
