//! What file systems do differently. Cards and disks come from other systems (FAT, NTFS), lie on other
//! machines (NFS) or behind a program (FUSE): where one of them cannot do a thing, there is a second
//! way, and a line in the log names the file system and what it means for the owner.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write},
    os::{
        fd::AsRawFd,
        unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    process,
};

use rustix::{
    fs::{CWD, Mode, OFlags, RenameFlags, open, renameat_with},
    io::Errno,
};

const OWNER_ONLY: u32 = 0o600;

/// Is added to the name of what nothing can be made of.
const DAMAGED: &str = "damaged";

/// Whether a file system says by this error that it cannot do such a thing at all. Each has its own
/// word for that.
fn is_unable(error: &io::Error) -> bool {
    let unable = [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP, Errno::PERM, Errno::NOTTY];
    Errno::from_io_error(error).is_some_and(|error| unable.contains(&error))
}

/// Makes new names and removed ones outlive a power cut, where the file system can be told to.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    match File::open(directory)?.sync_all() {
        Err(error) if is_unable(&error) => Ok(()),
        synced => synced,
    }
}

/// Gives `from` the name `to`, unless that is taken: then `from` stays, and the answer is false. Of two
/// processes that race, one wins.
pub(crate) fn rename_to_new(from: &Path, to: &Path) -> io::Result<bool> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE).map_err(io::Error::from) {
        Ok(()) => return Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        Err(error) if !is_unable(&error) => return Err(error),
        Err(_) => {}
    }
    match fs::hard_link(from, to) {
        Ok(()) => fs::remove_file(from).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) if !is_unable(&error) && Errno::from_io_error(&error) != Some(Errno::MLINK) => {
            Err(error)
        }
        Err(_) => copy_to_new(from, to),
    }
}

/// The last way: exclusive, but a power cut in the middle leaves a part, which its reader finds.
fn copy_to_new(from: &Path, to: &Path) -> io::Result<bool> {
    let content = fs::read(from)?;
    let made = OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(to);
    let mut file = match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        made => made?,
    };
    let written = file.write_all(&content).and_then(|()| file.sync_all());
    written.inspect_err(|_| drop(fs::remove_file(to)))?;
    fs::remove_file(from).map(|()| true)
}

/// Moves a directory or a dead link aside that lies where a file is to be, and lets the owner of a file that was made
/// unreadable read it again. What cannot be mended is found by whoever opens the file.
pub(crate) fn clear_way(path: &Path) {
    let Ok(itself) = open_itself(path) else { return };
    let Ok(found) = itself.metadata() else { return };
    if found.is_dir() || (found.is_symlink() && !path.exists()) {
        let aside = path.with_added_extension(DAMAGED);
        tracing::error!(aside = %aside.display(), "a directory or a dead link lies where a file belongs");
        drop(fs::remove_dir_all(&aside));
        drop(fs::rename(path, aside));
    } else if found.is_file() && found.mode() & OWNER_ONLY != OWNER_ONLY {
        drop(set_mode(&itself, OWNER_ONLY));
    }
}

/// Opens what has this name, also a link, without reading it: it stays the same whatever gets the name
/// meanwhile.
pub(crate) fn open_itself(path: &Path) -> io::Result<File> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(open(path, flags, Mode::empty())?.into())
}

/// Sets the mode of what [`open_itself`] opened, also where nobody may read it. A link has none.
pub(crate) fn set_mode(itself: &File, mode: u32) -> io::Result<()> {
    if itself.metadata()?.is_symlink() {
        return Err(Errno::LOOP.into());
    }
    let path = format!("/proc/self/fd/{}", itself.as_raw_fd());
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// Moves aside what is no directory where one is to be.
pub(crate) fn clear_way_for_directory(path: &Path) {
    if path.exists() && !path.is_dir() {
        let aside = path.with_added_extension(DAMAGED);
        tracing::error!(aside = %aside.display(), "a file lies where a directory belongs");
        drop(fs::rename(path, aside));
    }
}

/// Sets who may read; false where the file system keeps no such thing.
pub(crate) fn restrict(path: &Path, mode: u32) -> io::Result<bool> {
    let is_restricted = || -> io::Result<bool> {
        Ok(fs::metadata(path)?.permissions().mode() & 0o777 & !mode == 0)
    };
    match fs::set_permissions(path, Permissions::from_mode(mode)) {
        Err(error) if !is_unable(&error) => Err(error),
        _ => is_restricted(),
    }
}

/// Tries in `directory` what is relied on, and says what the file system there cannot do. An error
/// means that nothing can be kept there.
pub(crate) fn try_out(directory: &Path) -> io::Result<Vec<&'static str>> {
    let name = |number: u8| directory.join(format!(".trial.{}.{number}", process::id()));
    let (one, other) = (name(1), name(2));
    let tried = try_with(directory, &one, &other);
    for path in [one, other] {
        drop(fs::remove_file(path));
    }
    tried
}

fn try_with(directory: &Path, one: &Path, other: &Path) -> io::Result<Vec<&'static str>> {
    let mut unable = Vec::new();
    let mut file = OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(one)?;
    file.write_all(b"trial")?;
    file.sync_all()?;
    drop(file);
    if !restrict(one, OWNER_ONLY)? {
        unable.push("it keeps no modes, so others on this machine may read the camera's key");
    }
    match renameat_with(CWD, one, CWD, other, RenameFlags::NOREPLACE).map_err(io::Error::from) {
        Err(error) if is_unable(&error) => {
            unable.push("it cannot rename without replacing, so names are made by a second way");
            rename_to_new(one, other)?;
        }
        renamed => renamed?,
    }
    match File::open(directory)?.sync_all() {
        Err(error) if is_unable(&error) => {
            unable.push("it syncs no directories, so a power cut may take the newest clip");
        }
        synced => synced?,
    }
    Ok(unable)
}

/// The kind of file system that a path lies on, as the kernel calls it.
pub(crate) fn kind_of(path: &Path) -> String {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    kind_among(&mounts, &path).unwrap_or_else(|| "unknown".to_owned())
}

/// The last mount of the longest path counts: it lies on top.
fn kind_among(mounts: &str, path: &Path) -> Option<String> {
    let mounted = mounts.lines().filter_map(|line| {
        let (head, tail) = line.split_once(" - ")?;
        let at = PathBuf::from(head.split(' ').nth(4)?.replace("\\040", " "));
        path.starts_with(&at).then(|| (at, tail.split(' ').next().unwrap_or_default().to_owned()))
    });
    mounted.max_by_key(|(at, _)| at.components().count()).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_given_once_by_every_way() {
        for give in [rename_to_new, copy_to_new] {
            let directory = tempfile::tempdir().unwrap();
            let [one, other, name] = ["one", "other", "name"].map(|it| directory.path().join(it));
            fs::write(&one, "first").unwrap();
            fs::write(&other, "second").unwrap();
            assert!(give(&one, &name).unwrap());
            assert!(!give(&other, &name).unwrap());
            assert_eq!(fs::read_to_string(&name).unwrap(), "first");
            assert!(!one.exists() && other.exists());
        }
    }

    #[test]
    fn a_mode_is_set_of_what_was_looked_at_and_of_nothing_that_took_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let [name, theirs] = ["name", "theirs"].map(|it| directory.path().join(it));
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        for path in [&name, &theirs] {
            fs::write(path, "").unwrap();
            fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
        }
        let itself = open_itself(&name).unwrap();
        fs::rename(&name, directory.path().join("aside")).unwrap();
        std::os::unix::fs::symlink(&theirs, &name).unwrap();
        set_mode(&itself, 0o600).unwrap();
        assert_eq!((mode(&directory.path().join("aside")), mode(&theirs)), (0o600, 0o644));
        assert!(set_mode(&open_itself(&name).unwrap(), 0o600).is_err());
        assert_eq!(mode(&theirs), 0o644);
    }

    #[test]
    fn this_machines_file_system_can_do_all_of_it_and_nothing_is_left() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(try_out(directory.path()).unwrap(), Vec::<&str>::new());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        assert!(try_out(&directory.path().join("none")).is_err());
    }

    #[test]
    fn the_file_system_of_a_path_is_the_one_mounted_deepest() {
        let mounts = "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
                      22 21 8:2 / /media/My\\040Disk rw shared:1 - fuseblk /dev/sdb1 rw\n\
                      23 21 0:5 / /media rw - tmpfs tmpfs rw\n";
        let kind = |path: &str| kind_among(mounts, Path::new(path)).unwrap();
        assert_eq!(kind("/media/My Disk/cam"), "fuseblk");
        assert_eq!((kind("/media/other"), kind("/var")), ("tmpfs".to_owned(), "ext4".to_owned()));
    }
}
