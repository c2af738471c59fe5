//! Notes for the index that must not be lost while it cannot take them.

use std::collections::VecDeque;

use nightjar_shared::{event::EventMessage, ids::ClipId};
use tokio::runtime::Handle;

use crate::store::{NewPart, Store, StoreError};

/// Notes kept for another try; beyond it the oldest is forgotten. The start-up scan finds the
/// clips again, whatever was forgotten.
const MAX_OWED: usize = 256;

/// A note that the index has yet to take.
pub(in crate::record) enum Note {
    Tell(Box<EventMessage>),
    Close {
        clip_id: ClipId,
        duration_ms: u64,
        parts: Vec<NewPart>,
        message: Option<Box<EventMessage>>,
    },
    Gone {
        clip_id: ClipId,
        reason: &'static str,
    },
}

/// The notes that wait, in order. Used by a thread that may block.
pub(in crate::record) struct Notes {
    store: Store,
    runtime: Handle,
    owed: VecDeque<Note>,
}

impl Notes {
    pub(in crate::record) fn new(store: Store, runtime: Handle) -> Self {
        Self { store, runtime, owed: VecDeque::new() }
    }

    /// Writes a note, after those that still wait.
    pub(in crate::record) fn write(&mut self, note: Note) {
        self.owed.push_back(note);
        if self.owed.len() > MAX_OWED {
            self.owed.pop_front();
        }
        self.pay();
    }

    /// Some still wait, for [`Self::pay`] to be called again.
    pub(in crate::record) fn are_owed(&self) -> bool {
        !self.owed.is_empty()
    }

    /// Writes as much as the index takes.
    pub(in crate::record) fn pay(&mut self) {
        while let Some(note) = self.owed.front() {
            if let Err(error) = self.runtime.block_on(take(&self.store, note)) {
                tracing::warn!(%error, "the index could not take a note; it will be tried again");
                return;
            }
            self.owed.pop_front();
        }
    }
}

async fn take(store: &Store, note: &Note) -> Result<(), StoreError> {
    match note {
        Note::Tell(message) => store.enqueue_event((**message).clone()).await,
        Note::Close { clip_id, duration_ms, parts, message } => {
            store
                .close_clip(*clip_id, *duration_ms, parts.clone(), message.as_deref().cloned())
                .await
        }
        Note::Gone { clip_id, reason } => store.clip_gone(*clip_id, reason).await,
    }
}
