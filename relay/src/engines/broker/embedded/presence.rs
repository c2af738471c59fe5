//! Retained messages: presence alone, of cameras that are connected.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use rmqtt::{
    context::ServerContext,
    retain::{DefaultRetainStorage, RetainStorage},
    types::{Retain, TopicFilter, TopicName},
};

use super::hooks::State;

/// Turns retained messages on, which rmqtt leaves off until a storage says otherwise.
pub(super) async fn keep(context: &ServerContext, state: &Arc<State>) {
    *context.extends.retain_mut().await =
        Box::new(PresenceStorage { storage: DefaultRetainStorage::new(), state: state.clone() });
}

/// Retained presence, kept for as long as the broker runs.
struct PresenceStorage {
    storage: DefaultRetainStorage,
    state: Arc<State>,
}

#[async_trait]
impl RetainStorage for PresenceStorage {
    fn enable(&self) -> bool {
        true
    }

    /// Keeps a camera's presence until it changes; rmqtt would let a retained message expire after
    /// minutes.
    async fn set(
        &self,
        topic: &TopicName,
        retain: Retain,
        _expiry: Option<Duration>,
    ) -> rmqtt::Result<()> {
        if self.state.speaks_for(&retain.from).is_none() {
            return Ok(());
        }
        self.storage.set_with_timeout(topic, retain, None).await
    }

    async fn get(&self, filter: &TopicFilter) -> rmqtt::Result<Vec<(TopicName, Retain)>> {
        self.storage.get_message(filter).await
    }

    async fn count(&self) -> isize {
        self.storage.count().await
    }

    async fn max(&self) -> isize {
        self.storage.max().await
    }
}
