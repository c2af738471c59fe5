//! Which clips the relay must still get, and how far each has come.

use nightjar_shared::{ids::ClipId, time::UnixMillis};
use rusqlite::{OptionalExtension, params};

use super::{
    Result, Store,
    clips::{Clip, clip_by_id},
    row::parsed,
};

impl Store {
    /// The clip to upload next: the least tried first, among those the newest, so that what just
    /// happened does not wait for a backlog.
    pub async fn next_upload(&self) -> Result<Option<Clip>> {
        self.read(|connection| {
            let next: Option<ClipId> = connection
                .query_row(
                    "select clips.clip_id from uploads join clips using (clip_id)
                     where uploads.state = 'waiting'
                     order by uploads.attempts, clips.sequence desc limit 1",
                    [],
                    |row| parsed(row, "clip_id"),
                )
                .optional()?;
            next.map_or(Ok(None), |clip_id| clip_by_id(connection, clip_id))
        })
        .await
    }

    /// Notes what the file of a part holds: its SHA-256 in lower-case hexadecimal and its bytes,
    /// so that a later try need not read it again.
    pub async fn part_measured(
        &self,
        clip_id: ClipId,
        index: u32,
        sha256: String,
        length: u64,
    ) -> Result<()> {
        self.write(move |transaction| {
            transaction.execute(
                "update clip_parts set sha256 = ?3, length = ?4
                 where clip_id = ?1 and part_index = ?2",
                params![clip_id.to_string(), index, sha256, length],
            )?;
            Ok(())
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

    /// The relay has verified the clip.
    pub async fn upload_done(&self, clip_id: ClipId) -> Result<()> {
        self.write(move |transaction| {
            transaction.execute(
                "update uploads set state = 'done', last_error = null where clip_id = ?1",
                [clip_id.to_string()],
            )?;
            Ok(())
        })
        .await
    }

    /// A try went wrong and another may go well. All parts are offered again, since the relay
    /// may have lost what it said it had.
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

    /// The relay will never have this clip. A clip whose files are gone is forgotten now.
    pub async fn upload_failed(&self, clip_id: ClipId, reason: String) -> Result<()> {
        self.write(move |transaction| {
            let id = clip_id.to_string();
            transaction.execute(
                "update uploads set state = 'failed', last_error = ?2 where clip_id = ?1",
                params![id, reason],
            )?;
            transaction.execute("delete from clips where clip_id = ?1 and state = 'gone'", [id])?;
            Ok(())
        })
        .await
    }
}
