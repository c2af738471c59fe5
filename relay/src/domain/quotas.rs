//! What a camera may still write: within the quotas of the camera, its site and the site's owners,
//! and while there is space.

use std::time::Duration;

use nightjar_shared::ids::{AccountId, CameraId, SiteId};
use uuid::Uuid;

use super::retention;
use crate::{
    app::App,
    config::Amount,
    engines::db::{Source, Transaction, admin, usage},
    error::{Error, ProblemCode, Result},
};

/// How old a count may be that lets something in.
const COUNT_AGE: Duration = Duration::from_mins(10);
/// How old a count may be that keeps something out: what was deleted since makes room.
const REFUSAL_AGE: Duration = Duration::from_secs(10);

/// Whose quota it is.
#[derive(Debug, Clone, Copy)]
enum Owner {
    Camera(CameraId),
    Site(SiteId),
    Account(AccountId),
}

impl Owner {
    fn id(self) -> Uuid {
        match self {
            Self::Camera(id) => id.as_uuid(),
            Self::Site(id) => id.as_uuid(),
            Self::Account(id) => id.as_uuid(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Camera(_) => "camera",
            Self::Site(_) => "site",
            Self::Account(_) => "account",
        }
    }

    async fn quota(self, app: &App) -> Result<Amount> {
        let settings = app.settings.get();
        let limits = &settings.limits;
        Ok(match self {
            Self::Camera(_) => limits.of_camera(),
            Self::Site(site_id) => {
                admin::sites::limits(&app.db, site_id).await?.of(limits.of_site())
            }
            Self::Account(_) => limits.of_account(),
        })
    }

    /// Returns what is used, as it was within `age`.
    async fn used(self, app: &App, age: Duration) -> Result<Amount> {
        let now = app.now();
        if let Some(known) = app.usage.known(self.id(), age, now) {
            return Ok(known);
        }
        let used = match self {
            Self::Camera(id) => usage::of_camera(&app.db, id).await?,
            Self::Site(id) => usage::of_site(&app.db, id).await?,
            Self::Account(id) => usage::of_owner(&app.db, id).await?,
        };
        app.usage.note(self.id(), used, now);
        Ok(used)
    }
}

/// Lets a camera of this site write `more`, or says whose quota is used up.
pub(super) async fn take(
    app: &App,
    camera_id: CameraId,
    site_id: SiteId,
    more: Amount,
) -> Result<()> {
    let accounts = usage::owners(&app.db, site_id).await?;
    let owners: Vec<Owner> = [Owner::Camera(camera_id), Owner::Site(site_id)]
        .into_iter()
        .chain(accounts.into_iter().map(Owner::Account))
        .collect();
    for owner in &owners {
        let quota = owner.quota(app).await?;
        let mut beyond = what_exceeds(owner.used(app, COUNT_AGE).await?.plus(more), quota);
        if beyond.is_some() {
            beyond = what_exceeds(owner.used(app, REFUSAL_AGE).await?.plus(more), quota);
        }
        if beyond.is_some() && give_way(app, *owner, site_id, more).await? {
            beyond = what_exceeds(owner.used(app, Duration::ZERO).await?.plus(more), quota);
        }
        if let Some(what) = beyond {
            return Err(exceeded(app, *owner, what));
        }
    }
    for owner in owners {
        app.usage.add(owner.id(), more);
    }
    warn(app, site_id, more).await
}

/// Counts once more within the transaction that has written: of what was let in at the same time, here or at
/// another replica, the last finds no room. The site is to be held by it.
pub(super) async fn check_written(
    app: &App,
    transaction: &Transaction,
    (camera_id, site_id): (CameraId, SiteId),
) -> Result<()> {
    let limits = app.settings.get().limits.clone();
    let of_site = admin::sites::limits(transaction, site_id).await?.of(limits.of_site());
    let of_camera = usage::of_camera(transaction, camera_id).await?;
    let all = usage::of_site(transaction, site_id).await?;
    for (owner, used, quota) in [
        (Owner::Camera(camera_id), of_camera, limits.of_camera()),
        (Owner::Site(site_id), all, of_site),
    ] {
        if let Some(what) = what_exceeds(used, quota) {
            app.usage.forget(owner.id());
            return Err(exceeded(app, owner, what));
        }
    }
    Ok(())
}

/// Lets the oldest go for what is new, where the site's owner wants that. Says whether anything went.
async fn give_way(app: &App, owner: Owner, site_id: SiteId, more: Amount) -> Result<bool> {
    let used = owner.used(app, Duration::ZERO).await?.plus(more);
    let quota = owner.quota(app).await?;
    let missing = Amount {
        bytes: used.bytes.saturating_sub(quota.bytes),
        clips: used.clips.saturating_sub(quota.clips),
        events: used.events.saturating_sub(quota.events),
    };
    let source = match owner {
        Owner::Camera(camera_id) => Source::Camera(camera_id),
        Owner::Site(_) | Owner::Account(_) => Source::Site(site_id),
    };
    let went = retention::make_room(app, site_id, source, missing).await?;
    if went {
        app.usage.forget(owner.id());
    }
    Ok(went)
}

/// Tells the owners of a site when its room is nearly used up.
async fn warn(app: &App, site_id: SiteId, more: Amount) -> Result<()> {
    let site = Owner::Site(site_id);
    let (used, quota) = (site.used(app, COUNT_AGE).await?.bytes, site.quota(app).await?.bytes);
    let is_near = u128::from(used) * 10 >= u128::from(quota) * 9;
    if more.bytes > 0 && is_near && app.seen.is_first(format!("room of {site_id}"), app.now()) {
        retention::near_full(app, site_id, used).await?;
    }
    Ok(())
}

fn what_exceeds(wanted: Amount, quota: Amount) -> Option<&'static str> {
    [
        ("bytes", wanted.bytes > quota.bytes),
        ("clips", wanted.clips > quota.clips),
        ("events", wanted.events > quota.events),
    ]
    .into_iter()
    .find_map(|(what, exceeds)| exceeds.then_some(what))
}

fn exceeded(app: &App, owner: Owner, what: &'static str) -> Error {
    app.metrics
        .counter(
            "nightjar_quota_refusals_total",
            "What cameras were not let write, by whose quota was used up.",
            &[("owner", owner.name()), ("what", what)],
        )
        .increment();
    let title = "The quota is used up: delete something, or ask the relay's administrator.";
    Error::refused(507, ProblemCode::QuotaExceeded, title)
        .with_detail(format!("{what} of the {}", owner.name()))
}

/// Looks whether cameras may add to the database: below its reserve, what is left is for those who
/// make room.
pub(super) fn check_space(app: &App) -> Result<()> {
    if app.db.has_space() { Ok(()) } else { Err(no_space()) }
}

pub(super) fn no_space() -> Error {
    Error::refused(507, ProblemCode::NoSpace, "The relay's disk is full; try again later.")
}
