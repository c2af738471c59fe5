//! Which passwords are refused: those that a guesser tries first. Checked with a list that the program
//! carries, so that no other server hears of anybody's password.

use nightjar_shared::text;
use sha2::{Digest as _, Sha256};

use crate::error::{Error, ProblemCode, Result};

/// The 19,726 passwords that Django ships as the most common of all that were ever published: of each the
/// first four bytes of its SHA-256, sorted. `build/common-passwords` writes it.
static COMMON: &[u8] = include_bytes!("common_passwords.bin");
const HASH_BYTES: usize = 4;

/// What is in every list of a guesser for this relay.
const OWN_WORDS: [&str; 2] = ["nightjar", "camera"];
/// Shorter words are part of too many others.
const WORD_CHARS_MIN: usize = 4;
/// What must be left of a password without the words that a guesser knows.
const REST_CHARS_MIN: usize = 6;
const DISTINCT_CHARS_MIN: usize = 5;
/// Rows of keys, and letters as people say them.
const ROWS: [&str; 5] =
    ["01234567890", "abcdefghijklmnopqrstuvwxyz", "qwertyuiop", "asdfghjkl", "zxcvbnm"];
/// So many keys in a row were not chosen one by one.
const RUN_CHARS_MIN: usize = 4;

/// Refuses a password that is common, or made of `words`: the owner's address, name, sites, and the
/// relay's host.
pub(super) fn check<'a>(password: &str, words: impl Iterator<Item = &'a str>) -> Result<()> {
    let password = text::folded(&text::opaque(password));
    if is_common(&password) || is_simple(&password) || is_personal(&password, words) {
        return Err(Error::invalid(
            ProblemCode::WeakPassword,
            "This password is among the first that are guessed.",
        )
        .with_detail(
            "This password is among the first that are guessed: it is common, a pattern, or made of \
             your name, address or site. Take a few words that do not belong together.",
        ));
    }
    Ok(())
}

/// Returns whether it is a common password, or one with digits or signs around it or in the place of
/// letters.
fn is_common(password: &str) -> bool {
    [password, core(password)].into_iter().any(|part| {
        // 1 stands for two letters.
        is_listed(part) || ['i', 'l'].into_iter().any(|one| is_listed(&as_meant(part, one)))
    })
}

/// Writes the letters that digits and signs stand for.
fn as_meant(password: &str, one: char) -> String {
    password.chars().map(|letter| letter_meant(letter, one)).collect()
}

/// Cuts off what is no letter at both ends.
fn core(password: &str) -> &str {
    password.trim_matches(|letter: char| !letter.is_alphabetic())
}

fn letter_meant(letter: char, one: char) -> char {
    match letter {
        '0' => 'o',
        '1' | '!' => one,
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        other => other,
    }
}

fn is_listed(password: &str) -> bool {
    let digest = Sha256::digest(password.as_bytes());
    let (hashes, _) = COMMON.as_chunks::<HASH_BYTES>();
    digest.first_chunk::<HASH_BYTES>().is_some_and(|head| hashes.binary_search(head).is_ok())
}

/// Returns whether it is few characters again and again, or keys in a row.
fn is_simple(password: &str) -> bool {
    let letters: Vec<char> = password.chars().collect();
    let mut distinct = letters.clone();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.len() < DISTINCT_CHARS_MIN {
        return true;
    }
    let half = letters.len() / 2;
    let is_doubled = letters.len().is_multiple_of(2) && letters[..half] == letters[half..];
    let unit: String = letters[..half].iter().collect();
    (is_doubled && (is_common(&unit) || is_simple_run(&unit))) || is_simple_run(password)
}

/// Returns whether little is left of it without keys in a row.
fn is_simple_run(password: &str) -> bool {
    let mut rest: Vec<char> = Vec::new();
    let mut run: Vec<char> = Vec::new();
    for letter in password.chars() {
        run.push(letter);
        if !is_run(&run) {
            let last = run.pop();
            if run.len() < RUN_CHARS_MIN {
                rest.append(&mut run);
            }
            run.clear();
            run.extend(last);
        }
    }
    if run.len() < RUN_CHARS_MIN {
        rest.append(&mut run);
    }
    rest.len() < RUN_CHARS_MIN
}

fn is_run(letters: &[char]) -> bool {
    let forwards: String = letters.iter().collect();
    let backwards: String = letters.iter().rev().collect();
    ROWS.iter().any(|row| row.contains(&forwards) || row.contains(&backwards))
}

/// Returns whether little is left of it without the words that belong to its owner.
fn is_personal<'a>(password: &str, words: impl Iterator<Item = &'a str>) -> bool {
    let own: Vec<String> = words.map(text::folded).collect();
    let parts = own
        .iter()
        .flat_map(|words| words.split(|letter: char| !letter.is_alphanumeric()))
        .chain(OWN_WORDS)
        .filter(|word| word.chars().count() >= WORD_CHARS_MIN);
    let mut rest = password.to_owned();
    let mut found = false;
    for part in parts {
        if rest.contains(part) {
            found = true;
            rest = rest.replace(part, "");
        }
    }
    found && rest.chars().filter(|letter| letter.is_alphanumeric()).count() < REST_CHARS_MIN
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(password: &str) -> bool {
        let own =
            ["wilhelmina.krause@example.org", "Wilhelmina Krause", "cam.kiosk7.net", "Bakery"];
        check(password, own.into_iter()).is_err()
    }

    #[test]
    fn what_is_guessed_first_is_refused() {
        for password in [
            "password123",
            "P@ssw0rd2024!",
            "1234567890",
            "0987654321",
            "qwertyuiop",
            "qwertyuiop123",
            "aaaaaaaaaaaa",
            "1212121212",
            "passwordpassword",
            "football2024!!",
            "abcdefghij",
            "nightjar2026",
            "Wilhelmina1",
            "wilhelmina.krause",
            "KRAUSE-bakery-99",
            "kiosk7-camera",
            "i1oveyou2024",
        ] {
            assert!(is_refused(password), "{password}");
        }
    }

    #[test]
    fn words_that_do_not_belong_together_are_taken() {
        for password in [
            "correct horse battery",
            "wilhelmina has three ducks",
            "Tr0ub4dor&3x9",
            "gr\u{fc}ne \u{e9}toile",
            "7f3k-9qpz-2mwx",
            "\u{6b63}\u{786e}\u{7684}\u{9a6c}\u{7535}\u{6c60}\u{8ba2}\u{4e66}\u{9489}\u{5929}",
        ] {
            assert!(!is_refused(password), "{password}");
        }
    }

    #[test]
    fn the_list_is_sorted_and_small() {
        let (hashes, rest) = COMMON.as_chunks::<HASH_BYTES>();
        assert!(rest.is_empty() && hashes.is_sorted());
        assert!((19_000..25_000).contains(&hashes.len()), "{}", hashes.len());
        assert!(is_listed("football") && !is_listed("correct horse battery"));
    }
}
