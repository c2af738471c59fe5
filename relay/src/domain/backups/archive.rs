//! A backup as a file: a tar archive whose first entry says what it is and whose last one lists the others with
//! their checksums. Whatever is cut off, changed or foreign is refused by one of the two.

use std::io::{self, Read, Write};

use anyhow::{Context as _, ensure};
use nightjar_shared::time::UnixMillis;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// What this program writes, and the newest that it reads.
pub(super) const FORMAT: u32 = 1;
pub(super) const HEADER: &str = "nightjar-backup.json";
pub(super) const MANIFEST: &str = "manifest.json";
/// Checksums of clips and pictures, in the form of `sha256sum`: too many for the list at the end.
pub(super) const OBJECT_SUMS: &str = "objects.sha256";
pub(super) const DATABASE: &str = "database/relay.db";
pub(super) const SETTINGS: &str = "settings/relay.toml";
/// Where a restore lays them in the data directory, for somebody to compare.
pub(super) const SETTINGS_FILE: &str = "relay.toml.of-the-backup";
/// Files of the data directory, by their paths in it.
pub(super) const DATA: &str = "data/";
pub(super) const OBJECTS: &str = "objects/";
/// Of a file that is neither the database nor a clip.
pub(super) const SMALL_BYTES_MAX: u64 = 4 << 20;
const MODE: u32 = 0o600;

/// The first entry.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Header {
    pub format: u32,
    pub relay_version: String,
    pub schema_version: i64,
    pub made_at: UnixMillis,
    /// Tells this backup from all others.
    pub backup_id: String,
    pub with_clips: bool,
}

/// The last entry.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) parts: Vec<Part>,
    #[serde(default)]
    pub(super) objects: Total,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

/// Clips and pictures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Total {
    pub count: u64,
    pub bytes: u64,
}

/// Writes a backup, entry by entry.
pub(super) struct Writer<W: Write> {
    archive: tar::Builder<W>,
    manifest: Manifest,
    made_at: UnixMillis,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(inner: W, header: &Header) -> anyhow::Result<Self> {
        let made_at = header.made_at;
        let mut writer =
            Self { archive: tar::Builder::new(inner), manifest: Manifest::default(), made_at };
        writer.small(HEADER, &serde_json::to_vec(header)?)?;
        Ok(writer)
    }

    pub(super) fn small(&mut self, name: &str, content: &[u8]) -> anyhow::Result<()> {
        self.part(name, content.len() as u64, content)
    }

    /// Writes exactly so many bytes.
    pub(super) fn part(
        &mut self,
        name: &str,
        bytes: u64,
        content: impl Read,
    ) -> anyhow::Result<()> {
        let sha256 = self.entry(name, bytes, content)?;
        self.manifest.parts.push(Part { name: name.to_owned(), bytes, sha256 });
        Ok(())
    }

    /// Writes a clip or a picture, and its line into `sums`.
    pub(super) fn object(
        &mut self,
        key: &str,
        bytes: u64,
        content: impl Read,
        sums: &mut impl Write,
    ) -> anyhow::Result<()> {
        let name = format!("{OBJECTS}{key}");
        let sha256 = self.entry(&name, bytes, content)?;
        sums.write_all(sum_line(&sha256, &name).as_bytes())?;
        self.manifest.objects.count += 1;
        self.manifest.objects.bytes += bytes;
        Ok(())
    }

    /// Writes the checksums of all objects.
    pub(super) fn object_sums(&mut self, bytes: u64, sums: impl Read) -> anyhow::Result<()> {
        self.part(OBJECT_SUMS, bytes, sums)
    }

    /// Writes the end, without which nothing of it counts.
    pub(super) fn finish(mut self) -> anyhow::Result<(W, Total)> {
        let text = serde_json::to_vec(&self.manifest)?;
        self.entry(MANIFEST, text.len() as u64, text.as_slice())?;
        Ok((self.archive.into_inner()?, self.manifest.objects))
    }

    fn entry(&mut self, name: &str, bytes: u64, content: impl Read) -> anyhow::Result<String> {
        let mut header = tar::Header::new_ustar();
        header.set_path(name).with_context(|| format!("{name} is no name for an archive"))?;
        header.set_size(bytes);
        header.set_mode(MODE);
        header.set_mtime(u64::try_from(self.made_at.0 / 1_000).unwrap_or_default());
        header.set_cksum();
        let mut content = Digesting::new(content.take(bytes));
        self.archive.append(&header, &mut content)?;
        ensure!(content.bytes == bytes, "{name} became shorter while it was read");
        Ok(content.sha256())
    }
}

/// One line of `sha256sum`.
pub(super) fn sum_line(sha256: &str, name: &str) -> String {
    format!("{sha256}  {name}\n")
}

/// Passes on what it reads, and knows its checksum.
pub(super) struct Digesting<R> {
    inner: R,
    digest: Sha256,
    pub(super) bytes: u64,
}

impl<R: Read> Digesting<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, digest: Sha256::new(), bytes: 0 }
    }

    pub(super) fn sha256(self) -> String {
        hex::encode(self.digest.finalize())
    }
}

impl<R: Read> Read for Digesting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.digest.update(&buffer[..count]);
        self.bytes += count as u64;
        Ok(count)
    }
}
