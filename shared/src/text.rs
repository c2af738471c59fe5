//! Text that people type. The same word has several spellings in Unicode, and some characters
//! cannot be seen: names and passwords are brought to one form before they are kept or compared.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

/// Brings a password to the form in which it is hashed and compared: the `OpaqueString` profile of
/// RFC 8265, by which every space is U+0020 and characters are composed (NFC). What the profile
/// forbids stays as it is: that is for who takes a new password to refuse.
pub fn opaque(password: &str) -> String {
    password.chars().map(|letter| if is_space(letter) { ' ' } else { letter }).nfc().collect()
}

/// Returns whether this is a space of any width (category Zs).
fn is_space(letter: char) -> bool {
    letter.is_whitespace() && !letter.is_control() && !matches!(letter, '\u{2028}' | '\u{2029}')
}

/// Returns whether a character cannot be seen, or changes what is seen around it: controls, marks
/// of direction, invisible separators and characters that are none. Joiners are not among them:
/// Persian and pictures of families need them.
pub fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || u32::from(letter) & 0xFFFE == 0xFFFE
        || matches!(
            letter,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{fdd0}'..='\u{fdef}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
        )
}

/// Returns whether a character leaves nothing to be seen by itself.
fn is_blank(letter: char) -> bool {
    letter.is_whitespace()
        || matches!(
            letter,
            '\u{200c}' | '\u{200d}' | '\u{115f}' | '\u{1160}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'
                ..='\u{fe0f}' | '\u{ffa0}'
        )
}

/// Brings a name to its one form: trimmed, composed (NFC). Nothing when it is empty, longer than
/// `chars_max`, or has characters that cannot be seen.
pub fn name(text: &str, chars_max: usize) -> Option<String> {
    let name: String = text.trim().nfc().collect();
    let is_name = name.chars().count() <= chars_max
        && !name.chars().any(is_hidden)
        && !name.chars().all(is_blank);
    is_name.then_some(name)
}

/// Brings a text of several lines to its one form, as [`name`] does a name; of what cannot be seen it may
/// have ends of lines and tabs.
pub fn paragraphs(text: &str, chars_max: usize) -> Option<String> {
    let text: String = text.replace("\r\n", "\n").trim().nfc().collect();
    let is_odd = |letter| is_hidden(letter) && !matches!(letter, '\n' | '\t');
    let is_text = text.chars().count() <= chars_max
        && !text.chars().any(is_odd)
        && !text.chars().all(is_blank);
    is_text.then_some(text)
}

/// Brings what an address is written with to one form: compatible characters are the same (NFKC),
/// and so are capital and small letters.
pub fn folded(text: &str) -> String {
    text.nfkc().collect::<String>().to_lowercase()
}

/// Makes one line of what is logged: what would break it, write over a terminal or turn what stands
/// around it is written as an escape. `keeps` are characters that the log itself writes.
pub fn one_line<'a>(text: &'a str, keeps: &[char]) -> Cow<'a, str> {
    let is_odd = |letter: char| is_hidden(letter) && !keeps.contains(&letter);
    if !text.contains(is_odd) {
        return text.into();
    }
    let escaped = |letter: char| match letter {
        odd if is_odd(odd) => odd.escape_default().to_string(),
        plain => plain.to_string(),
    };
    text.chars().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_same_from_every_keyboard() {
        assert_eq!(opaque("pa\u{308}sse\u{301}-gru\u{308}n"), "p\u{e4}ss\u{e9}-gr\u{fc}n");
        assert_eq!(opaque("\u{1100}\u{1161}"), "\u{ac00}");
        assert_eq!(opaque("a\u{a0}b\u{3000}c d"), "a b c d");
        // By RFC 8265, width and case are part of a password.
        assert_eq!(opaque("\u{ff21}A"), "\u{ff21}A");
        assert_eq!(opaque("plain ASCII"), "plain ASCII");
    }

    #[test]
    fn paragraphs_keep_their_lines_and_have_nothing_hidden() {
        assert_eq!(paragraphs(" a\r\n\tb\u{308} ", 10).as_deref(), Some("a\n\tb\u{308}"));
        for text in ["", "\n\n", "a\0b", "a\u{202e}b", "12345678901"] {
            assert_eq!(paragraphs(text, 10), None, "{text:?}");
        }
    }

    #[test]
    fn a_name_is_composed_trimmed_and_can_be_seen() {
        assert_eq!(name(" \u{a0}Gara\u{302}ge\u{3000}", 40).as_deref(), Some("Gar\u{e2}ge"));
        let family = "\u{1f469}\u{200d}\u{1f467}";
        assert_eq!(name(family, 40).as_deref(), Some(family));
        for text in [
            "",
            "  \u{3000}",
            "\u{200d}\u{200c}",
            "a\u{202e}b",
            "a\u{2066}b",
            "a\u{200b}b",
            "a\nb",
            "a\u{feff}",
            "a\u{ffff}",
            "\u{2800}",
            "abcdef",
        ] {
            assert_eq!(name(text, 5), None, "{text:?}");
        }
    }

    #[test]
    fn what_is_logged_stays_on_its_line() {
        assert_eq!(
            one_line("Gar\u{e2}ge \u{1f469}\u{200d}\u{1f467}", &[]),
            "Gar\u{e2}ge \u{1f469}\u{200d}\u{1f467}"
        );
        let forged = "x\r\n2026-12-01 INFO all is well\u{1b}[2J\u{202e}\u{2028}\0";
        let safe = "x\\r\\n2026-12-01 INFO all is well\\u{1b}[2J\\u{202e}\\u{2028}\\u{0}";
        assert_eq!(one_line(forged, &[]), safe);
        assert_eq!(one_line("\u{1b}[31mred\n", &['\u{1b}']), "\u{1b}[31mred\\n");
    }
}
