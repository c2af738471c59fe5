//! The schema, step by step. Steps are only ever added: a database at step N has run 1 to N.

pub(super) struct Migration {
    pub(super) version: i64,
    /// Written in PostgreSQL's words; see [`for_sqlite`].
    pub(super) sql: &'static str,
}

pub(super) const ALL: &[Migration] = &[
    Migration { version: 1, sql: include_str!("migrations/0001_first.sql") },
    Migration { version: 2, sql: include_str!("migrations/0002_growing_clips.sql") },
    Migration { version: 3, sql: include_str!("migrations/0003_settings_and_measures.sql") },
    Migration { version: 4, sql: include_str!("migrations/0004_live.sql") },
    Migration { version: 5, sql: include_str!("migrations/0005_camera_states.sql") },
    Migration { version: 6, sql: include_str!("migrations/0006_deleted_clips_and_boots.sql") },
    Migration { version: 7, sql: include_str!("migrations/0007_shares.sql") },
    Migration { version: 8, sql: include_str!("migrations/0008_rights_that_end.sql") },
    Migration { version: 9, sql: include_str!("migrations/0009_copied_cameras.sql") },
    Migration { version: 10, sql: include_str!("migrations/0010_known_devices.sql") },
    Migration { version: 11, sql: include_str!("migrations/0011_usage.sql") },
    Migration { version: 12, sql: include_str!("migrations/0012_releases.sql") },
    Migration { version: 13, sql: include_str!("migrations/0013_provisioning.sql") },
    Migration { version: 14, sql: include_str!("migrations/0014_members.sql") },
    Migration { version: 15, sql: include_str!("migrations/0015_second_factors.sql") },
    Migration { version: 16, sql: include_str!("migrations/0016_audit.sql") },
    Migration { version: 17, sql: include_str!("migrations/0017_accounts.sql") },
    Migration { version: 18, sql: include_str!("migrations/0018_required_factors.sql") },
    Migration { version: 19, sql: include_str!("migrations/0019_clock.sql") },
    Migration { version: 20, sql: include_str!("migrations/0020_push.sql") },
    Migration { version: 21, sql: include_str!("migrations/0021_first_pages.sql") },
    Migration { version: 22, sql: include_str!("migrations/0022_tamper.sql") },
    Migration { version: 23, sql: include_str!("migrations/0023_notifications.sql") },
    Migration { version: 24, sql: include_str!("migrations/0024_webhooks.sql") },
    Migration { version: 25, sql: include_str!("migrations/0025_requests_of_commands.sql") },
    Migration { version: 26, sql: include_str!("migrations/0026_owned_clips.sql") },
    Migration { version: 27, sql: include_str!("migrations/0027_admin.sql") },
    Migration { version: 28, sql: include_str!("migrations/0028_pinned_authorities.sql") },
    Migration { version: 29, sql: include_str!("migrations/0029_refused_browsers.sql") },
];

pub(super) const CREATE_VERSIONS: &str =
    "create table if not exists schema_migrations (version bigint primary key)";

/// Returns the newest step this program knows.
pub(super) fn newest(migrations: &[Migration]) -> i64 {
    migrations.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// Returns the steps to a schema of this version.
pub(super) fn up_to(version: i64) -> impl Iterator<Item = &'static Migration> {
    ALL.iter().filter(move |migration| migration.version <= version)
}

/// Adapts a step to SQLite, whose strict tables call a 64-bit integer `integer` and must say that
/// they are strict; nothing else differs.
pub(super) fn for_sqlite(sql: &str) -> String {
    sql.replace(" bigint", " integer").replace("\n);", "\n) strict;")
}
