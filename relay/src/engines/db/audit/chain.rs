//! The chain that holds the entries together: where each stands in it, and where it begins and ends.

use nightjar_shared::time::UnixMillis;

use crate::engines::db::{DbError, Executor, Transaction, columns, from_row};

/// An entry as it lies in the database, word for word: what is checked is what is there, also where no
/// relay would have written it.
#[derive(Debug, Clone)]
pub struct Link {
    pub entry_id: String,
    pub at: i64,
    pub action: String,
    pub actor: String,
    pub account_id: Option<String>,
    pub actor_id: Option<String>,
    pub site_id: Option<String>,
    pub camera_id: Option<String>,
    pub subject: Option<String>,
    pub address: Option<String>,
    pub details: Option<String>,
    pub salt: Option<String>,
    pub private_digest: Option<String>,
    pub sequence: Option<u64>,
    pub digest: Option<String>,
}

from_row!(Link {
    entry_id,
    at,
    action,
    actor,
    account_id,
    actor_id,
    site_id,
    camera_id,
    subject,
    address,
    details,
    salt,
    private_digest,
    sequence,
    digest
});

macro_rules! link_columns {
    () => {
        columns!(
            "":
            entry_id, at, action, actor, account_id, actor_id, site_id, camera_id, subject, address,
            details, salt, private_digest, sequence, digest
        )
    };
}

/// Where the chain ends, and the last entry that was cut off its head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ends {
    pub last_sequence: u64,
    pub last_digest: String,
    pub cut_sequence: u64,
    pub cut_digest: String,
}

from_row!(Ends { last_sequence, last_digest, cut_sequence, cut_digest });

macro_rules! ends_columns {
    () => {
        columns!("": last_sequence, last_digest, cut_sequence, cut_digest)
    };
}

/// Returns the ends of the chain; nothing when somebody has removed them.
pub async fn ends(db: &impl Executor) -> Result<Option<Ends>, DbError> {
    db.one(concat!("select ", ends_columns!(), " from audit_chain where chain_id = 1"), Vec::new())
        .await
}

/// The same, and keeps every other relay from changing the chain until the transaction's end.
pub async fn hold(transaction: &Transaction) -> Result<Option<Ends>, DbError> {
    transaction
        .one(
            concat!(
                "update audit_chain set last_sequence = last_sequence where chain_id = 1 returning ",
                ends_columns!()
            ),
            Vec::new(),
        )
        .await
}

pub async fn set_ends(transaction: &Transaction, ends: &Ends) -> Result<(), DbError> {
    transaction
        .execute(
            "update audit_chain set last_sequence = $1, last_digest = $2, cut_sequence = $3,
                 cut_digest = $4
             where chain_id = 1",
            vec![
                ends.last_sequence.into(),
                ends.last_digest.as_str().into(),
                ends.cut_sequence.into(),
                ends.cut_digest.as_str().into(),
            ],
        )
        .await
        .map(drop)
}

/// Lists entries that have no place yet, oldest first.
pub async fn unchained(db: &impl Executor, limit: u32) -> Result<Vec<Link>, DbError> {
    db.all(
        concat!(
            "select ",
            link_columns!(),
            " from audit_entries where sequence is null order by at, entry_id limit $1"
        ),
        vec![limit.into()],
    )
    .await
}

pub async fn count_unchained(db: &impl Executor) -> Result<u64, DbError> {
    let counted = "select count(*) as count from audit_entries where sequence is null";
    let row = db.query_one(counted, Vec::new()).await?;
    row.map_or(Ok(0), |row| row.get("count"))
}

/// Gives an entry its place.
pub async fn place(
    transaction: &Transaction,
    entry_id: &str,
    sequence: u64,
    digest: &str,
) -> Result<(), DbError> {
    transaction
        .execute(
            "update audit_entries set sequence = $2, digest = $3
             where entry_id = $1 and sequence is null",
            vec![entry_id.into(), sequence.into(), digest.into()],
        )
        .await
        .map(drop)
}

/// Lists the entries behind a place, in the order of the chain. Those that cannot be read are left
/// out, which is a gap.
pub async fn after(db: &impl Executor, sequence: u64, limit: u32) -> Result<Vec<Link>, DbError> {
    db.all(
        concat!(
            "select ",
            link_columns!(),
            " from audit_entries where sequence > $1 order by sequence limit $2"
        ),
        vec![sequence.into(), limit.into()],
    )
    .await
}

/// Deletes the head of the chain, up to a place.
pub async fn delete_until(transaction: &Transaction, sequence: u64) -> Result<u64, DbError> {
    transaction
        .execute("delete from audit_entries where sequence <= $1", vec![sequence.into()])
        .await
}

/// Returns when the first entry of the chain was written.
pub async fn first_at(db: &impl Executor) -> Result<Option<UnixMillis>, DbError> {
    let first = "select at from audit_entries where sequence is not null order by sequence limit 1";
    let row = db.query_one(first, Vec::new()).await?;
    row.map(|row| row.get("at")).transpose()
}
