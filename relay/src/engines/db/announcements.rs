//! Cameras that belong to nobody yet and show a code.

use nightjar_shared::{pairing::AnnouncementState, time::UnixMillis};

use super::{DbError, Executor, from_row};

#[derive(Debug, Clone)]
pub struct AnnouncementRow {
    pub public_key: String,
    pub ticket_hash: String,
    pub name: String,
    pub model: String,
    pub agent_version: String,
    /// A JPEG, base64.
    pub picture: Option<String>,
    pub expires_at: UnixMillis,
}

from_row!(AnnouncementRow {
    public_key,
    ticket_hash,
    name,
    model,
    agent_version,
    picture,
    expires_at
});

pub struct NewAnnouncement {
    pub row: AnnouncementRow,
    pub network: String,
    pub code_hash: String,
}

/// Puts an announcement in the place of the camera's last one.
pub async fn replace(db: &impl Executor, new: NewAnnouncement) -> Result<(), DbError> {
    let NewAnnouncement { row, network, code_hash } = new;
    db.execute(
        "delete from announcements where public_key = $1",
        vec![row.public_key.as_str().into()],
    )
    .await?;
    db.execute(
        "insert into announcements (public_key, network, code_hash, ticket_hash, name, model,
             agent_version, picture, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        vec![
            row.public_key.into(),
            network.into(),
            code_hash.into(),
            row.ticket_hash.into(),
            row.name.into(),
            row.model.into(),
            row.agent_version.into(),
            row.picture.into(),
            row.expires_at.into(),
        ],
    )
    .await
    .map(drop)
}

/// Counts those that somebody may still take: of all networks.
pub async fn count(db: &impl Executor, now: UnixMillis) -> Result<u32, DbError> {
    let row = db
        .query_one(
            "select count(*) as count from announcements where expires_at > $1 and accepted = 0",
            vec![now.into()],
        )
        .await?;
    row.map_or(Ok(0), |row| row.get("count"))
}

/// Counts those of one network, but for this key's.
pub async fn count_of_network(
    db: &impl Executor,
    network: &str,
    public_key: &str,
    now: UnixMillis,
) -> Result<u32, DbError> {
    let row = db
        .query_one(
            "select count(*) as count from announcements
             where network = $1 and public_key <> $2 and expires_at > $3",
            vec![network.into(), public_key.into(), now.into()],
        )
        .await?;
    row.map_or(Ok(0), |row| row.get("count"))
}

/// Finds the camera that shows this code, unless somebody has taken it.
pub async fn by_code(
    db: &impl Executor,
    code_hash: &str,
    now: UnixMillis,
) -> Result<Option<AnnouncementRow>, DbError> {
    db.one(
        "select public_key, ticket_hash, name, model, agent_version, picture, expires_at
         from announcements where code_hash = $1 and expires_at > $2 and accepted = 0",
        vec![code_hash.into(), now.into()],
    )
    .await
}

/// Takes the camera that shows this code: of two people, exactly one gets it. It hears of that until
/// `until`.
pub async fn accept(
    db: &impl Executor,
    code_hash: &str,
    now: UnixMillis,
    until: UnixMillis,
) -> Result<Option<AnnouncementRow>, DbError> {
    db.one(
        "update announcements set accepted = 1, expires_at = $3
         where code_hash = $1 and expires_at > $2 and accepted = 0
         returning public_key, ticket_hash, name, model, agent_version, picture, expires_at",
        vec![code_hash.into(), now.into(), until.into()],
    )
    .await
}

/// Tells what became of the announcement with this ticket.
pub async fn state(
    db: &impl Executor,
    ticket_hash: &str,
    now: UnixMillis,
) -> Result<AnnouncementState, DbError> {
    let row = db
        .query_one(
            "select accepted from announcements where ticket_hash = $1 and expires_at > $2",
            vec![ticket_hash.into(), now.into()],
        )
        .await?;
    Ok(match row.map(|row| row.get::<bool>("accepted")).transpose()? {
        Some(true) => AnnouncementState::Accepted,
        Some(false) => AnnouncementState::Open,
        None => AnnouncementState::Expired,
    })
}

pub async fn delete_expired(db: &impl Executor, now: UnixMillis) -> Result<u64, DbError> {
    db.execute("delete from announcements where expires_at <= $1", vec![now.into()]).await
}
