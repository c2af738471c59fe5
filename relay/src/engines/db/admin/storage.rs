//! What lies in the store, as the database knows it.

use nightjar_shared::{clip::ClipKind, ids::SiteId};

use crate::engines::db::{DbError, Executor, from_row};

/// What one kind of footage takes at one site.
#[derive(Debug, Clone)]
pub struct StoredClass {
    pub site_id: SiteId,
    pub site_name: String,
    pub kind: ClipKind,
    pub count: u64,
    pub bytes: u64,
}

from_row!(StoredClass { site_id, site_name, kind, count, bytes });

/// Lists what takes most.
pub async fn by_site_and_kind(db: &impl Executor, count: u32) -> Result<Vec<StoredClass>, DbError> {
    db.all(
        "select c.site_id, s.name as site_name, c.kind, count(*) as count,
             cast(coalesce(sum(c.bytes), 0) as bigint) as bytes
         from clips c join sites s on s.site_id = c.site_id
         group by c.site_id, s.name, c.kind order by bytes desc, c.site_id, c.kind limit $1",
        vec![count.into()],
    )
    .await
}

#[derive(Debug, Clone, Copy, Default)]
pub struct StoredInAll {
    pub clips: u64,
    pub bytes: u64,
    /// Places that were given to cameras, and are not known to be filled.
    pub unfinished_parts: u64,
    pub unfinished_bytes: u64,
    /// Objects that nothing refers to any more, until the store has deleted them.
    pub objects_to_delete: u64,
}

from_row!(StoredInAll { clips, bytes, unfinished_parts, unfinished_bytes, objects_to_delete });

pub async fn in_all(db: &impl Executor) -> Result<StoredInAll, DbError> {
    let found = db
        .one(
            "select (select count(*) from clips) as clips,
                 (select cast(coalesce(sum(bytes), 0) as bigint) from clips) as bytes,
                 (select count(*) from clip_parts where stored = 0) as unfinished_parts,
                 (select cast(coalesce(sum(length), 0) as bigint) from clip_parts where stored = 0)
                     as unfinished_bytes,
                 (select count(*) from object_deletions) as objects_to_delete",
            vec![],
        )
        .await?;
    Ok(found.unwrap_or_default())
}
