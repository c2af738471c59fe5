//! Links by which people come to belong to a site.

use nightjar_shared::{
    ids::{AccountId, CameraId, InvitationId, SiteId},
    role::Role,
    time::UnixMillis,
};

use super::{DbError, Executor, columns, from_row};

#[derive(Debug, Clone)]
pub struct InvitationRow {
    pub invitation_id: InvitationId,
    pub site_id: SiteId,
    pub invited_by: AccountId,
    /// For whom it is.
    pub name: Option<String>,
    /// Where its link was sent.
    pub email: Option<String>,
    pub role: Role,
    pub limited: bool,
    pub ends_at: Option<UnixMillis>,
    pub uses_left: u32,
    pub created_at: UnixMillis,
    pub expires_at: UnixMillis,
}

macro_rules! invitation_columns {
    () => {
        columns!(
            "":
            invitation_id, site_id, invited_by, name, email, role, limited, ends_at, uses_left, created_at,
            expires_at
        )
    };
}

from_row!(InvitationRow {
    invitation_id,
    site_id,
    invited_by,
    name,
    email,
    role,
    limited,
    ends_at,
    uses_left,
    created_at,
    expires_at
});

pub async fn insert(
    db: &impl Executor,
    invitation: &InvitationRow,
    cameras: &[CameraId],
    token_hash: String,
) -> Result<(), DbError> {
    db.execute(
        "insert into invitations (invitation_id, site_id, token_hash, invited_by, name, role,
             limited, ends_at, uses_left, created_at, expires_at, email)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        vec![
            invitation.invitation_id.into(),
            invitation.site_id.into(),
            token_hash.into(),
            invitation.invited_by.into(),
            invitation.name.clone().into(),
            invitation.role.into(),
            invitation.limited.into(),
            invitation.ends_at.into(),
            invitation.uses_left.into(),
            invitation.created_at.into(),
            invitation.expires_at.into(),
            invitation.email.clone().into(),
        ],
    )
    .await?;
    for camera_id in cameras {
        db.execute(
            "insert into invitation_cameras (invitation_id, camera_id) values ($1, $2)",
            vec![invitation.invitation_id.into(), (*camera_id).into()],
        )
        .await?;
    }
    Ok(())
}

/// Lists the invitations of a site that may still be taken, newest first.
pub async fn of_site(
    db: &impl Executor,
    site_id: SiteId,
    now: UnixMillis,
) -> Result<Vec<InvitationRow>, DbError> {
    db.all(
        concat!(
            "select ",
            invitation_columns!(),
            " from invitations where site_id = $1 and expires_at > $2 and uses_left > 0
             order by created_at desc, invitation_id desc"
        ),
        vec![site_id.into(), now.into()],
    )
    .await
}

/// A camera that an invitation is limited to.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    pub invitation_id: InvitationId,
    pub camera_id: CameraId,
}

from_row!(Limit { invitation_id, camera_id });

/// Lists what the invitations of a site are limited to.
pub async fn limits_of_site(db: &impl Executor, site_id: SiteId) -> Result<Vec<Limit>, DbError> {
    db.all(
        "select l.invitation_id, l.camera_id
         from invitation_cameras l
             join invitations i on i.invitation_id = l.invitation_id
             join cameras c on c.camera_id = l.camera_id and c.site_id = i.site_id
         where i.site_id = $1 order by l.invitation_id, l.camera_id",
        vec![site_id.into()],
    )
    .await
}

pub async fn by_id(
    db: &impl Executor,
    invitation_id: InvitationId,
) -> Result<Option<InvitationRow>, DbError> {
    db.one(
        concat!("select ", invitation_columns!(), " from invitations where invitation_id = $1"),
        vec![invitation_id.into()],
    )
    .await
}

/// Finds the invitation whose link has this token, if it may be taken.
pub async fn by_token(
    db: &impl Executor,
    token_hash: &str,
    now: UnixMillis,
) -> Result<Option<InvitationRow>, DbError> {
    db.one(
        concat!(
            "select ",
            invitation_columns!(),
            " from invitations where token_hash = $1 and expires_at > $2 and uses_left > 0"
        ),
        vec![token_hash.into(), now.into()],
    )
    .await
}

/// Takes an invitation once. Says whether it was to be had: of two who take the last use at once, one
/// gets it.
pub async fn take(
    db: &impl Executor,
    invitation_id: InvitationId,
    now: UnixMillis,
) -> Result<bool, DbError> {
    let taken = db
        .execute(
            "update invitations set uses_left = uses_left - 1
             where invitation_id = $1 and expires_at > $2 and uses_left > 0",
            vec![invitation_id.into(), now.into()],
        )
        .await?;
    Ok(taken == 1)
}

/// Ends an invitation. Says whether there was one.
pub async fn delete(db: &impl Executor, invitation_id: InvitationId) -> Result<bool, DbError> {
    let deleted = db
        .execute("delete from invitations where invitation_id = $1", vec![invitation_id.into()])
        .await?;
    Ok(deleted == 1)
}

/// Ends what an account has invited to a site.
pub async fn delete_of_member(
    db: &impl Executor,
    site_id: SiteId,
    account_id: AccountId,
) -> Result<(), DbError> {
    db.execute(
        "delete from invitations where site_id = $1 and invited_by = $2",
        vec![site_id.into(), account_id.into()],
    )
    .await
    .map(drop)
}

/// Ends all invitations of a site.
pub async fn delete_of_site(db: &impl Executor, site_id: SiteId) -> Result<(), DbError> {
    db.execute("delete from invitations where site_id = $1", vec![site_id.into()]).await.map(drop)
}

pub async fn delete_expired(db: &impl Executor, now: UnixMillis) -> Result<u64, DbError> {
    db.execute("delete from invitations where expires_at <= $1 or uses_left <= 0", vec![now.into()])
        .await
}
