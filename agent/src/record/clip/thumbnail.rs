//! A picture of a clip's beginning, taken while the clip is being written.

use std::path::PathBuf;

use nightjar_shared::{api::PartKind, ids::ClipId};
use tokio::{runtime::Handle, sync::oneshot, task::spawn_blocking};
use tokio_util::task::TaskTracker;

use crate::record::files::{self, picture_name, picture_part};
use crate::{
    stills::{StillSize, Stills},
    store::{NewPart, Store},
};

/// Where the picture goes.
pub(in crate::record) struct Place {
    pub(in crate::record) directory: PathBuf,
    pub(in crate::record) store: Store,
    pub(in crate::record) clip_id: ClipId,
}

/// Begins to take it; the receiver's sender is dropped when there is none. The index has it
/// before the clip ends, so that it can be seen while the event lasts.
pub(in crate::record) fn take(
    stills: Stills,
    place: Place,
    tracker: &TaskTracker,
    runtime: &Handle,
) -> oneshot::Receiver<NewPart> {
    let (sender, receiver) = oneshot::channel();
    tracker.spawn_on(
        async move {
            let Place { directory, store, clip_id } = place;
            match picture(&stills, directory.clone(), clip_id).await {
                Ok(part) => {
                    let indexed = store.add_part(clip_id, part.clone()).await;
                    if sender.send(part).is_err() && indexed.is_err() {
                        // The clip was closed without it.
                        let _ = files::remove(&directory.join(picture_name(clip_id)));
                    }
                }
                Err(error) => {
                    tracing::warn!(clip.id = %clip_id, %error, "a clip stays without a thumbnail");
                }
            }
        },
        runtime,
    );
    receiver
}

async fn picture(stills: &Stills, directory: PathBuf, clip_id: ClipId) -> anyhow::Result<NewPart> {
    let jpeg = stills.take(StillSize::Medium).await?;
    let length = jpeg.len() as u64;
    spawn_blocking(move || files::write_whole(&directory, &picture_name(clip_id), &jpeg)).await??;
    Ok(picture_part(clip_id, PartKind::Thumbnail, length))
}
