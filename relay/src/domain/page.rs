//! Lists are read page by page, newest first: which rows, and which page of them.

use std::{fmt, io};

use nightjar_shared::time::UnixMillis;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    engines::db::Page,
    error::{Error, ProblemCode, Result},
};

const LIMIT_DEFAULT: u32 = 50;
const LIMIT_MAX: u32 = 200;
/// No page of any list is larger, written as JSON: answers are in memory as a whole until their
/// readers have taken them.
pub(super) const PAGE_BYTES_MAX: usize = 256 * 1024;

/// One page of a list, newest first.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct List<T> {
    pub items: Vec<T>,
    /// Give it as `cursor` to get the next page; absent on the last one. A page may have fewer items
    /// than were asked for: it has 256 KB at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// Which page.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageRequest {
    /// `next_cursor` of the page before.
    #[param(pattern = "^-?[0-9]{1,18}[.][0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
    pub cursor: Option<String>,
    /// 1 to 200, by default 50.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
}

/// Where a page begins and how much it shows.
pub(super) struct Position {
    /// What to read: one row more than is shown tells whether there is another page.
    pub(super) page: Page,
    limit: u32,
}

impl PageRequest {
    pub(super) fn position(&self) -> Result<Position> {
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(Error::bad_request(ProblemCode::InvalidQuery, "limit is 1 to 200."));
        }
        let (before_at, before_id) = match &self.cursor {
            None => (UnixMillis(i64::MAX), String::new()),
            Some(cursor) => parse(cursor).ok_or_else(|| {
                Error::bad_request(ProblemCode::InvalidQuery, "cursor is none of this list's.")
            })?,
        };
        Ok(Position { page: Page { before_at, before_id, limit: limit + 1 }, limit })
    }
}

impl Position {
    /// Makes a page of what was read; `key` gives a row's time and id.
    pub(super) fn list<Row, T: Serialize, Id: fmt::Display>(
        &self,
        mut rows: Vec<Row>,
        key: impl Fn(&Row) -> (UnixMillis, Id),
        view: impl FnMut(Row) -> T,
    ) -> List<T> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let found = rows.len();
        rows.truncate(limit);
        let keys: Vec<_> = rows.iter().map(key).collect();
        let items = fitting(rows.into_iter().map(view), PAGE_BYTES_MAX);
        let last = keys.get(items.len().wrapping_sub(1)).filter(|_| items.len() < found);
        List { next_cursor: last.map(|(at, id)| format!("{at}.{id}")), items }
    }
}

/// Takes the first items that fit into so many bytes of JSON, and one at least.
pub(super) fn fitting<T: Serialize>(
    items: impl IntoIterator<Item = T>,
    bytes_max: usize,
) -> Vec<T> {
    let mut left = bytes_max;
    let mut taken = Vec::new();
    for item in items {
        // With the comma behind it.
        let Some(rest) = left.checked_sub(written_length(&item) + 1) else {
            if taken.is_empty() {
                taken.push(item);
            }
            break;
        };
        left = rest;
        taken.push(item);
    }
    taken
}

/// Returns how long something is as JSON. What cannot be written fails where it is sent.
fn written_length(item: &impl Serialize) -> usize {
    let mut length = Length(0);
    let written = serde_json::to_writer(&mut length, item);
    if written.is_ok() { length.0 } else { 0 }
}

struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn parse(cursor: &str) -> Option<(UnixMillis, String)> {
    let (at, id) = cursor.split_once('.')?;
    let plain = |letter: u8| letter.is_ascii_hexdigit() || letter == b'-';
    (id.len() == 36 && id.bytes().all(plain))
        .then(|| Some((UnixMillis(at.parse().ok()?), id.to_owned())))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(cursor: Option<&str>, limit: Option<u32>) -> PageRequest {
        PageRequest { cursor: cursor.map(str::to_owned), limit }
    }

    #[test]
    fn a_cursor_continues_where_the_page_ended() {
        let id = "0190a3b2-7c11-7def-8000-0123456789ab";
        let position = page(None, Some(1)).position().unwrap();
        let list = position.list(vec![7, 6], |at| (UnixMillis(*at), id), |row| row);
        assert_eq!(list.items, [7]);
        let next = page(list.next_cursor.as_deref(), None).position().unwrap().page;
        assert_eq!((next.before_at, next.before_id.as_str()), (UnixMillis(7), id));
    }

    #[test]
    fn the_last_page_has_no_cursor() {
        let position = page(None, Some(2)).position().unwrap();
        let list = position.list(vec![7, 6], |at| (UnixMillis(*at), "id"), |row| row);
        assert!(list.next_cursor.is_none());
    }

    #[test]
    fn a_page_ends_at_its_bytes_and_goes_on_at_its_cursor() {
        let id = "0190a3b2-7c11-7def-8000-0123456789ab";
        let position = page(None, Some(200)).position().unwrap();
        let rows: Vec<_> = (0..10).rev().collect();
        let long = |_| "x".repeat(PAGE_BYTES_MAX / 3);
        let list = position.list(rows.clone(), |at| (UnixMillis(*at), id), long);
        assert_eq!(list.items.len(), 2);
        assert_eq!(list.next_cursor, Some(format!("8.{id}")));
        let larger = |_| "x".repeat(PAGE_BYTES_MAX * 2);
        let list = position.list(rows, |at| (UnixMillis(*at), id), larger);
        assert_eq!(list.items.len(), 1, "what is too large for any page has one of its own");
        assert_eq!(list.next_cursor, Some(format!("9.{id}")));
    }

    #[test]
    fn odd_cursors_and_limits_are_refused() {
        for cursor in ["", "x", "1", "1.", "a.0190a3b2-7c11-7def-8000-0123456789ab", "1.%'--"] {
            assert!(page(Some(cursor), None).position().is_err(), "{cursor}");
        }
        assert!(page(None, Some(0)).position().is_err());
        assert!(page(None, Some(201)).position().is_err());
    }
}
