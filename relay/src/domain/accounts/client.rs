//! By what somebody signs in, and from where, as far as it is kept: in words, and without the last
//! part of the address.

use std::net::IpAddr;

use crate::domain::text;

const PROGRAM_CHARS_MAX: usize = 40;

/// What signs in.
#[derive(Debug, Clone)]
pub struct Client {
    /// `Firefox on Windows`, or what a program calls itself.
    pub(super) program: String,
    /// `203.0.113.x`
    pub(super) network: String,
}

impl Client {
    pub fn new(address: IpAddr, user_agent: Option<&str>) -> Self {
        Self { program: program(user_agent.unwrap_or_default()), network: network(address) }
    }

    pub fn program(&self) -> &str {
        &self.program
    }
}

/// Writes an address without what tells households of a street apart.
pub(super) fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}.x")
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:x")
        }
    }
}

/// The first that is found counts: each names itself beside those it wants to be taken for.
const BROWSERS: [(&str, &str); 9] = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox", "Firefox"),
    ("FxiOS", "Firefox"),
    ("CriOS", "Chrome"),
    ("HeadlessChrome", "Chrome"),
    ("Chrome", "Chrome"),
    ("Safari", "Safari"),
];
const SYSTEMS: [(&str, &str); 7] = [
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
];

fn program(user_agent: &str) -> String {
    let find = |names: &[(&str, &'static str)]| {
        names.iter().find(|(mark, _)| user_agent.contains(mark)).map(|(_, name)| *name)
    };
    match (find(&BROWSERS), find(&SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        (None, _) => {
            let name = user_agent.split(['/', ' ', '(']).next().unwrap_or_default();
            let name: String = text::report(name).chars().take(PROGRAM_CHARS_MAX).collect();
            if name.is_empty() { "a program without a name".to_owned() } else { name }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_named_in_words() {
        for (user_agent, words) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
                "Chrome on Linux",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1",
                "Safari on iPhone",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/120.0 Safari/537.36 Edg/120.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (Android 14; Mobile; rv:121.0) Gecko/121.0 Firefox/121.0",
                "Firefox on Android",
            ),
            ("curl/8.5.0", "curl"),
            ("", "a program without a name"),
            ("\u{202e}evil", "evil"),
        ] {
            assert_eq!(program(user_agent), words);
        }
        assert_eq!(program(&"x".repeat(1_000)).len(), PROGRAM_CHARS_MAX);
    }

    #[test]
    fn an_address_loses_its_last_part() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("203.0.113.77"), "203.0.113.x");
        assert_eq!(of("::ffff:203.0.113.77"), "203.0.113.x");
        assert_eq!(of("2001:db8:7:1::1"), "2001:db8:7:x");
    }
}
