//! The trail as it is read: of a site, of an account, of the relay itself.

use nightjar_shared::{
    admin::TrailScope,
    audit::ActorKind,
    ids::{AccountId, AuditEntryId, CameraId, SiteId},
    time::UnixMillis,
};

use crate::engines::db::{
    DbError, Executor, Page, Reader, Value, columns, from_row, members::members_now, newest_first,
};

#[derive(Debug, Clone)]
pub struct EntryRow {
    pub entry_id: AuditEntryId,
    pub at: UnixMillis,
    /// As it was written: a newer relay knows further words.
    pub action: String,
    pub actor: ActorKind,
    pub account_id: Option<AccountId>,
    /// Absent when the account is gone.
    pub account_name: Option<String>,
    pub actor_id: Option<String>,
    pub site_id: Option<SiteId>,
    pub camera_id: Option<CameraId>,
    /// Absent when the camera is gone.
    pub camera_name: Option<String>,
    pub subject: Option<String>,
    pub address: Option<String>,
    /// JSON.
    pub details: Option<String>,
}

from_row!(EntryRow {
    entry_id,
    at,
    action,
    actor,
    account_id,
    account_name,
    actor_id,
    site_id,
    camera_id,
    camera_name,
    subject,
    address,
    details
});

/// Which entries are shown. Absent means any.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Inclusive.
    pub from: Option<UnixMillis>,
    /// Exclusive.
    pub to: Option<UnixMillis>,
    pub action: Option<String>,
    pub actor: Option<ActorKind>,
    pub account_id: Option<AccountId>,
    pub camera_id: Option<CameraId>,
}

impl Wanted {
    /// Returns six values, for `$5` to `$10` of the statements below.
    fn values(&self) -> [Value; 6] {
        [
            self.from.map_or(i64::MIN, |from| from.0).into(),
            self.to.map_or(i64::MAX, |to| to.0).into(),
            self.action.clone().into(),
            self.actor.into(),
            self.account_id.into(),
            self.camera_id.into(),
        ]
    }
}

macro_rules! shown {
    () => {
        concat!(
            "select ",
            columns!(
                "e.":
                entry_id, at, action, actor, account_id, actor_id, site_id, camera_id, subject,
                address, details
            ),
            ", (select name from accounts a where a.account_id = e.account_id) as account_name,
               (select name from cameras c where c.camera_id = e.camera_id and c.site_id = e.site_id)
                   as camera_name
             from audit_entries e where "
        )
    };
}

macro_rules! wanted {
    () => {
        " and e.at >= $5 and e.at < $6
          and (cast($7 as text) is null or e.action = $7)
          and (cast($8 as text) is null or e.actor = $8)
          and (cast($9 as text) is null or e.account_id = $9)
          and (cast($10 as text) is null or e.camera_id = $10)"
    };
}

const ORDER: (&str, &str) = ("at", "entry_id");

pub async fn of_site(
    db: &impl Executor,
    page: &Page,
    site_id: SiteId,
    wanted: &Wanted,
) -> Result<Vec<EntryRow>, DbError> {
    let statement =
        concat!(shown!(), "e.site_id = $4", wanted!(), newest_first!("e.at", "e.entry_id"));
    let values = std::iter::once(site_id.into()).chain(wanted.values());
    page.read(db, ORDER, statement, values).await
}

/// Lists what an account did and what was done to it, and who saw what at the sites where it has one of
/// the reader's roles.
pub async fn of_account(
    db: &impl Executor,
    page: &Page,
    reader: Reader,
    wanted: &Wanted,
) -> Result<Vec<EntryRow>, DbError> {
    let statement = concat!(
        shown!(),
        "e.entry_id in (
             select entry_id from audit_entries where account_id = $4
             union select entry_id from audit_entries where subject = $4
             union select v.entry_id from audit_entries v join ",
        members_now!("v.site_id", "$15"),
        "
                 where m.account_id = $4 and m.role in ($11, $12, $13, $14)
                     and m.lacks_factor = 0
                     and v.action in ('live_began', 'live_ended', 'clip_played', 'clip_downloaded',
                         'share_opened'))",
        wanted!(),
        newest_first!("e.at", "e.entry_id")
    );
    let roles = reader.roles.map(Value::from);
    let values = std::iter::once(reader.account_id.into()).chain(wanted.values()).chain(roles);
    let values = values.chain([reader.now.into()]);
    page.read(db, ORDER, statement, values).await
}

/// Lists what administrators read: what concerns no site and what who runs the relay prepared for sites;
/// or what was done at all sites, but for footage and who saw it; or what tells of break-ins.
pub async fn of_relay(
    db: &impl Executor,
    page: &Page,
    scope: TrailScope,
    site_id: Option<SiteId>,
    wanted: &Wanted,
) -> Result<Vec<EntryRow>, DbError> {
    let statement = concat!(
        shown!(),
        "(($11 = 'relay' and (e.site_id is null
              or (e.actor = $4 and e.action in ('pairing_prepared', 'pairing_closed'))))
          or ($11 = 'all' and e.action not like 'clip!_%' escape '!'
              and e.action not like 'share!_%' escape '!'
              and e.action not like 'live!_%' escape '!'
              and e.action not like 'event!_%' escape '!'
              and e.action not like 'bookmark%')
          or ($11 = 'security' and (e.action like 'account!_%' escape '!'
              or e.action like 'sign!_in%' escape '!' or e.action like 'password!_%' escape '!'
              or e.action like 'passkey!_%' escape '!' or e.action like 'totp!_%' escape '!'
              or e.action like 'api!_key!_%' escape '!' or e.action in
                  ('signed_in', 'signed_out', 'other_sign_ins_ended', 'reset_link_made',
                   'address_confirmed', 'address_changed', 'data_exported', 'token_copied',
                   'backup_codes_made', 'second_factor_refused', 'factors_removed',
                   'confirmation_refused', 'pairing_guessed', 'first_admin_made',
                   'deletion_begun', 'deletion_taken_back', 'setting_changed'))))
         and (cast($12 as text) is null or e.site_id = $12)",
        wanted!(),
        newest_first!("e.at", "e.entry_id")
    );
    let values = std::iter::once(ActorKind::Relay.into()).chain(wanted.values());
    page.read(db, ORDER, statement, values.chain([scope.into(), site_id.into()])).await
}
