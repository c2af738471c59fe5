//! How far long work is: told by what works, shown by who asked for it.

use std::sync::Arc;

/// What long work is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Looks for the footage of a span of time.
    Searching,
    /// Writes a file.
    Writing,
    /// Compares index and recordings.
    Comparing,
    /// Mends recordings.
    Mending,
    /// Looks at the pictures of a recording.
    Looking,
}

/// Told how far long work is: to what it does, how much of how much is done, in units of its own.
type Listener = dyn Fn(Stage, u64, Option<u64>) + Send + Sync;

/// Hears how far long work is. Clones tell the same listener.
#[derive(Clone, Default)]
pub struct Progress(Option<Arc<Listener>>);

impl Progress {
    /// Tells `listener`, as often as the work gets on: it must be quick.
    pub fn new(listener: impl Fn(Stage, u64, Option<u64>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(listener)))
    }

    /// Has nobody to tell.
    pub fn unheard() -> Self {
        Self::default()
    }

    /// `of` is absent where nobody can know how much there is to do.
    pub(crate) fn tell(&self, stage: Stage, done: u64, of: Option<u64>) {
        if let Some(listener) = &self.0 {
            listener(stage, done, of);
        }
    }

    /// Tells of each item before it is worked on.
    pub(crate) fn over<'a, T>(
        &'a self,
        stage: Stage,
        items: &'a [T],
    ) -> impl Iterator<Item = &'a T> {
        items.iter().zip(0_u64..).map(move |(item, done)| {
            self.tell(stage, done, Some(items.len() as u64));
            item
        })
    }
}
