//! Stills of what the camera sees, for parts that do not know how they are made.

use std::{pin::Pin, sync::Arc};

use bytes::Bytes;

/// How large a still is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StillSize {
    /// At most 640 pixels wide: what shows the beginning of a clip.
    Medium,
    /// As it is seen.
    Full,
}

type Taking = Pin<Box<dyn Future<Output = anyhow::Result<Bytes>> + Send>>;

/// Takes stills. Clones share what takes them.
#[derive(Clone)]
pub struct Stills {
    take: Arc<dyn Fn(StillSize) -> Taking + Send + Sync>,
}

impl Stills {
    /// Makes one of a function that gives a JPEG of what is seen now.
    pub fn new<F>(take: impl Fn(StillSize) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = anyhow::Result<Bytes>> + Send + 'static,
    {
        Self { take: Arc::new(move |size| Box::pin(take(size))) }
    }

    /// Takes a still of what the camera sees now, as a JPEG that carries its thumbnail
    /// (`nightjar_core::picture::jpeg`).
    pub async fn take(&self, size: StillSize) -> anyhow::Result<Bytes> {
        (self.take)(size).await
    }
}
