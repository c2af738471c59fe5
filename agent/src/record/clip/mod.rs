//! Making clips: which frames belong to one (`session`, `preroll`: pure), and how they get to the
//! disk (`disk`, `writer`) so that a power cut at any byte loses seconds at most.

pub(super) mod account;
pub(super) mod disk;
pub(super) mod durable;
pub(super) mod fragmenter;
pub(super) mod growth;
pub(super) mod notes;
pub(super) mod preroll;
pub(super) mod session;
pub(super) mod thumbnail;
pub(super) mod writer;
