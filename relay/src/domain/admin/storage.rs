//! What lies in the store.

use nightjar_shared::{clip::ClipKind, ids::SiteId};
use serde::Serialize;
use utoipa::ToSchema;

use super::Desk;
use crate::{
    config::StoreEngine, engines::db::admin::storage as known, error::Result, space::space_at,
};

/// Sites and kinds that are listed: those that take most.
const CLASSES_MAX: u32 = 500;

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Storage {
    pub clips: u64,
    pub bytes: u64,
    /// Of the disk of an embedded store; absent where the relay does not know it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_bytes: Option<u64>,
    pub orphans: Orphans,
    /// What takes most first: 500 at most.
    pub classes: Vec<StorageClass>,
}

/// What belongs to no clip that can be played.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Orphans {
    /// Places that were given to cameras, and are not known to be filled.
    pub unfinished_parts: u64,
    pub unfinished_bytes: u64,
    /// Objects that nothing refers to, and that the store has not deleted yet.
    pub objects_to_delete: u64,
}

/// What one kind of footage takes at one site.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct StorageClass {
    pub site_id: SiteId,
    pub site_name: String,
    pub kind: ClipKind,
    pub count: u64,
    pub bytes: u64,
}

pub async fn look(desk: &Desk<'_>) -> Result<Storage> {
    let all = known::in_all(desk.db).await?;
    let classes = known::by_site_and_kind(desk.db, CLASSES_MAX).await?.into_iter();
    let config = desk.app.map(|app| &app.config);
    let config = config.filter(|config| config.store.engine == StoreEngine::Embedded);
    let space = config.and_then(|config| space_at(&config.data_dir).ok());
    Ok(Storage {
        clips: all.clips,
        bytes: all.bytes,
        free_bytes: space.as_ref().map(|space| space.free),
        total_bytes: space.as_ref().map(|space| space.total),
        orphans: Orphans {
            unfinished_parts: all.unfinished_parts,
            unfinished_bytes: all.unfinished_bytes,
            objects_to_delete: all.objects_to_delete,
        },
        classes: classes
            .map(|row| StorageClass {
                site_id: row.site_id,
                site_name: row.site_name,
                kind: row.kind,
                count: row.count,
                bytes: row.bytes,
            })
            .collect(),
    })
}
