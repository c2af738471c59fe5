//! Lists are read page by page, newest first.

use nightjar_shared::{
    clip::FootageClass,
    event::{EventKind, Trigger},
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
            // The first condition is for indexes: they begin where the page does.
            " and ",
            $at,
            " <= $1 and (",
            $at,
            " < $1 or ",
            $id,
            " < $2) order by ",
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

/// Whose events or clips are read: an index has each of them in the order of pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Site(SiteId),
    Camera(CameraId),
}

impl From<Source> for Value {
    fn from(source: Source) -> Self {
        match source {
            Source::Site(id) => id.into(),
            Source::Camera(id) => id.into(),
        }
    }
}

/// Words that are looked for at once; the rest is left out.
pub const WORDS_MAX: usize = 4;

/// A word that is looked for.
#[derive(Debug, Clone)]
pub struct Word {
    /// For `like`, in the form of `search_text`.
    pub pattern: String,
    /// Cameras whose names have it: their ids in one text.
    pub cameras: String,
}

/// What a list of events or clips shows. Absent means any.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub site_id: Option<SiteId>,
    /// Inclusive.
    pub from: Option<UnixMillis>,
    /// Exclusive.
    pub to: Option<UnixMillis>,
    /// As it is compared.
    pub tag: Option<String>,
    pub protected: Option<bool>,
    pub unseen: Option<bool>,
    pub words: Vec<Word>,
    /// Of events.
    pub kind: Option<EventKind>,
    pub label: Option<String>,
    /// Of events.
    pub triggered_by: Option<Trigger>,
    /// Of clips.
    pub class: Option<FootageClass>,
}

impl Filter {
    /// Returns the values that [`selected`] asks for: `$10` and on.
    pub(super) fn values_for(
        &self,
        page: &Page,
        reader: Reader,
        source: Source,
    ) -> impl Iterator<Item = Value> {
        // Of two bounds an index takes one: this is the nearer.
        let end = self.to.map_or(i64::MAX, |to| to.0).min(page.before_at.0.saturating_add(1));
        let word = |place| -> [Value; 2] {
            match self.words.get(place) {
                Some(Word { pattern, cameras }) => {
                    [pattern.as_str().into(), cameras.as_str().into()]
                }
                None => [Value::Null, Value::Null],
            }
        };
        let words: [[Value; 2]; WORDS_MAX] = std::array::from_fn(word);
        [
            source.into(),
            reader.site(self.site_id),
            self.from.map_or(i64::MIN, |from| from.0).into(),
            end.into(),
            self.tag.clone().into(),
            self.protected.into(),
            self.unseen.into(),
        ]
        .into_iter()
        .chain(words.into_iter().flatten())
    }
}

/// Writes the conditions that lists of events and clips have in common, of the thing `$of` whose marks
/// are those of `clips c`. `$seen` says whether the reader has seen it, `$has` whether its text is like
/// a word's pattern.
macro_rules! selected {
    ($of:literal, seen: $seen:expr, has: $has:ident) => {
        concat!(
            " and m.account_id = $4 and m.role in ($5, $6, $7, $8) and m.lacks_factor = 0
              and (cast($11 as text) is null or ",
            $of,
            ".site_id = $11) and ",
            $of,
            ".started_at >= $12 and ",
            $of,
            ".started_at < $13
              and (cast($14 as text) is null or exists (select 1 from clip_tags t
                  where t.clip_id = c.clip_id and t.tag = $14))
              and (cast($15 as bigint) is null
                  or case when c.protected_at is null then 0 else 1 end = $15)
              and (cast($16 as bigint) is null or 1 - (",
            $seen,
            ") = $16) and (cast($17 as text) is null or $18 like '%' || ",
            $of,
            ".camera_id || '%' or ",
            $has!("$17"),
            ") and (cast($19 as text) is null or $20 like '%' || ",
            $of,
            ".camera_id || '%' or ",
            $has!("$19"),
            ") and (cast($21 as text) is null or $22 like '%' || ",
            $of,
            ".camera_id || '%' or ",
            $has!("$21"),
            ") and (cast($23 as text) is null or $24 like '%' || ",
            $of,
            ".camera_id || '%' or ",
            $has!("$23"),
            ")"
        )
    };
}
pub(super) use selected;
