//! E-mail addresses: one spelling for each, however it is typed.

use nightjar_shared::text;

use crate::error::{Error, ProblemCode, Result};

const BYTES_MAX: usize = 254;

/// Brings an address to its one spelling: without blanks around it, in small letters, compatible
/// characters alike, the host as Unicode (RFC 5890) and without a dot at its end. Whether mail
/// arrives there is another question.
pub(super) fn normalize(email: &str) -> Result<String> {
    let invalid = || Error::invalid(ProblemCode::InvalidEmail, "This is not an e-mail address.");
    let email = text::folded(email.trim());
    let (user, host) = email.split_once('@').ok_or_else(invalid)?;
    let host = normalize_host(host).ok_or_else(invalid)?;
    let valid = !user.is_empty()
        && user.len() + 1 + host.len() <= BYTES_MAX
        && !email.chars().any(|letter| text::is_hidden(letter) || letter.is_whitespace());
    if valid { Ok(format!("{user}@{host}")) } else { Err(invalid()) }
}

fn normalize_host(host: &str) -> Option<String> {
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.contains('@') || host.split('.').any(str::is_empty) {
        return None;
    }
    let ascii = idna::domain_to_ascii(host).ok().filter(|ascii| !ascii.is_empty())?;
    let (unicode, _) = idna::domain_to_unicode(&ascii);
    Some(unicode)
}

/// Writes an address as mail servers read it: the host in ASCII.
pub(super) fn for_mail(email: &str) -> String {
    let Some((user, host)) = email.split_once('@') else { return email.to_owned() };
    let host = idna::domain_to_ascii(host).unwrap_or_else(|_| host.to_owned());
    format!("{user}@{host}")
}

/// Returns the spelling that an address had before [`normalize`] was as thorough: accounts from then
/// are found by it.
pub(super) fn spelled_before(email: &str) -> String {
    email.trim().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_spelling() {
        for text in
            [" Alice@Example.ORG ", "alice@example.org.", "\u{3000}ＡＬＩＣＥ＠example．org"]
        {
            assert_eq!(normalize(text).unwrap(), "alice@example.org", "{text}");
        }
        for text in ["a@b\u{fc}cher.example", "A@BU\u{308}CHER.example", "a@xn--bcher-kva.example"]
        {
            assert_eq!(normalize(text).unwrap(), "a@b\u{fc}cher.example", "{text}");
        }
        assert_eq!(normalize("Zoe\u{308}@b.c").unwrap(), "zo\u{eb}@b.c");
    }

    #[test]
    fn mail_servers_read_hosts_in_ascii() {
        assert_eq!(for_mail("a@b\u{fc}cher.example"), "a@xn--bcher-kva.example");
        assert_eq!(for_mail("a@example.org"), "a@example.org");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("{}@example.org", "a".repeat(250));
        for text in [
            "",
            "alice",
            "@",
            "a@",
            "@b",
            "a b@c",
            "a@b@c",
            "a\0@b",
            "a@.b",
            "a@b..c",
            "a@.",
            "a\u{202e}@b",
            "a@b c",
            &long,
        ] {
            assert_eq!(normalize(text).unwrap_err().code(), ProblemCode::InvalidEmail, "{text:?}");
        }
    }
}
