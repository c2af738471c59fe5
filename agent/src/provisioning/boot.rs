//! The file on the boot partition: read as a stranger's, handed over, wiped.
//!
//! The order keeps it through a power cut: it is handed over and synced, then overwritten and synced,
//! then removed. Whatever is left of it is handed over or wiped again at the next start.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use nightjar_shared::{
    pairing::{NotProvisioning, ProvisioningFile},
    time::UnixMillis,
};
use rustix::{fs::OFlags, io::Errno};

use super::{
    HANDED_OVER, ProvisioningFinding, hand_over, is_handed_over, is_used, ledger_exists, parse,
    read_bounded,
};
use crate::{board::SystemRoot, file_system::sync_directory};

/// Where Raspberry Pi OS and others mount the boot partition.
const PLACES: [&str; 2] = ["/boot/firmware/nightjar.toml", "/boot/nightjar.toml"];
/// A disk writes at least so much at once.
const BLOCK_BYTES: usize = 512;

/// Why a file on the boot partition cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BootProblem {
    #[error("it is no regular file")]
    NotAFile,
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// Blocks of zeros: a copy that was cut off.
    #[error("it was not copied as a whole")]
    Incomplete,
    #[error("{0}")]
    NotProvisioning(#[from] NotProvisioning),
}

impl BootProblem {
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::NotAFile => "not_a_file",
            Self::Unreadable(_) => "unreadable",
            Self::Incomplete => "incomplete",
            Self::NotProvisioning(problem) => match problem {
                NotProvisioning::TooLarge => "too_large",
                NotProvisioning::Empty => "empty",
                NotProvisioning::NotText(_) => "not_text",
                NotProvisioning::Malformed(_)
                | NotProvisioning::RelayUrl
                | NotProvisioning::CaSha256 => "malformed",
            },
        }
    }

    pub(super) fn remedy(&self) -> &'static str {
        match self {
            Self::NotAFile => "remove it, and copy the file of the app there",
            Self::Unreadable(_) => {
                "check the partition on another machine, and copy the file again"
            }
            Self::Incomplete | Self::NotProvisioning(NotProvisioning::Empty) => {
                "copy the file again, and eject the card before you pull it out"
            }
            Self::NotProvisioning(NotProvisioning::TooLarge) => {
                "replace it with the file of the app, which has about 1 KB"
            }
            Self::NotProvisioning(_) => {
                "correct it with a text editor that saves UTF-8, or make a new file in the app"
            }
        }
    }
}

/// Where a power cut may come between: a test stops here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Read,
    HandedOver,
    Overwritten,
}

/// Takes the file of each place where one lies. `now` is absent while the clock is not set.
pub fn take(
    system: &SystemRoot,
    data_dir: &Path,
    now: Option<UnixMillis>,
) -> Vec<ProvisioningFinding> {
    let take_one = |path| take_one(path, data_dir, now, |_| Ok(()));
    places(system).into_iter().filter_map(take_one).collect()
}

/// Says what would become of the files that lie there, and changes nothing.
pub fn examine(
    system: &SystemRoot,
    data_dir: &Path,
    now: Option<UnixMillis>,
) -> Vec<ProvisioningFinding> {
    let judge = |path: PathBuf| match judge(&path, data_dir, now)? {
        Judged::Good(bytes) if is_handed_over(data_dir, &bytes) => None,
        Judged::Good(_) => Some(ProvisioningFinding::NotTaken { path }),
        Judged::Bad(problem) => Some(ProvisioningFinding::Unusable { path, problem }),
        Judged::Used => Some(ProvisioningFinding::Used { path }),
        Judged::Expired => Some(ProvisioningFinding::Expired),
        Judged::HalfWiped => None,
    };
    places(system).into_iter().filter_map(judge).collect()
}

/// Returns whether anything lies where a file is looked for.
pub fn lies_there(system: &SystemRoot) -> bool {
    places(system).iter().any(|path| path.symlink_metadata().is_ok())
}

fn places(system: &SystemRoot) -> Vec<PathBuf> {
    PLACES.iter().map(|place| system.path(place)).collect()
}

enum Judged {
    Good(Vec<u8>),
    Bad(BootProblem),
    Used,
    Expired,
    HalfWiped,
}

/// Judges a file: nothing where there is none.
fn judge(path: &Path, data_dir: &Path, now: Option<UnixMillis>) -> Option<Judged> {
    let bytes = match read_bounded(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return None,
        Err(error) if is_no_file(&error) => return Some(Judged::Bad(BootProblem::NotAFile)),
        Err(error) => return Some(Judged::Bad(BootProblem::Unreadable(error.to_string()))),
    };
    if has_empty_block(&bytes) {
        let was_taken = data_dir.join(HANDED_OVER).exists() || ledger_exists(data_dir);
        return Some(if was_taken {
            Judged::HalfWiped
        } else {
            Judged::Bad(BootProblem::Incomplete)
        });
    }
    let file: ProvisioningFile = match parse(&bytes) {
        Ok(file) => file,
        Err(problem) => return Some(Judged::Bad(problem.into())),
    };
    if is_used(data_dir, &file.secret) {
        return Some(Judged::Used);
    }
    let is_over = |end: UnixMillis| now.is_some_and(|now| now >= end);
    let expired = !file.secret.is_empty() && file.expires_at.is_some_and(is_over);
    Some(if expired { Judged::Expired } else { Judged::Good(bytes) })
}

/// A link, a directory, a pipe.
fn is_no_file(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::IsADirectory)
        || error.raw_os_error() == Some(Errno::LOOP.raw_os_error())
        || error.raw_os_error() == Some(Errno::NXIO.raw_os_error())
}

/// Returns whether a whole block is zero: what a wiping that was cut off leaves, and no text has.
fn has_empty_block(bytes: &[u8]) -> bool {
    bytes.chunks(BLOCK_BYTES).any(|block| block.iter().all(|byte| *byte == 0))
}

/// Takes one file. `reached` is told of each step.
fn take_one(
    path: PathBuf,
    data_dir: &Path,
    now: Option<UnixMillis>,
    mut reached: impl FnMut(Step) -> io::Result<()>,
) -> Option<ProvisioningFinding> {
    let judged = judge(&path, data_dir, now)?;
    let wipe = |reached: &mut dyn FnMut(Step) -> io::Result<()>| {
        let length = fs::symlink_metadata(&path)?.len();
        overwrite(&path, length)?;
        reached(Step::Overwritten)?;
        remove(&path)
    };
    Some(match judged {
        Judged::Bad(problem) => ProvisioningFinding::Unusable { path, problem },
        Judged::HalfWiped => match wipe(&mut reached) {
            Ok(()) => ProvisioningFinding::HandedOver { path },
            Err(error) => ProvisioningFinding::NotWiped { path, cause: error.to_string() },
        },
        // Its secret opens nothing any more; wiping it is only tidy. One that stays is that of the last
        // pairing, which is no reason for another file.
        Judged::Used => match wipe(&mut reached) {
            Ok(()) => ProvisioningFinding::Used { path },
            Err(error) => ProvisioningFinding::NotWiped { path, cause: error.to_string() },
        },
        Judged::Expired => match wipe(&mut reached) {
            Ok(()) => ProvisioningFinding::Expired,
            Err(error) => ProvisioningFinding::NotWiped { path, cause: error.to_string() },
        },
        Judged::Good(bytes) => {
            let handed = reached(Step::Read).and_then(|()| {
                if data_dir.is_dir() {
                    hand_over(data_dir, &bytes)
                } else {
                    Err(io::Error::other(format!("{} is missing", data_dir.display())))
                }
            });
            if let Err(error) = handed {
                return Some(ProvisioningFinding::NotHandedOver { cause: error.to_string() });
            }
            match reached(Step::HandedOver).and_then(|()| wipe(&mut reached)) {
                Ok(()) => ProvisioningFinding::HandedOver { path },
                Err(error) => ProvisioningFinding::NotWiped { path, cause: error.to_string() },
            }
        }
    })
}

/// Writes zeros over a file where it lies, and syncs them.
pub(super) fn overwrite(path: &Path, length: u64) -> io::Result<()> {
    let no_follow = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default();
    let mut file = OpenOptions::new().write(true).custom_flags(no_follow).open(path)?;
    io::copy(&mut io::Read::take(io::repeat(0), length), &mut file)?;
    file.flush()?;
    file.sync_all()
}

/// Removes a file, and syncs that.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)?;
    path.parent().map_or(Ok(()), sync_directory_if_it_can)
}

/// Not every file system can sync a directory; the file's zeros are on the disk in any case.
fn sync_directory_if_it_can(directory: &Path) -> io::Result<()> {
    match sync_directory(directory) {
        Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {
            File::open(directory).map(drop)
        }
        synced => synced,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use nightjar_shared::finding::Finding;
    use tempfile::TempDir;

    use super::{super::*, *};

    const SECRET: &str = "c2VjcmV0c2VjcmV0c2Vjc";

    struct Board {
        root: TempDir,
    }

    impl Board {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            fs::create_dir_all(root.path().join("boot/firmware")).unwrap();
            fs::create_dir(root.path().join("data")).unwrap();
            Self { root }
        }

        fn with(bytes: impl AsRef<[u8]>) -> Self {
            let board = Self::new();
            fs::write(board.boot(), bytes).unwrap();
            board
        }

        fn boot(&self) -> PathBuf {
            self.root.path().join("boot/firmware/nightjar.toml")
        }

        fn data(&self) -> PathBuf {
            self.root.path().join("data")
        }

        fn take(&self) -> Vec<String> {
            self.take_at(None)
        }

        fn take_at(&self, now: Option<UnixMillis>) -> Vec<String> {
            let findings = take(&SystemRoot::at(self.root.path()), &self.data(), now);
            findings.into_iter().map(|finding| Finding::from(finding).code).collect()
        }

        /// Whether the secret still lies anywhere on the boot partition.
        fn boot_is_clean(&self) -> bool {
            !fs::read(self.boot())
                .is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(SECRET))
        }
    }

    fn good() -> String {
        // Long enough for several blocks.
        let comment = "# a file of Nightjar\n".repeat(60);
        format!("{comment}relay = \"https://cam.example.org\"\nsecret = \"{SECRET}\"\n")
    }

    #[test]
    fn a_file_is_handed_over_and_wiped() {
        let board = Board::with(good());
        assert_eq!(board.take(), ["handed_over"]);
        assert!(!board.boot().exists());
        assert_eq!(handed_over(&board.data()).unwrap().secret, SECRET);
        let mode = fs::metadata(board.data().join(HANDED_OVER)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(board.take().is_empty(), "there is nothing more to do");
    }

    #[test]
    fn a_power_cut_at_any_step_loses_nothing_and_leaves_no_secret() {
        for step in [Step::Read, Step::HandedOver, Step::Overwritten] {
            let board = Board::with(good());
            let cut = |at| if at == step { Err(io::Error::other("power cut")) } else { Ok(()) };
            take_one(board.boot(), &board.data(), None, cut);
            let there = fs::read_to_string(board.boot()).unwrap_or_default().contains(SECRET);
            assert!(there || handed_over(&board.data()).is_some(), "{step:?}: it is lost");
            board.take();
            assert!(board.boot_is_clean() && !board.boot().exists(), "{step:?}");
            assert_eq!(handed_over(&board.data()).unwrap().secret, SECRET, "{step:?}");
        }
    }

    #[test]
    fn a_wiping_that_was_cut_off_at_any_block_is_finished() {
        let whole = good().into_bytes();
        for blocks in 1..=whole.len().div_ceil(BLOCK_BYTES) {
            let board = Board::with(&whole);
            board.take();
            let mut torn = whole.clone();
            let end = (blocks * BLOCK_BYTES).min(torn.len());
            torn[..end].fill(0);
            fs::write(board.boot(), &torn).unwrap();
            // The agent has used it meanwhile, or not.
            if blocks % 2 == 0 {
                use_up(&board.data(), SECRET).unwrap();
                forget(&board.data()).unwrap();
            }
            assert_eq!(board.take(), ["handed_over"], "{blocks}");
            assert!(!board.boot().exists());
        }
        // Zeros that nobody here has written are a copy that was cut off.
        let board = Board::with([0_u8; 700]);
        assert_eq!(board.take(), ["incomplete"]);
        assert!(board.boot().exists());
    }

    #[test]
    fn a_secret_that_was_used_is_not_taken_again() {
        let board = Board::with(good());
        board.take();
        use_up(&board.data(), SECRET).unwrap();
        forget(&board.data()).unwrap();
        fs::write(board.boot(), good()).unwrap();
        assert_eq!(board.take(), ["used"]);
        assert!(handed_over(&board.data()).is_none() && board.boot_is_clean());
    }

    #[test]
    fn a_used_file_that_cannot_be_wiped_asks_for_no_new_one() {
        let board = Board::with(good());
        use_up(&board.data(), SECRET).unwrap();
        let read_only = |_| Err(io::Error::from(io::ErrorKind::ReadOnlyFilesystem));
        let finding = take_one(board.boot(), &board.data(), None, read_only).unwrap();
        assert_eq!(Finding::from(finding).code, "not_wiped");
    }

    #[test]
    fn an_expired_file_that_cannot_be_wiped_is_named() {
        let board = Board::with(format!("{}expires_at = 1000\n", good()));
        let read_only = |_| Err(io::Error::from(io::ErrorKind::ReadOnlyFilesystem));
        let now = Some(UnixMillis(1_000));
        let finding = take_one(board.boot(), &board.data(), now, read_only).unwrap();
        assert_eq!(Finding::from(finding).code, "not_wiped");
    }

    #[test]
    fn a_file_whose_time_is_over_is_wiped_once_the_clock_is_set() {
        let text = format!("{}expires_at = 1000\n", good());
        let board = Board::with(&text);
        assert_eq!(board.take_at(Some(UnixMillis(1_000))), ["expired"]);
        assert!(board.boot_is_clean() && handed_over(&board.data()).is_none());
        // A clock that is not set knows nothing: the relay decides.
        let board = Board::with(&text);
        assert_eq!(board.take_at(None), ["handed_over"]);
    }

    #[test]
    fn what_cannot_be_used_is_named_and_stays_for_whoever_corrects_it() {
        for (bytes, code) in [
            (vec![b'#'; 10 * 1024 * 1024], "too_large"),
            (b"relay = \"https://a\"\nname = \"\xe4\"".to_vec(), "not_text"),
            (b"\xff\xfer\0".to_vec(), "not_text"),
            (b"\n".to_vec(), "empty"),
            (b"relay = ".to_vec(), "malformed"),
            (b"relay = \"ftp://a\"".to_vec(), "malformed"),
            (b"relay = \"https://a\"\nwifi = { ssid = \"a\\u0007b\" }".to_vec(), "malformed"),
        ] {
            let board = Board::with(&bytes);
            assert_eq!(board.take(), [code]);
            assert!(board.boot().exists() && handed_over(&board.data()).is_none());
        }
    }

    #[test]
    fn links_folders_and_pipes_are_not_read() {
        let board = Board::new();
        let elsewhere = board.root.path().join("shadow");
        fs::write(&elsewhere, good()).unwrap();
        symlink(&elsewhere, board.boot()).unwrap();
        assert_eq!(board.take(), ["not_a_file"]);
        assert!(fs::read_to_string(&elsewhere).unwrap().contains(SECRET));
        fs::remove_file(board.boot()).unwrap();
        fs::create_dir(board.boot()).unwrap();
        assert_eq!(board.take(), ["not_a_file"]);
    }

    #[test]
    fn without_a_place_to_hand_it_to_the_file_stays() {
        let board = Board::with(good());
        fs::remove_dir(board.data()).unwrap();
        assert_eq!(board.take(), ["not_handed_over"]);
        assert_eq!(fs::read_to_string(board.boot()).unwrap(), good());
    }

    #[test]
    fn a_complaint_quotes_nothing_of_the_file() {
        let text = "relay = \"https://a\"\nwifi = \"geheim-geheim\"\n";
        let complaint = parse(text.as_bytes()).unwrap_err().to_string();
        assert!(!complaint.contains("geheim"), "{complaint}");
    }
}
