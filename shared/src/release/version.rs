//! Versions of packages, in the order in which dpkg sees them.

use std::{cmp::Ordering, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// More than any version of ours has; it bounds what is shown and stored.
const BYTES_MAX: usize = 64;

/// A version such as `1.2.0~rc1-1`: an epoch, the maker's part, and the packager's.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PackageVersion(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no version of a package: expected one such as 1.2.0-1")]
pub struct InvalidVersion(pub String);

impl PackageVersion {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Splits into epoch, the maker's part and the packager's.
    fn parts(&self) -> (u32, &str, &str) {
        let (epoch, rest) = self.0.split_once(':').unwrap_or(("0", &self.0));
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
        (epoch.parse().unwrap_or(0), upstream, revision)
    }
}

impl FromStr for PackageVersion {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Self, InvalidVersion> {
        let invalid = || InvalidVersion(text.chars().take(BYTES_MAX).collect());
        if text.len() > BYTES_MAX {
            return Err(invalid());
        }
        let (epoch, rest) = text.split_once(':').unwrap_or(("0", text));
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, "0"));
        let is_epoch = !epoch.is_empty() && epoch.bytes().all(|it| it.is_ascii_digit());
        let spelled = |text: &str, others: &[u8]| {
            text.bytes().all(|it| it.is_ascii_alphanumeric() || others.contains(&it))
        };
        let is_version = is_epoch
            && epoch.parse::<u32>().is_ok_and(|epoch| i32::try_from(epoch).is_ok())
            && upstream.starts_with(|it: char| it.is_ascii_digit())
            && spelled(upstream, b".+~-")
            && !revision.is_empty()
            && spelled(revision, b".+~");
        if is_version { Ok(Self(text.to_owned())) } else { Err(invalid()) }
    }
}

impl TryFrom<String> for PackageVersion {
    type Error = InvalidVersion;

    fn try_from(text: String) -> Result<Self, InvalidVersion> {
        text.parse()
    }
}

impl From<PackageVersion> for String {
    fn from(version: PackageVersion) -> Self {
        version.0
    }
}

impl fmt::Display for PackageVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

/// Two spellings of the same version, such as `1.0` and `1.00`, are neither older nor newer.
pub fn compare(one: &PackageVersion, other: &PackageVersion) -> Ordering {
    let ((epoch, upstream, revision), (other_epoch, other_upstream, other_revision)) =
        (one.parts(), other.parts());
    epoch
        .cmp(&other_epoch)
        .then_with(|| compare_part(upstream, other_upstream))
        .then_with(|| compare_part(revision, other_revision))
}

/// Compares as deb-version(7) says: stretches of other letters and of digits, in turns.
fn compare_part(mut one: &str, mut other: &str) -> Ordering {
    while !one.is_empty() || !other.is_empty() {
        let (letters, rest) = split(one, |it| !it.is_ascii_digit());
        let (other_letters, other_rest) = split(other, |it| !it.is_ascii_digit());
        let (digits, rest) = split(rest, |it| it.is_ascii_digit());
        let (other_digits, other_rest) = split(other_rest, |it| it.is_ascii_digit());
        let order = compare_letters(letters, other_letters)
            .then_with(|| compare_digits(digits, other_digits));
        if order.is_ne() {
            return order;
        }
        (one, other) = (rest, other_rest);
    }
    Ordering::Equal
}

fn split(text: &str, belongs: fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|it| !belongs(it)).unwrap_or(text.len()))
}

/// A tilde comes before the end of the text, letters after it, and everything else after letters.
fn compare_letters(one: &str, other: &str) -> Ordering {
    let weight = |text: &str, place: usize| match text.as_bytes().get(place) {
        None => 0,
        Some(b'~') => -1,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
        Some(byte) => i32::from(*byte) + 256,
    };
    (0..one.len().max(other.len()))
        .map(|place| weight(one, place).cmp(&weight(other, place)))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

fn compare_digits(one: &str, other: &str) -> Ordering {
    let (one, other) = (one.trim_start_matches('0'), other.trim_start_matches('0'));
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_stand_in_dpkg_s_order() {
        let ascending = [
            "0.1.0~rc1-1",
            "0.1.0~rc2-1",
            "0.1.0-1",
            "0.1.0-1+deb13u1",
            "0.1.0-2",
            "0.1.0-10",
            "0.1.0a-1",
            "0.1.0+git1-1",
            "0.9-1",
            "0.10-1",
            "1.0",
            "1:0.1-1",
        ];
        let versions = ascending.map(|text| text.parse::<PackageVersion>().unwrap());
        for (place, one) in versions.iter().enumerate() {
            for (other_place, other) in versions.iter().enumerate() {
                assert_eq!(compare(one, other), place.cmp(&other_place), "{one} and {other}");
            }
        }
        let alike = ["1.0-0", "1.0", "1.00", "0:1.0-00"].map(|it| it.parse().unwrap());
        assert!(alike.windows(2).all(|pair| compare(&pair[0], &pair[1]).is_eq()));
    }

    #[test]
    fn what_is_no_version_is_refused() {
        let long = "1".repeat(65);
        for text in
            ["", "a1", "1_0", "1 0", "1/0", "-1", "1-", "x:1", ":1", "1:", "9999999999:1", &long]
        {
            assert!(text.parse::<PackageVersion>().is_err(), "{text}");
        }
    }
}
