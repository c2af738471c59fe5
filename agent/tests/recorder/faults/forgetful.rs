//! A disk in memory that knows what a power cut takes: contents of files since their last sync,
//! names since the last sync of their directory. It also fails one chosen operation.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ffi::OsString,
};

use nightjar_agent::clock::Clock;
use nightjar_core::monotonic::MonotonicNanos;

pub(crate) const ROOT: u64 = 1;
/// What the kernel writes back as a whole.
const PAGE: usize = 4_096;
const TOTAL_BYTES: u64 = 4_000_000_000;

/// Operations that are counted and can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Operation {
    Write,
    Sync,
    /// Names: create, rename, remove.
    Name,
}

/// What happens at the `at`th operation of a kind (of all kinds where there is none), from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) operation: Option<Operation>,
    pub(crate) at: u64,
    pub(crate) outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The operation fails with this error, once.
    Fails(i32),
    /// It and all after it fail: the power is gone.
    PowerCut,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct File {
    pub(crate) data: Vec<u8>,
    synced: Vec<u8>,
    /// Pages that a failed sync dropped: what they hold never reaches the disk, unless they are
    /// written again.
    lost: HashSet<usize>,
    dirty: HashSet<usize>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Directory {
    pub(crate) entries: BTreeMap<OsString, u64>,
    synced: BTreeMap<OsString, u64>,
}

#[derive(Debug, Clone)]
pub(crate) enum Node {
    File(File),
    Directory(Directory),
}

/// What a file system cannot do at all.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Unable {
    /// To rename unless the name is taken.
    pub(crate) rename_to_new: bool,
    pub(crate) sync_directories: bool,
    /// Everybody may read everything.
    pub(crate) modes: bool,
}

#[derive(Debug)]
pub(crate) struct Disk {
    pub(crate) unable: Unable,
    clock: Clock,
    pub(crate) nodes: HashMap<u64, Node>,
    next: u64,
    fault: Option<Fault>,
    counts: HashMap<Operation, u64>,
    /// Since the counting began.
    pub(crate) written_bytes: u64,
    dead: bool,
    /// When the fault came to pass.
    pub(crate) struck_at: Option<MonotonicNanos>,
}

impl Disk {
    pub(crate) fn new(clock: Clock) -> Self {
        let root = Node::Directory(Directory::default());
        Self {
            unable: Unable::default(),
            clock,
            nodes: HashMap::from([(ROOT, root)]),
            next: ROOT + 1,
            fault: None,
            counts: HashMap::new(),
            written_bytes: 0,
            dead: false,
            struck_at: None,
        }
    }

    /// Operations of a kind since the counting began.
    pub(crate) fn count(&self, operation: Operation) -> u64 {
        self.counts.get(&operation).copied().unwrap_or(0)
    }

    /// Counts from here on.
    pub(crate) fn plan(&mut self, fault: Option<Fault>) {
        self.fault = fault;
        self.counts.clear();
        self.written_bytes = 0;
        self.struck_at = None;
    }

    /// An error where this operation is the one to fail.
    pub(crate) fn check(&mut self, operation: Operation) -> Result<(), i32> {
        if self.dead {
            return Err(libc_errno::EIO);
        }
        *self.counts.entry(operation).or_default() += 1;
        let Some(fault) = self.fault else { return Ok(()) };
        let count = match fault.operation {
            Some(wanted) if wanted != operation => return Ok(()),
            Some(wanted) => self.counts[&wanted],
            None => self.counts.values().sum(),
        };
        if count != fault.at {
            return Ok(());
        }
        self.struck_at = Some(self.clock.monotonic());
        match fault.outcome {
            Outcome::Fails(error) => Err(error),
            Outcome::PowerCut => {
                self.dead = true;
                Err(libc_errno::EIO)
            }
        }
    }

    pub(crate) fn file(&mut self, node: u64) -> Result<&mut File, i32> {
        match self.nodes.get_mut(&node) {
            Some(Node::File(file)) => Ok(file),
            _ => Err(libc_errno::EISDIR),
        }
    }

    pub(crate) fn directory(&mut self, node: u64) -> Result<&mut Directory, i32> {
        match self.nodes.get_mut(&node) {
            Some(Node::Directory(directory)) => Ok(directory),
            _ => Err(libc_errno::ENOTDIR),
        }
    }

    pub(crate) fn add(&mut self, parent: u64, name: OsString, node: Node) -> Result<u64, i32> {
        let number = self.next;
        self.next += 1;
        self.nodes.insert(number, node);
        self.directory(parent)?.entries.insert(name, number);
        Ok(number)
    }

    /// Syncs a file; when that fails, what it should have written is gone for good.
    pub(crate) fn sync(&mut self, node: u64) -> Result<(), i32> {
        let outcome = self.check(Operation::Sync);
        match self.nodes.get_mut(&node) {
            Some(Node::File(file)) if outcome.is_ok() => file.sync(),
            Some(Node::File(file)) => file.lost.extend(file.dirty.drain()),
            Some(Node::Directory(directory)) if outcome.is_ok() => {
                directory.synced = directory.entries.clone();
            }
            _ => {}
        }
        outcome
    }

    /// The power comes back. Of what was not synced, `survives` says for each file and directory
    /// whether it had reached the disk all the same.
    pub(crate) fn reboot(&mut self, mut survives: impl FnMut() -> bool) {
        let mut numbers: Vec<u64> = self.nodes.keys().copied().collect();
        numbers.sort_unstable();
        for number in numbers {
            match self.nodes.get_mut(&number) {
                Some(Node::File(file)) => {
                    if survives() {
                        file.sync();
                    }
                    file.data = file.synced.clone();
                    file.lost.clear();
                    file.dirty.clear();
                }
                Some(Node::Directory(directory)) => {
                    if survives() {
                        directory.synced = directory.entries.clone();
                    }
                    directory.entries = directory.synced.clone();
                }
                None => {}
            }
        }
        self.dead = false;
        self.plan(None);
    }

    /// Total and free bytes.
    pub(crate) fn space(&self) -> (u64, u64) {
        let used = self.nodes.values().map(|node| match node {
            Node::File(file) => file.data.len() as u64,
            Node::Directory(_) => 0,
        });
        (TOTAL_BYTES, TOTAL_BYTES - used.sum::<u64>())
    }
}

impl File {
    pub(crate) fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if self.data.len() < end {
            self.data.resize(end, 0);
        }
        self.data[offset..end].copy_from_slice(bytes);
        for page in offset / PAGE..end.div_ceil(PAGE) {
            self.lost.remove(&page);
            self.dirty.insert(page);
        }
    }

    fn sync(&mut self) {
        let mut synced = self.data.clone();
        for page in &self.lost {
            let (start, end) = (page * PAGE, ((page + 1) * PAGE).min(synced.len()));
            for (at, byte) in synced.iter_mut().enumerate().take(end).skip(start) {
                *byte = self.synced.get(at).copied().unwrap_or(0);
            }
        }
        self.synced = synced;
        self.dirty.clear();
    }
}

/// The errors that a file system gives.
pub(crate) mod libc_errno {
    pub(crate) const ENOENT: i32 = 2;
    pub(crate) const EIO: i32 = 5;
    pub(crate) const EPERM: i32 = 1;
    pub(crate) const EEXIST: i32 = 17;
    pub(crate) const EINVAL: i32 = 22;
    pub(crate) const ENOTDIR: i32 = 20;
    pub(crate) const EISDIR: i32 = 21;
    pub(crate) const ENOSPC: i32 = 28;
}
