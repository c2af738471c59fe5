//! A look at every entry: is the trail as it was written?

use std::collections::HashMap;

use nightjar_shared::audit::Action;

use super::{
    chain::{Anchor, digest},
    private_digest,
};
use crate::{
    engines::db::{
        Db,
        audit::chain::{self, Ends, Link},
    },
    error::Result,
};

/// Entries that are checked at once.
const CHECKED_PER_STEP: u32 = 1_000;

/// What is wrong with a trail, at the first place where it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    #[error("the row of table audit_chain is gone, which says where the trail ends")]
    NoEnds,
    #[error("entry {sequence} is missing, or cannot be read")]
    Missing { sequence: u64 },
    #[error("entry {sequence} ({entry_id}) was changed, added or moved after it was written")]
    Altered { sequence: u64, entry_id: String },
    #[error(
        "address or details of entry {sequence} ({entry_id}) were changed after it was written"
    )]
    DetailsAltered { sequence: u64, entry_id: String },
    #[error(
        "address and details of entry {sequence} ({entry_id}) were removed, and no entry says that \
         its account or site was deleted"
    )]
    DetailsRemoved { sequence: u64, entry_id: String },
    #[error("the trail goes on behind entry {sequence}, at which it says that it ends")]
    End { sequence: u64 },
    #[error("entry {sequence} is another than the anchor says: the trail was written anew")]
    Anchor { sequence: u64 },
    #[error("the trail ends at entry {last} and before the anchor, which is of entry {sequence}")]
    Shorter { sequence: u64, last: u64 },
    #[error("the anchor's entry {sequence} is older than the trail, whose head was cut off")]
    OlderThanTrail { sequence: u64 },
}

/// A trail that is as it was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    pub first: u64,
    pub last: u64,
    /// Entries whose address and details were forgotten with their account or site.
    pub forgotten: u64,
    /// Entries that are so new that they have no place yet.
    pub unchained: u64,
}

/// Checks every entry, and that the chain goes through the anchors.
pub async fn verify(db: &Db, anchors: &[Anchor]) -> Result<std::result::Result<Verified, Broken>> {
    loop {
        let Some(ends) = chain::ends(db).await? else { return Ok(Err(Broken::NoEnds)) };
        let checked = walk(db, ends.clone(), anchors).await?;
        let now = chain::ends(db).await?;
        // A relay that runs may have cut the head off meanwhile.
        if checked.is_ok() || now.is_none_or(|now| now.cut_sequence == ends.cut_sequence) {
            return Ok(checked);
        }
    }
}

async fn walk(
    db: &Db,
    ends: Ends,
    anchors: &[Anchor],
) -> Result<std::result::Result<Verified, Broken>> {
    let mut walk = Walk::new(ends, anchors);
    if let Err(broken) = walk.begin() {
        return Ok(Err(broken));
    }
    while walk.is_on_its_way() {
        let links = chain::after(db, walk.sequence, CHECKED_PER_STEP).await?;
        if let Err(broken) = links.iter().try_for_each(|link| walk.step(link)) {
            return Ok(Err(broken));
        }
        if links.is_empty() {
            return Ok(Err(Broken::Missing { sequence: walk.sequence + 1 }));
        }
    }
    // What has no place yet may tell that an account was deleted.
    for link in chain::unchained(db, CHECKED_PER_STEP).await? {
        walk.note_deletion(&link);
    }
    if has_more_than_it_says(db).await? {
        return Ok(Err(Broken::End { sequence: walk.sequence }));
    }
    let unchained = chain::count_unchained(db).await?;
    Ok(walk.end().map(|verified| Verified { unchained, ..verified }))
}

/// Returns whether there is an entry behind the end of the chain, that nobody is just adding.
async fn has_more_than_it_says(db: &Db) -> Result<bool> {
    let before = chain::ends(db).await?;
    let end = before.as_ref().map_or(0, |ends| ends.last_sequence);
    let is_more = !chain::after(db, end, 1).await?.is_empty();
    Ok(is_more && chain::ends(db).await? == before)
}

/// A walk along the chain, from its head to the end that it had at the beginning.
struct Walk<'a> {
    ends: Ends,
    anchors: &'a [Anchor],
    sequence: u64,
    digest: String,
    forgotten: u64,
    /// The first entry whose details are gone, for each account or site with whose end they may be.
    unexplained: HashMap<Vec<String>, (u64, String)>,
    deleted: Vec<String>,
}

impl<'a> Walk<'a> {
    fn new(ends: Ends, anchors: &'a [Anchor]) -> Self {
        let (sequence, digest) = (ends.cut_sequence, ends.cut_digest.clone());
        let (unexplained, deleted) = (HashMap::new(), Vec::new());
        Self { ends, anchors, sequence, digest, forgotten: 0, unexplained, deleted }
    }

    fn is_on_its_way(&self) -> bool {
        self.sequence < self.ends.last_sequence
    }

    fn begin(&self) -> std::result::Result<(), Broken> {
        let (first, last) = (self.ends.cut_sequence, self.ends.last_sequence);
        for anchor in self.anchors {
            let sequence = anchor.sequence;
            if sequence > last {
                return Err(Broken::Shorter { sequence, last });
            }
            if sequence < first {
                return Err(Broken::OlderThanTrail { sequence });
            }
        }
        self.check_anchors()
    }

    fn check_anchors(&self) -> std::result::Result<(), Broken> {
        let is_other =
            |anchor: &&Anchor| anchor.sequence == self.sequence && anchor.digest != self.digest;
        match self.anchors.iter().find(is_other) {
            Some(anchor) => Err(Broken::Anchor { sequence: anchor.sequence }),
            None => Ok(()),
        }
    }

    fn step(&mut self, link: &Link) -> std::result::Result<(), Broken> {
        if !self.is_on_its_way() {
            return Ok(());
        }
        let sequence = self.sequence + 1;
        if link.sequence != Some(sequence) {
            return Err(Broken::Missing { sequence });
        }
        let entry_id = || link.entry_id.clone();
        let expected = digest(link, sequence, &self.digest);
        if link.digest.as_ref() != Some(&expected) {
            return Err(Broken::Altered { sequence, entry_id: entry_id() });
        }
        match details_of(link) {
            Details::AsWritten => {}
            Details::Altered => {
                return Err(Broken::DetailsAltered { sequence, entry_id: entry_id() });
            }
            Details::Forgotten => {
                self.forgotten += 1;
                let owners = [&link.account_id, &link.subject, &link.site_id];
                let owners = owners.into_iter().flatten().cloned().collect();
                self.unexplained.entry(owners).or_insert_with(|| (sequence, entry_id()));
            }
        }
        self.note_deletion(link);
        (self.sequence, self.digest) = (sequence, expected);
        self.check_anchors()
    }

    fn note_deletion(&mut self, link: &Link) {
        let is_deletion = [Action::AccountDeleted, Action::SiteDeleted]
            .iter()
            .any(|action| action.as_str() == link.action);
        if is_deletion && let Some(subject) = &link.subject {
            self.deleted.push(subject.clone());
        }
    }

    fn end(self) -> std::result::Result<Verified, Broken> {
        if self.digest != self.ends.last_digest {
            return Err(Broken::End { sequence: self.sequence });
        }
        let unexplained = self.unexplained.into_iter();
        let unexplained = unexplained
            .filter(|(owners, _)| !owners.iter().any(|owner| self.deleted.contains(owner)))
            .map(|(_, entry)| entry)
            .min();
        match unexplained {
            Some((sequence, entry_id)) => Err(Broken::DetailsRemoved { sequence, entry_id }),
            None => Ok(Verified {
                first: self.ends.cut_sequence + 1,
                last: self.ends.last_sequence,
                forgotten: self.forgotten,
                unchained: 0,
            }),
        }
    }
}

enum Details {
    AsWritten,
    Altered,
    Forgotten,
}

fn details_of(link: &Link) -> Details {
    let (address, details) = (link.address.as_deref(), link.details.as_deref());
    match (&link.salt, &link.private_digest) {
        (None, None) if address.is_none() && details.is_none() => Details::AsWritten,
        (None, Some(_)) if address.is_none() && details.is_none() => Details::Forgotten,
        (Some(salt), Some(digest)) if private_digest(salt, address, details) == *digest => {
            Details::AsWritten
        }
        _ => Details::Altered,
    }
}
