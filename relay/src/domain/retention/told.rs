//! What owners hear before footage goes.

use nightjar_shared::ids::SiteId;

use crate::app::App;

/// Footage goes within a week because of its age.
pub(super) fn of_age(app: &App, site_id: SiteId) {
    count(app, "age");
    tracing::info!(site.id = %site_id, "footage of a site goes within a week because of its age");
}

/// The room for a site's footage is nearly used up.
pub(super) fn of_size(app: &App, site_id: SiteId) {
    count(app, "size");
    tracing::info!(site.id = %site_id, "the room for a site's footage is nearly used up");
}

fn count(app: &App, reason: &'static str) {
    app.metrics
        .counter(
            "nightjar_retention_warnings_total",
            "How often owners of sites were told that footage is about to go, by why.",
            &[("reason", reason)],
        )
        .increment();
}
