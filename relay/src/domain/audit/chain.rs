//! The chain: each entry has a place, and a digest of itself and of all before it. Who changes, removes
//! or adds one later would have to make all digests after it anew, and then the chain's end is another
//! than the one that was printed or logged.
//!
//! An entry is chained within a second after it was written, by a job, and not as it is written: in a
//! chain each waits for the one before it, and who watches or signs in waits for nobody.

use nightjar_shared::{audit::Action, time::UnixMillis};

use super::{Actor, Entry, record};
use crate::{
    domain::secrets,
    engines::db::{
        Db,
        audit::chain::{self, Ends, Link},
    },
    error::Result,
};

/// Entries that are chained at once: a transaction of some 20 ms, for which others wait at SQLite.
const LINKS_PER_STEP: u32 = 200;
/// Entries that are cut off at once.
const CUT_PER_STEP: u32 = 1_000;

/// Gives every new entry its place. Gives how many there were.
pub async fn extend(db: &Db) -> Result<u64> {
    let mut placed = 0;
    loop {
        if chain::unchained(db, 1).await?.is_empty() {
            return Ok(placed);
        }
        let step = extend_once(db).await?;
        placed += step;
        if step < u64::from(LINKS_PER_STEP) {
            return Ok(placed);
        }
    }
}

async fn extend_once(db: &Db) -> Result<u64> {
    let transaction = db.begin().await?;
    let Some(mut ends) = chain::hold(&transaction).await? else {
        tracing::error!("the end of the trail's chain is gone: somebody has changed the database");
        return Ok(0);
    };
    let mut placed = 0;
    for link in chain::unchained(&transaction, LINKS_PER_STEP).await? {
        let sequence = ends.last_sequence + 1;
        let digest = digest(&link, sequence, &ends.last_digest);
        chain::place(&transaction, &link.entry_id, sequence, &digest).await?;
        (ends.last_sequence, ends.last_digest) = (sequence, digest);
        placed += 1;
    }
    if placed > 0 {
        chain::set_ends(&transaction, &ends).await?;
        transaction.commit().await?;
    }
    Ok(placed)
}

/// Digests an entry at its place, behind everything before it.
pub(super) fn digest(link: &Link, sequence: u64, before: &str) -> String {
    let Link { entry_id, at, action, actor, account_id, actor_id, .. } = link;
    let Link { site_id, camera_id, subject, private_digest, .. } = link;
    let spelled = serde_json::json!([
        sequence,
        before,
        entry_id,
        at,
        action,
        actor,
        account_id,
        actor_id,
        site_id,
        camera_id,
        subject,
        private_digest
    ]);
    secrets::hash(&spelled.to_string())
}

/// A point of the chain, to be kept where nobody who can change the database can change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    pub sequence: u64,
    pub digest: String,
}

impl std::fmt::Display for Anchor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}:{}", self.sequence, self.digest)
    }
}

impl std::str::FromStr for Anchor {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let parts = text.trim().split_once(':').and_then(|(sequence, digest)| {
            let is_digest = digest.len() == 64 && digest.bytes().all(|it| it.is_ascii_hexdigit());
            is_digest
                .then_some(Self { sequence: sequence.parse().ok()?, digest: digest.to_owned() })
        });
        parts.ok_or_else(|| "an anchor is a number, a colon and 64 hexadecimal digits".to_owned())
    }
}

/// Returns the end of the chain.
pub async fn anchor(db: &Db) -> Result<Anchor> {
    let ends = chain::ends(db).await?;
    Ok(ends.map_or_else(
        || Anchor { sequence: 0, digest: String::new() },
        |ends| Anchor { sequence: ends.last_sequence, digest: ends.last_digest },
    ))
}

/// Deletes the head of the chain: entries from before `before`, once a day's worth of them. What is
/// left begins with the digest of the last one that is gone, and says so.
pub(super) async fn cut(db: &Db, before: UnixMillis, now: UnixMillis) -> Result<u64> {
    let day = std::time::Duration::from_hours(24);
    if chain::first_at(db).await?.is_none_or(|at| at >= before.minus(day)) {
        return Ok(0);
    }
    let mut deleted = 0;
    while let Some(step) = cut_once(db, before).await? {
        deleted += step;
    }
    let entry = Entry::new(Action::TrailCut, Actor::Relay).fact("count", &deleted);
    record(db, now, entry).await?;
    Ok(deleted)
}

async fn cut_once(db: &Db, before: UnixMillis) -> Result<Option<u64>> {
    let transaction = db.begin().await?;
    let Some(ends) = chain::hold(&transaction).await? else { return Ok(None) };
    let head = chain::after(&transaction, ends.cut_sequence, CUT_PER_STEP).await?;
    let last = head.iter().take_while(|link| link.at < before.0).last();
    let Some((sequence, digest)) = last.and_then(|link| link.sequence.zip(link.digest.clone()))
    else {
        return Ok(None);
    };
    let deleted = chain::delete_until(&transaction, sequence).await?;
    let ends = Ends { cut_sequence: sequence, cut_digest: digest, ..ends };
    chain::set_ends(&transaction, &ends).await?;
    transaction.commit().await?;
    Ok(Some(deleted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(action: &str) -> Link {
        Link {
            entry_id: "e".to_owned(),
            at: 1,
            action: action.to_owned(),
            actor: "relay".to_owned(),
            account_id: None,
            actor_id: None,
            site_id: None,
            camera_id: None,
            subject: None,
            address: None,
            details: None,
            salt: None,
            private_digest: None,
            sequence: None,
            digest: None,
        }
    }

    #[test]
    fn a_digest_is_of_every_field_and_of_what_was_before() {
        let digests = [
            digest(&link("a"), 1, ""),
            digest(&link("b"), 1, ""),
            digest(&link("a"), 2, ""),
            digest(&link("a"), 1, "x"),
            digest(&Link { subject: Some("a".to_owned()), ..link("a") }, 1, ""),
            digest(&Link { site_id: Some("a".to_owned()), ..link("a") }, 1, ""),
            digest(&Link { camera_id: Some("a".to_owned()), ..link("a") }, 1, ""),
        ];
        let different: std::collections::HashSet<_> = digests.iter().collect();
        assert_eq!(different.len(), digests.len());
        // Whoever checks a chain in ten years has this.
        assert_eq!(
            digest(&link("signed_in"), 1, ""),
            secrets::hash(r#"[1,"","e",1,"signed_in","relay",null,null,null,null,null,null]"#)
        );
    }

    #[test]
    fn an_anchor_is_written_and_read_alike() {
        let anchor = Anchor { sequence: 12, digest: "0f".repeat(32) };
        assert_eq!(anchor.to_string().parse(), Ok(anchor));
        for text in ["", "12", "x:00", "12:00", &format!("12:{}", "x".repeat(64))] {
            assert!(text.parse::<Anchor>().is_err(), "{text}");
        }
    }
}
