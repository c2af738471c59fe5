//! Lists are read page by page, newest first.

use nightjar_shared::{
    event::EventKind,
    ids::{AccountId, CameraId, SiteId},
    role::Role,
    time::UnixMillis,
};

use super::{DbError, Executor, FromRow, Row, Value};

/// Which rows of a list: older than `before_at`, or as old and with a smaller id than `before_id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub before_at: UnixMillis,
    pub before_id: String,
    /// How many at most.
    pub limit: u32,
}

/// Ends the `where` of a list's statement, and orders it: `$1` to `$3` are the page's values.
macro_rules! newest_first {
    ($at:literal, $id:literal) => {
        concat!(
            " and (",
            $at,
            " < $1 or (",
            $at,
            " = $1 and ",
            $id,
            " < $2)) order by ",
            $at,
            " desc, ",
            $id,
            " desc limit $3"
        )
    };
}
pub(super) use newest_first;

impl Page {
    /// Reads one page by a statement that ends in [`newest_first`] of the columns `at` and `id`.
    /// `values` stand for `$4` and on. Damaged rows are left out, and others read in their place: a
    /// page is short at the end of its list alone.
    pub(super) async fn read<T: FromRow>(
        &self,
        db: &impl Executor,
        (at, id): (&str, &str),
        sql: &'static str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<T>, DbError> {
        let values: Vec<Value> = values.into_iter().collect();
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let place = |row: &Row| Some((row.get(at).ok()?, row.get(id).ok()?));
        let mut before: (UnixMillis, String) = (self.before_at, self.before_id.clone());
        let mut found = Vec::new();
        loop {
            let page = [before.0.into(), before.1.as_str().into(), self.limit.into()];
            let rows = db.query(sql, page.into_iter().chain(values.clone()).collect()).await?;
            found.extend(rows.iter().filter_map(|row| db.readable(row)));
            let is_last = rows.len() < limit || found.len() >= limit;
            match rows.iter().rev().find_map(place).filter(|_| !is_last) {
                Some(last) => before = last,
                None => break,
            }
        }
        found.truncate(limit);
        Ok(found)
    }
}

/// Members in one of these roles; the rest is filled with nothing, which no member is.
pub type Roles = [Option<Role>; 4];

/// Who asks for a list, and in which roles that account sees anything of it.
#[derive(Debug, Clone, Copy)]
pub struct Reader {
    pub account_id: AccountId,
    pub roles: Roles,
    /// When it asks: who belongs to a site may do so for a time.
    pub now: UnixMillis,
    /// The one site of which anything may be seen; all when there is none.
    pub site_id: Option<SiteId>,
}

impl Reader {
    /// Returns six values: the account, the roles and the time.
    pub(super) fn values(self) -> impl Iterator<Item = Value> {
        let roles = self.roles.map(Value::from);
        std::iter::once(self.account_id.into()).chain(roles).chain([self.now.into()])
    }

    /// Returns the site that is left of what the reader may see and asks for: none is all. No site
    /// has an empty name.
    pub(super) fn site(self, asked: Option<SiteId>) -> Value {
        match (self.site_id, asked) {
            (Some(only), Some(asked)) if only != asked => Value::from(""),
            (only, asked) => only.or(asked).into(),
        }
    }
}

/// What a list of events or clips shows. Absent means any.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub site_id: Option<SiteId>,
    pub camera_id: Option<CameraId>,
    /// Of events.
    pub kind: Option<EventKind>,
    /// Inclusive.
    pub from: Option<UnixMillis>,
    /// Exclusive.
    pub to: Option<UnixMillis>,
}

impl Filter {
    /// Returns four values: site, camera, from when and until when.
    pub(super) fn values_for(&self, reader: Reader) -> [Value; 4] {
        [
            reader.site(self.site_id),
            self.camera_id.into(),
            self.from.map_or(i64::MIN, |from| from.0).into(),
            self.to.map_or(i64::MAX, |to| to.0).into(),
        ]
    }
}
