//! All sites of the relay, and what each may use.

use nightjar_shared::{
    ids::{AccountId, SiteId},
    time::UnixMillis,
};

use crate::{
    config::Amount,
    engines::db::{DbError, Executor, Page, Value, from_row, newest_first},
};

/// A site as administrators see it.
#[derive(Debug, Clone)]
pub struct KnownSite {
    pub site_id: SiteId,
    pub name: String,
    pub created_at: UnixMillis,
    /// The longest owner: absent where the site waits for its end.
    pub owner_id: Option<AccountId>,
    pub owner_email: Option<String>,
    pub members: u64,
    pub cameras: u64,
    pub cameras_online: u64,
    pub clips: u64,
    pub events: u64,
    pub bytes: u64,
    pub limit_megabytes: Option<u64>,
    pub limit_clips: Option<u64>,
    pub limit_events: Option<u64>,
}

from_row!(KnownSite {
    site_id,
    name,
    created_at,
    owner_id,
    owner_email,
    members,
    cameras,
    cameras_online,
    clips,
    events,
    bytes,
    limit_megabytes,
    limit_clips,
    limit_events
});

macro_rules! known_sites {
    () => {
        "select s.site_id, s.name, s.created_at, o.account_id as owner_id, o.email as owner_email,
             (select count(*) from members m
              where m.site_id = s.site_id and m.view_id is null) as members,
             (select count(*) from cameras c where c.site_id = s.site_id) as cameras,
             (select count(*) from cameras c where c.site_id = s.site_id and c.online = 1)
                 as cameras_online,
             (select count(*) from clips c where c.site_id = s.site_id) as clips,
             (select count(*) from events e where e.site_id = s.site_id) as events,
             (select cast(coalesce(sum(c.bytes), 0) as bigint) from clips c
              where c.site_id = s.site_id) as bytes,
             l.megabytes as limit_megabytes, l.clips as limit_clips, l.events as limit_events
         from sites s
         left join accounts o on o.account_id =
             (select m.account_id from members m
              where m.site_id = s.site_id and m.role = 'owner'
              order by m.created_at, m.account_id limit 1)
         left join site_limits l on l.site_id = s.site_id
         where "
    };
}

pub async fn list(
    db: &impl Executor,
    page: &Page,
    pattern: Option<&str>,
) -> Result<Vec<KnownSite>, DbError> {
    let statement = concat!(
        known_sites!(),
        "(cast($4 as text) is null or lower(s.name) like $4 escape '!'
              or lower(o.email) like $4 escape '!')",
        newest_first!("s.created_at", "s.site_id")
    );
    let pattern = pattern.map_or(Value::Null, Value::from);
    page.read(db, ("created_at", "site_id"), statement, [pattern]).await
}

pub async fn by_id(db: &impl Executor, site_id: SiteId) -> Result<Option<KnownSite>, DbError> {
    db.one(concat!(known_sites!(), "s.site_id = $1"), vec![site_id.into()]).await
}

/// What a site may use by a word of an administrator's: absent means what all may.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SiteLimits {
    pub megabytes: Option<u64>,
    pub clips: Option<u64>,
    pub events: Option<u64>,
}

from_row!(SiteLimits { megabytes, clips, events });

impl SiteLimits {
    /// Returns what the site may use where all others may use `all`.
    pub fn of(self, all: Amount) -> Amount {
        Amount {
            bytes: self.megabytes.map_or(all.bytes, |it| it.saturating_mul(1_000_000)),
            clips: self.clips.unwrap_or(all.clips),
            events: self.events.unwrap_or(all.events),
        }
    }
}

pub async fn limits(db: &impl Executor, site_id: SiteId) -> Result<SiteLimits, DbError> {
    let found = db
        .one(
            "select megabytes, clips, events from site_limits where site_id = $1",
            vec![site_id.into()],
        )
        .await?;
    Ok(found.unwrap_or_default())
}

pub async fn set_limits(
    db: &impl Executor,
    site_id: SiteId,
    limits: SiteLimits,
) -> Result<(), DbError> {
    db.execute(
        "insert into site_limits (site_id, megabytes, clips, events) values ($1, $2, $3, $4)
         on conflict (site_id) do update set megabytes = $2, clips = $3, events = $4",
        vec![site_id.into(), limits.megabytes.into(), limits.clips.into(), limits.events.into()],
    )
    .await
    .map(drop)
}
