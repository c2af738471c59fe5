//! Which events or clips a list shows, and whose they are.

use std::collections::BTreeSet;

use jiff::{
    civil::Date,
    tz::{TimeZone, TimeZoneDatabase},
};
use nightjar_shared::{
    clip::FootageClass,
    event::{EventKind, Trigger},
    ids::{CameraId, SiteId},
    text::{folded, is_hidden},
    time::UnixMillis,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{access::Caller, page::Position};
use crate::{
    app::App,
    engines::db::{Filter, Reader, Source, WORDS_MAX, Word, cameras, sites},
    error::{Error, ProblemCode, Result},
};

const CAMERAS_MAX: usize = 16;
const SEARCH_CHARS_MAX: usize = 100;
const WORD_CHARS_MAX: usize = 40;
/// Cameras whose names are looked through, and of those that fit, so many.
const NAMES_MAX: u32 = 2_000;
const NAMED_MAX: usize = 64;

/// Which events or clips a list shows. Absent means any.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Selection {
    #[param(format = "uuid")]
    pub site_id: Option<String>,
    /// One, or up to 16 with commas between them.
    #[param(format = "uuid")]
    pub camera_id: Option<String>,
    /// Of events: `motion`, `manual`, `bookmark`, `doorbell`, `sensor` or `outside`.
    pub kind: Option<String>,
    /// Of clips, what they are of: `motion`, `manual`, `continuous`, `picture` or `imported`.
    pub class: Option<String>,
    /// Begun then or later, Unix milliseconds.
    #[param(value_type = Option<i64>)]
    pub from: Option<UnixMillis>,
    /// Begun before, Unix milliseconds.
    #[param(value_type = Option<i64>)]
    pub to: Option<UnixMillis>,
    /// Begun on this day by the clock of the site, `YYYY-MM-DD`; by UTC where the site has no time zone.
    pub day: Option<String>,
    /// What the event is called, whole.
    pub label: Option<String>,
    /// One of the clip's tags, whole; capital letters are small ones.
    pub tag: Option<String>,
    pub protected: Option<bool>,
    /// What the caller has not seen, or, by `false`, has seen.
    pub unseen: Option<bool>,
    /// Of events: `motion`, `person`, `key` or `camera`.
    pub triggered_by: Option<String>,
    /// Up to four words, each of which stands in the title, note, tags, label or text, or in the name of the
    /// camera.
    pub search: Option<String>,
}

/// What is read for one page.
pub(super) struct Listing {
    sources: Vec<(Source, Filter)>,
}

impl Listing {
    /// Finds what a selection means for who asks. What of it the caller may see is not decided here: each
    /// statement asks that again.
    pub(super) async fn of(
        app: &App,
        caller: Caller,
        reader: Reader,
        selection: &Selection,
    ) -> Result<Self> {
        let filter = Filter { words: words(app, reader, selection).await?, ..filter(selection)? };
        let day = selection.day.as_deref().map(read_day).transpose()?;
        let cameras = cameras_of(selection)?;
        let mut sources = Vec::new();
        if !cameras.is_empty() {
            for camera_id in cameras {
                let site_id = match day {
                    Some(_) => cameras::by_id(&app.db, camera_id).await?.map(|row| row.site_id),
                    None => None,
                };
                let filter = on_day(app, filter.clone(), day, site_id).await?;
                sources.push((Source::Camera(camera_id), filter));
            }
        } else if let Some(site_id) = filter.site_id {
            let filter = on_day(app, filter, day, Some(site_id)).await?;
            sources.push((Source::Site(site_id), filter));
        } else {
            for row in sites::of_account(&app.db, caller.account_id, app.now()).await? {
                if caller.scope.reaches(row.site_id) {
                    let filter = on_day(app, filter.clone(), day, Some(row.site_id)).await?;
                    sources.push((Source::Site(row.site_id), filter));
                }
            }
        }
        Ok(Self { sources })
    }

    /// Returns what is read, one after the other.
    pub(super) fn sources(&self) -> impl Iterator<Item = (Source, &Filter)> {
        self.sources.iter().map(|(source, filter)| (*source, filter))
    }
}

/// Puts the pages of several sources together to one, newest first.
pub(super) fn merged<Row, Id: Ord>(
    mut rows: Vec<Row>,
    position: &Position,
    key: impl Fn(&Row) -> (UnixMillis, Id),
) -> Vec<Row> {
    rows.sort_by_key(|row| std::cmp::Reverse(key(row)));
    rows.truncate(usize::try_from(position.page.limit).unwrap_or(usize::MAX));
    rows
}

fn invalid(title: &'static str) -> Error {
    Error::bad_request(ProblemCode::InvalidQuery, title)
}

fn filter(selection: &Selection) -> Result<Filter> {
    let site_id = selection.site_id.as_deref().map(str::parse::<SiteId>).transpose();
    let class = selection.class.as_deref().map(str::parse::<FootageClass>).transpose();
    let triggered_by = selection.triggered_by.as_deref().map(str::parse::<Trigger>).transpose();
    Ok(Filter {
        site_id: site_id.map_err(|_| invalid("site_id and camera_id are UUIDs."))?,
        from: selection.from,
        to: selection.to,
        tag: selection.tag.as_deref().map(compared).transpose()?,
        protected: selection.protected,
        unseen: selection.unseen,
        words: Vec::new(),
        // No event is of a kind that nobody knows.
        kind: selection.kind.as_deref().map(|kind| kind.parse().unwrap_or(EventKind::Unknown)),
        label: selection.label.clone().filter(|label| !label.is_empty()).map(plain).transpose()?,
        triggered_by: triggered_by
            .map_err(|_| invalid("triggered_by is `motion`, `person`, `key` or `camera`."))?,
        class: class.map_err(|_| {
            invalid("class is `motion`, `manual`, `continuous`, `picture` or `imported`.")
        })?,
    })
}

/// Refuses text that no title or tag can have: not every database takes all of it.
fn plain(text: String) -> Result<String> {
    let is_plain = text.chars().count() <= SEARCH_CHARS_MAX && !text.chars().any(is_hidden);
    if is_plain {
        return Ok(text);
    }
    Err(invalid("A text to look for has 100 characters at most, and none that cannot be seen."))
}

fn compared(text: &str) -> Result<String> {
    plain(text.trim().to_owned()).map(|text| folded(&text))
}

fn cameras_of(selection: &Selection) -> Result<BTreeSet<CameraId>> {
    let Some(text) = &selection.camera_id else { return Ok(BTreeSet::new()) };
    let parsed: std::result::Result<BTreeSet<_>, _> = text.split(',').map(str::parse).collect();
    let cameras = parsed.map_err(|_| invalid("site_id and camera_id are UUIDs."))?;
    if cameras.len() > CAMERAS_MAX {
        return Err(invalid("A list is of 16 cameras at most."));
    }
    Ok(cameras)
}

async fn words(app: &App, reader: Reader, selection: &Selection) -> Result<Vec<Word>> {
    let Some(search) = &selection.search else { return Ok(Vec::new()) };
    let search = compared(search)?;
    if search.is_empty() {
        return Ok(Vec::new());
    }
    let names = cameras::names_for_member(&app.db, reader, NAMES_MAX).await?;
    let names: Vec<_> = names.iter().map(|it| (folded(&it.name), it.camera_id)).collect();
    let word = |word: &str| {
        let fitting = names.iter().filter(|(name, _)| name.contains(word)).take(NAMED_MAX);
        let ids: Vec<String> = fitting.map(|(_, camera_id)| camera_id.to_string()).collect();
        Word { pattern: pattern(word), cameras: ids.join(" ") }
    };
    Ok(search.split_whitespace().take(WORDS_MAX).map(word).collect())
}

/// Writes a word for `like … escape '\'`: what it has of that language's own signs stands for itself.
fn pattern(word: &str) -> String {
    let mut pattern = String::from("%");
    for letter in word.chars().take(WORD_CHARS_MAX) {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
}

fn read_day(text: &str) -> Result<Date> {
    let day: Option<Date> = text.parse().ok().filter(|_| text.len() == 10);
    day.filter(|day| (1970..=9998).contains(&day.year()))
        .ok_or_else(|| invalid("day is a date, such as 2026-03-29."))
}

/// Narrows a filter to a day by the clock of a site.
async fn on_day(
    app: &App,
    filter: Filter,
    day: Option<Date>,
    site_id: Option<SiteId>,
) -> Result<Filter> {
    let Some(day) = day else { return Ok(filter) };
    let facts = match site_id {
        Some(site_id) => sites::facts(&app.db, site_id).await?,
        None => None,
    };
    let (begins, ends) = bounds(day, facts.and_then(|facts| facts.time_zone).as_deref());
    let from = filter.from.map_or(begins, |from| from.max(begins));
    let to = filter.to.map_or(ends, |to| to.min(ends));
    Ok(Filter { from: Some(from), to: Some(to), ..filter })
}

/// Returns when a day begins and ends: it has 23 or 25 hours where clocks change.
fn bounds(day: Date, zone: Option<&str>) -> (UnixMillis, UnixMillis) {
    let zone = zone.and_then(|name| TimeZoneDatabase::from_env().get(name).ok());
    let zone = zone.unwrap_or(TimeZone::UTC);
    let begin = |day: Date| {
        let begin = day.to_zoned(zone.clone()).map(|at| at.timestamp().as_millisecond());
        UnixMillis(begin.unwrap_or(0))
    };
    (begin(day), day.tomorrow().map_or(UnixMillis(i64::MAX), begin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_as_many_hours_as_its_clocks_show() {
        let hours = |day: &str, zone: &str| {
            let (begins, ends) = bounds(read_day(day).unwrap(), Some(zone));
            (ends.0 - begins.0) / 3_600_000
        };
        assert_eq!(hours("2026-03-29", "Europe/Berlin"), 23);
        assert_eq!(hours("2026-10-25", "Europe/Berlin"), 25);
        // At midnight, there the clocks change.
        assert_eq!(hours("2026-10-04", "America/Asuncion"), 24);
        assert_eq!(hours("2026-04-24", "Africa/Cairo"), 23);
        assert_eq!(hours("2026-03-29", "Nowhere/Land"), 24);
    }

    #[test]
    fn what_is_no_day_is_none() {
        for text in ["", "2026-02-30", "2026-3-1", "20260301", "0000-01-01", "9999-12-31", "-1"] {
            assert!(read_day(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_signs_of_patterns_stand_for_themselves() {
        assert_eq!(pattern(r"50%_\"), r"%50\%\_\\%");
    }
}
