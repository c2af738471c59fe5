//! For how long sites keep what, and what is to go by that.

use nightjar_shared::{
    clip::FootageClass,
    ids::{CameraId, ClipId, SiteId},
    time::UnixMillis,
};

use super::{DbError, Executor, Source, Value, from_row};

/// What the owner of a site has said.
#[derive(Debug, Clone)]
pub struct RetentionRow {
    pub site_id: SiteId,
    /// JSON.
    pub rules: String,
    pub revision: u64,
    pub changed_at: UnixMillis,
    pub told_size_at: Option<UnixMillis>,
    pub told_age_at: Option<UnixMillis>,
}

from_row!(RetentionRow { site_id, rules, revision, changed_at, told_size_at, told_age_at });

pub async fn of_site(db: &impl Executor, site_id: SiteId) -> Result<Option<RetentionRow>, DbError> {
    db.one(
        "select site_id, rules, revision, changed_at, told_size_at, told_age_at
         from site_retention where site_id = $1",
        vec![site_id.into()],
    )
    .await
}

/// Writes what an owner says, if it is still as it was at `revision`, which is 0 where nobody said
/// anything. Says whether it was. Owners are told anew of what goes by it.
pub async fn set(
    db: &impl Executor,
    site_id: SiteId,
    rules: String,
    revision: u64,
    now: UnixMillis,
) -> Result<bool, DbError> {
    let changed = db
        .execute(
            "insert into site_retention (site_id, rules, revision, changed_at, look_at)
             values ($1, $2, cast($3 as bigint) + 1, $4, $4)
             on conflict (site_id) do update set rules = excluded.rules,
                 revision = excluded.revision, changed_at = excluded.changed_at,
                 look_at = excluded.look_at, told_size_at = null, told_age_at = null
             where site_retention.revision = excluded.revision - 1",
            vec![site_id.into(), rules.into(), revision.into(), now.into()],
        )
        .await?;
    Ok(changed == 1)
}

/// Lists sites whose turn it is; one whose turn is only after `far` was put off by a clock that was ahead.
pub async fn due(
    db: &impl Executor,
    (now, far): (UnixMillis, UnixMillis),
    limit: u32,
) -> Result<Vec<RetentionRow>, DbError> {
    db.all(
        "select site_id, rules, revision, changed_at, told_size_at, told_age_at
         from site_retention where look_at <= $1 or look_at > $2 order by look_at limit $3",
        vec![now.into(), far.into(), limit.into()],
    )
    .await
}

pub async fn look_again(
    db: &impl Executor,
    site_id: SiteId,
    at: UnixMillis,
) -> Result<(), DbError> {
    db.execute(
        "update site_retention set look_at = $2 where site_id = $1",
        vec![site_id.into(), at.into()],
    )
    .await
    .map(drop)
}

/// Looks after sites, too, whose owners have said nothing.
pub async fn add_all(db: &impl Executor, now: UnixMillis) -> Result<(), DbError> {
    db.execute(
        "insert into site_retention (site_id, rules, revision, changed_at, look_at)
         select s.site_id, '{}', 0, cast($1 as bigint), cast($1 as bigint) from sites s
         where not exists (select 1 from site_retention r where r.site_id = s.site_id)
         on conflict (site_id) do nothing",
        vec![now.into()],
    )
    .await
    .map(drop)
}

/// Notes that owners are told that their room is nearly used up. Says whether they were not before.
pub async fn note_told_of_size(
    db: &impl Executor,
    site_id: SiteId,
    now: UnixMillis,
) -> Result<bool, DbError> {
    let changed = db
        .execute(
            "insert into site_retention
                 (site_id, rules, revision, changed_at, look_at, told_size_at)
             values ($1, '{}', 0, $2, $2, $2)
             on conflict (site_id) do update set told_size_at = excluded.told_size_at
             where site_retention.told_size_at is null",
            vec![site_id.into(), now.into()],
        )
        .await?;
    Ok(changed == 1)
}

/// Forgets that owners were told: there is room again.
pub async fn forget_told_of_size(db: &impl Executor, site_id: SiteId) -> Result<(), DbError> {
    db.execute(
        "update site_retention set told_size_at = null
         where site_id = $1 and told_size_at is not null",
        vec![site_id.into()],
    )
    .await
    .map(drop)
}

/// Notes that owners are told that footage goes soon because of its age. Says whether they were not
/// before.
pub async fn note_told_of_age(
    db: &impl Executor,
    site_id: SiteId,
    now: UnixMillis,
) -> Result<bool, DbError> {
    let changed = db
        .execute(
            "update site_retention set told_age_at = $2
             where site_id = $1 and told_age_at is null",
            vec![site_id.into(), now.into()],
        )
        .await?;
    Ok(changed == 1)
}

/// A clip that is to go.
#[derive(Debug, Clone, Copy)]
pub struct Doomed {
    pub clip_id: ClipId,
    pub camera_id: CameraId,
    pub class: FootageClass,
    pub bytes: u64,
    pub started_at: UnixMillis,
}

from_row!(Doomed { clip_id, camera_id, class, bytes, started_at });

/// Labels that have rules of their own, at most.
pub const LABELS_MAX: usize = 8;

/// What is not kept until now, oldest first. Of a clip whose camera's clock was never set, and of one that
/// a person brought, counts when it arrived.
macro_rules! doomed {
    ($from:literal) => {
        concat!(
            "select c.clip_id, c.camera_id, c.class, c.bytes, c.started_at from ",
            $from,
            " c.protected_at is null and c.state in ('ready', 'failed') and c.started_at < $3
                 and case when c.clock = 'synced' and c.class <> 'imported' then c.started_at
                     else coalesce(c.progress_at, c.started_at) end < $3
                 and not exists (select 1 from events o where o.clip_id = c.clip_id
                     and o.label in ($4, $5, $6, $7, $8, $9, $10, $11))
             order by c.started_at, c.clip_id limit $12"
        )
    };
}

/// Lists what a site has of a class from before a time, but for what has one of these labels.
pub async fn of_class(
    db: &impl Executor,
    site_id: SiteId,
    (class, before): (FootageClass, UnixMillis),
    but_for: &[&str],
    limit: u32,
) -> Result<Vec<Doomed>, DbError> {
    let mut values: Vec<Value> = vec![site_id.into(), class.into(), before.into()];
    values.extend(labels(but_for));
    values.push(limit.into());
    db.all(doomed!("clips c where c.site_id = $1 and c.class = $2 and"), values).await
}

/// The same of what has a label.
pub async fn of_label(
    db: &impl Executor,
    site_id: SiteId,
    (label, before): (&str, UnixMillis),
    but_for: &[&str],
    limit: u32,
) -> Result<Vec<Doomed>, DbError> {
    let mut values: Vec<Value> = vec![site_id.into(), label.into(), before.into()];
    values.extend(labels(but_for));
    values.push(limit.into());
    let sql = doomed!(
        "clips c where c.site_id = $1 and c.clip_id in
             (select e.clip_id from events e where e.site_id = $1 and e.label = $2
                 and e.clip_id is not null) and"
    );
    db.all(sql, values).await
}

fn labels(labels: &[&str]) -> [Value; LABELS_MAX] {
    std::array::from_fn(|place| labels.get(place).map_or(Value::Null, |label| (*label).into()))
}

/// Lists the oldest that is not protected. As by age, of a clip whose camera's clock was never set, and of one
/// that a person brought, counts when it arrived: it is not the first to go because it is of 1970.
pub async fn oldest(
    db: &impl Executor,
    source: Source,
    limit: u32,
) -> Result<Vec<Doomed>, DbError> {
    macro_rules! oldest {
        ($source:literal) => {
            concat!(
                "select clip_id, camera_id, class, bytes, started_at from clips where ",
                $source,
                " = $1 and protected_at is null and state in ('ready', 'failed')
                 order by case when clock = 'synced' and class <> 'imported' then started_at
                     else coalesce(progress_at, started_at) end, clip_id limit $2"
            )
        };
    }
    let sql = match source {
        Source::Site(_) => oldest!("site_id"),
        Source::Camera(_) => oldest!("camera_id"),
    };
    db.all(sql, vec![source.into(), limit.into()]).await
}

/// Holds a clip that is to go until the transaction ends. Says whether it is: somebody may have
/// protected it, its camera may have opened it again.
pub async fn hold(db: &impl Executor, clip_id: ClipId) -> Result<bool, DbError> {
    let held = db
        .execute(
            "update clips set revision = revision
             where clip_id = $1 and protected_at is null and state in ('ready', 'failed')",
            vec![clip_id.into()],
        )
        .await?;
    Ok(held == 1)
}

/// Deletes the oldest events of a source that no clip shows any more, from before a time.
pub async fn delete_events(
    db: &impl Executor,
    source: Source,
    before: UnixMillis,
    limit: u32,
) -> Result<u64, DbError> {
    macro_rules! bare {
        ($source:literal) => {
            concat!(
                "delete from events where event_id in (select e.event_id from events e where e.",
                $source,
                " = $1 and e.started_at < $2 and e.state = 'ended'
                     and not exists (select 1 from clips c where c.clip_id = e.clip_id)
                     and not exists (select 1 from clips c where c.event_id = e.event_id)
                 order by e.started_at, e.event_id limit $3)"
            )
        };
    }
    let sql = match source {
        Source::Site(_) => bare!("site_id"),
        Source::Camera(_) => bare!("camera_id"),
    };
    db.execute(sql, vec![source.into(), before.into(), limit.into()]).await
}
