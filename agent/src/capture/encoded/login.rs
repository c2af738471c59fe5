//! What a camera knows us by.

use std::{
    fmt,
    fs::OpenOptions,
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use anyhow::{Context as _, bail, ensure};
use nightjar_shared::text_file;
use rustix::{fs::OFlags, process::geteuid};

use crate::private_file::is_credential;

/// A longer file is no login.
const BYTES_MAX: u64 = 1_024;

/// User name and password.
#[derive(Clone)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: String,
}

impl Login {
    /// Reads a private file. No error holds anything of what is in it.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let unreadable = |error: io::Error| {
            anyhow::anyhow!(
                "source.rtsp.login_file = {shown}: cannot be read: {error}; it must belong to the \
                 agent's user"
            )
        };
        // A pipe would keep us waiting for somebody who writes.
        let no_wait = OFlags::NONBLOCK.bits().cast_signed();
        let opened = OpenOptions::new().read(true).custom_flags(no_wait).open(path);
        let file = opened.map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if !metadata.is_file() {
            bail!("source.rtsp.login_file = {shown}: this is no file; write the login into one");
        }
        let is_credential = is_credential(path);
        let user = geteuid();
        // Root may look at what belongs to the agent's user.
        if !is_credential && !user.is_root() && metadata.uid() != user.as_raw() {
            bail!(
                "source.rtsp.login_file = {shown}: it belongs to another user, who may write it: make \
                 it the agent's own with chown, and close it with chmod 600"
            );
        }
        if !is_credential && metadata.permissions().mode() & 0o077 != 0 {
            bail!("source.rtsp.login_file = {shown}: others may read it: chmod 600");
        }
        let mut bytes = Vec::new();
        file.take(BYTES_MAX).read_to_end(&mut bytes).map_err(unreadable)?;
        let text = text_file::decode(&bytes);
        let text =
            text.map_err(|problem| anyhow::anyhow!("source.rtsp.login_file = {shown}: {problem}"))?;
        let mut lines = text.lines().map(str::trim_end);
        let login = lines.next().zip(lines.next()).with_context(|| {
            format!(
                "source.rtsp.login_file = {shown}: write the user name into its first line and the \
                 password into its second"
            )
        });
        let (user, password) = login?;
        ensure!(!user.is_empty(), "source.rtsp.login_file = {shown}: its first line is empty");
        Ok(Self { user: user.to_owned(), password: password.to_owned() })
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Login(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    fn read(content: &str, mode: u32) -> anyhow::Result<Login> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), content).unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
        Login::read(file.path())
    }

    #[test]
    fn a_login_is_two_lines_of_a_private_file_and_is_never_shown() {
        let login = read("root\npass word\n", 0o600).unwrap();
        assert_eq!((login.user.as_str(), login.password.as_str()), ("root", "pass word"));
        assert!(!format!("{login:?}").contains("pass"));
        let from_windows = read("root\r\ns3cret\r\n", 0o600).unwrap();
        assert_eq!(from_windows.password, "s3cret");
    }

    #[test]
    fn a_file_that_is_none_or_that_others_may_read_is_refused_without_its_content() {
        for (content, mode, why) in [
            ("s3cret\ns3cret\n", 0o644, "chmod 600"),
            ("s3cret", 0o600, "second"),
            ("\ns3cret\n", 0o600, "first line is empty"),
        ] {
            let message = format!("{:#}", read(content, mode).unwrap_err());
            assert!(message.contains(why) && !message.contains("s3cret"), "{message}");
        }
        assert!(Login::read(Path::new("/nowhere/login")).is_err());
    }

    #[test]
    fn a_pipe_is_refused_and_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("login");
        let (mode, kind) = (Mode::RUSR | Mode::WUSR, FileType::Fifo);
        mknodat(CWD, &path, kind, mode, 0).unwrap();
        let message = format!("{:#}", Login::read(&path).unwrap_err());
        assert!(message.contains("this is no file"), "{message}");
    }
}
