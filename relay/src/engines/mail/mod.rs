//! Sends mail: by SMTP, into a folder, into memory for tests, or not at all.

mod letter;
mod smtp;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context as _;

use self::smtp::Smtp;
pub use self::{
    letter::{Letter, Picture, Sender},
    smtp::{Encryption, SmtpSettings},
};
use super::private_file;

/// Letters that are kept in memory; the oldest goes for the next one.
const KEPT_MAX: usize = 1_000;

/// Where mail goes. Cheap to clone.
#[derive(Clone)]
pub enum Mailer {
    Smtp(Arc<Smtp>),
    /// Each letter becomes a file of this folder, as mail programs read it.
    Folder(Arc<Folder>),
    /// For tests.
    Memory(Memory),
    /// There is no mail.
    None,
}

/// Why a letter did not leave. The reason names neither its recipient nor what it says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct MailError {
    pub reason: String,
    pub failure: Failure,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It may go better later.
    Passing,
    /// The server said that it will not take this letter.
    Refused,
}

impl MailError {
    fn passing(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), failure: Failure::Passing }
    }
}

impl Mailer {
    pub fn smtp(settings: SmtpSettings) -> anyhow::Result<Self> {
        Ok(Self::Smtp(Arc::new(Smtp::new(settings)?)))
    }

    /// Writes letters into this folder, making it if it is missing.
    pub fn folder(directory: &Path, from: Sender) -> anyhow::Result<Self> {
        private_file::create_directory(directory)?;
        Ok(Self::Folder(Arc::new(Folder { directory: directory.to_owned(), from })))
    }

    pub fn memory(from: Sender) -> Self {
        Self::Memory(Memory { from: Arc::new(from), letters: Arc::default() })
    }

    /// Returns whether letters go anywhere.
    pub fn is_there(&self) -> bool {
        !matches!(self, Self::None)
    }

    pub async fn send(&self, letter: &Letter) -> Result<(), MailError> {
        match self {
            Self::Smtp(smtp) => smtp.send(letter).await,
            Self::Folder(folder) => folder.write(letter).await,
            Self::Memory(memory) => memory.keep(letter),
            Self::None => Err(MailError::passing("this relay sends no mail")),
        }
    }

    /// Asks the server whether it would take mail, without sending any.
    pub async fn check(&self) -> Result<(), MailError> {
        match self {
            Self::Smtp(smtp) => smtp.check().await,
            Self::Folder(folder) => folder.check(),
            Self::Memory(_) | Self::None => Ok(()),
        }
    }

    /// Returns what was sent into memory, oldest first, as mail programs read it.
    pub fn kept(&self) -> Vec<String> {
        match self {
            Self::Memory(memory) => memory.letters().clone(),
            Self::Smtp(_) | Self::Folder(_) | Self::None => Vec::new(),
        }
    }
}

pub struct Folder {
    directory: PathBuf,
    from: Sender,
}

impl Folder {
    async fn write(&self, letter: &Letter) -> Result<(), MailError> {
        let message = letter.message(&self.from)?.formatted();
        let path = self.directory.join(format!("{}.eml", letter.id));
        let written = crate::blocking::blocking(move || private_file::write(&path, &message)).await;
        let written = written.context("the writing task stopped").flatten();
        written.map_err(|error| MailError::passing(format!("{error:#}")))
    }

    fn check(&self) -> Result<(), MailError> {
        std::fs::metadata(&self.directory)
            .map(drop)
            .map_err(|error| MailError::passing(format!("{}: {error}", self.directory.display())))
    }
}

#[derive(Clone)]
pub struct Memory {
    from: Arc<Sender>,
    letters: Arc<Mutex<Vec<String>>>,
}

impl Memory {
    fn keep(&self, letter: &Letter) -> Result<(), MailError> {
        let message = letter.message(&self.from)?.formatted();
        let mut letters = self.letters();
        if letters.len() >= KEPT_MAX {
            letters.remove(0);
        }
        letters.push(String::from_utf8_lossy(&message).into_owned());
        Ok(())
    }

    fn letters(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
