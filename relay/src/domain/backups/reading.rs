//! Reads a backup from its first byte to its last, and believes nothing of it before.

use std::{
    collections::BTreeSet,
    io::{self, Read},
};

use anyhow::{Context as _, bail, ensure};
use sha2::{Digest as _, Sha256};

use super::archive::{
    DATA, DATABASE, Digesting, HEADER, Header, MANIFEST, Manifest, OBJECT_SUMS, OBJECTS, Part,
    SETTINGS, SMALL_BYTES_MAX, Total, sum_line,
};

const NO_BACKUP: &str = "it is no backup of a relay";
const DAMAGED: &str = "the backup is damaged";
/// As many files as a data directory has, and more.
const PARTS_MAX: usize = 10_000;
/// Of the list at the end.
const MANIFEST_BYTES_MAX: u64 = 16 << 20;

/// Gets the entries of a backup, in their order.
pub(super) trait Receiver {
    /// Takes what an entry holds; what is left unread is read by the caller.
    fn receive(&mut self, name: &str, content: &mut dyn Read) -> anyhow::Result<()>;
}

/// Is content with that a backup is whole.
pub(super) struct Nobody;

impl Receiver for Nobody {
    fn receive(&mut self, _: &str, _: &mut dyn Read) -> anyhow::Result<()> {
        Ok(())
    }
}

/// What was read.
#[derive(Debug, Clone)]
pub(super) struct Contents {
    pub(super) header: Header,
    pub(super) objects: Total,
    /// Of all entries together.
    pub(super) bytes: u64,
}

/// Reads all of a backup. An error means that what was received must not be used. `judge` says whether it is of
/// use, before more than its first entry is read; `tell` hears how many bytes of entries were read.
pub(super) fn read(
    inner: impl Read,
    receiver: &mut impl Receiver,
    judge: impl Fn(&Header) -> anyhow::Result<()>,
    tell: impl FnMut(u64),
) -> anyhow::Result<Contents> {
    let mut archive = tar::Archive::new(inner);
    let mut reading = Reading {
        receiver,
        tell,
        seen: Manifest::default(),
        names: BTreeSet::new(),
        object_sums: Sha256::new(),
        last_object: String::new(),
        bytes: 0,
    };
    let mut header = None;
    let mut is_whole = false;
    // Raw: extensions of the format, by which names and lengths could be anything, are refused as foreign.
    for entry in archive.entries().context(NO_BACKUP)?.raw(true) {
        let mut entry = entry.context(if header.is_some() { DAMAGED } else { NO_BACKUP })?;
        ensure!(!is_whole, "{DAMAGED}: something follows its end");
        let (name, bytes) = checked(&entry)?;
        if header.is_none() {
            ensure!(name == HEADER, NO_BACKUP);
            let text = reading.small(&name, bytes, &mut entry)?;
            let found: Header = serde_json::from_slice(&text).context(NO_BACKUP)?;
            judge(&found)?;
            header = Some(found);
        } else if name == MANIFEST {
            ensure!(bytes <= MANIFEST_BYTES_MAX, "{DAMAGED}: its list is too long");
            let mut text = Vec::new();
            entry.read_to_end(&mut text).context(DAMAGED)?;
            let listed = serde_json::from_slice(&text);
            reading.compare(&listed.with_context(|| format!("{DAMAGED}: its list"))?)?;
            is_whole = true;
        } else {
            reading.entry(&name, bytes, &mut entry)?;
        }
    }
    let header = header.context(NO_BACKUP)?;
    ensure!(is_whole, "{DAMAGED}: its end is missing");
    nothing_follows(archive.into_inner())?;
    Ok(Contents { header, objects: reading.seen.objects, bytes: reading.bytes })
}

struct Reading<'a, R, T> {
    receiver: &'a mut R,
    tell: T,
    seen: Manifest,
    names: BTreeSet<String>,
    object_sums: Sha256,
    last_object: String,
    bytes: u64,
}

impl<R: Receiver, T: FnMut(u64)> Reading<'_, R, T> {
    fn entry(&mut self, name: &str, bytes: u64, content: &mut impl Read) -> anyhow::Result<()> {
        let is_object = name.starts_with(OBJECTS);
        ensure!(
            is_object
                || name.starts_with(DATA)
                || [DATABASE, SETTINGS, OBJECT_SUMS].contains(&name),
            "{DAMAGED}: {name} is no part of one"
        );
        let is_small = name.starts_with(DATA) || name == SETTINGS;
        ensure!(!is_small || bytes <= SMALL_BYTES_MAX, "{DAMAGED}: {name} is too large");
        let mut content =
            Telling { inner: Digesting::new(content), before: self.bytes, tell: &mut self.tell };
        self.receiver.receive(name, &mut content)?;
        io::copy(&mut content, &mut io::sink()).context(DAMAGED)?;
        let content = content.inner;
        ensure!(content.bytes == bytes, "{DAMAGED}: {name} ends early");
        self.bytes += bytes;
        let sha256 = content.sha256();
        if is_object {
            return self.note_object(name, bytes, &sha256);
        }
        self.note_part(name, bytes, sha256)
    }

    fn small(
        &mut self,
        name: &str,
        bytes: u64,
        content: &mut impl Read,
    ) -> anyhow::Result<Vec<u8>> {
        ensure!(bytes <= SMALL_BYTES_MAX, NO_BACKUP);
        let mut text = Vec::new();
        content.read_to_end(&mut text).context(NO_BACKUP)?;
        self.note_part(name, bytes, hex::encode(Sha256::digest(&text)))?;
        Ok(text)
    }

    fn note_part(&mut self, name: &str, bytes: u64, sha256: String) -> anyhow::Result<()> {
        ensure!(self.names.insert(name.to_owned()), "{DAMAGED}: {name} is there twice");
        ensure!(self.names.len() <= PARTS_MAX, "{DAMAGED}: it has too many parts");
        self.seen.parts.push(Part { name: name.to_owned(), bytes, sha256 });
        Ok(())
    }

    fn note_object(&mut self, name: &str, bytes: u64, sha256: &str) -> anyhow::Result<()> {
        // In order, so that none can be there twice without a list of all in memory.
        ensure!(name > self.last_object.as_str(), "{DAMAGED}: {name} is out of order");
        name.clone_into(&mut self.last_object);
        self.object_sums.update(sum_line(sha256, name));
        self.seen.objects.count += 1;
        self.seen.objects.bytes += bytes;
        Ok(())
    }

    fn compare(&self, listed: &Manifest) -> anyhow::Result<()> {
        for part in &listed.parts {
            match self.seen.parts.iter().find(|seen| seen.name == part.name) {
                Some(seen) if seen == part => {}
                Some(_) => bail!("{DAMAGED}: {} has another checksum", part.name),
                None => bail!("{DAMAGED}: {} is missing", part.name),
            }
        }
        ensure!(listed.parts.len() == self.seen.parts.len(), "{DAMAGED}: it has unlisted parts");
        ensure!(self.names.contains(DATABASE), "{DAMAGED}: its database is missing");
        ensure!(listed.objects == self.seen.objects, "{DAMAGED}: clips are missing");
        let sums = self.seen.parts.iter().find(|part| part.name == OBJECT_SUMS);
        let found = hex::encode(self.object_sums.clone().finalize());
        let agree = match sums {
            Some(sums) => sums.sha256 == found,
            None => listed.objects.count == 0,
        };
        ensure!(agree, "{DAMAGED}: clips have other checksums");
        Ok(())
    }
}

/// Tells how many bytes have been read.
struct Telling<'a, R, T> {
    inner: Digesting<R>,
    before: u64,
    tell: &'a mut T,
}

impl<R: Read, T: FnMut(u64)> Read for Telling<'_, R, T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        (self.tell)(self.before + self.inner.bytes);
        Ok(count)
    }
}

/// Returns name and length of a plain file below the directory that it is unpacked to.
fn checked<R: Read>(entry: &tar::Entry<'_, R>) -> anyhow::Result<(String, u64)> {
    let header = entry.header();
    let name = String::from_utf8(header.path_bytes().into_owned()).ok();
    let name = name.with_context(|| format!("{DAMAGED}: a name is no text"))?;
    let is_plain = |component: &str| {
        !component.is_empty()
            && !component.starts_with("..")
            && component != "."
            && component.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    // As a file of somebody else it is named without its odd name.
    ensure!(name.split('/').all(is_plain), "{DAMAGED}: a name in it leads elsewhere");
    ensure!(header.entry_type() == tar::EntryType::Regular, "{DAMAGED}: {name} is no plain file");
    Ok((name, header.entry_size().context(DAMAGED)?))
}

/// An archive ends in zeros alone.
fn nothing_follows(mut rest: impl Read) -> anyhow::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = rest.read(&mut buffer).context(DAMAGED)?;
        if count == 0 {
            return Ok(());
        }
        ensure!(buffer[..count].iter().all(|byte| *byte == 0), "{DAMAGED}: something follows");
    }
}

#[cfg(test)]
mod tests {
    use nightjar_shared::time::UnixMillis;

    use super::{
        super::archive::{FORMAT, Writer},
        *,
    };

    fn header() -> Header {
        Header {
            format: FORMAT,
            relay_version: "1.0.0".to_owned(),
            schema_version: 1,
            made_at: UnixMillis(1_000),
            backup_id: "one".to_owned(),
            with_clips: true,
        }
    }

    fn backup() -> Vec<u8> {
        let mut writer = Writer::new(Vec::new(), &header()).unwrap();
        writer.part(DATABASE, 5, &b"rows!"[..]).unwrap();
        writer.small("data/ca.pem", b"authority").unwrap();
        let mut sums = Vec::new();
        writer.object("a/b/0.mp4", 4, &b"clip"[..], &mut sums).unwrap();
        writer.object("a/b/1.mp4", 600, &[7_u8; 600][..], &mut sums).unwrap();
        writer.object_sums(sums.len() as u64, sums.as_slice()).unwrap();
        writer.finish().unwrap().0
    }

    fn read_all(bytes: &[u8]) -> anyhow::Result<Contents> {
        read(bytes, &mut Nobody, |_| Ok(()), |_| {})
    }

    #[test]
    fn a_whole_backup_is_read_to_its_end() {
        let contents = read_all(&backup()).unwrap();
        assert_eq!(contents.objects, Total { count: 2, bytes: 604 });
    }

    #[test]
    fn a_backup_that_was_cut_anywhere_is_refused() {
        let whole = backup();
        // The zeros at its end may be cut.
        let end = whole.iter().rposition(|byte| *byte != 0).unwrap();
        for length in 0..=end {
            assert!(read_all(&whole[..length]).is_err(), "{length} of {}", whole.len());
        }
    }

    #[test]
    fn no_changed_byte_is_taken_for_another_backup() {
        let whole = backup();
        for place in 0..whole.len() {
            let mut changed = whole.clone();
            changed[place] ^= 0x20;
            // What pads entries belongs to nobody: there the content is that of before.
            if let Ok(contents) = read_all(&changed) {
                assert_eq!(contents.objects.count, 2);
                assert_eq!(whole[place], 0, "{place}");
            }
        }
    }

    #[test]
    fn links_and_names_that_lead_elsewhere_are_refused() {
        let entry = |kind: tar::EntryType, name: &[u8]| {
            let mut header = tar::Header::new_ustar();
            header.as_old_mut().name[..name.len()].copy_from_slice(name);
            header.set_entry_type(kind);
            header.set_link_name("/etc/passwd").unwrap();
            header.set_size(0);
            header.set_cksum();
            let mut bytes = backup();
            bytes.truncate(1024);
            bytes.extend_from_slice(header.as_bytes());
            bytes.extend_from_slice(&[0; 1024]);
            bytes
        };
        let refused = |kind, name: &[u8]| read_all(&entry(kind, name)).unwrap_err().to_string();
        for kind in [
            tar::EntryType::Symlink,
            tar::EntryType::Link,
            tar::EntryType::Fifo,
            tar::EntryType::Char,
            tar::EntryType::Directory,
            tar::EntryType::GNULongName,
            tar::EntryType::XHeader,
            tar::EntryType::GNUSparse,
        ] {
            assert!(refused(kind, b"data/x").contains("no plain file"), "{kind:?}");
        }
        for name in [
            &b"/etc/passwd"[..],
            b"data/../../x",
            b"data/..",
            b"data//x",
            b"objects/./x",
            b"data/\xff",
            b"data/a b",
        ] {
            refused(tar::EntryType::Regular, name);
        }
        assert!(refused(tar::EntryType::Regular, b"elsewhere/x").contains("no part"));
    }

    #[test]
    fn an_entry_that_claims_more_than_there_is_is_refused() {
        let mut tall = tar::Header::new_ustar();
        tall.set_path("data/huge").unwrap();
        tall.set_size(1 << 50);
        tall.set_cksum();
        let mut bytes = backup();
        bytes.truncate(1024);
        bytes.extend_from_slice(tall.as_bytes());
        assert!(read_all(&bytes).is_err());
        let database = DATABASE;
        tall.set_path(database).unwrap();
        tall.set_cksum();
        bytes.truncate(1024);
        bytes.extend_from_slice(tall.as_bytes());
        bytes.extend_from_slice(&[0; 4096]);
        assert!(read_all(&bytes).is_err());
    }
}
