//! Makes a [`Disk`] a file system that programs can use.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, Once, PoisonError},
    time::{Duration, SystemTime},
};

use fuser::{
    BackgroundSession, FileAttr, FileType, Filesystem, MountOption, ReplyAttr, ReplyCreate,
    ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyStatfs, ReplyWrite, Request, TimeOrNow,
};
use rusqlite::ffi;
use rustix::mount::UnmountFlags;

use super::forgetful::{
    Directory, Disk, File, Node, Operation, Unable,
    libc_errno::{EEXIST, EINVAL, ENOENT, EPERM},
};

const TTL: Duration = Duration::from_secs(1);

/// A disk that is plugged in. Dropping it unmounts the file system; the disk stays.
pub(crate) struct Mounted {
    pub(crate) path: PathBuf,
    _session: BackgroundSession,
}

pub(crate) type Shared = Arc<Mutex<Disk>>;

pub(crate) fn lock(disk: &Shared) -> MutexGuard<'_, Disk> {
    disk.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Mounted {
    /// Files may still be open, as they are when power is cut: the kernel lets go of them later.
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.path, UnmountFlags::DETACH);
    }
}

/// Mounts a disk at an empty directory.
pub(crate) fn mount(disk: &Shared, path: &Path) -> std::io::Result<Mounted> {
    keep_wal_indexes_on_the_heap();
    let options = [MountOption::FSName("nightjar-faults".to_owned())];
    let session = fuser::spawn_mount2(Forgetful(Arc::clone(disk)), path, &options)?;
    Ok(Mounted { path: path.to_owned(), _session: session })
}

/// From now on SQLite shares nothing between its connections by mapping a file into memory. This
/// process serves the file system that the file would lie on: when the kernel writes a mapped page
/// back while this process allocates memory, each waits for the other for ever.
#[expect(unsafe_code, reason = "SQLite's default file system has no safe door")]
fn keep_wal_indexes_on_the_heap() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the name is a C string, and SQLite owns what it finds under it for as long as the
        // process lives.
        let registered = unsafe {
            ffi::sqlite3_initialize();
            ffi::sqlite3_vfs_register(ffi::sqlite3_vfs_find(c"unix-excl".as_ptr()), 1)
        };
        assert_eq!(registered, ffi::SQLITE_OK, "SQLite has no exclusive file system");
    });
}

struct Forgetful(Shared);

impl Forgetful {
    fn disk(&self) -> MutexGuard<'_, Disk> {
        lock(&self.0)
    }
}

fn attributes(number: u64, node: &Node, unable: Unable) -> FileAttr {
    let (kind, size, perm) = match node {
        Node::File(file) => (FileType::RegularFile, file.data.len() as u64, 0o600),
        Node::Directory(_) => (FileType::Directory, 0, 0o700),
    };
    let perm = if unable.modes { 0o755 } else { perm };
    let time = SystemTime::UNIX_EPOCH;
    FileAttr {
        ino: number,
        size,
        blocks: size.div_ceil(512),
        atime: time,
        mtime: time,
        ctime: time,
        crtime: time,
        kind,
        perm,
        nlink: 1,
        uid: rustix::process::getuid().as_raw(),
        gid: rustix::process::getgid().as_raw(),
        rdev: 0,
        blksize: 4_096,
        flags: 0,
    }
}

impl Disk {
    fn found(&mut self, parent: u64, name: &OsStr) -> Result<FileAttr, i32> {
        let number = *self.directory(parent)?.entries.get(name).ok_or(ENOENT)?;
        Ok(attributes(number, &self.nodes[&number], self.unable))
    }

    fn make(&mut self, parent: u64, name: &OsStr, node: Node) -> Result<FileAttr, i32> {
        self.check(Operation::Name)?;
        if self.directory(parent)?.entries.contains_key(name) {
            return Err(EEXIST);
        }
        let number = self.add(parent, name.to_owned(), node)?;
        Ok(attributes(number, &self.nodes[&number], self.unable))
    }

    fn write(&mut self, number: u64, offset: i64, bytes: &[u8]) -> Result<(), i32> {
        self.check(Operation::Write)?;
        self.written_bytes += bytes.len() as u64;
        self.file(number)?.write(usize::try_from(offset).unwrap_or(0), bytes);
        Ok(())
    }

    fn truncate(&mut self, number: u64, size: Option<u64>) -> Result<FileAttr, i32> {
        if let Some(size) = size {
            self.check(Operation::Write)?;
            let size = usize::try_from(size).unwrap_or(0);
            self.file(number)?.data.resize(size, 0);
        }
        self.nodes.get(&number).map(|node| attributes(number, node, self.unable)).ok_or(ENOENT)
    }

    fn rename(
        &mut self,
        (parent, name): (u64, &OsStr),
        (new_parent, new_name): (u64, &OsStr),
    ) -> Result<(), i32> {
        self.check(Operation::Name)?;
        let number = self.directory(parent)?.entries.remove(name).ok_or(ENOENT)?;
        self.directory(new_parent)?.entries.insert(new_name.to_owned(), number);
        Ok(())
    }

    fn remove(&mut self, parent: u64, name: &OsStr) -> Result<(), i32> {
        self.check(Operation::Name)?;
        self.directory(parent)?.entries.remove(name).map(drop).ok_or(ENOENT)
    }
}

fn empty(outcome: Result<(), i32>, reply: ReplyEmpty) {
    match outcome {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

fn entry(outcome: Result<FileAttr, i32>, reply: ReplyEntry) {
    match outcome {
        Ok(found) => reply.entry(&TTL, &found, 0),
        Err(error) => reply.error(error),
    }
}

impl Filesystem for Forgetful {
    fn lookup(&mut self, _: &Request<'_>, parent: u64, name: &OsStr, reply: ReplyEntry) {
        let found = self.disk().found(parent, name);
        entry(found, reply);
    }

    fn getattr(&mut self, _: &Request<'_>, ino: u64, _: Option<u64>, reply: ReplyAttr) {
        let disk = self.disk();
        match disk.nodes.get(&ino) {
            Some(node) => reply.attr(&TTL, &attributes(ino, node, disk.unable)),
            None => reply.error(ENOENT),
        }
    }

    fn setattr(
        &mut self,
        _: &Request<'_>,
        ino: u64,
        mode: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<u64>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<u32>,
        reply: ReplyAttr,
    ) {
        if mode.is_some() && self.disk().unable.modes {
            return reply.error(EPERM);
        }
        let changed = self.disk().truncate(ino, size);
        match changed {
            Ok(found) => reply.attr(&TTL, &found),
            Err(error) => reply.error(error),
        }
    }

    fn mkdir(
        &mut self,
        _: &Request<'_>,
        parent: u64,
        name: &OsStr,
        _: u32,
        _: u32,
        reply: ReplyEntry,
    ) {
        let made = self.disk().make(parent, name, Node::Directory(Directory::default()));
        entry(made, reply);
    }

    fn create(
        &mut self,
        _: &Request<'_>,
        parent: u64,
        name: &OsStr,
        _: u32,
        _: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        let made = self.disk().make(parent, name, Node::File(File::default()));
        match made {
            Ok(found) => reply.created(&TTL, &found, 0, 0, 0),
            Err(error) => reply.error(error),
        }
    }

    fn read(
        &mut self,
        _: &Request<'_>,
        ino: u64,
        _: u64,
        offset: i64,
        size: u32,
        _: i32,
        _: Option<u64>,
        reply: ReplyData,
    ) {
        let mut disk = self.disk();
        match disk.file(ino) {
            Ok(file) => {
                let start = usize::try_from(offset).unwrap_or(0).min(file.data.len());
                let end = (start + size as usize).min(file.data.len());
                reply.data(&file.data[start..end]);
            }
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &mut self,
        _: &Request<'_>,
        ino: u64,
        _: u64,
        offset: i64,
        data: &[u8],
        _: u32,
        _: i32,
        _: Option<u64>,
        reply: ReplyWrite,
    ) {
        let written = self.disk().write(ino, offset, data);
        match written {
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap_or(0)),
            Err(error) => reply.error(error),
        }
    }

    fn fsync(&mut self, _: &Request<'_>, ino: u64, _: u64, _: bool, reply: ReplyEmpty) {
        let outcome = self.disk().sync(ino);
        empty(outcome, reply);
    }

    fn fsyncdir(&mut self, _: &Request<'_>, ino: u64, _: u64, _: bool, reply: ReplyEmpty) {
        if self.disk().unable.sync_directories {
            return reply.error(EINVAL);
        }
        let outcome = self.disk().sync(ino);
        empty(outcome, reply);
    }

    fn rename(
        &mut self,
        _: &Request<'_>,
        parent: u64,
        name: &OsStr,
        newparent: u64,
        newname: &OsStr,
        flags: u32,
        reply: ReplyEmpty,
    ) {
        if flags != 0 && self.disk().unable.rename_to_new {
            return reply.error(EINVAL);
        }
        let outcome = self.disk().rename((parent, name), (newparent, newname));
        empty(outcome, reply);
    }

    fn unlink(&mut self, _: &Request<'_>, parent: u64, name: &OsStr, reply: ReplyEmpty) {
        let outcome = self.disk().remove(parent, name);
        empty(outcome, reply);
    }

    fn readdir(
        &mut self,
        _: &Request<'_>,
        ino: u64,
        _: u64,
        offset: i64,
        mut reply: ReplyDirectory,
    ) {
        let mut disk = self.disk();
        let entries = match disk.directory(ino) {
            Ok(directory) => directory.entries.clone(),
            Err(error) => return reply.error(error),
        };
        let skip = usize::try_from(offset).unwrap_or(0);
        for (at, (name, number)) in entries.iter().enumerate().skip(skip) {
            let kind = attributes(*number, &disk.nodes[number], disk.unable).kind;
            if reply.add(*number, i64::try_from(at + 1).unwrap_or(0), kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&mut self, _: &Request<'_>, _: u64, reply: ReplyStatfs) {
        let (total, free) = self.disk().space();
        reply.statfs(total / 4_096, free / 4_096, free / 4_096, 1_000, 1_000, 4_096, 255, 4_096);
    }
}
