//! What somebody may be to a site.

use std::time::Duration;

use nightjar_shared::{
    ids::{CameraId, SiteId},
    role::Role,
    time::UnixMillis,
};

use crate::{
    domain::access,
    engines::db::{Executor, cameras},
    error::{Error, ProblemCode, Result},
};

/// Of a site: with what each is limited to, a list of them stays below the largest answer.
pub(in crate::domain) const MEMBERS_MAX: u64 = 100;
const CAMERAS_MAX: usize = 40;
/// A guest stays for so long at most; who stays longer is no guest.
const GUEST_MAX: Duration = Duration::from_hours(5 * 365 * 24);

/// What somebody is to become.
#[derive(Debug, Clone)]
pub(in crate::domain) struct Terms {
    pub(in crate::domain) role: Role,
    /// Sees these alone.
    pub(in crate::domain) cameras: Option<Vec<CameraId>>,
    pub(in crate::domain) ends_at: Option<UnixMillis>,
}

impl Terms {
    /// Checks what an owner is to stay: one who sees some cameras, or until a time, would leave the site
    /// without any.
    pub(in crate::domain) fn check_owner(&self) -> Result<()> {
        if self.cameras.is_none() && self.ends_at.is_none() {
            return Ok(());
        }
        Err(invalid("an owner sees all, and stays until they leave"))
    }

    /// Checks whether one who has the role `giver` may give this now.
    pub(in crate::domain) async fn check(
        &self,
        db: &impl Executor,
        site_id: SiteId,
        giver: Role,
        now: UnixMillis,
    ) -> Result<()> {
        if self.role == Role::Owner {
            return Err(invalid("a site is offered to a member, who accepts it"));
        }
        if !access::may_give(giver, self.role) {
            return Err(Error::forbidden(
                ProblemCode::Forbidden,
                "A manager lets viewers in; the rest do owners.",
            ));
        }
        if self.ends_at.is_some_and(|at| at <= now || at > now.plus(GUEST_MAX)) {
            return Err(invalid("ends_at is in the next five years"));
        }
        let Some(limit) = &self.cameras else { return Ok(()) };
        if self.role != Role::Viewer {
            return Err(invalid("viewers alone are limited to cameras"));
        }
        if limit.is_empty() || limit.len() > CAMERAS_MAX {
            return Err(invalid("cameras are 1 to 40, or null for all"));
        }
        let known = cameras::ids_of_site(db, site_id).await?;
        if limit.iter().all(|camera_id| known.contains(camera_id)) {
            Ok(())
        } else {
            Err(invalid("cameras are those of the site"))
        }
    }
}

fn invalid(detail: &'static str) -> Error {
    Error::invalid(ProblemCode::InvalidMembership, "Nobody can be that at this site.")
        .with_detail(detail)
}
