//! What was noted a moment ago, and need not be noted again.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use nightjar_shared::time::UnixMillis;

/// How long the same is one.
const SAME_FOR: Duration = Duration::from_mins(10);
/// So many are remembered; when all are young, the next is noted once more than it need be.
const REMEMBERED_MAX: usize = 20_000;

#[derive(Default)]
pub struct Recent(Mutex<HashMap<String, UnixMillis>>);

impl Recent {
    /// Returns whether this is the first time in ten minutes.
    pub fn is_first(&self, key: String, now: UnixMillis) -> bool {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_young = |at: &UnixMillis| now.since(*at) < SAME_FOR && *at <= now;
        if noted.get(&key).is_some_and(is_young) {
            return false;
        }
        if noted.len() >= REMEMBERED_MAX {
            noted.retain(|_, at| is_young(at));
        }
        if noted.len() < REMEMBERED_MAX {
            noted.insert(key, now);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_noted_once_in_ten_minutes() {
        let recent = Recent::default();
        let is_first =
            |key: &str, minute: i64| recent.is_first(key.to_owned(), UnixMillis(minute * 60_000));
        assert!(is_first("a", 0) && is_first("b", 0));
        assert!(!is_first("a", 9));
        assert!(is_first("a", 10));
        assert!(!is_first("a", 19));
    }

    #[test]
    fn memory_is_bounded_and_nothing_is_left_out_for_it() {
        let recent = Recent::default();
        for number in 0..REMEMBERED_MAX + 10 {
            assert!(recent.is_first(number.to_string(), UnixMillis(0)));
        }
        assert!(recent.0.lock().unwrap().len() <= REMEMBERED_MAX);
        assert!(recent.is_first("late".to_owned(), UnixMillis(0)));
        assert!(recent.is_first("late".to_owned(), UnixMillis(0)), "once more than it need be");
        assert!(recent.is_first("later".to_owned(), UnixMillis(700_000)));
        assert!(!recent.is_first("later".to_owned(), UnixMillis(700_000)));
    }
}
