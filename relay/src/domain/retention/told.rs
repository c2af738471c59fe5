//! What owners hear before footage goes.

use nightjar_shared::{ids::SiteId, notification::Kind};

use crate::{
    app::App,
    domain::notifications::{Happening, happened},
    engines::db::Transaction,
    error::Result,
};

/// Footage goes within a week because of its age.
pub(super) async fn of_age(app: &App, transaction: &Transaction, site_id: SiteId) -> Result<()> {
    count(app, "age");
    happened(app, transaction, Happening::at_site(Kind::Retention, site_id)).await
}

/// The room for a site's footage is nearly used up.
pub(super) async fn of_size(app: &App, transaction: &Transaction, site_id: SiteId) -> Result<()> {
    count(app, "size");
    happened(app, transaction, Happening::at_site(Kind::Quota, site_id)).await
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
